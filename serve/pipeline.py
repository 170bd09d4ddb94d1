"""The whole way for one model: references, hops, judgements, measurements.

References, hops and judgements run on any `concurrent.futures.Executor` (with `launch_fresh`, one
of other machines too: every step is picklable); measurements run one at a time, alone. Everything
found unchanged is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from shipworthy.convert.export import (
    ExportError,
    Place,
    make_artifact,
    make_reference,
    record_failure,
)
from shipworthy.convert.launch import Launch
from shipworthy.convert.process import StoppedError
from shipworthy.convert.routes import FORMATS, Route, find_routes, hops
from shipworthy.models import zoo
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.training import TrainingError
from shipworthy.serve import bench
from shipworthy.serve.folder import Cell, has_artifact
from shipworthy.serve.judge import Verdict, judge_cell
from shipworthy.serve.runners import Run
from shipworthy.serve.steps import Event, Step, run_steps


class CellError(ShipworthyError):
    """A cell that did not pass; the message says why."""


@dataclass(frozen=True)
class Job:
    """What to export.

    Parameters
    ----------
    model : its name.
    frameworks, formats : the cells are their product.
    out : the model's folder.
    threads : threads of the runtimes, when judged and when timed.
    timeout : seconds a process may take.
    """

    model: str
    frameworks: tuple[str, ...]
    formats: tuple[str, ...]
    out: Path
    threads: int = 1
    timeout: float = 600.0

    @property
    def cells(self) -> list[Cell]:
        """The cells, in the order of the report."""
        return [(framework, format_) for framework in self.frameworks for format_ in self.formats]


def train(job: Job) -> dict[str, ExportError]:
    """Train what is not trained yet; return what failed, by framework."""
    lost = {}
    for framework in job.frameworks:
        try:
            zoo.ensure_trained(job.model, [framework])
        except TrainingError as e:
            command = f"python -m shipworthy.models.train {job.model} {framework}"
            lost[framework] = ExportError(str(e), command)
    return lost


def export(
    job: Job, executor: Executor, launch: Launch, lost: Mapping[str, ExportError]
) -> Iterator[Event]:
    """Make and judge every cell of the job; yield what happens.

    A cell that fails leaves its reason on disk; the others go on.

    Parameters
    ----------
    lost : frameworks that could not be trained.
    """
    place = Place(job.out)
    routes = {cell: find_routes(*cell)[0] for cell in job.cells}
    errors = {_original(framework): error for framework, error in lost.items()}
    todo = {cell: route for cell, route in routes.items() if cell[0] not in lost}
    for event in run_steps(list(_steps(job, todo, place, launch)), executor):
        if isinstance(event.detail, StoppedError):
            raise event.detail
        if event.state == "failed" and not isinstance(event.detail, CellError):
            errors[event.step] = _as_export_error(event)
        elif event.state == "skipped" and event.detail in errors:
            errors[event.step] = errors[event.detail]
        yield event
    for cell, route in routes.items():
        names = (str(route), _judged(*cell), _original(cell[0]))
        found = next((errors[name] for name in names if name in errors), None)
        if found:
            record_failure(place.cell(*cell), job.model, str(route), found)


def validate(
    out: Path, cells: Sequence[Cell], executor: Executor, *, threads: int, timeout: float
) -> Iterator[Event]:
    """Judge again the artifacts that lie in the folder; yield what happens."""
    steps = [
        Step(_judged(*cell), partial(_judge, out, *cell, threads, timeout, True))
        for cell in cells
        if has_artifact(out, cell)
    ]
    yield from run_steps(steps, executor)


def measure(
    out: Path, cells: Sequence[Cell], settings: bench.Settings, *, timeout: float, again: bool
) -> Iterator[Event]:
    """Measure the cells that pass, taking turns; yield what happens.

    What was not judged with these settings is judged first. Either all are measured or none, so
    that figures that stand side by side come from one run.

    Parameters
    ----------
    again : measure also if all were measured before and none has changed.
    """
    started_at = datetime.now(UTC)
    todo: dict[str, bench.Subject] = {}
    for cell in cells:
        name = f"{cell[0]}/{cell[1]} timed"
        if not has_artifact(out, cell):
            continue
        verdict = judge_cell(out, *cell, threads=settings.threads, timeout=timeout)
        if not verdict.passed:
            yield Event(_judged(*cell), "failed", CellError(verdict.reason))
            continue
        todo[name] = bench.Subject(out, cell, verdict.key)
    if not again and all(subject.is_measured(settings) for subject in todo.values()):
        return
    runs: dict[str, list[Run]] = {name: [] for name in todo}
    for name in bench.schedule(list(todo), settings.processes, settings.seed):
        if name not in todo:
            continue
        if not runs[name]:
            yield Event(name, "started")
        subject = todo[name]
        try:
            runs[name].append(subject.measure(settings, timeout))
        except StoppedError:
            raise
        except Exception as e:
            del todo[name]
            known = isinstance(e, ShipworthyError)
            subject.write_failure(settings, str(e) if known else f"{type(e).__name__}: {e}")
            yield Event(name, "failed", e)
            continue
        if len(runs[name]) == settings.processes:
            subject.write(runs[name], settings, started_at)
            yield Event(name, "done", bench.told(runs[name]))


def _steps(job: Job, routes: Mapping[Cell, Route], place: Place, launch: Launch) -> Iterator[Step]:
    for framework in dict.fromkeys(framework for framework, _ in routes):
        yield Step(
            _original(framework),
            partial(_reference, job.model, framework, place, launch, job.timeout),
        )
    seen: set[str] = set()
    for (framework, format_), route in routes.items():
        need = _original(framework)
        for count, hop in enumerate(route.hops, 1):
            name = str(Route(route.hops[:count]))
            if name not in seen:
                seen.add(name)
                run = partial(
                    _hop, job.model, framework, str(hop), name, place, launch, job.timeout
                )
                yield Step(name, run, (need,))
            need = name
        judge = partial(_judge, job.out, framework, format_, job.threads, job.timeout, False)
        yield Step(_judged(framework, format_), judge, (need,))


def _original(framework: str) -> str:
    return f"{framework} original"


def _judged(framework: str, format_: str) -> str:
    return f"{framework}/{format_} in {FORMATS[format_].runtime}"


def _reference(model: str, framework: str, place: Place, launch: Launch, timeout: float) -> str:
    source = zoo.source(model, framework)
    new = make_reference(source, zoo.weights(source), place, launch, timeout)
    return "expected outputs made" if new else "unchanged"


def _hop(
    model: str, framework: str, hop: str, route: str, place: Place, launch: Launch, timeout: float
) -> str:
    source = zoo.source(model, framework)
    artifact, new = make_artifact(source, hops()[hop], route, place, launch, timeout)
    return f"{artifact.size_bytes / 1000:,.0f} KB" if new else "unchanged"


def _judge(
    out: Path, framework: str, format_: str, threads: int, timeout: float, again: bool
) -> str:
    verdict = judge_cell(out, framework, format_, threads=threads, timeout=timeout, again=again)
    bench.forget_failure(out / framework / format_)
    if not verdict.passed:
        raise CellError(verdict.reason)
    return "; ".join((_ratio(verdict), *verdict.notes))


def _ratio(verdict: Verdict) -> str:
    worst = verdict.validation.worst
    ratio = worst.error_ratio if worst else None
    return "equal" if ratio is None else f"error ratio {ratio:.2f}"


def _as_export_error(event: Event) -> ExportError:
    if isinstance(event.detail, ExportError):
        return event.detail
    return ExportError(f"{event.step}: {type(event.detail).__name__}: {event.detail}")
