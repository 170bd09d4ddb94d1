"""The whole way for one model: references, hops, judgements, measurements.

References, hops and judgements run on any `concurrent.futures.Executor`; measurements run one at a
time, alone. Everything found unchanged is kept.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from shipworthy.convert.artifact import MANIFEST, read_artifact
from shipworthy.convert.export import (
    ExportError,
    Place,
    make_artifact,
    make_reference,
    record_failure,
)
from shipworthy.convert.hop import FAILURE
from shipworthy.convert.launch import Launch
from shipworthy.convert.read_reference import read_reference
from shipworthy.convert.routes import FORMATS, Hop, Route, find_routes
from shipworthy.models import zoo
from shipworthy.models.errors import ShipworthyError, WrongUsageError
from shipworthy.models.spec import FRAMEWORKS, Model, Source
from shipworthy.serve import bench
from shipworthy.serve.judge import judge_cell, read_validation
from shipworthy.serve.runners import Run, find
from shipworthy.serve.steps import Event, Step, run_steps

Cell = tuple[str, str]


class BusyError(WrongUsageError):
    """Another run is at work in the same folder."""


class EmptyError(WrongUsageError):
    """A folder without any export."""


class CellError(ShipworthyError):
    """A cell that did not pass; the message says why."""


@dataclass(frozen=True)
class Job:
    """What to export.

    Parameters
    ----------
    frameworks, formats : the cells are their product.
    out : the model's folder.
    threads : threads of the runtimes, when judged and when timed.
    timeout : seconds a process may take.
    """

    model: Model
    frameworks: tuple[str, ...]
    formats: tuple[str, ...]
    out: Path
    threads: int = 1
    timeout: float = 600.0

    @property
    def cells(self) -> list[Cell]:
        """The cells, in the order of the report."""
        return [(framework, format_) for framework in self.frameworks for format_ in self.formats]


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """Keep other runs out of the folder, and sweep what a killed one left half-done.

    Raises
    ------
    BusyError : another run holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise BusyError(
                f"another shipworthy is at work in {out}; wait for it, or use --out"
            ) from e
        for framework in FRAMEWORKS:
            for left in (out / framework).glob(".*-*"):
                shutil.rmtree(left)
        yield


def export(job: Job, executor: Executor, launch: Launch) -> Iterator[Event]:
    """Make and judge every cell of the job; yield what happens.

    A cell that fails leaves its reason on disk; the others go on.
    """
    routes = {cell: find_routes(*cell)[0] for cell in job.cells}
    place = Place(job.out)
    errors: dict[str, ExportError] = {}
    for event in run_steps(list(_steps(job, routes, place, launch)), executor):
        if event.state == "failed" and isinstance(event.detail, ExportError):
            errors[event.step] = event.detail
        if event.state == "skipped" and event.detail in errors:
            errors[event.step] = errors[event.detail]
        yield event
    for cell, route in routes.items():
        lost = errors.get(str(route))
        if lost:
            record_failure(place.cell(*cell), job.model.name, str(route), lost)


def _steps(job: Job, routes: Mapping[Cell, Route], place: Place, launch: Launch) -> Iterator[Step]:
    for framework in job.frameworks:
        source = job.model.sources[framework]
        weights = zoo.weights(source)
        yield Step(
            f"{framework} original",
            partial(_reference, source, weights, place, launch, job.timeout),
        )
    seen: set[str] = set()
    for (framework, format_), route in routes.items():
        need = f"{framework} original"
        for count in range(1, len(route.hops) + 1):
            part = Route(route.hops[:count])
            name = str(part)
            if name not in seen:
                seen.add(name)
                source = job.model.sources[framework]
                yield Step(
                    name,
                    partial(_hop, source, part.hops[-1], name, place, launch, job.timeout),
                    (need,),
                )
            need = name
        yield Step(
            f"{framework}/{format_} in {FORMATS[format_].runtime}",
            partial(_judge, job.out, framework, format_, job.threads, job.timeout, False),
            (need,),
        )


