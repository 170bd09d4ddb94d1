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
    tail = ways = 1  # of none, of the rows that can fall to the weaker one
    for k in range(fewer):
        ways = ways * (rows - k) // (k + 1)
        tail += ways
    return min(1.0, float(2 * tail / 2**rows))


def share(hits: int, rows: int, unit: str, confidence: float = CONFIDENCE) -> Effect:
    """Return a share with its exact two-sided interval (Clopper & Pearson, Biometrika 26, 1934).

    Raises
    ------
    ValueError : no rows, or more hits than rows.
    """
    if not 0 <= hits <= rows or rows == 0:
        raise ValueError(f"{hits} of {rows} is no share")
    if 2 * hits > rows:  # fewer terms to sum
        missed = share(rows - hits, rows, unit, confidence)
        return Effect(hits / rows, 1 - missed.high, 1 - missed.low, unit)
    tail = (1 - confidence) / 2
    low = _where(hits - 1, rows, 1 - tail) if hits else 0.0
    return Effect(hits / rows, low, _where(hits, rows, tail), unit)


def _where(hits: int, rows: int, chance: float) -> float:
    """Return the share at which there are at most so many hits with that chance, by bisection."""
    ways = [
        math.lgamma(rows + 1) - math.lgamma(k + 1) - math.lgamma(rows - k + 1)
        for k in range(hits + 1)
    ]
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        log_hit, log_miss = math.log(middle), math.log1p(-middle)
        at_most = math.fsum(
            math.exp(way + k * log_hit + (rows - k) * log_miss) for k, way in enumerate(ways)
        )
        low, high = (middle, high) if at_most > chance else (low, middle)
    return (low + high) / 2
