"""What a cold start is made of, in fresh processes."""

from __future__ import annotations

from dataclasses import dataclass

from shipworthy.report.canvas import linear_axis, lines_figure
from shipworthy.report.hills import DOTS, dots
from shipworthy.report.measurements import read_measurement
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
from shipworthy.report.svg import colour, to_inline_svg
from shipworthy.report.units import UNKNOWN, format_ns
from shipworthy.serve import stats

_STEPS = ("process", "libraries", "model load", "first inference", "rest")
_UNSPLIT = ("process and libraries", "model load", "first inference", "rest")


@dataclass(frozen=True)
class Start:
    """Medians of the steps, by name, and every process's whole start; nanoseconds."""

    steps: dict[str, int]
    totals: list[int]


def make(scope: Scope) -> Section:
    """Return the breakdown of every model's cold starts."""
    return Section(
        "cold-start",
        "Cold start",
        "From just before the process is started until its first output is ready, in fresh "
        "processes whose files are already in the page cache. The parts are medians over the "
        "processes; every dot is the whole cold start of one. The rest is mostly reading the "
        "inputs.",
        [
            _draw(model, starts, number, scope.whole)
            for number, model in enumerate(scope)
            if (starts := find_starts(model))
        ],
        missing=find_missing(
            scope, "bench --also cold_start", lambda m: bool(find_starts(m)),
            "No cold start was measured", "cold_start",
        ),
    )  # fmt: skip


def find_starts(model: Model) -> dict[int, Start]:
    """Return the cold starts of every cell that has some, by the identity of its record."""
    found = ((id(record), find_start(record)) for record in model.records)
    return {key: start for key, start in found if start is not None}


def find_start(record: Record) -> Start | None:
    """Return a cell's cold starts: those of the measurement, else those of its benchmark."""
    measurement = read_measurement(record, "cold_start")
    if measurement is not None and measurement.data["processes"]:
        processes = measurement.data["processes"]
        split = all(p.get("library_ns") is not None for p in processes)
        keys = ["process_ns", *(["library_ns"] if split else []), "load_ns", "first_ns"]
        names = _STEPS[:4] if split else _UNSPLIT[:3]
        parts = [[int(p[key]) for p in processes] for key in keys]
        totals = [int(p["total_ns"]) for p in processes]
    elif record["status"] == "passed" and record["cold_starts_ns"]:
        names = _UNSPLIT[:3]
        parts = [record[key] or [] for key in ("process_starts_ns", "loads_ns", "firsts_ns")]
        totals = record["cold_starts_ns"]
    else:
        return None
    # Of each process by itself: medians do not add up.
    rests = [max(total - sum(one), 0) for total, *one in zip(totals, *parts, strict=False)]
    steps = {name: _median(part) for name, part in zip(names, parts, strict=True)}
    return Start({**steps, "rest": _median(rests)}, totals)


def _draw(model: Model, starts: dict[int, Start], number: int, whole: bool) -> Figure:
    names = _step_names(starts)

    def at_side(record: Record) -> str:
        start = starts.get(id(record))
        return "" if start is None else format_ns(_median(start.totals))

    with lines_figure(model.records, side=at_side, steps=names) as (figure, axes, lines):
        for y, record in lines:
            if (start := starts.get(id(record))) is None:
                continue
            left = 0.0
            for name, length in start.steps.items():
                # Where a record does not tell process and libraries apart, both are the first.
                place = names.index(name) if name in names else 0
                axes.barh(y, length, left=left, height=0.6, color=colour(f"--step-{place + 1}"),
                          edgecolor=colour("--surface"), linewidth=0.5)  # fmt: skip
                left += length
            shown = start.totals[:DOTS]
            dots(axes, shown, [y] * len(shown), colour("--ink"), size=2.8)
        linear_axis(axes, [n for start in starts.values() for n in start.totals], format_ns)
        axes.set_xlabel("from the start of the process to the first output")
        quickest = min(starts.values(), key=lambda start: _median(start.totals))
        return Figure(
            f"cold-start-{number}",
            model.name if whole else "What a cold start is made of",
            doubts(measured(model, "cold_start")),
            to_inline_svg(
                figure,
                f"cold-start-{number}",
                f"Cold start of {len(starts)} exports in parts; the shortest takes "
                f"{format_ns(_median(quickest.totals))}. The table below has the figures.",
            ),
            _table(model, starts),
        )


def _step_names(starts: dict[int, Start]) -> list[str]:
    return max((list(start.steps) for start in starts.values()), key=len)


def tables_of(model: Model) -> list[Table]:
    """Return the cold starts in parts as a table."""
    starts = find_starts(model)
    return [_table(model, starts)] if starts else []


def _table(model: Model, starts: dict[int, Start]) -> Table:
    names = _step_names(starts)
    rows = []
    for record in model.records:
        if (start := starts.get(id(record))) is None:
            continue
        parts = [format_ns(start.steps[n]) if n in start.steps else UNKNOWN for n in names]
        low, high = min(start.totals), max(start.totals)
        rows.append(
            [cell_label(record), format_ns(_median(start.totals)),
             f"{format_ns(low)} to {format_ns(high)}", str(len(start.totals)), *parts]
        )  # fmt: skip
    return Table(
        f"Cold starts of {model.name}: medians over fresh processes",
        ("Export", ">Whole", ">Range", ">Processes", *(f">{n.capitalize()}" for n in names)),
        rows,
    )


def _median(values: list[int]) -> int:
    return stats.median(values) or 0
