"""The same model with more threads, and with more rows."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

from shipworthy.serve.runners import Timing
from shipworthy.serve.stats import needed_runs
from shipworthy.serve.study import Study
from shipworthy.serve.trial import Proven, Trial

_BATCHES = {
    "quick": (1, 8, 64),
    "normal": (1, 2, 4, 8, 16, 32, 64),
    "submission": (1, 2, 4, 8, 16, 32, 64, 128, 256),
}
# Up to here every number of threads is measured, beyond it powers of two and all cores.
_MOST_SINGLY = 8


class Sweep(Study):
    """Several points, each in several fresh processes; the points take turns, there and back."""

    def points(self) -> list[int]:
        """Return the values of what is varied."""
        raise NotImplementedError

    def trial_at(self, point: int) -> Trial:
        """Return the trial of a point."""
        raise NotImplementedError

    def next_trial(self) -> Trial | None:
        """Return the next point's trial, ABBA."""
        points = self.points()
        turn = len(self.done) // max(len(points), 1)
        if not points or turn == self.settings.processes:
            return None
        order = points if turn % 2 == 0 else points[::-1]
        return self.trial_at(order[len(self.done) % len(points)])

    def by_point(self, name: str) -> dict[int, list[Proven]]:
        """Return what was found, by the value of a field of the trials."""
        found: dict[int, list[Proven]] = {point: [] for point in self.points()}
        for trial, proven in self.done:
            found[getattr(trial, name)].append(proven)
        return {point: proven for point, proven in found.items() if proven}

    def lacks(self) -> list[str]:
        """Return which points have too few runs for a median."""
        few = [
            f"{len(point['latencies_ns'])} at {next(iter(point.values()))}"
            for point in self.data()["points"]
            if len(point["latencies_ns"]) < needed_runs(50)
        ]
        told = f"too few runs for a median: {', '.join(few)}; {needed_runs(50)} are needed"
        return [told] if few else []


class Threads(Sweep):
    """SingleStream with one thread, two, and so on, up to all cores."""

    kind = "threads"

    def points(self) -> list[int]:
        """Return the numbers of threads."""
        cores = self.facts.cores
        if cores <= _MOST_SINGLY:
            return list(range(1, cores + 1))
        return sorted({*(2**i for i in range(cores.bit_length()) if 2**i <= cores), cores})

    def trial_at(self, point: int) -> Trial:
        """Return SingleStream with so many threads."""
        return Trial(self.settings.timing(), point, self.settings.batch)

    def data(self) -> dict[str, Any]:
        """Return every latency with every number of threads."""
        return {
            "points": [
                {"threads": threads, **_figures(proven, "throughput_per_s", 1)}
                for threads, proven in self.by_point("threads").items()
            ]
        }

    def lacks(self) -> list[str]:
        """Return also where a runtime had other threads than it was told."""
        told = {
            (trial.threads, had)
            for trial, proven in self.done
            if (had := proven.run.threads["effective"]) not in (None, trial.threads)
        }
        other = [f"it ran with {had} threads, not {asked}" for asked, had in sorted(told)]
        return super().lacks() + other

    def told(self) -> str:
        """Return how many points there are."""
        return f"{', '.join(map(str, self.points()))} threads"


class Batches(Sweep):
    """SingleStream with inputs of one row, two, and so on."""

    kind = "batches"

    def points(self) -> list[int]:
        """Return the batch sizes; none where the artifact has one only."""
        return [] if self.facts.fixed_batch else list(_BATCHES[self.settings.mode])

    def trial_at(self, point: int) -> Trial:
        """Return SingleStream with that many rows, fewer runs of more rows."""
        settings = self.settings
        return Trial(self._timing(point), settings.threads, point, like=self.facts.traced)

    def _timing(self, rows: int) -> Timing:
        settings = self.settings
        enough = -(-needed_runs(50) // settings.processes)
        runs = max(enough, settings.min_runs // rows)
        warmup = max(2, settings.warmup // rows)
        return replace(settings.timing(), warmup=warmup, min_runs=runs)

    def data(self) -> dict[str, Any]:
        """Return every latency at every batch size."""
        return {
            "points": [
                {"batch": rows, **_figures(proven, "rows_per_s", rows)}
                for rows, proven in self.by_point("batch").items()
            ]
        }

    def lacks(self) -> list[str]:
        """Return also why there is one batch size only."""
        why = self.facts.fixed_batch
        return [f"there is one batch size only: {why}"] if why else super().lacks()

    def told(self) -> str:
        """Return how many points there are."""
        return f"batches of {', '.join(map(str, self.points())) or 'one size'}"


def _figures(proven: list[Proven], rate: str, rows: int) -> dict[str, Any]:
    loops = [one.run.bench for one in proven if one.run.bench]
    latencies = [ns for loop in loops for ns in loop["latencies_ns"]]
    done = sum(loop["queries"] for loop in loops) * rows
    return {
        "latencies_ns": latencies,
        "p50_ns": round(statistics.median(latencies)),
        rate: round(done * 1e9 / sum(loop["wall_ns"] for loop in loops), 3),
    }
