"""MultiStream and Offline: the same load in several fresh processes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from shipworthy.serve import measurements
from shipworthy.serve.modes import minimum
from shipworthy.serve.runners import Timing
from shipworthy.serve.study import Study
from shipworthy.serve.trial import Trial
from shipworthy.serve.validity import check_load

_MOST_QUERIES = 10**7


class LoadStudy(Study):
    """One scenario whose load is known beforehand."""

    def next_trial(self) -> Trial | None:
        """Return the same trial as often as the settings have processes."""
        if len(self.done) == self.settings.processes:
            return None
        return Trial(self.timing(), self.settings.threads, self.settings.batch, self.workers)

    def timing(self) -> Timing:
        """Return one process' share of what the mode asks of the scenario."""
        least = minimum(self.settings.mode, self.kind)
        processes = self.settings.processes
        return replace(
            self.settings.timing(),
            scenario=self.kind,
            min_runs=math.ceil(least.queries / processes),
            max_runs=_MOST_QUERIES,
            min_ns=math.ceil(least.ns / processes),
            inputs=self.plan.inputs if self.kind == "multi_stream" else 1,
        )

    def data(self) -> dict[str, Any]:
        """Return the queries of all processes."""
        loops = [one.run.bench for _, one in self.done if one.run.bench]
        return measurements.load(loops, self.settings.batch) | {
            "scenario": self.kind, "workers": self.workers,
        }  # fmt: skip

    def lacks(self) -> list[str]:
        """Return what the scenario's minima find missing."""
        found = self.data()
        return check_load(
            self.kind,
            minimum(self.settings.mode, self.kind),
            queries=found["queries"],
            kept=len(found["latencies_ns"]),
            duration_ns=found["duration_ns"],
            unserved=found["unserved"],
        )

    def told(self) -> str:
        """Return the throughput."""
        return f"{self.data()['throughput_per_s']:.6g} inferences/s, {self.workers} workers"


class MultiStream(LoadStudy):
    """Several inputs a query; the next query when the last is done."""

    kind = "multi_stream"


class Offline(LoadStudy):
    """All queries at once."""

    kind = "offline"
