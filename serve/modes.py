"""How thorough a measurement is: settings, and three sets of them.

``quick`` takes seconds and answers roughly; ``normal`` supports a p99; ``submission`` has the
minima of MLPerf Inference: 600 seconds for every scenario, 1024 queries of SingleStream, 24 576
inputs of Offline, and for MultiStream and Server the 662 queries from which a p99 may be stated at
all (MLPerf Inference Rules, "Scenarios"; LoadGen, "Early Stopping"). Where MLPerf makes one run,
the time is divided among fresh processes here, because processes differ more than runs do.
"""

from __future__ import annotations

from dataclasses import dataclass

from shipworthy.serve.runners import Timing
from shipworthy.serve.stats import needed_runs

MODES = ("quick", "normal", "submission")
SCENARIOS = ("single_stream", "multi_stream", "offline", "server")
# The percentile that a scenario is judged by, as MLPerf Inference has it; Offline has none.
TAIL = {"single_stream": 90, "multi_stream": 99, "server": 99}

_SECOND = 1_000_000_000
_NO_LIMIT = 10**10  # of runs: a smaller one would end a fast model's loop before its least time


@dataclass(frozen=True)
class Settings:
    """How a benchmark is made.

    Parameters
    ----------
    mode : one of `MODES`.
    threads : threads of the runtime.
    batch : rows of the timed case.
    processes : fresh processes a cell; each gives one cold start.
    warmup : runs before the timed loop of each process.
    min_runs, max_runs : timed runs of each process.
    min_ns, max_ns : duration of the timed loop of each process, nanoseconds.
    keep : the most latencies kept of each process; see `shipworthy.serve.runners.Timing`.
    seed : of the order in which the cells take turns, and of the arrivals.
    """

    mode: str = "normal"
    threads: int = 1
    batch: int = 1
    processes: int = 6  # even, so that a drift cancels: half of the turns run backwards
    warmup: int = 20
    min_runs: int = 120
    max_runs: int = _NO_LIMIT
    min_ns: int = 250_000_000
    max_ns: int = 10_000_000_000
    keep: int = 20_000
    seed: int = 0

    def timing(self, case: str = "") -> Timing:
        """Return the part of the settings that a runner takes, for SingleStream."""
        return Timing(
            case, self.warmup, self.min_runs, self.max_runs, self.min_ns, self.max_ns,
            keep=self.keep,
        )  # fmt: skip


PRESETS = {
    "quick": Settings(
        "quick", processes=4, warmup=5, min_runs=30, min_ns=_SECOND // 20, max_ns=5 * _SECOND,
        keep=5_000,
    ),
    "normal": Settings(),
    # The longest a process may take stays below the usual --timeout.
    "submission": Settings(
        "submission", min_runs=171, min_ns=100 * _SECOND, max_ns=480 * _SECOND,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Minimum:
    """The least that a scenario asks for, over all its processes: queries, and nanoseconds."""

    queries: int
    ns: int


def minimum(mode: str, scenario: str) -> Minimum:
    """Return the least that a result of a scenario needs to be valid.

    Raises
    ------
    KeyError : an unknown mode or scenario.
    """
    settings = PRESETS[mode]
    ns = settings.processes * settings.min_ns
    if scenario == "offline":
        return Minimum(24_576 if mode == "submission" else needed_runs(90), ns)
    if scenario == "single_stream":
        own = settings.processes * settings.min_runs
        return Minimum(1024 if mode == "submission" else min(own, needed_runs(90)), ns)
    return Minimum(needed_runs(TAIL[scenario]), ns)
