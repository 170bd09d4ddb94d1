"""One line a cell: the frame that most plots of the report share.

matplotlib is imported inside functions; it takes longer than everything else here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from shipworthy.report.records import Record, format_title
from shipworthy.report.svg import STYLE, colour, framework_colour
from shipworthy.report.units import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 4.4  # small enough that a phone does not shrink the text much
CHARACTER_INCHES = 0.077  # of the font at its size, on average
_SIDES = {"passed": "--ink", "failed": "--bad", "skipped": "--muted"}
_BOLD = 1.14  # how much wider bold text is
_TICK_INCHES = 0.6  # what a tick's text takes
_LINE_INCHES = 0.17
_HEADING = 0.75  # height of a group's name, in lines


@dataclass(frozen=True)
class Line:
    """One line of a plot: what stands left and right of it, and the right text's colour."""

    label: str
    side: str
    tone: str = "--ink"


@dataclass(frozen=True)
class Group:
    """Lines below a heading; `hue` is a stand-in as `svg.colour` gives it."""

    heading: str
    hue: str
    lines: Sequence[Line]


@contextmanager
def rows_figure(
    groups: Sequence[Group], *, line_inches: float = 0.3, steps: Sequence[str] = ()
) -> Iterator[tuple[Figure, Axes, list[float]]]:
    """Yield a figure with one line an entry below its group's heading, and every line's height.

    Parameters
    ----------
    steps : what the colours of stacked bars mean, for a legend above.
    """
    import matplotlib
    from matplotlib.figure import Figure

    lines = [line for group in groups for line in group.lines]
    rows = _legend_rows(steps)
    top, bottom = 0.05 + 0.22 * len(rows), 0.5
    left = CHARACTER_INCHES * max(
        *(len(_shorten(group.heading)) * _BOLD for group in groups),
        *(len(_shorten(line.label)) for line in lines),
    ) + 0.1  # fmt: skip
    right = CHARACTER_INCHES * max(len(line.side) for line in lines) + 0.12
    body = line_inches * (len(lines) + _HEADING * len(groups))
    height = top + body + bottom
    with matplotlib.rc_context(STYLE):
        # Laid out by hand: three times as fast as matplotlib's own layout, and alike in all plots.
        figure = Figure(figsize=(WIDTH_INCHES, height))
        axes = figure.add_axes(
            (left / WIDTH_INCHES, bottom / height,
             1 - (left + right) / WIDTH_INCHES, body / height)
        )  # fmt: skip
        heights = _write_labels(axes, groups)
        _write_legend(figure, rows, height)
        yield figure, axes, heights


@contextmanager
def lines_figure(
    records: Sequence[Record],
    *,
    side: Callable[[Record], str],
    line_inches: float = 0.3,
    steps: Sequence[str] = (),
) -> Iterator[tuple[Figure, Axes, list[tuple[float, Record]]]]:
    """Yield a figure with one line a cell below its framework's name, and every line's height.

    Parameters
    ----------
    side : what stands to the right of a line.
    """
    groups = [
        Group(
            name,
            framework_colour(name),
            [
                Line(
                    format_title(r["format"]),
                    side(r) or (r["status"] if r["status"] != "passed" else ""),
                    _SIDES[r["status"]],
                )
                for r in cells
            ],
        )
        for name, cells in itertools.groupby(records, lambda r: r["framework"])
    ]
    with rows_figure(groups, line_inches=line_inches, steps=steps) as (figure, axes, heights):
        yield figure, axes, list(zip(heights, records, strict=True))


def _write_labels(axes: Axes, groups: Sequence[Group]) -> list[float]:
    """Write what stands left and right of the lines; return every line's height."""
    heights: list[float] = []
    y = 0.0
    to_line = axes.get_yaxis_transform()
    for group in groups:
        axes.text(-0.02, y, _shorten(group.heading), transform=to_line, ha="right", va="center",
                  weight="bold", color=group.hue)  # fmt: skip
        y += _HEADING
        for line in group.lines:
            axes.text(-0.02, y, _shorten(line.label), transform=to_line, ha="right", va="center")
            axes.text(1.02, y, line.side, transform=to_line, va="center", color=colour(line.tone))
            heights.append(y)
            y += 1
    axes.set_ylim(y - 0.4, -0.5)
    axes.set_yticks([])
    return heights


