"""The report's plots: one line a cell, the figures themselves and not bars of their means.

matplotlib is imported inside functions; it takes longer than everything else here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shipworthy.report.canvas import DOTS, hill, linear_axis, lines_figure, log_axis
from shipworthy.report.records import Record, format_title
from shipworthy.report.svg import colour, framework_colour, to_inline_svg
from shipworthy.report.units import format_bytes, format_limit, format_ns, format_ratio, plain
from shipworthy.serve import stats

_STEPS = (
    ("process and libraries", "process_starts_ns"),
    ("model load", "loads_ns"),
    ("first inference", "firsts_ns"),
)


@dataclass(frozen=True)
class Plot:
    """A plot of the report: `svg` is an element to put into the page as it is."""

    name: str
    title: str
    caption: str
    svg: str


def draw_plots(records: Sequence[Record]) -> list[Plot]:
    """Draw every plot for which there is a figure to show."""
    drawings = (draw_latency, draw_spread, draw_error, draw_cold_start, draw_size, draw_memory)
    return [plot for draw in drawings if (plot := draw(records)) is not None]


def draw_latency(records: Sequence[Record]) -> Plot | None:
    """Draw the distribution of every cell's latencies on a logarithmic axis."""
    timed = [record for record in records if _is_timed(record)]
    if not timed:
        return None
    with lines_figure(records, line_inches=0.42, side=_at_side_latency) as (figure, axes, lines):
        for y, record in lines:
            if not _is_timed(record):
                continue
            hill(axes, y, _ordered(record), framework_colour(record["framework"]), log=True)
            points = stats.percentiles(record["latencies_ns"])
            for percent, top in ((50, -0.46), (90, -0.16)):
                if (value := points[percent]) is not None:
                    axes.plot([value] * 2, [y + top, y + 0.36], color=colour("--ink"),
                              linewidth=1.3 if percent == 50 else 0.9)  # fmt: skip
        log_axis(axes, [v for r in timed for v in _ordered(r)[[0, -1]]], format_ns)
        axes.set_xlabel("one inference, logarithmic")
        facts = "; ".join(f"{_name(r)} {_at_side_latency(r)}" for r in timed)
        return Plot(
            "latency",
            "Latency distributions",
            "Each hill is the distribution of one export's latencies, each dot one inference "
            f"(at most {DOTS} are drawn, evenly by rank, extremes included). The tall line is the "
            "median, the short one the 90th percentile; both stand on the right.",
            to_inline_svg(figure, "latency", f"Latency, median and 90th percentile: {facts}"),
        )


def draw_spread(records: Sequence[Record]) -> Plot | None:
    """Draw every cell's latencies relative to their own median: the shapes, side by side."""
    spreads = {}
    for number, record in enumerate(records):
        if _is_timed(record) and (middle := stats.percentiles(record["latencies_ns"])[50]):
            spreads[number] = 100 * (_ordered(record) / middle - 1)
    if not spreads:
        return None

    def at_side(record: Record) -> str:
        found = spreads.get(next(n for n, r in enumerate(records) if r is record))
        return "" if found is None else f"up to {_percent(found[-1])}"

    shown = max(stats.percentile(found, 99) for found in spreads.values()) + 1
    with lines_figure(records, line_inches=0.42, side=at_side) as (figure, axes, lines):
        for number, (y, record) in enumerate(lines):
            if number in spreads:
                hue = framework_colour(record["framework"])
                hill(axes, y, spreads[number][spreads[number] <= shown], hue)
        axes.axvline(0, color=colour("--ink"), linewidth=0.9)
        linear_axis(axes, [shown], _percent, low=min(found[0] for found in spreads.values()))
        axes.set_xlabel("above or below the export's own median")
        beyond = sum(int(np.sum(found > shown)) for found in spreads.values())
        facts = "; ".join(f"{_name(records[n])} {at_side(records[n])}" for n in spreads)
        return Plot(
            "spread",
            "Steadiness",
            "The same latencies relative to each export's own median: a narrow hill is a steady "
            f"export. {beyond:,} slower inferences lie beyond the right edge; the slowest of each "
            "export stands there in figures.",
            to_inline_svg(figure, "spread", f"Slowest inference above the median: {facts}"),
        )


def draw_error(records: Sequence[Record]) -> Plot | None:
    """Draw every cell's error ratio against the threshold it has to stay below."""
    judged = [r for r in records if r["error_ratio"] is not None]
    if not judged:
        return None
    with lines_figure(records, side=_at_side_error) as (figure, axes, lines):
        values = [v for r in judged for v in (r["error_ratio"], r["threshold"]) if v]
        low, high = log_axis(axes, [0.5, *values, 2 * max(values, default=1)], format_ratio)
        for y, record in lines:
            ratio, threshold = record["error_ratio"], record["threshold"]
            if ratio is None:
                continue
            if threshold is not None:
                axes.barh(y, high - threshold, left=threshold, height=0.62,
                          color=colour("--bad-soft"))  # fmt: skip
                axes.plot([threshold] * 2, [y - 0.31, y + 0.31], color=colour("--bad"))
            passed = record["status"] == "passed"
            hue = framework_colour(record["framework"]) if passed else colour("--bad")
            axes.plot([low, max(ratio, low)], [y, y], color=hue, linewidth=1.2)
            axes.plot(max(ratio, low), y, "o" if passed else "X", color=hue, markersize=6)
        axes.set_xlabel("error ratio, logarithmic; 1 is the original's own rounding error")
        facts = "; ".join(
            f"{_name(r)} {format_limit(r['error_ratio'], r['threshold'])}" for r in judged
        )
        return Plot(
            "error",
            "Error against threshold",
            "The error of each export in units of the yardstick. The shaded range does not pass; a "
            "cross did not, though the reason may be another (see its details).",
            to_inline_svg(figure, "error", f"Error ratio against threshold: {facts}"),
        )


