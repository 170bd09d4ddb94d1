"""Searches the highest rate that still does. Pure: it is told of every rate whether it did."""

from __future__ import annotations

import math

# Rates that failed and did are this close in the end.
RESOLUTION = 1.05
# How much slower the next rate is when one was found and did not hold.
STEP_BACK = 0.95
_MOST_TRIES = 60


class RateSearch:
    """Doubles from a start until a rate fails, halves the gap, then holds the result to its word.

    A rate that was found by search is the luckiest of several, so it has to do again, several times
    in a row; if it does not, a slightly lower one has to. LoadGen's search for the highest rate
    goes the same way (MLPerf Inference Rules, "LoadGen Operation": binary search, then five runs,
    then a small step down).

    Parameters
    ----------
    start : the first rate, above 0.
    least : a rate below which the search is given up.
    confirmations : how often in a row the result has to do again.
    """

    def __init__(self, start: float, least: float, confirmations: int) -> None:
        self.low: float | None = None  # the highest that did
        self.high: float | None = None  # the lowest that did not
        self.found: float | None = None  # has done as often as it has to
        self.gave_up = False
        self._least, self._wanted = least, confirmations
        self._candidate: float | None = None
        self._confirmed = 0
        self._tries = 0
        self._rate: float | None = start

    @property
    def is_confirming(self) -> bool:
        """Whether the next rate is the candidate, on trial again."""
        return self._candidate is not None and self._rate is not None

    def next_rate(self) -> float | None:
        """Return the rate to try next; None once it is found or given up."""
        return self._rate

    def note(self, met: bool) -> None:
        """Take in whether the rate that `next_rate` returned did.

        Raises
        ------
        ValueError : no rate was asked for.
        """
        rate = self._rate
        if rate is None:
            raise ValueError("the search is over; there was no rate to try")
        self._tries += 1
        self._rate = self._confirm(rate, met) if self._candidate else self._approach(rate, met)
        if self._rate is not None and (self._rate < self._least or self._tries >= _MOST_TRIES):
            self._rate, self.gave_up = None, True

    def _approach(self, rate: float, met: bool) -> float | None:
        if met:
            self.low = rate
        else:
            self.high = rate
        if self.low is None:
            return rate / 2
        if self.high is None:
            return rate * 2
        if self.high / self.low > RESOLUTION:
            return math.sqrt(self.low * self.high)
        self._candidate = self.low
        return self._candidate

    def _confirm(self, rate: float, met: bool) -> float | None:
        if not met:
            self._confirmed = 0
            self._candidate = rate * STEP_BACK
            return self._candidate
        self._confirmed += 1
        if self._confirmed < self._wanted:
            return rate
        self.found = rate
        return None
