"""Figures as people read them: three significant digits and a unit."""

from __future__ import annotations

import math
from typing import Any

UNKNOWN = "–"  # noqa: RUF001  the usual sign for an empty cell of a table


def format_bytes(count: float | None) -> str:
    """Return a size in decimal units: 1 KB is 1000 bytes."""
    return _scaled(count, (("B", 1), ("KB", 10**3), ("MB", 10**6), ("GB", 10**9), ("TB", 10**12)))


def format_ns(nanoseconds: float | None) -> str:
    """Return a duration given in nanoseconds."""
    return _scaled(nanoseconds, (("ns", 1), ("µs", 10**3), ("ms", 10**6), ("s", 10**9)))


def format_ratio(ratio: float | None) -> str:
    """Return a ratio with at most two decimals."""
    if ratio is None:
        return UNKNOWN
    if 0 < ratio < 0.005:
        return "<0.01"
    if ratio >= 10**6:
        return f"{ratio:.1e}"
    return _digits(ratio, decimals=2)


def format_rate(value: float | None) -> str:
    """Return a rate without its unit, three digits and a K or M."""
    if value is None:
        return UNKNOWN
    for scale, sign in ((10**6, "M"), (10**3, "K")):
        if value >= 0.9995 * scale:
            return f"{float(f'{value / scale:.3g}'):g} {sign}"
    return f"{float(f'{value:.3g}'):g}"


def format_limit(ratio: float | None, threshold: float | None) -> str:
    """Return a ratio beside its threshold, such as ``1.02 ≤ 4.10``; the sign is the true one."""
    if ratio is None or threshold is None:
        return format_ratio(ratio)
    return f"{format_ratio(ratio)} {'≤' if ratio <= threshold else '>'} {format_ratio(threshold)}"


def plain(value: Any) -> str:
    """Return text without control characters and lone surrogates, which no file may carry."""
    text = str(value).encode("utf-8", "replace").decode()
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _scaled(value: float | None, units: tuple[tuple[str, int], ...]) -> str:
    if value is None:
        return UNKNOWN
    # Rounded first, so that 999,600 ns are 1.00 ms and not 1,000 µs.
    rounded = value if value < 1000 else float(f"{value:.3g}")
    unit, scale = next((u for u in reversed(units) if rounded >= u[1]), units[0])
    return f"{_digits(rounded / scale, 2 if scale > 1 else 0)} {unit}"


def _digits(value: float, decimals: int) -> str:
    """Return three significant digits, but no more than `decimals` decimals."""
    if value > 0:
        value = float(f"{value:.3g}") if value < 1000 else value
        decimals = max(0, min(decimals, 2 - math.floor(math.log10(value))))
    return f"{value:,.{decimals}f}"
