"""What a moment does not show: many cold starts, and a run of minutes."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np

from shipworthy.serve import measurements
from shipworthy.serve.empty_start import measure_empty_start
from shipworthy.serve.modes import Minimum
from shipworthy.serve.stats import estimate, needed_runs, percentiles
from shipworthy.serve.study import Study
from shipworthy.serve.trial import Proven, Trial
from shipworthy.serve.validity import check_load

_SECOND = 1_000_000_000
# 64 support a p90; fewer show how far they scatter.
_COLD_STARTS = {"quick": 11, "normal": 30, "submission": 64}
_SUSTAINED_NS = {"quick": 5 * _SECOND, "normal": 60 * _SECOND, "submission": 600 * _SECOND}
MOST_SUSTAINED_SECONDS = 86_400
_WINDOWS = 20
_KEEP = 1_000_000
# Two intervals of this confidence hold together with 99 % (Bonferroni).
_EACH = 0.995


class ColdStarts(Study):
    """Fresh processes that load the model and answer once, each beside an empty one."""

    kind = "cold_start"

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.empty_ns: list[int] = []

    def next_trial(self) -> Trial | None:
        """Return the same as often as the mode has it."""
        if len(self.done) == _COLD_STARTS[self.settings.mode]:
            return None
        return Trial(None, self.settings.threads, self.settings.batch)

    def note(self, trial: Trial, proven: Proven) -> None:
        """Take in a cold start, and see how long an empty one takes now."""
        super().note(trial, proven)
        self.empty_ns.append(measure_empty_start())

    def data(self) -> dict[str, Any]:
        """Return the parts of every cold start."""
        return measurements.cold_start([one.run for _, one in self.done], self.empty_ns)

    def lacks(self) -> list[str]:
        """Return whether there are fewer cold starts than a median needs."""
        done = len(self.done)
        return [] if done >= needed_runs(50) else [f"too few cold starts for a median: {done}"]


class Sustained(Study):
    """One process that infers without a pause, in windows of equal length."""

    kind = "sustained"

    @property
    def least_ns(self) -> int:
        """How long it lasts, nanoseconds."""
        return self.plan.sustain_ns or _SUSTAINED_NS[self.settings.mode]

    def next_trial(self) -> Trial | None:
        """Return the one long trial."""
        if self.done:
            return None
        timing = replace(
            self.settings.timing(),
            max_runs=10**10,
            min_ns=self.least_ns,
            max_ns=2 * self.least_ns + 10 * _SECOND,
            keep=_KEEP,
        )
        return Trial(timing, self.settings.threads, self.settings.batch)

    def data(self) -> dict[str, Any]:
        """Return the windows, and how the last compares with the first."""
        loop = self.done[0][1].run.bench if self.done else None
        if loop is None:
            return {"duration_ns": 0, "windows": [], "drift": None, "drift_low": None,
                    "drift_high": None}  # fmt: skip
        windows = _cut(loop["latencies_ns"], loop["wall_ns"])
        return {
            "duration_ns": loop["wall_ns"],
            "queries": loop["queries"],
            "kept_every": loop["stride"],
            "windows": [
                {
                    "start_ns": start,
                    "queries": len(latencies) * loop["stride"],
                    "p50_ns": (found := percentiles(latencies))[50],
                    "p99_ns": found[99],
                }
                for start, latencies in windows
            ],
            **_drift(windows[0][1], windows[-1][1]),
        }

    def lacks(self) -> list[str]:
        """Return whether it was too short, or a window has too few runs for a median."""
        found = self.data()
        few = sum(window["p50_ns"] is None for window in found["windows"])
        reasons = check_load(
            self.kind,
            Minimum(_WINDOWS * needed_runs(50), self.least_ns),
            queries=found.get("queries", 0),
            kept=0,
            duration_ns=found["duration_ns"],
        )
        told = f"{few} of {len(found['windows'])} windows have too few runs for a median"
        return [*reasons, told] if few else reasons

    def told(self) -> str:
        """Return how the last window compares with the first."""
        drift = self.data()["drift"]
        return "no drift known" if drift is None else f"last window {drift:.3f} times the first"


def _cut(latencies_ns: list[int], wall_ns: int) -> list[tuple[int, list[int]]]:
    """Return windows of equal length: when each begins, and the latencies that ended in it.

    The next query begins when the last has ended, so that latencies added up tell when each ended;
    where only every so many-th was kept, it stands for those left out.
    """
    ends = np.cumsum(np.asarray(latencies_ns, np.float64))
    share = ends / ends[-1] * _WINDOWS
    edges = [0, *np.searchsorted(share, range(1, _WINDOWS)).tolist(), len(latencies_ns)]
    return [
        (round(wall_ns * i / _WINDOWS), latencies_ns[a:b])
        for i, (a, b) in enumerate(itertools.pairwise(edges))
    ]


def _drift(first: list[int], last: list[int]) -> dict[str, float | None]:
    """Return the ratio of the medians, last over first, with its interval at 99 %.

    Runs that follow one another are not independent, so that the true interval is wider.
    """
    before, after = estimate(first, 50, _EACH), estimate(last, 50, _EACH)
    if before is None or after is None:
        return {"drift": None, "drift_low": None, "drift_high": None}
    ratios = after.value / before.value, after.low / before.high, after.high / before.low
    assert all(map(math.isfinite, ratios)), "a latency is never 0"
    return dict(zip(("drift", "drift_low", "drift_high"), ratios, strict=True))