def _reference(
    source: Source, weights: Path | None, place: Place, launch: Launch, timeout: float
) -> str:
    new = make_reference(source, weights, place, launch, timeout)
    return "expected outputs made" if new else "unchanged"


def _hop(source: Source, hop: Hop, route: str, place: Place, launch: Launch, timeout: float) -> str:
    artifact, new = make_artifact(source, hop, route, place, launch, timeout)
    return f"{artifact.size_bytes / 1000:,.0f} KB" if new else "unchanged"


def _judge(
    out: Path, framework: str, format_: str, threads: int, timeout: float, again: bool
) -> str:
    verdict = judge_cell(out, framework, format_, threads=threads, timeout=timeout, again=again)
    if not verdict.passed:
        raise CellError(verdict.reason)
    worst = verdict.validation.worst
    ratio = worst.error_ratio if worst else None
    told = "equal" if ratio is None else f"error ratio {ratio:.2f}"
    return "; ".join((told, *verdict.notes))


def measure(
    out: Path, cells: Sequence[Cell], settings: bench.Settings, *, timeout: float, again: bool
) -> Iterator[Event]:
    """Measure the cells that passed, taking turns; yield what happens.

    Parameters
    ----------
    again : measure also what was measured before and has not changed.
    """
    started_at = datetime.now(UTC)
    started = time.monotonic()
    todo: dict[str, Callable[[], Run]] = {}
    folders: dict[str, tuple[Path, str]] = {}
    for framework, format_ in cells:
        folder = out / framework / format_
        validation = read_validation(folder)
        if validation is None or not validation.passed:
            continue
        artifact = read_artifact(folder)
        reference = read_reference(out / framework / "reference")
        runner = find(FORMATS[format_].runtime)
        key = bench.key(artifact, reference, runner, settings)
        kept = bench.read_benchmark(folder)
        if kept and kept["key"] == key and not again:
            continue
        name = f"{framework}/{format_} timed"
        folders[name] = (folder, key)
        todo[name] = partial(bench.measure, artifact, reference, runner, settings, timeout)
    runs: dict[str, list[Run]] = {name: [] for name in todo}
    for name in bench.schedule(list(todo), settings.processes, settings.seed):
        if name not in todo:
            continue
        if not runs[name]:
            yield Event(name, "started")
        folder, key = folders[name]
        try:
            runs[name].append(todo[name]())
        except bench.BenchError as e:
            del todo[name]
            bench.write_failure(folder, str(e))
            yield Event(name, "failed", e, time.monotonic() - started)
            continue
        if len(runs[name]) == settings.processes:
            bench.write_benchmark(folder, runs[name], settings, key, started_at)
            yield Event(name, "done", bench.told(runs[name]), time.monotonic() - started)


def validate(
    out: Path, cells: Sequence[Cell], executor: Executor, *, threads: int, timeout: float
) -> Iterator[Event]:
    """Judge again whatever artifacts lie in the folder; yield what happens."""
    steps = [
        Step(
            f"{framework}/{format_} in {FORMATS[format_].runtime}",
            partial(_judge, out, framework, format_, threads, timeout, True),
        )
        for framework, format_ in cells
        if (out / framework / format_ / MANIFEST).exists()
    ]
    yield from run_steps(steps, executor)


def judged_cells(out: Path) -> list[Cell]:
    """Return the cells that were exported into the folder, in the order of the report.

    Raises
    ------
    EmptyError : none were; the message says what to do.
    """
    found = [
        (framework, format_)
        for framework in FRAMEWORKS
        for format_ in FORMATS
        if any((out / framework / format_ / name).exists() for name in (MANIFEST, FAILURE))
    ]
    if not found:
        raise EmptyError(
            f"{out} holds no export (no FRAMEWORK/FORMAT/{MANIFEST}); "
            "make one with `shipworthy export MODEL --out DIR`"
        )
    return found
