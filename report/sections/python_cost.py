"""What Python costs: the same model through Python, beside the process without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipworthy.report.canvas import Group, Line, log_axis, rows_figure
from shipworthy.report.measurements import Measurement
from shipworthy.report.records import Record, format_title
from shipworthy.report.scope import Model, Scope, cell_label
from shipworthy.report.sections.section import (
    Figure,
    Section,
    Table,
    doubts,
    find_missing,
    measured,
)
from shipworthy.report.svg import colour, framework_colour, to_inline_svg
from shipworthy.report.units import UNKNOWN, format_bytes, format_ns, format_ratio, plain
from shipworthy.serve import stats

_WAYS = {
    "runner": "without Python",
    "python_package": "Python package",
    "eager": "eager",
    "torch_compile": "torch.compile",
    "keras_predict": "Keras predict",
    "keras_call": "Keras __call__",
    "tf_function": "tf.function",
}


def make(scope: Scope) -> Section:
    """Return how much slower every way through Python is."""
    return Section(
        "python",
        "What Python costs",
        "The same artifact through the official Python package of its runtime, and the original in "
        "the ways its framework offers, each in processes of its own, with the same threads and "
        "inputs. A mark is the median latency over that of the process without Python, the bar its "
        "bootstrap interval; right of 1 is slower.",
        [
            _draw(model, found, f"{number}-{place}", scope.whole)
            for number, model in enumerate(scope)
            for place, found in enumerate(_by_framework(model))
        ],
        missing=find_missing(
            scope, "python", lambda m: any(map(_ratios, measured(m, "python"))),
            "What Python costs was not measured", "python",
        ),
    )  # fmt: skip


def tables_of(model: Model) -> list[Table]:
    """Return the ways through Python as tables, one for each framework."""
    return [_table(model, found) for found in _by_framework(model)]


def _by_framework(model: Model) -> list[list[tuple[Record, Measurement]]]:
    """Return the cells with a ratio to show, a list for each framework: one plot is too tall."""
    found: dict[str, list[tuple[Record, Measurement]]] = {}
    for one in measured(model, "python"):
        if _ratios(one):
            found.setdefault(one[0]["framework"], []).append(one)
    return list(found.values())


def _ratios(found: tuple[Record, Measurement]) -> list[Mapping[str, Any]]:
    """Return the ways through Python whose ratio is known."""
    return [way for way in found[1].data["ways"] if (way.get("ratio") or {}).get("value")]


def _draw(
    model: Model, found: list[tuple[Record, Measurement]], number: str, whole: bool
) -> Figure:
    drawn = [(one, _ratios(one)) for one in found]
    framework = plain(found[0][0]["framework"])
    groups = [
        Group(
            format_title(record["format"]),
            framework_colour(record["framework"]),
            [Line(_name(way), _at_side(way), "--ink" if way.get("equal") is not False else "--bad")
             for way in ways],
        )
        for (record, _), ways in drawn
    ]  # fmt: skip
    with rows_figure(groups) as (figure, axes, heights):
        ratios = [way["ratio"] for _, ways in drawn for way in ways]
        log_axis(axes, [1.0, *(v for r in ratios for v in r.values() if _positive(v))], _tick)
        axes.axvline(1, color=colour("--ink"), linewidth=0.9)
        hues = [group.hue for group in groups for _ in group.lines]
        for y, hue, ratio in zip(heights, hues, ratios, strict=True):
            if ratio.get("low") and ratio.get("high"):
                axes.plot([ratio["low"], ratio["high"]], [y, y], color=hue, linewidth=3.2,
                          alpha=0.45, solid_capstyle="butt")  # fmt: skip
            axes.plot(ratio["value"], y, "o", color=hue, markersize=5)
        axes.set_xlabel("median latency over that without Python, logarithmic")
        told = f"Ratios of {len(ratios)} ways through Python to the process without it"
        return Figure(
            f"python-{number}",
            f"{model.name}: {framework}" if whole else f"Through Python: {framework}",
            " ".join(filter(None, (_control(found), doubts(found), _unavailable(found)))),
            to_inline_svg(figure, f"python-{number}", f"{told}; the table below has the figures."),
            _table(model, found),
        )


def _control(found: list[tuple[Record, Measurement]]) -> str:
    """Say which sessions the control calls unfit."""
    unfit = [
        cell_label(record) for record, m in found if (m.data.get("aa") or {}).get("fit") is False
    ]
    if not unfit:
        return "The same thing measured twice in each session (A/A) shows no difference."
    return f"Unfit to compare, because the same thing measured twice differs: {', '.join(unfit)}."


def _unavailable(found: list[tuple[Record, Measurement]]) -> str:
    lacking = dict.fromkeys(
        f"{cell_label(record)}, {_WAYS.get(one['way'], one['way'])}: {one['reason']}"
        for record, m in found
        for one in m.data.get("unavailable") or []
    )
    return plain(f"Not available: {'; '.join(lacking)}.") if lacking else ""


def _table(model: Model, found: list[tuple[Record, Measurement]]) -> Table:
    rows = []
    for record, m in found:
        for way in m.data["ways"]:
            ratio = way.get("ratio") or {}
            equal = way.get("equal")
            rows.append(
                [cell_label(record), _name(way), plain(way.get("package") or UNKNOWN),
                 format_ns(way.get("p50_ns")), _interval(ratio),
                 format_ns(stats.median([int(v) for v in way.get("first_ns") or []])),
                 format_bytes(stats.median([int(v) for v in way.get("peak_rss_bytes") or []])),
                 UNKNOWN if equal is None else "yes" if equal is True else "no"]
            )  # fmt: skip
    return Table(
        f"Ways to run {model.name} from {plain(found[0][0]['framework'])}",
        ("Export", "Way", "Package", ">p50", ">Over without Python", ">First inference",
         ">Peak memory", "Equal outputs"),
        rows,
    )  # fmt: skip


def _interval(ratio: Mapping[str, Any]) -> str:
    if not ratio.get("value"):
        return UNKNOWN
    if not ratio.get("low") or not ratio.get("high"):
        return _times(ratio["value"])
    value = _times(ratio["value"])
    return f"{value} ({format_ratio(ratio['low'])} to {format_ratio(ratio['high'])})"


def _name(way: Mapping[str, Any]) -> str:
    return plain(_WAYS.get(way["way"], way["way"]))


def _at_side(way: Mapping[str, Any]) -> str:
    return f"{_times(way['ratio']['value'])}, {format_ns(way.get('p50_ns'))}"


def _times(value: float) -> str:
    return f"\N{MULTIPLICATION SIGN}{format_ratio(value)}"


def _tick(value: float) -> str:
    if value < 10**6:
        return _times(value)
    return f"\N{MULTIPLICATION SIGN}{value / 10**6:g} M"


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and value > 0
