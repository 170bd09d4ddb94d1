"""Distributions: a smooth hill with the values themselves as dots below it.

matplotlib is imported inside functions; it takes longer than everything else here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As many dots as can be told apart; thinned ones are evenly spaced by rank, with both extremes.
DOTS = 160


def dots(axes: Axes, x: npt.ArrayLike, y: npt.ArrayLike, hue: str, *, size: float = 1.7) -> None:
    """Draw round dots as one path, a tenth of what as many markers take.

    Parameters
    ----------
    size : diameter, points.
    """
    from matplotlib.path import Path

    places = np.repeat(np.column_stack([x, y]).astype(float), 2, axis=0)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(places) // 2)
    _patch(axes, places, codes, edgecolor=hue, facecolor="none", linewidth=size,
           capstyle="round", alpha=0.8)  # fmt: skip


def _patch(
    axes: Axes, places: npt.NDArray[np.float64], codes: npt.ArrayLike | None = None, **look: Any
) -> None:
    """Add a path as it is; `add_patch` would look for the axes' limits, which are set anyway."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    path = Path(places, codes)
    path.should_simplify = False
    patch = PathPatch(path, transform=axes.transData, **look)
    axes.add_artist(patch)
    patch.set_clip_path(axes.patch)


def hill(
    axes: Axes,
    y: float,
    values: npt.NDArray[np.float64],
    hue: str,
    *,
    log: bool = False,
    most: int = DOTS,
) -> None:
    """Draw a distribution above the line `y` and its values as dots below.

    Parameters
    ----------
    values : ascending, on the axis' own scale.
    most : dots.
    """
    places, density = _simplified(*_density(np.log10(values) if log else values))
    outline = np.column_stack([10**places if log else places, y - 0.04 - 0.42 * density])
    _patch(axes, outline, facecolor=hue, alpha=0.4, linewidth=0)
    ranks = np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))
    golden = (np.arange(len(ranks)) * 0.618034) % 1  # spreads the dots evenly, and always alike
    dots(axes, values[ranks], y + 0.08 + 0.24 * golden, hue)


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


def _simplified(
    places: npt.NDArray[Any], density: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the outline without the points that no eye would miss, closed along its foot."""
    kept = [0]
    for i in range(1, len(places) - 1):
        if max(abs(density[i] - density[kept[-1]]), abs(density[i + 1] - density[i])) > 0.012:
            kept.append(i)
    kept.append(len(places) - 1)
    ends = places[[kept[-1], kept[0]]]
    return np.append(places[kept], ends), np.append(density[kept], [0.0, 0.0])
