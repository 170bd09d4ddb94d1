"""Error against latency against size: which exports no other one beats in everything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shipworthy.report.canvas import CHARACTER_INCHES, lines_figure, log_axis
from shipworthy.report.curves import MARKERS, plane, spread
from shipworthy.report.doubts import latency_doubts
from shipworthy.report.records import Record
from shipworthy.report.scope import Model, Scope, cell_label
from shipworthy.report.sections.latency import is_timed
from shipworthy.report.sections.section import Figure, Section, Table, find_missing
from shipworthy.report.svg import colour, framework_colour, to_inline_svg
from shipworthy.report.units import UNKNOWN, format_bytes, format_limit, format_ns, format_ratio
from shipworthy.serve import stats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float, float]


def make(scope: Scope) -> Section:
    """Return a plane of every model's exports; on a single model's page the thresholds too."""
    figures: list[Figure] = []
    for number, model in enumerate(scope):
        if known := _points(model):
            figures.append(_draw_plane(model, known, number, scope.whole))
        if not scope.whole and any(r["error_ratio"] is not None for r in model.records):
            figures.append(_draw_error(model, number))
    return Section(
        "tradeoff",
        "Error against latency against size",
        "Left is faster, lower is more exact, a larger mark is a larger file (areas in true "
        "proportion). Ringed: no other export is at least as good in all three and better in one "
        "(the Pareto front). The dashed line is the front of latency and error alone. Circles are "
        "ONNX, squares SavedModel, triangles TorchScript, diamonds TFLite.",
        figures,
        missing=find_missing(
            scope, "bench", lambda m: bool(_points(m)), "No cell has a latency and an error ratio"
        ),
    )


def pareto_front(points: Sequence[Point]) -> list[bool]:
    """Tell of each point whether no other one is as low in everything and lower in something."""
    return [
        not any(all(b <= a for a, b in zip(p, q, strict=True)) and q != p for q in points)
        for p in points
    ]


def _points(model: Model) -> list[tuple[Record, Point]]:
    """Return p50 in nanoseconds, error ratio and bytes of the cells that have all three."""
    found = []
    for record in model.records:
        if not is_timed(record) or record["error_ratio"] is None or not record["size_bytes"]:
            continue
        p50 = stats.percentiles(record["latencies_ns"])[50]
        if p50 is not None:
            found.append(
                (record, (float(max(p50, 1)), float(record["error_ratio"]),
                          float(record["size_bytes"])))
            )  # fmt: skip
    return found


def _draw_plane(
    model: Model, known: list[tuple[Record, Point]], number: int, whole: bool
) -> Figure:
    front = pareto_front([point for _, point in known])
    exact = [error for _, (_, error, _) in known if error > 0]
    floor = min(exact, default=1) / 2  # an export without any error has no logarithm
    places = [(p50, max(error, floor)) for _, (p50, error, _) in known]
    biggest = max(size for _, (_, _, size) in known)
    names = [cell_label(record) for record, _ in known]
    right = 1.1 * CHARACTER_INCHES * max(map(len, names)) + 0.2
    with plane(left=0.55, right=right) as (figure, axes):
        log_axis(axes, [x for x, _ in places], format_ns)
        log_axis(axes, [y for _, y in places], format_ratio, which="y")
        axes.set_xlabel("median latency, logarithmic")
        axes.set_ylabel("error ratio, logarithmic")
        _draw_front(axes, places)
        for (record, (_, _, size)), (x, y), on in zip(known, places, front, strict=True):
            diameter = 12 * math.sqrt(size / biggest) + 1
            axes.plot(x, y, MARKERS.get(record["format"], "o"), markersize=diameter, alpha=0.85,
                      color=framework_colour(record["framework"]),
                      markeredgecolor=colour("--ink" if on else "--surface"),
                      markeredgewidth=1.8 if on else 0.6)  # fmt: skip
        _name_points(axes, names, places, front)
        best = [name for name, on in zip(names, front, strict=True) if on]
        return Figure(
            f"tradeoff-{number}",
            model.name if whole else "Error, latency and size",
            latency_doubts(model.records),
            to_inline_svg(
                figure,
                f"tradeoff-{number}",
                f"Error ratio against median latency of {len(known)} exports, size as area. On the "
                f"Pareto front: {', '.join(best)}.",
            ),
            Table(
                f"Latency, error and size of {model.name}",
                ("Export", ">p50", ">Error ratio", ">Size", "Pareto front"),
                [
                    [cell_label(r), format_ns(p50), format_ratio(error), format_bytes(size),
                     "on it" if on else ""]
                    for (r, (p50, error, size)), on in zip(known, front, strict=True)
                ],
            ),
        )  # fmt: skip


def _draw_front(axes: Axes, places: Sequence[tuple[float, float]]) -> None:
    """Draw the steps below which no export lies, of latency and error alone."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted(places):
        if not corners:
            corners.append((x, axes.get_ylim()[1]))
        if y < corners[-1][1]:
            corners += [(x, corners[-1][1]), (x, y)]
    corners.append((axes.get_xlim()[1], corners[-1][1]))
    axes.plot(*zip(*corners, strict=True), color=colour("--muted"), linewidth=0.9,
              linestyle=(0, (4, 3)))  # fmt: skip


def _name_points(
    axes: Axes,
    names: Sequence[str],
    places: Sequence[tuple[float, float]],
    front: Sequence[bool],
) -> None:
    """Write the names at the right, each with a thin line to its point."""
    inches = 2.4
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = sorted(
        (float(at[1]), float(at[0]), name, on)
        for at, name, on in zip(to_axes.transform(places), names, front, strict=True)
    )
    heights = spread([end[0] * inches for end in ends], inches, 0.21)
    for (y, x, name, on), height in zip(ends, heights, strict=True):
        axes.plot([x, 1.03], [y, height / inches], transform=axes.transAxes, linewidth=0.45,
                  color=colour("--muted"), clip_on=False, zorder=0.5)  # fmt: skip
        axes.text(1.045, height / inches, name, transform=axes.transAxes, va="center",
                  color=colour("--ink"), weight="bold" if on else "normal")  # fmt: skip


def _draw_error(model: Model, number: int) -> Figure:
    """Draw every cell's error ratio against the threshold it has to stay below."""
    judged = [r for r in model.records if r["error_ratio"] is not None]
    with lines_figure(model.records, side=_at_side) as (figure, axes, lines):
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
        axes.set_xlabel("error ratio, logarithmic")
        return Figure(
            f"error-{number}",
            "Error against threshold",
            "The error of each export in units of the yardstick; 1 is the original's own rounding "
            "error. The shaded range does not pass; a cross did not, though the reason may be "
            "another (see its details).",
            to_inline_svg(
                figure,
                f"error-{number}",
                f"Error ratios of {len(judged)} exports, each with the threshold it has to stay "
                "below; the table below has the figures.",
            ),
            Table(
                f"Error ratios of {model.name}",
                ("Export", "Verdict", ">Error ratio", ">Threshold", "Yardstick"),
                [
                    [cell_label(r), r["status"], format_ratio(r["error_ratio"]),
                     format_ratio(r["threshold"]), str(r["yardstick"] or UNKNOWN)]
                    for r in judged
                ],
            ),
        )  # fmt: skip


def _at_side(record: Record) -> str:
    if record["error_ratio"] is None:
        return ""
    return format_limit(record["error_ratio"], record["threshold"])
