"""Routes compete for a cell: the first that passes with every dynamic axis kept wins.

Routes are tried in turns, the best expected first; a cell that is won is not tried again. A route
that loses a dynamic axis, or was not proven, ranks below every one that passed with all of them.
What lost stays beside the cells, under ``routes/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shipworthy.convert.artifact import ArtifactError, read_artifact
from shipworthy.convert.export import (
    ExportError,
    make_artifact,
    make_reference,
    record_failure,
)
from shipworthy.convert.launch import Launch
from shipworthy.convert.place import Place
from shipworthy.convert.routes import FORMATS, Route, find_routes, hops
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.subject import Subject
from shipworthy.serve import bench
from shipworthy.serve.folder import Cell
from shipworthy.serve.judge import Verdict, judge_cell, read_validation
from shipworthy.serve.steps import Event, Step

if TYPE_CHECKING:
    from shipworthy.serve.pipeline import Job


class CellError(ShipworthyError):
    """An artifact that did not pass; the message says why."""


@dataclass
class Contest:
    """The state of one export: which routes were tried, what became of them.

    Parameters
    ----------
    errors : what failed, by the name of the step; a framework whose original failed is out.
    """

    job: Job
    place: Place
    launch: Launch
    errors: dict[str, ExportError] = field(default_factory=dict)
    turn: int = -1

    def __post_init__(self) -> None:
        self.routes: dict[Cell, list[Route]] = {
            cell: find_routes(*cell, self.job.subject.source(cell[0]).kind)
            for cell in self.job.cells
        }
        self._made: set[str] = set()
        self._open = list(self.job.cells)

    def next_steps(self) -> list[Step]:
        """Return the steps of the next turn; none when no cell has a route left."""
        self.turn += 1
        steps: list[Step] = []
        while self._open and not steps:
            self._open = [cell for cell in self._open if self.turn < len(self.routes[cell])]
            todo = {cell: self.routes[cell][self.turn] for cell in self._open}
            steps = list(self._steps({c: r for c, r in todo.items() if self._can_begin(r)}))
            self.turn += 0 if steps else 1
        return steps

    def note(self, event: Event) -> None:
        """Keep what failed."""
        if event.state == "done":
            self._made.add(event.step)
        elif event.state == "failed" and not isinstance(event.detail, CellError):
            self.errors[event.step] = _as_export_error(event)
        elif event.state == "skipped" and event.detail in self.errors:
            self.errors[event.step] = self.errors[event.detail]

    def settle(self) -> None:
        """Put the best of what was tried so far into each cell; close the cells that are won."""
        for cell in self._open:
            tried = self.routes[cell][: self.turn + 1]
            ranked = sorted(tried, key=lambda route: -self._rank(route))  # stable
            if self._rank(ranked[0]) > 0:
                self.place.settle(str(ranked[0]))
        if not self.job.best:
            self._open = [cell for cell in self._open if not self._is_won(cell)]

    def record_failures(self) -> None:
        """Leave the reason in every cell for which no route made anything."""
        for cell, routes in self.routes.items():
            if any(self._rank(route) > 0 for route in routes):
                continue
            names = [original(cell[0]), *(str(r) for r in routes)]
            names += [str(Route(r.hops[:n])) for r in routes for n in range(1, len(r.hops))]
            names.append(judged(*cell))
            error = next((self.errors[name] for name in names if name in self.errors), None)
            error = error or ExportError(f"no route leads from this {cell[0]} model to {cell[1]}")
            route = str(routes[0]) if routes else ">".join(cell)
            record_failure(self.place.cell(*cell), self.job.subject.name, route, error)

    def _steps(self, routes: dict[Cell, Route]) -> Iterator[Step]:
        job = self.job
        for framework in dict.fromkeys(framework for framework, _ in routes):
            name = original(framework)
            if name not in self._made:
                run = partial(
                    _reference, job.subject, framework, self.place, self.launch, job.timeout
                )
                yield Step(name, run)
        planned = set(self._made)
        for cell, route in routes.items():
            need = self._need(original(cell[0]))
            for count, hop in enumerate(route.hops, 1):
                name = str(Route(route.hops[:count]))
                if name not in planned:
                    planned.add(name)
                    run = partial(
                        _hop, job.subject, cell[0], str(hop), name, self.place, self.launch,
                        job.timeout,
                    )  # fmt: skip
                    yield Step(name, run, need)
                need = self._need(name)
            judge = partial(_judge, self.place, cell, str(route), job.threads, job.timeout)
            yield Step(judged(*cell, str(route) if self.turn else ""), judge, need)

    def _need(self, name: str) -> tuple[str, ...]:
        return () if name in self._made else (name,)

    def _can_begin(self, route: Route) -> bool:
        """Tell whether nothing that the route needs has failed already."""
        parts = [str(Route(route.hops[:n])) for n in range(1, len(route.hops) + 1)]
        return not any(name in self.errors for name in (original(route.framework), *parts))

    def _is_won(self, cell: Cell) -> bool:
        return any(self._rank(route) == 3 for route in self.routes[cell][: self.turn + 1])

    def _rank(self, route: Route) -> int:
        """Return 3 if it passed with every dynamic axis, 2 if it passed, 1 if it was made."""
        cell = (route.framework, route.format)
        name = judged(*cell, "" if route == self.routes[cell][0] else str(route))
        if str(route) not in self._made or name in self.errors:
            return 0
        folder = self.place.find(str(route))
        try:
            artifact = read_artifact(folder)
        except ArtifactError:
            return 0
        verdict = read_validation(folder)
        if verdict is None or not verdict.passed:
            return 1
        return 2 if artifact.fixed_axes else 3


def original(framework: str) -> str:
    """Return the name of the step that runs the original."""
    return f"{framework} original"


def judged(framework: str, format_: str, route: str = "") -> str:
    """Return the name of the step that judges a cell, or what another route made for it."""
    return f"{framework}/{format_} in {FORMATS[format_].runtime}" + (f" ({route})" if route else "")


def told(verdict: Verdict) -> str:
    """Return one line about an artifact that passed.

    Raises
    ------
    CellError : it did not.
    """
    if not verdict.passed:
        raise CellError(verdict.reason)
    worst = verdict.validation.worst
    ratio = worst.error_ratio if worst else None
    return "; ".join(("equal" if ratio is None else f"error ratio {ratio:.2f}", *verdict.notes))


def _reference(
    subject: Subject, framework: str, place: Place, launch: Launch, timeout: float
) -> str:
    new = make_reference(subject, framework, place, launch, timeout)
    return "expected outputs made" if new else "unchanged"


def _hop(
    subject: Subject,
    framework: str,
    hop: str,
    route: str,
    place: Place,
    launch: Launch,
    timeout: float,
) -> str:
    artifact, new = make_artifact(subject, framework, hops()[hop], route, place, launch, timeout)
    return f"{artifact.size_bytes / 1000:,.0f} KB" if new else "unchanged"


def _judge(place: Place, cell: Cell, route: str, threads: int, timeout: float) -> str:
    folder: Path = place.find(route)
    verdict = judge_cell(place.out, *cell, threads=threads, timeout=timeout, folder=folder)
    bench.forget_failure(folder)
    return told(verdict)


def _as_export_error(event: Event) -> ExportError:
    if isinstance(event.detail, ExportError):
        return event.detail
    return ExportError(f"{event.step}: {type(event.detail).__name__}: {event.detail}")
