"""Routes compete for a cell: the first that passes with every dynamic axis kept wins.

Routes are tried in turns, the best expected first; a cell that is won is not tried again. A route
that loses a dynamic axis, or was not proven, ranks below every one that passed with all of them.
An optimized artifact that does not pass is made again plain before another route is tried. What
lost stays beside the cells, under ``routes/``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
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


@dataclass(frozen=True)
class Attempt:
    """A route to a cell; `plain` makes its last hop again without optimizing."""

    route: Route
    plain: bool = False

    def name(self, count: int | None = None) -> str:
        """Return the name of the step that makes the first `count` hops, or all."""
        part = str(Route(self.route.hops[:count]))
        return f"{part} (plain)" if self.plain and part == str(self.route) else part


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

    def __post_init__(self) -> None:
        self.routes: dict[Cell, list[Route]] = {
            cell: find_routes(*cell, self.job.subject.source(cell[0]).kind)
            for cell in self.job.cells
        }
        self._left = {cell: [Attempt(r) for r in routes] for cell, routes in self.routes.items()}
        self._now: dict[Cell, Attempt] = {}
        self._made: set[str] = set()

    def next_steps(self) -> list[Step]:
        """Return the steps of the next turn; none when no cell has a route left."""
        self._now = {}
        for cell, left in self._left.items():
            while left and cell not in self._now:
                attempt = left.pop(0)
                if self._can_begin(attempt):
                    self._now[cell] = attempt
        return list(self._steps())

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
        for cell, attempt in self._now.items():
            rank = self._rank(attempt.route)
            optimizes = self.job.optimize and attempt.route.hops[-1].optimizes
            if rank == 1 and optimizes and not attempt.plain:
                self._left[cell].insert(0, Attempt(attempt.route, plain=True))
            best = max(self.routes[cell], key=self._rank)  # the first of equals
            if self._rank(best) > 0:
                self.place.settle(str(best))
            if rank == 3 and not self.job.best:
                self._left[cell].clear()

    def record_failures(self) -> None:
        """Leave the reason in every cell for which no route made anything."""
        for cell, routes in self.routes.items():
            if any(self._rank(route) > 0 for route in routes):
                continue
            names = [original(cell[0])]
            names += [name for r in routes for name in (str(r), Attempt(r, plain=True).name())]
            names += [str(Route(r.hops[:n])) for r in routes for n in range(1, len(r.hops))]
            names.append(judged(*cell))
            error = next((self.errors[name] for name in names if name in self.errors), None)
            error = error or ExportError(f"no route leads from this {cell[0]} model to {cell[1]}")
            route = str(routes[0]) if routes else ">".join(cell)
            record_failure(self.place.cell(*cell), self.job.subject.name, route, error)

    def _steps(self) -> Iterator[Step]:
        for framework in dict.fromkeys(framework for framework, _ in self._now):
            name = original(framework)
            if name not in self._made:
                run = partial(
                    _reference, self.job.subject, framework, self.place, self.launch,
                    self.job.timeout,
                )  # fmt: skip
                yield Step(name, run)
        hops_ = {s.name: s for cell, one in self._now.items() for s in self._hops(cell, one)}
        yield from hops_.values()
        for cell, attempt in self._now.items():
            run = partial(
                judge, self.place, cell, self.job.threads, self.job.timeout,
                route=str(attempt.route),
            )  # fmt: skip
            need = attempt.name()
            yield Step(self._judged(cell, attempt), run, (need,) if need in hops_ else ())

    def _hops(self, cell: Cell, attempt: Attempt) -> Iterator[Step]:
        """Yield what an attempt has to make; what it starts from may be made plain this turn."""
        job, hops_ = self.job, attempt.route.hops
        remade = {a.route.hops: a.name() for a in self._now.values() if a.plain}
        need = original(cell[0])
        for count, hop in enumerate(hops_, 1):
            name = attempt.name(count)
            if name not in self._made:
                run = partial(
                    _hop, job.subject, cell[0], str(hop), str(Route(hops_[:count])), self.place,
                    self.launch, job.timeout, job.optimize, attempt.plain and count == len(hops_),
                )  # fmt: skip
                yield Step(name, run, () if need in self._made else (need,))
            need = remade.get(hops_[:count], name)

    def _judged(self, cell: Cell, attempt: Attempt) -> str:
        first = attempt.route == self.routes[cell][0] and not attempt.plain
        return judged(*cell, "" if first else attempt.name())

    def _can_begin(self, attempt: Attempt) -> bool:
        """Tell whether nothing that the attempt needs has failed already."""
        names = [attempt.name(n) for n in range(1, len(attempt.route.hops) + 1)]
        return not any(name in self.errors for name in (original(attempt.route.framework), *names))

    def _rank(self, route: Route) -> int:
        """Return 3 if it passed with every dynamic axis, 2 if it passed, 1 if it was made."""
        attempts = [a for a in (Attempt(route, True), Attempt(route)) if a.name() in self._made]
        cell = (route.framework, route.format)
        if not attempts or self._judged(cell, attempts[0]) in self.errors:
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
    optimize: bool,
    instead: bool,
) -> str:
    artifact, new = make_artifact(
        subject, framework, hops()[hop], route, place, launch, timeout,
        optimize=optimize, instead=instead,
    )  # fmt: skip
    return f"{artifact.size_bytes / 1000:,.0f} KB" if new else "unchanged"


def judge(
    place: Place, cell: Cell, threads: int, timeout: float, *, route: str = "", again: bool = False
) -> str:
    """Judge a cell, or what a route made for it; return one line about it.

    Raises
    ------
    CellError : it did not pass.
    """
    folder = place.find(route) if route else place.cell(*cell)
    verdict = judge_cell(
        place.out, *cell, threads=threads, timeout=timeout, again=again, folder=folder
    )
    bench.forget_failure(folder)
    return told(verdict)


def _as_export_error(event: Event) -> ExportError:
    if isinstance(event.detail, ExportError):
        return event.detail
    return ExportError(f"{event.step}: {type(event.detail).__name__}: {event.detail}")
