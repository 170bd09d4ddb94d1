"""Two things measured in one session: how far apart they are, and whether to believe it. Pure.

Each is measured in several fresh processes that take turns (`shipworthy.serve.bench.schedule`). A
process has a speed of its own (where its memory lies, which core it got, what else ran), so the
latencies of one process say little about the next: what is compared is the typical process, and the
processes are what the interval counts. Kalibera & Jones, *Rigorous Benchmarking in Reasonable Time*
(ISMM 2013), show what is lost when that level is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shipworthy.serve.stats import CONFIDENCE, needed_runs, percentile

MARGIN = 0.05  # a smaller difference is none that anybody deploys by
RESAMPLES = 2000

Verdict = Literal["faster", "slower", "same", "inconclusive"]
Latencies = Sequence[int] | npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """One thing's latency (or any positive figure) over another's.

    Parameters
    ----------
    value : None if one of them was not measured, or by too few runs for the statistic.
    low, high : two-sided interval at `confidence`; None if one of them has fewer than two
        processes, which say nothing about the next process.
    """

    value: float | None
    low: float | None
    high: float | None
    confidence: float = CONFIDENCE

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None

    def to_json(self) -> dict[str, float | None]:
        """Return value, low and high, JSON-ready."""
        return {"value": self.value, "low": self.low, "high": self.high}


UNKNOWN = Ratio(None, None, None)


@dataclass(frozen=True)
class Control:
    """The same thing measured twice in one session (A/A).

    Parameters
    ----------
    fit : whether a comparison of the session may be believed: no difference was found. A wide
        interval finds none easily, and every ratio of that session is then as wide.
    ratio : of the second to the first; the truth is 1.
    reason : why it is not fit; empty if it is.
    """

    fit: bool
    ratio: Ratio
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**self.ratio.to_json(), "fit": self.fit, "reason": self.reason}


def ratio_interval(
    a_runs: Sequence[Latencies],
    b_runs: Sequence[Latencies],
    *,
    statistic: str = "p50",
    confidence: float = CONFIDENCE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ratio:
    """Return the latency of b over that of a, for a typical process of each.

    The statistic is taken of every process; the median over a thing's processes is its figure. So
    one process that something else slowed down moves the interval and not the ratio; and the turns
    of ABBA lie evenly about the middle of the session, where a steady drift cancels. The interval
    is a hierarchical bootstrap's: processes are drawn with replacement, then latencies within each
    (Davison & Hinkley, *Bootstrap Methods and their Application*, 1997, section 3.8; Efron &
    Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13 for the percentiles).

    Parameters
    ----------
    a_runs, b_runs : a sequence of latencies, positive, for each process.
    statistic : a percentile, such as ``"p50"`` or ``"p99"``.
    confidence : above 0 and below 1.

    Raises
    ------
    ValueError : an unknown statistic, a confidence out of range, a latency that is not positive.
    """
    percent = _percent(statistic)
    a, b = ([np.sort(np.asarray(run, np.float64)) for run in runs] for runs in (a_runs, b_runs))
    for run in (*a, *b):
        if run.size and not run[0] > 0:
            raise ValueError(f"a latency is {run[0]:g}; every one must be above 0")
    fewest = min((run.size for run in (*a, *b)), default=0)
    if not a or not b or fewest < needed_runs(percent, confidence):
        return Ratio(None, None, None, confidence)
    rng = np.random.default_rng(seed)
    drawn = [_Drawn.of_latencies(runs, percent, resamples, rng) for runs in (a, b)]
    return _ratio(drawn[0], drawn[1], confidence)


def ratio_of_values(
    a: Sequence[float],
    b: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Ratio:
    """Return b over a where each process gave one figure: a cold start, a memory, a throughput.

    As `ratio_interval`, without the inner level.

    Raises
    ------
    ValueError : a confidence out of range, a figure that is not positive and finite.
    """
    for value in (*a, *b):
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"a figure is {value:g}; every one must be positive and finite")
    if not len(a) or not len(b):
        return Ratio(None, None, None, confidence)
    rng = np.random.default_rng(seed)
    drawn = [_Drawn.of_values(np.asarray(one, np.float64), resamples, rng) for one in (a, b)]
    return _ratio(drawn[0], drawn[1], confidence)


def decide(ratio: Ratio, *, margin: float = MARGIN, control: Control | None = None) -> Verdict:
    """Say whether b is faster than a, slower, or the same.

    It is *faster* or *slower* if the whole interval lies beyond the margin, *same* if the whole
    interval lies within it (1 / (1 + margin) to 1 + margin); everything else is *inconclusive*, and
    so is everything in a session that its control calls unfit.
    """
    if ratio.low is None or ratio.high is None or (control is not None and not control.fit):
        return "inconclusive"
    lowest, highest = 1 / (1 + margin), 1 + margin
    if ratio.high < lowest:
        return "faster"
    if ratio.low > highest:
        return "slower"
    return "same" if ratio.low >= lowest and ratio.high <= highest else "inconclusive"


def control(
    a1: Sequence[Latencies],
    a2: Sequence[Latencies],
    *,
    statistic: str = "p50",
    margin: float = MARGIN,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Control:
    """Judge a session by a thing that was measured twice in it, as if it were two.

    The session is unfit if the interval of their ratio excludes 1 by more than the margin, or if
    there is no interval: then nothing was controlled.
    """
    ratio = ratio_interval(a1, a2, statistic=statistic, confidence=confidence, seed=seed)
    if not ratio.known:
        return Control(False, ratio, "the control has too few processes or runs to tell anything")
    verdict = decide(ratio, margin=margin)
    if verdict in ("faster", "slower"):
        told = (
            f"the same thing measured twice differs by a ratio of {ratio.value:.3f} "
            f"({ratio.low:.3f} to {ratio.high:.3f} at {confidence:.0%})"
        )
        return Control(False, ratio, told)
    return Control(True, ratio)


@dataclass(frozen=True)
class _Drawn:
    """The logarithm of a thing's figure, and what the bootstrap drew of it."""

    point: float
    draws: Floats
    processes: int

    @classmethod
    def of_values(cls, values: Floats, resamples: int, rng: np.random.Generator) -> _Drawn:
        logs = np.log(values)
        chosen = rng.integers(len(logs), size=(resamples, len(logs)))
        return cls(float(np.median(logs)), np.median(logs[chosen], axis=1), len(logs))

    @classmethod
    def of_latencies(
        cls, runs: Sequence[Floats], percent: float, resamples: int, rng: np.random.Generator
    ) -> _Drawn:
        point = np.median(np.log([percentile(run, percent) for run in runs]))
        chosen = rng.integers(len(runs), size=(resamples, len(runs)))
        drawn = np.empty(chosen.shape)
        for i, run in enumerate(runs):
            mine = chosen == i
            drawn[mine] = np.log(_redrawn(run, percent, int(mine.sum()), rng))
        return cls(float(point), np.median(drawn, axis=1), len(runs))


