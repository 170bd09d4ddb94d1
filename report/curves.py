"""Curves and points over two axes, with their names beside them.

matplotlib is imported inside functions; it takes longer than everything else here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shipworthy.report.canvas import (
    CHARACTER_INCHES,
    WIDTH_INCHES,
    linear_axis,
    log_axis,
    short,
)
from shipworthy.report.svg import STYLE, colour, framework_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {"onnx": "o", "saved_model": "s", "torchscript": "^", "tflite": "D"}
_DASHES = {"onnx": "-", "saved_model": (0, (5, 2)), "torchscript": (0, (1.5, 1.5)),
           "tflite": (0, (6, 2, 1.5, 2))}  # fmt: skip
_HEIGHT_INCHES = 3.0
_LINE_INCHES = 0.17  # what a name beside a curve takes
_BOTTOM, _TOP = 0.5, 0.1

Show = Callable[[float], str]


@dataclass(frozen=True)
class Curve:
    """One cell's curve, ascending in x."""

    name: str
    framework: str
    format: str
    x: Sequence[float]
    y: Sequence[float]


@contextmanager
def plane(*, left: float, right: float) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure with one pair of axes; `left` and `right` are the room for text, inches."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, _HEIGHT_INCHES))
        axes = figure.add_axes(
            (left / WIDTH_INCHES, _BOTTOM / _HEIGHT_INCHES,
             1 - (left + right) / WIDTH_INCHES, 1 - (_BOTTOM + _TOP) / _HEIGHT_INCHES)
        )  # fmt: skip
        axes.tick_params(axis="y", length=0)
        yield figure, axes


@contextmanager
def curves_figure(
    curves: Sequence[Curve],
    *,
    x_title: str,
    y_title: str,
    show_x: Show,
    show_y: Show,
    steps: bool = True,
    log_x: bool = False,
    log_y: bool = True,
    also_y: Sequence[float] = (),
) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of curves whose names stand at their right ends, without overlap.

    Parameters
    ----------
    steps : the x axis has a tick at the places that occur, and is logarithmic.
    log_x : it is logarithmic without that; else it begins at 0.
    log_y : the y axis is logarithmic; else it begins at 0.
    also_y : values that the y axis has to reach beside the curves' own.
    """
    right = CHARACTER_INCHES * max(len(curve.name) for curve in curves) + 0.3
    values = [v for c in curves for v in c.y if v > 0] + list(also_y)
    with plane(left=0.85, right=right) as (figure, axes):
        places = sorted({x for c in curves for x in c.x})
        if steps:
            _step_axis(axes, places, show_x)
        elif log_x:
            log_axis(axes, places, show_x)
        else:
            linear_axis(axes, places, show_x)
        if log_y:
            log_axis(axes, values, show_y, which="y")
        else:
            linear_axis(axes, values, show_y, which="y")
        axes.set_xlabel(x_title)
        axes.set_ylabel(y_title)
        for curve in curves:
            hue = framework_colour(curve.framework)
            many = len(curve.x) > 12
            axes.plot(curve.x, curve.y, color=hue, linewidth=1.4, markersize=4.5,
                      linestyle=_DASHES.get(curve.format, "-"),
                      marker="" if many else MARKERS.get(curve.format, "o"))  # fmt: skip
        _name_ends(axes, curves)
        yield figure, axes


def _step_axis(axes: Axes, places: Sequence[float], show: Show) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log", base=2)
    axes.set_xlim(places[0] / 1.15, places[-1] * 1.15 if len(places) > 1 else places[0] * 1.3)
    axes.xaxis.set_major_locator(FixedLocator(places[:: (len(places) - 1) // 6 + 1]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: short(show(v))))


def _name_ends(axes: Axes, curves: Sequence[Curve]) -> None:
    """Write every curve's name at its end, as low as the ones before it leave room."""
    inches = _HEIGHT_INCHES - _BOTTOM - _TOP
    to_inches = axes.transData + axes.transAxes.inverted()
    ends = sorted(
        ((float(to_inches.transform((c.x[-1], c.y[-1]))[1]) * inches, c) for c in curves),
        key=lambda end: end[0],
    )
    for place, (end, curve) in zip(spread([y for y, _ in ends], inches), ends, strict=True):
        x = float(to_inches.transform((curve.x[-1], curve.y[-1]))[0])
        hue = framework_colour(curve.framework)
        axes.plot([x + 0.012, 1.035], [end / inches, place / inches], transform=axes.transAxes,
                  color=colour("--muted"), linewidth=0.5, clip_on=False)  # fmt: skip
        axes.text(1.05, place / inches, curve.name, transform=axes.transAxes, va="center",
                  color=hue)  # fmt: skip


def spread(places: Sequence[float], room: float, apart: float = _LINE_INCHES) -> list[float]:
    """Return ascending places pushed at least `apart` from each other, within 0 and `room`.

    Nothing is kept within the room if there are too many for it.
    """
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + apart) if found else max(place, 0.0))
    ceiling = max(room, apart * (len(places) - 1))
    for i in reversed(range(len(found))):
        found[i] = min(found[i], ceiling)
        ceiling = found[i] - apart
    return found
