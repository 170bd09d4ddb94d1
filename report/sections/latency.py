"""How the latencies of every cell are distributed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shipworthy.report.canvas import linear_axis, lines_figure, log_axis
from shipworthy.report.doubts import latency_doubts
from shipworthy.report.hills import DOTS, hill
from shipworthy.report.records import Record
from shipworthy.report.scope import Model, Scope, cell_label
from shipworthy.report.sections.section import Figure, Section, Table, find_missing
from shipworthy.report.svg import colour, framework_colour, to_inline_svg
from shipworthy.report.units import UNKNOWN, format_ns
from shipworthy.serve import stats

_FEW_DOTS = 40  # on a page of many models
Sorted = npt.NDArray[np.float64]


def make(scope: Scope) -> Section:
    """Return the distributions, and on a single model's page their shapes side by side."""
    figures: list[Figure] = []
    for number, model in enumerate(scope):
        timed = {id(r): _ordered(r) for r in model.records if is_timed(r)}
        if timed:
            figures.append(_draw_latency(model, timed, number, scope.whole))
        if not scope.whole and any(values[len(values) // 2] for values in timed.values()):
            figures.append(_draw_spread(model, timed, number))
    return Section(
        "latency",
        "Latency",
        "Each hill is the distribution of one export's latencies, each dot one inference "
        f"(at most {_FEW_DOTS if scope.whole else DOTS} are drawn, evenly by rank, the extremes "
        "of what is shown included). The tall line is the median, the short one the 90th "
        "percentile; both stand on the right. The axis is logarithmic.",
        figures,
        missing=find_missing(
            scope, "bench", lambda m: any(map(is_timed, m.records)), "No latency was measured"
        ),
    )


def is_timed(record: Record) -> bool:
    """Whether a cell passed and was timed."""
    return record["status"] == "passed" and bool(record["latencies_ns"])


def _draw_latency(model: Model, timed: dict[int, Sorted], number: int, whole: bool) -> Figure:
    most = _FEW_DOTS if whole else DOTS
    # A pause of the machine, or a busy one, would squeeze every hill into a corner.
    edge = max(
        min(stats.percentile(values, 99), 3 * stats.percentile(values, 90))
        for values in timed.values()
    )
    shown = {key: values[values <= max(edge, values[0])] for key, values in timed.items()}
    with lines_figure(model.records, line_inches=0.42, side=_at_side) as (figure, axes, lines):
        for y, record in lines:
            if id(record) not in timed:
                continue
            hue = framework_colour(record["framework"])
            hill(axes, y, shown[id(record)], hue, log=True, most=most)
            points = stats.percentiles(record["latencies_ns"])
            for percent, top in ((50, -0.46), (90, -0.16)):
                if (value := points[percent]) is not None:
                    axes.plot([max(value, 1)] * 2, [y + top, y + 0.36], color=colour("--ink"),
                              linewidth=1.3 if percent == 50 else 0.9)  # fmt: skip
        log_axis(axes, [v for values in shown.values() for v in values[[0, -1]]], format_ns)
        axes.set_xlabel("time of one inference, logarithmic")
        beyond = sum(len(timed[key]) - len(shown[key]) for key in timed)
        told = f"Distribution of the latencies of {_count(timed)}; the table below has the figures."
        return Figure(
            f"latency-{number}",
            model.name if whole else "Distributions",
            f"{beyond:,} of {sum(map(len, timed.values())):,} inferences were slower than the "
            "right edge; the slowest of each export stands in the table. "
            + latency_doubts(model.records),
            to_inline_svg(figure, f"latency-{number}", told),
            _table(model),
        )


def _draw_spread(model: Model, timed: dict[int, Sorted], number: int) -> Figure:
    """Draw every cell's latencies relative to their own median: the shapes, side by side."""
    spreads = {
        key: 100 * (values / values[(len(values) - 1) // 2] - 1) for key, values in timed.items()
    }

    def at_side(record: Record) -> str:
        return f"up to {_percent(spreads[id(record)][-1])}" if id(record) in spreads else ""

    shown = 1 + max(
        min(stats.percentile(found, 99), max(3 * stats.percentile(found, 90), 10))
        for found in spreads.values()
    )
    with lines_figure(model.records, line_inches=0.42, side=at_side) as (figure, axes, lines):
        for y, record in lines:
            if (found := spreads.get(id(record))) is not None:
                hill(axes, y, found[found <= shown], framework_colour(record["framework"]))
        axes.axvline(0, color=colour("--ink"), linewidth=0.9)
        lowest = min(found[0] for found in spreads.values())
        linear_axis(axes, [shown], _percent, low=min(lowest, -1))
        axes.set_xlabel("above or below the export's own median, percent")
        beyond = sum(int(np.sum(found > shown)) for found in spreads.values())
        return Figure(
            f"spread-{number}",
            "Steadiness",
            "The same latencies relative to each export's own median: a narrow hill is a steady "
            f"export. {beyond:,} slower inferences lie beyond the right edge; the slowest of each "
            "export stands there in figures.",
            to_inline_svg(
                figure,
                f"spread-{number}",
                f"Spread of the latencies of {_count(spreads)} around their medians; the table "
                "below has the figures.",
            ),
            _spread_table(model, spreads),
        )


def _table(model: Model) -> Table:
    rows = []
    for record in model.records:
        if not is_timed(record):
            rows.append([cell_label(record), *[UNKNOWN] * 5, record["status"]])
            continue
        latencies = record["latencies_ns"]
        found = [stats.estimate(latencies, p) for p in stats.PERCENTILES]
        shown = [
            UNKNOWN
            if e is None
            else f"{format_ns(e.value)} ({format_ns(e.low)} to {format_ns(e.high)})"
            for e in found
        ]
        rows.append(
            [cell_label(record), *shown, format_ns(max(latencies)), f"{len(latencies):,}",
             validity(record)]
        )  # fmt: skip
    level = f"{100 * stats.CONFIDENCE:.0f} %"
    return Table(
        f"Percentiles of {model.name} with their intervals at {level}",
        ("Export", ">p50", ">p90", ">p99", ">Slowest", ">Runs", "Result"),
        rows,
    )


def _spread_table(model: Model, spreads: dict[int, Sorted]) -> Table:
    known = [(r, spreads[id(r)]) for r in model.records if id(r) in spreads]
    return Table(
        f"Latencies of {model.name} relative to their median",
        ("Export", ">Fastest", ">Three quarters below", ">99 of 100 below", ">Slowest"),
        [
            [
                cell_label(record),
                _percent(found[0]),
                *(_percent(p) for p in np.percentile(found, (75, 99), method="inverted_cdf")),
                _percent(found[-1]),
            ]
            for record, found in known
        ],
    )


def validity(record: Record) -> str:
    """Return VALID or INVALID with the reasons; nothing of a record that does not say."""
    valid = record.get("valid")
    if valid is None:
        return UNKNOWN
    reasons = ", ".join(str(reason) for reason in record.get("invalid_reasons") or [])
    return "VALID" if valid else f"INVALID: {reasons or 'no reason was recorded'}"


def _ordered(record: Record) -> Sorted:
    """Return the latencies in ascending order, none below 1 ns, which has a logarithm."""
    return np.sort(np.maximum(np.asarray(record["latencies_ns"], dtype=np.float64), 1))


def _percent(value: float) -> str:
    return "0 %" if abs(value) < 0.5 else f"{value:+,.0f} %"


def _count(cells: dict[int, Any]) -> str:
    return f"{len(cells)} export{'' if len(cells) == 1 else 's'}"


def _at_side(record: Record) -> str:
    if not is_timed(record):
        return ""
    points = stats.percentiles(record["latencies_ns"])
    return f"{format_ns(points[50])} / {format_ns(points[90])}"
