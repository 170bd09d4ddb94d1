"""Latencies -> estimates with confidence. Pure.

Nothing is assumed of the distribution: an estimate is an order statistic, its interval lies between
two others (Hahn & Meeker, *Statistical Intervals*, 1991, section 5.2). What is assumed is that the
runs are independent, which is why they come from several fresh processes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.99
PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Estimate:
    """One percentile of one set of latencies, in the latencies' own unit.

    Parameters
    ----------
    percentile : in percent.
    value : the smallest latency that at least `percentile` % of the runs do not exceed.
    low, high : two-sided interval at `confidence` for the percentile of the population.
    runs : number of latencies.
    """

    percentile: float
    value: int
    low: int
    high: int
    runs: int
    confidence: float = CONFIDENCE


@lru_cache
def needed_runs(percentile: float, confidence: float = CONFIDENCE) -> int:
    """Return the fewest runs from which a percentile may be stated.

    This is the smallest n for which at most one run above the percentile has a probability of no
    more than ``1 - confidence``; then the second largest latency already bounds the percentile from
    above, so that no single outlier decides. It is the least number of queries of MLPerf
    Inference's early stopping (LoadGen: one query over the limit, tolerance 0, confidence 0.99):
    11 for p50, 64 for p90, 662 for p99.

    Parameters
    ----------
    percentile : in percent, above 0 and below 100.

    Raises
    ------
    ValueError : a percentile or a confidence out of range.
    """
    below = float(_fraction(percentile))
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be above 0 and below 1")
    # P(at most one of n above) = below^n + n (1 - below) below^(n - 1) falls with n from 2 on.
    enough = 2
    while _at_most_one_above(enough, below) > 1 - confidence:
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if _at_most_one_above(middle, below) > 1 - confidence:
            too_few = middle
        else:
            enough = middle
    return enough


def percentile(ordered: Sequence[int] | npt.NDArray[Any], percent: float) -> int:
    """Return the smallest value that at least `percent` % of the values do not exceed.

    Parameters
    ----------
    ordered : values in ascending order, at least one. Nothing is interpolated: the answer is one of
        them.

    Raises
    ------
    ValueError : no values, or a percentile out of range.
    """
    if len(ordered) == 0:
        raise ValueError("no values; a percentile needs at least one")
    # Exact arithmetic: in floats 0.07 * 100 is above 7, and the rank would be off by one.
    rank = math.ceil(_fraction(percent) * len(ordered))
    return int(ordered[rank - 1])


def percentiles(
    latencies_ns: Sequence[int], wanted: Sequence[float] = PERCENTILES
) -> dict[float, int | None]:
    """Return each percentile in nanoseconds, or None where there are too few runs for it."""
    ordered = np.sort(np.asarray(latencies_ns, dtype=np.int64))
    return {p: percentile(ordered, p) if len(ordered) >= needed_runs(p) else None for p in wanted}


def estimate(
    latencies_ns: Sequence[int], percent: float, confidence: float = CONFIDENCE
) -> Estimate | None:
    """Return a percentile with its interval, or None where there are too few runs for it.

    The interval's ends are the closest order statistics that leave out at most half of
    ``1 - confidence`` on each side; the number of runs below the percentile is binomial.
    """
    runs = len(latencies_ns)
    if runs < needed_runs(percent, confidence):
        return None
    ordered = np.sort(np.asarray(latencies_ns, dtype=np.int64))
    low, high = _interval_ranks(runs, percent, confidence)
    return Estimate(
        percent,
        percentile(ordered, percent),
        int(ordered[low - 1]),
        int(ordered[high - 1]),
        runs,
        confidence,
    )


def median(values: Sequence[int]) -> int | None:
    """Return the median, rounded to an integer; None of no values.

    For the few values that fresh processes give (cold starts), where no percentile is supported.
    """
    return round(float(np.median(values))) if len(values) else None


@lru_cache
def _interval_ranks(runs: int, percent: float, confidence: float) -> tuple[int, int]:
    """Return the 1-based ranks of the interval's ends."""
    below = float(_fraction(percent))
    counts = np.arange(runs + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, runs + 1)))])
    log_choose = log_factorial[runs] - log_factorial - log_factorial[::-1]
    masses = np.exp(log_choose + counts * math.log(below) + (runs - counts) * math.log1p(-below))
    at_most = np.cumsum(masses)  # at_most[k] = P(no more than k runs lie below the percentile)
    tail = (1 - confidence) / 2
    # The value of rank r lies above the percentile if fewer than r runs lie below it.
    low = max(int(np.searchsorted(at_most, tail, side="right")), 1)
    high = min(int(np.searchsorted(at_most, 1 - tail)) + 1, runs)
    return low, high


def _at_most_one_above(runs: int, below: float) -> float:
    return float(below**runs + runs * (1 - below) * below ** (runs - 1))


def _fraction(percent: float) -> Fraction:
    if not 0 < percent < 100:
        raise ValueError(f"percentile is {percent}; it must be above 0 and below 100")
    return Fraction(str(percent)) / 100
