"""One line a cell: the frame that all plots of the report share.

matplotlib is imported inside functions; it takes longer than everything else here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shipworthy.report.records import Record, format_title
from shipworthy.report.svg import STYLE, colour, framework_colour
from shipworthy.report.units import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# As many dots as can be told apart; thinned ones are evenly spaced by rank, with both extremes.
DOTS = 160
_WIDTH_INCHES = 5.0
_CHARACTER_INCHES = 0.073  # of the font at its size, on average
_SIDES = {"passed": "--ink", "failed": "--bad", "skipped": "--muted"}
_HEADING = 0.75  # height of a framework's name, in lines


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
    steps : what the colours of stacked bars mean, for a legend above.
    """
    import matplotlib
    from matplotlib.figure import Figure

    groups = [
        (name, list(cells)) for name, cells in itertools.groupby(records, lambda r: r["framework"])
    ]
    titles = [_shorten(format_title(record["format"])) for record in records]
    sides = [side(r) or (r["status"] if r["status"] != "passed" else "") for r in records]
    names = [_shorten(name) for name, _ in groups]
    top, bottom = (0.3 if steps else 0.05), 0.5
    left = _CHARACTER_INCHES * max(map(len, titles + names)) + 0.1
    right = _CHARACTER_INCHES * max(map(len, sides)) + 0.1
    body = line_inches * (len(records) + _HEADING * len(groups))
    height = top + body + bottom
    with matplotlib.rc_context(STYLE):
        # Laid out by hand: three times as fast as matplotlib's own layout, and alike in all plots.
        figure = Figure(figsize=(_WIDTH_INCHES, height))
        axes = figure.add_axes(
            (left / _WIDTH_INCHES, bottom / height,
             1 - (left + right) / _WIDTH_INCHES, body / height)
        )  # fmt: skip
        lines = _write_labels(axes, groups, titles, sides)
        if steps:
            _write_legend(figure, steps)
        yield figure, axes, lines


def _write_labels(
    axes: Axes,
    groups: Sequence[tuple[str, Sequence[Record]]],
    titles: Sequence[str],
    sides: Sequence[str],
) -> list[tuple[float, Record]]:
    """Write what stands left and right of the lines; return every line's height."""
    lines: list[tuple[float, Record]] = []
    y = 0.0
    to_line = axes.get_yaxis_transform()
    for name, cells in groups:
        axes.text(-0.02, y, _shorten(name), transform=to_line, ha="right", va="center",
                  weight="bold", color=framework_colour(name))  # fmt: skip
        y += _HEADING
        for record in cells:
            title, side = titles[len(lines)], sides[len(lines)]
            axes.text(-0.02, y, title, transform=to_line, ha="right", va="center")
            axes.text(1.02, y, side, transform=to_line, va="center",
                      color=colour(_SIDES[record["status"]]))  # fmt: skip
            lines.append((y, record))
            y += 1
    axes.set_ylim(y - 0.4, -0.5)
    axes.set_yticks([])
    return lines


def _write_legend(figure: Figure, steps: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    figure.legend(
        [Patch(color=colour(f"--step-{n}")) for n in range(1, len(steps) + 1)], steps,
        loc="upper left", ncols=len(steps), frameon=False, fontsize=7.5, handlelength=0.9,
        handletextpad=0.4, columnspacing=0.9, borderpad=0,
    )  # fmt: skip


def _shorten(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= 18 else f"{line[:17]}…"


def log_axis(
    axes: Axes, values: Sequence[float], label: Callable[[float], str]
) -> tuple[float, float]:
    """Make the axis logarithmic around the values; return its ends."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = min(values), max(values)
    # A decade and more of room would hide differences, less than a factor of four invents them.
    room = max(1.12, (4 * low / high) ** 0.5)
    low, high = low / room, high * room
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    steps = (1, 2, 5) if high / low < 300 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _tick(label(v))))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.grid(axis="x")
    return low, high


def linear_axis(
    axes: Axes, values: Sequence[float], label: Callable[[float], str], *, low: float = 0
) -> None:
    """Scale the axis from `low` to the largest value."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    high = max([*values, 1])
    axes.set_xlim(low - (0.06 * (high - low) if low else 0), high + 0.06 * (high - low))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _tick(label(v))))
    axes.grid(axis="x")


def _tick(text: str) -> str:
    """Return a tick's text without the zeros that say nothing: 100 ms, not 100.00 ms."""
    number, _, unit = text.partition(" ")
    short = number.rstrip("0").rstrip(".") if "." in number else number
    return "0" if short == "0" else f"{short} {unit}".strip()


def hill(
    axes: Axes, y: float, values: npt.NDArray[np.float64], hue: str, *, log: bool = False
) -> None:
    """Draw a distribution above the line `y` and its values as dots below.

    Parameters
    ----------
    values : ascending, on the axis' own scale.
    """
    places, density = _density(np.log10(values) if log else values)
    axes.fill_between(10**places if log else places, y - 0.04 - 0.42 * density, y - 0.04,
                      color=hue, alpha=0.4, linewidth=0)  # fmt: skip
    ranks = np.unique(np.linspace(0, len(values) - 1, DOTS).round().astype(int))
    golden = (np.arange(len(ranks)) * 0.618034) % 1  # spreads the dots evenly, and always alike
    axes.plot(values[ranks], y + 0.08 + 0.24 * golden, "o", markersize=1.7, color=hue,
              markeredgewidth=0, alpha=0.75)  # fmt: skip


def _density(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return places and densities up to 1: a histogram smoothed by Silverman's rule."""
    middle = float(np.subtract(*np.percentile(values, [75, 25]))) / 1.34
    spread = min(float(np.std(values)), middle) or float(np.std(values))
    # No finer than a part of the whole range, so that equal values have a width too.
    finest = max(float(values[-1] - values[0]) / 400, abs(float(values[-1])) * 1e-4, 1e-4)
    width = max(0.9 * spread * len(values) ** -0.2, finest)
    low, high = values[0] - 3 * width, values[-1] + 3 * width
    bins = int(np.clip((high - low) / width * 4, 40, 400))
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    step = edges[1] - edges[0]
    reach = np.arange(-int(3 * width / step) - 1, int(3 * width / step) + 2) * step
    smooth = np.convolve(counts, np.exp(-0.5 * (reach / width) ** 2), mode="same")[:bins]
    return (edges[:-1] + edges[1:]) / 2, smooth / smooth.max()