def _redrawn(ordered: Floats, percent: float, times: int, rng: np.random.Generator) -> Floats:
    """Return the percentile of that many resamples of the latencies, without making them.

    The k-th smallest of n uniform draws follows Beta(k, n - k + 1) (David & Nagaraja, *Order
    Statistics*, 2003, section 2.1); its inverse through the empirical distribution is the k-th
    smallest latency of a resample, exactly.
    """
    runs = len(ordered)
    rank = math.ceil(Fraction(str(percent)) / 100 * runs)  # exact, as in `percentile`
    at = rng.beta(rank, runs - rank + 1, size=times)
    return ordered[np.minimum((at * runs).astype(np.intp), runs - 1)]


def _ratio(a: _Drawn, b: _Drawn, confidence: float) -> Ratio:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be above 0 and below 1")
    point = b.point - a.point
    value = math.exp(point)
    if min(a.processes, b.processes) < 2:
        return Ratio(value, None, None, confidence)
    # A bootstrap of n values has the variance of their middle too small by about (n - 1) / n.
    parts = [
        math.sqrt(one.processes / (one.processes - 1)) * (one.draws - one.point) for one in (a, b)
    ]
    tail = (1 - confidence) / 2
    below, above = np.quantile(parts[1] - parts[0], [tail, 1 - tail])
    stretch = _student(1 - tail, _freedom(parts, a, b)) / NormalDist().inv_cdf(1 - tail)
    # Skewed draws may lie on one side of the point; the interval always holds it.
    low = point + stretch * min(float(below), 0.0)
    high = point + stretch * max(float(above), 0.0)
    return Ratio(value, math.exp(low), math.exp(high), confidence)


def _freedom(parts: Sequence[Floats], a: _Drawn, b: _Drawn) -> float:
    """Return the degrees of freedom of the difference (Welch 1947, Satterthwaite 1946)."""
    of_a, of_b = (float(part.var()) for part in parts)
    if of_a + of_b == 0.0:
        return float(a.processes + b.processes - 2)
    spread = of_a**2 / (a.processes - 1) + of_b**2 / (b.processes - 1)
    return (of_a + of_b) ** 2 / spread


def _student(quantile: float, freedom: float) -> float:
    """Return a quantile above 1/2 of Student's t.

    Percentiles of a bootstrap of few processes are too near; widening them by t over the normal's
    quantile is Hesterberg's correction (*What Teachers Should Know About the Bootstrap*, 2015,
    section 5.3). With t = sqrt(freedom) tan(u) the density is that of cos(u) ** (freedom - 1).
    """
    angles = np.linspace(0.0, math.pi / 2, 20_001)
    density = np.cos(angles).clip(0.0) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = np.interp(2 * quantile - 1, mass / mass[-1], angles)
    return math.sqrt(freedom) * math.tan(float(angle))


def _percent(statistic: str) -> float:
    try:
        percent = float(statistic.removeprefix("p"))
    except ValueError:
        percent = math.nan
    if not statistic.startswith("p") or not 0 < percent < 100:
        raise ValueError(f"unknown statistic {statistic!r}; a percentile is wanted, such as p50")
    return percent
