"""Counts -> exact probabilities and intervals. Pure, binomial throughout."""

from __future__ import annotations

import math

from shipworthy.report.claims.claim import Effect

CONFIDENCE = 0.99


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of the exact McNemar test.

    Of two classifiers on the same rows, only the rows that exactly one of them names rightly tell
    anything (McNemar, "Note on the sampling error of the difference between correlated proportions
    or percentages", Psychometrika 12, 1947). If both are equally good, each such row is a fair
    coin, so the count is binomial with 1/2: the exact form, twice the smaller tail.

    Parameters
    ----------
    only_first, only_second : rows that only the one, only the other names rightly.
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"counts are {only_first} and {only_second}; they must be at least 0")
    rows, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(rows, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**rows))


def share(hits: int, rows: int, unit: str, confidence: float = CONFIDENCE) -> Effect:
    """Return a share with its exact two-sided interval (Clopper & Pearson, Biometrika 26, 1934).

    Raises
    ------
    ValueError : no rows, or more hits than rows.
    """
    if not 0 <= hits <= rows or rows == 0:
        raise ValueError(f"{hits} of {rows} is no share")
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else 1 - _upper(rows - hits, rows, tail)
    high = 1.0 if hits == rows else _upper(hits, rows, tail)
    return Effect(hits / rows, low, high, unit)


def _upper(hits: int, rows: int, tail: float) -> float:
    """Return the share at which so few hits have the probability `tail`, by bisection."""
    low, high = hits / rows, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(hits, rows, middle) > tail else (low, middle)
    return (low + high) / 2


def _at_most(hits: int, rows: int, p: float) -> float:
    if p >= 1:
        return float(hits >= rows)
    log_choose = [
        math.lgamma(rows + 1) - math.lgamma(k + 1) - math.lgamma(rows - k + 1)
        for k in range(hits + 1)
    ]
    return math.fsum(
        math.exp(choose + k * math.log(p) + (rows - k) * math.log1p(-p))
        for k, choose in enumerate(log_choose)
    )
