"""Latency over threads, throughput over batch sizes, latency over minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shipworthy.report.curves import Curve, Show, curves_figure
from shipworthy.report.measurements import Measurement
from shipworthy.report.records import Record
from shipworthy.report.scope import Model, Scope, cell_label
from shipworthy.report.sections.section import (
    Figure,
    Section,
    Table,
    doubts,
    find_missing,
    measured,
)
from shipworthy.report.svg import to_inline_svg
from shipworthy.report.units import UNKNOWN, format_ns, format_rate

Point = Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A measurement at several settings.

    Parameters
    ----------
    x, y : read a point; None leaves it out.
    table : head and rows of the data table, after the export's name.
    """

    kind: str
    slug: str
    title: str
    lede: str
    words: str
    points: str
    x: Callable[[Point], float]
    y: Callable[[Point], float | None]
    x_title: str
    y_title: str
    show_x: Show
    show_y: Show
    table: Callable[[list[Measurement]], tuple[Sequence[str], list[Sequence[str]]]]
    steps: bool = True
    log_y: bool = True


def make_threads(scope: Scope) -> Section:
    """Return latency by number of threads."""
    return _make(scope, _THREADS)


def make_batches(scope: Scope) -> Section:
    """Return throughput by batch size."""
    return _make(scope, _BATCHES)


def make_sustained(scope: Scope) -> Section:
    """Return latency over the minutes of one long run."""
    return _make(scope, _SUSTAINED)


def tables_of(model: Model) -> list[Table]:
    """Return threads, batches and the sustained run as tables, those that were measured."""
    sweeps = (_THREADS, _BATCHES, _SUSTAINED)
    found = ((sweep, measured(model, sweep.kind)) for sweep in sweeps)
    return [_table(model, known, sweep) for sweep, known in found if known]


def _table(model: Model, found: list[tuple[Record, Measurement]], sweep: Sweep) -> Table:
    head, rows = sweep.table([m for _, m in found])
    named = [[cell_label(r), *row] for (r, _), row in zip(found, rows, strict=True)]
    by = f"{sweep.y_title} by {sweep.x_title}" if sweep.steps else sweep.title.lower()
    return Table(f"{model.name}: {by}", ("Export", *head), named)


def _make(scope: Scope, sweep: Sweep) -> Section:
    return Section(
        sweep.slug,
        sweep.title,
        sweep.lede,
        [
            _draw(model, found, curves, sweep, number, scope.whole)
            for number, model in enumerate(scope)
            if (curves := _curves(found := measured(model, sweep.kind), sweep))
        ],
        missing=find_missing(
            scope,
            sweep.words,
            lambda m: bool(_curves(measured(m, sweep.kind), sweep)),
            f"{sweep.title} was not measured",
            sweep.kind,
        ),
    )


def _curves(found: list[tuple[Record, Measurement]], sweep: Sweep) -> list[Curve]:
    curves = []
    for record, m in found:
        points = sorted((sweep.x(p), y) for p in m.data[sweep.points] if (y := sweep.y(p)))
        if points and (sweep.steps is False or points[0][0] > 0):
            places, values = zip(*points, strict=True)
            name = cell_label(record)
            curves.append(Curve(name, record["framework"], record["format"], places, values))
    return curves


def _draw(
    model: Model,
    found: list[tuple[Record, Measurement]],
    curves: list[Curve],
    sweep: Sweep,
    number: int,
    whole: bool,
) -> Figure:
    name = f"{sweep.slug}-{number}"
    with curves_figure(
        curves, x_title=sweep.x_title, y_title=sweep.y_title, show_x=sweep.show_x,
        show_y=sweep.show_y, steps=sweep.steps, log_y=sweep.log_y,
    ) as (figure, _):  # fmt: skip
        told = f"{sweep.title} of {len(curves)} exports; the table below has the figures."
        return Figure(
            name,
            model.name if whole else sweep.title,
            doubts(found),
            to_inline_svg(figure, name, told),
            _table(model, found, sweep),
        )


def _by_setting(
    found: list[Measurement], name: str, read: Callable[[Point], str]
) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return a table with a column for each number of threads or rows."""
    places = sorted({p[name] for m in found for p in m.data["points"]})
    rows: list[Sequence[str]] = []
    for m in found:
        known = {p[name]: read(p) for p in m.data["points"]}
        rows.append([known.get(place, UNKNOWN) for place in places])
    return [f">{place:g}" for place in places], rows


def _sustained(found: list[Measurement]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return a row each: the windows would be hundreds."""
    rows: list[Sequence[str]] = []
    for m in found:
        known = [int(p["p50_ns"]) for p in m.data["windows"] if p.get("p50_ns")]
        drift, low, high = (m.data.get(name) for name in ("drift", "drift_low", "drift_high"))
        told = UNKNOWN if drift is None else f"{drift:.3f}"
        if drift is not None and low is not None and high is not None:
            told += f" ({low:.3f} to {high:.3f})"
        ends = (known[0], known[-1], max(known)) if known else (None, None, None)
        queries = sum(int(p["queries"]) for p in m.data["windows"])
        rows.append([told, *map(format_ns, ends), format_ns(m.data["duration_ns"]), f"{queries:,}"])
    return (">Last over first", ">First p50", ">Last", ">Highest", ">Took", ">Queries"), rows


def _rows_per_second(point: Point) -> float | None:
    told = point.get("rows_per_s")
    if told:
        return float(told)
    return 1e9 * point["batch"] / point["p50_ns"] if point["p50_ns"] else None


def _whole(value: float) -> str:
    return f"{value:g}"


_THREADS = Sweep(
    kind="threads",
    slug="threads",
    title="Thread scaling",
    lede="Median latency at one inference after another, with the runtime given 1 to n threads. A "
    "small model often gets no faster, or slower.",
    words="bench --also threads",
    points="points",
    x=lambda p: float(p["threads"]),
    y=lambda p: float(p["p50_ns"]),
    x_title="threads of the runtime",
    y_title="median latency",
    show_x=_whole,
    show_y=format_ns,
    table=lambda found: _by_setting(found, "threads", lambda p: format_ns(p["p50_ns"])),
)
_BATCHES = Sweep(
    kind="batches",
    slug="batches",
    title="Batch sweep",
    lede="Rows per second at growing batch sizes, one call after another. An export whose batch "
    "axis is fixed has one point.",
    words="bench --also batches",
    points="points",
    x=lambda p: float(p["batch"]),
    y=_rows_per_second,
    x_title="rows in a batch",
    y_title="rows per second",
    show_x=_whole,
    show_y=format_rate,
    table=lambda found: _by_setting(found, "batch", lambda p: format_rate(_rows_per_second(p))),
)
_SUSTAINED = Sweep(
    kind="sustained",
    slug="sustained",
    title="Sustained run",
    lede="Median latency in each window of one long run without a pause. A rise tells of heat, a "
    "lower frequency, or memory that grows.",
    words="bench --also sustained",
    points="windows",
    x=lambda p: p["start_ns"] / 1e9,
    y=lambda p: p.get("p50_ns"),
    x_title="seconds since the start",
    y_title="median latency of the window",
    show_x=lambda v: f"{v:g} s",
    show_y=format_ns,
    table=_sustained,
    steps=False,
)