def draw_cold_start(records: Sequence[Record]) -> Plot | None:
    """Draw what a cold start is made of."""
    started = [r for r in records if r["status"] == "passed" and r["cold_starts_ns"]]
    if not started:
        return None
    names = [name for name, _ in _start_steps(started[0])]
    with lines_figure(records, side=_at_side_start, steps=names) as (figure, axes, lines):
        for y, record in lines:
            if record not in started:
                continue
            left = 0.0
            for number, (_, length) in enumerate(_start_steps(record), start=1):
                axes.barh(y, length, left=left, height=0.62, color=colour(f"--step-{number}"))
                left += length
            totals = record["cold_starts_ns"][:DOTS]
            axes.plot(totals, [y] * len(totals), "o", markersize=2.6, color=colour("--ink"),
                      markeredgewidth=0)  # fmt: skip
        linear_axis(axes, [n for r in started for n in r["cold_starts_ns"]], format_ns)
        axes.set_xlabel("from the start of the process to the first output")
        facts = "; ".join(f"{_name(r)} {_at_side_start(r)}" for r in started)
        return Plot(
            "cold-start",
            "Cold start",
            "Medians over fresh processes; every dot is the whole cold start of one process.",
            to_inline_svg(figure, "cold-start", f"Cold start, median: {facts}"),
        )


def draw_size(records: Sequence[Record]) -> Plot | None:
    """Draw the size of every artifact on disk."""
    return _draw_bars(
        records,
        "size",
        "Size on disk",
        "The artifact's file, or all files of its folder. 1 MB is 1,000,000 bytes.",
        lambda record: record["size_bytes"],
    )


def draw_memory(records: Sequence[Record]) -> Plot | None:
    """Draw the peak memory of every process that ran an artifact."""
    return _draw_bars(
        records,
        "memory",
        "Peak memory",
        "The largest resident memory of the process that ran it, runtime included; the dark part "
        "was there once the model was loaded.",
        lambda record: record["peak_rss_bytes"] if record["status"] == "passed" else None,
        lambda record: record["loaded_rss_bytes"],
    )


def _draw_bars(
    records: Sequence[Record],
    name: str,
    title: str,
    caption: str,
    read: Callable[[Record], int | None],
    read_part: Callable[[Record], int | None] = lambda _: None,
) -> Plot | None:
    known = [record for record in records if read(record) is not None]
    if not known:
        return None

    def at_side(record: Record) -> str:
        return "" if read(record) is None else format_bytes(read(record))

    with lines_figure(records, side=at_side) as (figure, axes, lines):
        for y, record in lines:
            if (value := read(record)) is not None:
                hue, part = framework_colour(record["framework"]), read_part(record)
                axes.barh(y, value, height=0.56, color=hue, alpha=1 if part is None else 0.45)
                axes.barh(y, min(part or 0, value), height=0.56, color=hue)
        linear_axis(axes, [read(record) or 0 for record in known], format_bytes)
        facts = "; ".join(f"{_name(record)} {at_side(record)}" for record in known)
        return Plot(name, title, caption, to_inline_svg(figure, name, f"{title}: {facts}"))


def _start_steps(record: Record) -> list[tuple[str, float]]:
    """Return the medians of the steps, and of what is left of the whole: reading the inputs."""
    steps = [(name, float(stats.median(record[key] or []) or 0)) for name, key in _STEPS]
    whole = float(stats.median(record["cold_starts_ns"]) or 0)
    rest = whole - sum(length for _, length in steps)
    return [*steps, ("reading inputs", max(rest, 0.0))]


def _is_timed(record: Record) -> bool:
    return record["status"] == "passed" and bool(record["latencies_ns"])


def _ordered(record: Record) -> npt.NDArray[np.float64]:
    """Return the latencies in ascending order, none below 1 ns, which has a logarithm."""
    return np.sort(np.maximum(np.asarray(record["latencies_ns"], dtype=np.float64), 1))


def _percent(value: float) -> str:
    return "0" if value == 0 else f"{value:+,.0f} %"


def _at_side_latency(record: Record) -> str:
    if not _is_timed(record):
        return ""
    points = stats.percentiles(record["latencies_ns"])
    return f"{format_ns(points[50])} / {format_ns(points[90])}"


def _at_side_error(record: Record) -> str:
    if record["error_ratio"] is None:
        return ""
    return format_limit(record["error_ratio"], record["threshold"])


def _at_side_start(record: Record) -> str:
    if record["status"] != "passed" or not record["cold_starts_ns"]:
        return ""
    return format_ns(stats.median(record["cold_starts_ns"]))


def _name(record: Record) -> str:
    return plain(f"{record['framework']} {format_title(record['format'])}")
