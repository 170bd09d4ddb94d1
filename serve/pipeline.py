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

from shipworthy.convert.artifact import ArtifactError, read_artifact
from shipworthy.convert.export import ExportError
from shipworthy.convert.launch import Launch
from shipworthy.convert.place import Place
from shipworthy.convert.process import StoppedError
from shipworthy.models import zoo
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.subject import Subject
from shipworthy.models.training import TrainingError
from shipworthy.serve import bench
from shipworthy.serve.contest import CellError, Contest, judge, judged, original
from shipworthy.serve.empty_start import measure_empty_start
from shipworthy.serve.folder import Cell, has_artifact, has_manifest
from shipworthy.serve.judge import judge_cell
from shipworthy.serve.process import RunnerError
from shipworthy.serve.steps import Event, Step, run_steps
from shipworthy.serve.trial import Proven
from shipworthy.serve.validity import tell


@dataclass(frozen=True)
class Job:
    """What to export.

    Parameters
    ----------
    subject : the model.
    frameworks, formats : the cells are their product.
    out : the model's folder.
    threads : threads of the runtimes, when judged and when timed.
    timeout : seconds a process may take.
    best : try every route to a cell, not only until one passes with all dynamic axes.
    optimize : see `shipworthy.models.spec.Source`.
    """

    subject: Subject
    frameworks: tuple[str, ...]
    formats: tuple[str, ...]
    out: Path
    threads: int = 1
    timeout: float = 600.0
    best: bool = False
    optimize: bool = True

    @property
    def cells(self) -> list[Cell]:
        """The cells, in the order of the report."""
        return [(framework, format_) for framework in self.frameworks for format_ in self.formats]


def train(job: Job) -> dict[str, ExportError]:
    """Train what is not trained yet; return what failed, by framework."""
    lost: dict[str, ExportError] = {}
    if job.subject.given is not None:
        return lost
    for framework in job.frameworks:
        try:
            zoo.ensure_trained(job.subject.name, [framework])
        except TrainingError as e:
            command = f"python -m shipworthy.models.train {job.subject.name} {framework}"
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
    contest = Contest(job, Place(job.out), launch)
    for framework, error in lost.items():
        contest.errors[original(framework)] = error
    while steps := contest.next_steps():
        for event in run_steps(steps, executor):
            if isinstance(event.detail, StoppedError):
                raise event.detail
            contest.note(event)
            yield event
        contest.settle()
    contest.record_failures()


def validate(
    out: Path, cells: Sequence[Cell], executor: Executor, *, threads: int, timeout: float
) -> Iterator[Event]:
    """Judge again the artifacts that lie in the folder; yield what happens."""
    steps = [
        Step(judged(*cell), partial(judge, Place(out), cell, threads, timeout, again=True))
        for cell in cells
        if has_artifact(out, cell)
    ]
    yield from run_steps(steps, executor)


def measure(
    out: Path,
    cells: Sequence[Cell],
    settings: bench.Settings,
    *,
    timeout: float,
    again: bool,
    best: bool = False,
) -> Iterator[Event]:
    """Measure the cells that pass, taking turns; yield what happens.

    What was not judged with these settings is judged first. Either all are measured or none, so
    that figures that stand side by side come from one run.

    Parameters
    ----------
    again : measure also if all were measured before and none has changed.
    best : measure what other routes made as well, and give each cell to the fastest.
    """
    todo: dict[str, bench.Subject] = {}
    for cell in cells:
        name = f"{cell[0]}/{cell[1]} timed"
        if not has_artifact(out, cell):
            continue
        verdict = judge_cell(out, *cell, threads=settings.threads, timeout=timeout)
        if not verdict.passed:
            yield Event(judged(*cell), "failed", CellError(verdict.reason))
            continue
        todo[name] = bench.Subject(out, cell, verdict.key)
        todo |= _rivals(out, cell, settings.threads, timeout) if best else {}
    if again or not all(subject.is_measured(settings) for subject in todo.values()):
        yield from _measure(todo, settings, timeout)
    if best:
        _give_to_fastest(out, todo)


def _measure(
    todo: dict[str, bench.Subject], settings: bench.Settings, timeout: float
) -> Iterator[Event]:
    started_at = datetime.now(UTC)
    runs: dict[str, list[Proven]] = {name: [] for name in todo}
    empty_starts_ns: list[int] = []
    rounds = 0
    for name in bench.schedule(list(todo), settings.processes, settings.seed):
        if name not in todo:
            continue
        if len(runs[name]) == rounds:
            rounds += 1
            empty_starts_ns += _empty_start()
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
            reasons = subject.write(runs[name], settings, started_at, empty_starts_ns)
            yield Event(name, "done", f"{bench.told(runs[name])}, {tell(reasons)}")


def _empty_start() -> list[int]:
    """Return how long an empty process takes to start; nothing where it could not be told."""
    try:
        return [measure_empty_start()]
    except RunnerError:
        return []


def _rivals(out: Path, cell: Cell, threads: int, timeout: float) -> dict[str, bench.Subject]:
    """Return what other routes made for a cell, if it passed with the same axes kept."""
    axes = read_artifact(out.joinpath(*cell)).fixed_axes
    found = {}
    for folder in Place(out).attempts(*cell):
        try:
            if not has_manifest(folder) or read_artifact(folder).fixed_axes != axes:
                continue
        except ArtifactError:
            continue
        verdict = judge_cell(out, *cell, threads=threads, timeout=timeout, folder=folder)
        if verdict.passed:
            name = f"{cell[0]}/{cell[1]} by {read_artifact(folder).route} timed"
            found[name] = bench.Subject(out, cell, verdict.key, folder)
    return found


def _give_to_fastest(out: Path, subjects: Mapping[str, bench.Subject]) -> None:
    for cell in dict.fromkeys(subject.cell for subject in subjects.values()):
        p50: dict[str, float] = {}
        for subject in subjects.values():
            measured = bench.read_benchmark(subject.folder, subject.verdict)
            if subject.cell == cell and measured is not None and measured["runs"]:
                p50[read_artifact(subject.folder).route] = bench.p50_ns(measured["runs"])
        if p50:
            Place(out).settle(min(p50, key=lambda route: p50[route]))