def _legend_rows(steps: Sequence[str]) -> list[list[tuple[int, str, float]]]:
    """Return (number, text, x in inches) of every entry of a legend, in rows that fit."""
    rows: list[list[tuple[int, str, float]]] = []
    x = WIDTH_INCHES
    for number, text in enumerate(steps, start=1):
        wide = 0.28 + CHARACTER_INCHES * 0.92 * len(text)
        if not rows or x + wide > WIDTH_INCHES:
            rows.append([])
            x = 0.0
        rows[-1].append((number, text, x))
        x += wide
    return rows


def _write_legend(
    figure: Figure, rows: Sequence[Sequence[tuple[int, str, float]]], height: float
) -> None:
    from matplotlib.patches import Rectangle

    for place, row in enumerate(rows):
        y = 1 - (0.12 + 0.22 * place) / height
        for number, text, x in row:
            figure.add_artist(
                Rectangle(
                    (x / WIDTH_INCHES, y - 0.045 / height), 0.1 / WIDTH_INCHES, 0.09 / height,
                    transform=figure.transFigure, color=colour(f"--step-{number}"), linewidth=0,
                )
            )  # fmt: skip
            figure.text((x + 0.15) / WIDTH_INCHES, y, text, va="center", fontsize=8.5)


def _shorten(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= 24 else f"{line[:23]}…"


def log_axis(
    axes: Axes,
    values: Sequence[float],
    label: Callable[[float], str],
    *,
    which: Literal["x", "y"] = "x",
) -> tuple[float, float]:
    """Make an axis logarithmic around the values; return its ends."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    low, high = min(values), max(values)
    # A decade and more of room would hide differences, less than a factor of four invents them.
    room = max(1.12, (4 * low / high) ** 0.5)
    low, high = low / room, high * room
    getattr(axes, f"set_{which}scale")("log")
    getattr(axes, f"set_{which}lim")(low, high)
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator(_log_ticks(low, high, _inches(axes, which))))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda v, _: short(label(v))))
    axis.set_minor_formatter(NullFormatter())
    axes.grid(axis=which)
    return low, high


def _inches(axes: Axes, which: str) -> float:
    """Return an axis' length."""
    box = axes.bbox.transformed(axes.figure.dpi_scale_trans.inverted())
    return float(box.width if which == "x" else box.height)


def _most_ticks(axes: Axes, which: str) -> int:
    """Return into how many parts ticks may divide an axis and have room for their texts."""
    apart = _TICK_INCHES if which == "x" else 2 * _LINE_INCHES
    return max(2, min(5, int(_inches(axes, which) / apart)))


def _log_ticks(low: float, high: float, inches: float) -> list[float]:
    """Return ticks at 1, 2 and 5 of each decade, or as few as have room for their text."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps, apart in (((1, 2, 5), 0.3), ((1, 3), 0.477), ((1,), 1)):
        if apart * inches / np.log10(high / low) >= _TICK_INCHES or steps == (1,):
            break
    found = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
    every = int(np.ceil(len(found) * _TICK_INCHES / inches)) if steps == (1,) else 1
    return found[:: max(every, 1)]


def linear_axis(
    axes: Axes,
    values: Sequence[float],
    label: Callable[[float], str],
    *,
    low: float = 0,
    which: Literal["x", "y"] = "x",
) -> None:
    """Scale an axis from `low` to the largest value."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    high = max([*values, low + 1])
    getattr(axes, f"set_{which}lim")(
        low - (0.06 * (high - low) if low else 0), high + 0.06 * (high - low)
    )
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(MaxNLocator(_most_ticks(axes, which), steps=(1, 2, 5, 10)))
    axis.set_major_formatter(FuncFormatter(lambda v, _: short(label(v))))
    axes.grid(axis=which)


def short(text: str) -> str:
    """Return a tick's text without the zeros that say nothing: 100 ms, not 100.00 ms."""
    number, _, unit = text.partition(" ")
    digits = number.rstrip("0").rstrip(".") if "." in number else number
    return "0" if digits == "0" else f"{digits} {unit}".strip()
