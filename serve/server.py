"""Server: the highest rate of arrivals at which p99 stays under a bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shipworthy.serve import measurements
from shipworthy.serve.modes import Minimum, Settings, minimum
from shipworthy.serve.rate_search import RateSearch
from shipworthy.serve.runners import Timing
from shipworthy.serve.stats import estimate, needed_runs, percentile
from shipworthy.serve.study import Facts, Plan, Study
from shipworthy.serve.trial import Proven, Trial
from shipworthy.serve.validity import check_load

# Times the median of SingleStream: room for some waiting, as the bounds of MLPerf Inference have
# (15 ms for a ResNet-50 that answers in one or two).
DEFAULT_BOUND = 10
# A thread that sleeps until the next arrival is woken that late at times, whatever the model.
LEAST_BOUND_NS = 1_000_000

TAIL = 99
_SECOND = 1_000_000_000
_MOST_QUERIES = 10**7
# Each rate is tried for that long, and the result is confirmed that often.
_TRY_NS = {"quick": _SECOND // 4, "normal": _SECOND, "submission": 5 * _SECOND}
_CONFIRMATIONS = {"quick": 1, "normal": 2, "submission": 5}
# A rate at which the queries for a p99 take longer than that is not searched for.
_MOST_TRY_SECONDS = {"quick": 15, "normal": 60, "submission": 300}
# Nor one so far below the first: hardly a query waits for another there, it is slow by itself.
_LEAST_PART = 1 / 32
# Of the rate at which all workers would be busy all the time.
_FIRST_PART = 0.5


class Server(Study):
    """Tries rates until the highest is found; every rate in a fresh process."""

    kind = "server"

    def __init__(self, settings: Settings, plan: Plan, facts: Facts) -> None:
        super().__init__(settings, plan, facts)
        default = max(round(DEFAULT_BOUND * facts.p50_ns), LEAST_BOUND_NS)
        self.bound_ns = plan.bound_ns or default
        start = _FIRST_PART * self.workers * _SECOND / facts.p50_ns
        least = max(needed_runs(TAIL) / _MOST_TRY_SECONDS[settings.mode], start * _LEAST_PART)
        self.search = RateSearch(start, least, _CONFIRMATIONS[settings.mode])
        self.tried: list[dict[str, Any]] = []
        self._confirming: list[Proven] = []

    def next_trial(self) -> Trial | None:
        """Return the next rate's trial."""
        rate = self.search.next_rate()
        if rate is None:
            return None
        seed = self.settings.seed + len(self.done)
        return Trial(
            self._timing(rate, seed), self.settings.threads, self.settings.batch, self.workers
        )

    def note(self, trial: Trial, proven: Proven) -> None:
        """Take in whether a rate kept the bound, with confidence."""
        super().note(trial, proven)
        assert proven.run.bench is not None, "every trial is timed"
        confirming = self.search.is_confirming
        latencies = proven.latencies_ns
        found = estimate(latencies, TAIL)
        unserved = proven.run.bench["unserved"]
        met = found is not None and found.high <= self.bound_ns and not unserved
        rate = self.search.next_rate()
        self.tried.append(
            {
                "qps": round(rate or 0.0, 3),
                "p99_ns": found.value if found else None,
                "p99_high_ns": found.high if found else None,
                "unserved": unserved,
                "seed": trial.timing.seed if trial.timing else None,
                "confirming": confirming,
                "met": met,
            }
        )
        self._confirming = [*self._confirming, proven] if confirming and met else []
        self.search.note(met)

    def data(self) -> dict[str, Any]:
        """Return the queries at the rate that was found, and all that was tried."""
        held = self._confirming if self.search.found is not None else []
        loops = [one.run.bench for one in held if one.run.bench]
        found = measurements.load(loops, self.settings.batch)
        return found | {
            "scenario": self.kind,
            "workers": self.workers,
            "seed": self.settings.seed,
            "target_qps": round(self.search.found, 3) if self.search.found else None,
            "bound_ns": self.bound_ns,
            "p99_ns": _p99(found["latencies_ns"]),
            "tried": self.tried,
        }

    def lacks(self) -> list[str]:
        """Return what the minima find missing, or that no rate did."""
        if self.search.found is None:
            best = min((one["p99_ns"] for one in self.tried if one["p99_ns"]), default=None)
            told = f"; the lowest p99 was {_format_ms(best)}" if best else ""
            return [f"no rate was found that keeps p99 under {_format_ms(self.bound_ns)}{told}"]
        found = self.data()
        least = minimum(self.settings.mode, self.kind)
        return check_load(
            self.kind,
            Minimum(least.queries, self._share(least) * _CONFIRMATIONS[self.settings.mode]),
            queries=found["queries"],
            kept=len(found["latencies_ns"]),
            duration_ns=found["duration_ns"],
            unserved=found["unserved"],
        )

    def told(self) -> str:
        """Return the rate that was found."""
        if self.search.found is None:
            return f"no rate keeps p99 under {_format_ms(self.bound_ns)}"
        return f"{self.search.found:.6g} queries/s keep p99 under {_format_ms(self.bound_ns)}"

    def _timing(self, rate: float, seed: int) -> Timing:
        least_ns = _TRY_NS[self.settings.mode]
        if self.search.is_confirming:
            least_ns = self._share(minimum(self.settings.mode, self.kind))
        expected_ns = max(least_ns, round(needed_runs(TAIL) / rate * _SECOND))
        return replace(
            self.settings.timing(),
            scenario=self.kind,
            min_runs=needed_runs(TAIL),
            max_runs=_MOST_QUERIES,
            min_ns=least_ns,
            # What is still queued then was too much.
            max_ns=2 * expected_ns + _SECOND,
            gap_ns=max(1, round(_SECOND / rate)),
            seed=seed,
        )

    def _share(self, least: Minimum) -> int:
        return math.ceil(least.ns / _CONFIRMATIONS[self.settings.mode])


def _p99(latencies_ns: Sequence[int]) -> int | None:
    if len(latencies_ns) < needed_runs(TAIL):
        return None
    return percentile(sorted(latencies_ns), TAIL)


def _format_ms(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.4g} ms"
