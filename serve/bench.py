"""Settings and schedule of a benchmark, and what one cell's processes measured.

Each process is fresh, runs alone on the machine, and proves its outputs before its latencies
count. Cells take turns, so that a slow minute of the machine falls on all of them.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import Artifact, write_json
from shipworthy.convert.read_reference import Reference
from shipworthy.models.cache import hash_json
from shipworthy.models.errors import ShipworthyError
from shipworthy.serve.judge import judge_case
from shipworthy.serve.machine import describe_machine
from shipworthy.serve.runners import Run, Runner, RunnerError, Timing

BENCHMARK = "benchmark.json"


class BenchError(ShipworthyError):
    """A cell could not be measured; the message says why."""


@dataclass(frozen=True)
class Settings:
    """How a benchmark is made.

    Parameters
    ----------
    threads : threads of the runtime.
    batch : rows of the timed case.
    processes : fresh processes a cell; each gives one cold start.
    warmup : runs before the timed loop of each process.
    min_runs, max_runs : timed runs of each process.
    min_ns, max_ns : duration of the timed loop of each process, nanoseconds.
    seed : of the order in which the cells take turns.
    """

    threads: int = 1
    batch: int = 1
    processes: int = 5
    warmup: int = 20
    min_runs: int = 140
    max_runs: int = 20_000
    min_ns: int = 300_000_000
    max_ns: int = 10_000_000_000
    seed: int = 0

    def timing(self, case: str) -> Timing:
        """Return the part of the settings that a runner takes."""
        return Timing(case, self.warmup, self.min_runs, self.max_runs, self.min_ns, self.max_ns)


def schedule(cells: Sequence[str], processes: int, seed: int) -> list[str]:
    """Return the order in which cells are measured: rounds, each there and back again.

    A first order is drawn; every second round runs it backwards (ABBA), so that a drift of the
    machine's speed cancels to first order.
    """
    order = list(cells)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
    return [cell for turn in range(processes) for cell in (order if turn % 2 == 0 else order[::-1])]


def measure(
    artifact: Artifact, reference: Reference, runner: Runner, settings: Settings, timeout: float
) -> Run:
    """Run one fresh process of one cell and prove what it timed.

    Raises
    ------
    BenchError : the runner failed, or the outputs of the timed runs are wrong.
    """
    case = bench_case(reference, settings.batch)
    with tempfile.TemporaryDirectory(prefix="shipworthy-") as private:
        try:
            run, comparisons = judge_case(
                artifact,
                reference,
                runner,
                case,
                Path(private),
                threads=settings.threads,
                timing=settings.timing(case),
                timeout=timeout,
            )
        except RunnerError as e:
            raise BenchError(str(e)) from e
    wrong = [c for c in comparisons if not c.passed]
    if wrong or not comparisons:
        told = wrong[0].detail if wrong else "nothing was compared"
        raise BenchError(f"the timed runs gave wrong outputs: {told}")
    if not run.python_free:
        raise BenchError(f"{runner.path.name} has Python in its process")
    return run


def bench_case(reference: Reference, batch: int) -> str:
    """Return the first case of that batch size; any case where the model has no batch axis.

    Raises
    ------
    BenchError : no case has that size.
    """
    for case in reference.cases:
        if case.sizes.get("batch", batch) == batch:
            return case.name
    sizes = sorted({case.sizes["batch"] for case in reference.cases})
    raise BenchError(f"no case has batch {batch}; there are {', '.join(map(str, sizes))}")


def key(artifact: Artifact, reference: Reference, runner: Runner, settings: Settings) -> str:
    """Return what a benchmark was made of; an equal key needs no new measurement."""
    return hash_json(
        {
            "artifact": artifact.sha256,
            "reference": reference.key,
            "runner": [str(runner.path), runner.version],
            "settings": asdict(settings),
        }
    )


def told(runs: Sequence[Run]) -> str:
    """Return one line about a finished benchmark."""
    latencies = [ns for run in runs for ns in (run.bench or {})["latencies_ns"]]
    return f"p50 {statistics.median(latencies) / 1000:.1f} us over {len(latencies)} runs"


def write_failure(cell: Path, reason: str) -> None:
    """Keep why a cell could not be measured."""
    write_json(cell / BENCHMARK, {"schema": 1, "key": None, "reason": reason, "runs": []})


def write_benchmark(
    cell: Path, runs: Sequence[Run], settings: Settings, key: str, started: datetime
) -> None:
    """Keep every latency of every process beside the artifact."""
    write_json(
        cell / BENCHMARK,
        {
            "schema": 1,
            "key": key,
            "started_at": started.astimezone(UTC).isoformat(timespec="seconds"),
            "settings": asdict(settings),
            "machine": describe_machine(),
            "runs": [asdict(run) for run in runs],
        },
    )


def read_benchmark(cell: Path) -> Mapping[str, Any] | None:
    """Return what `write_benchmark` wrote, or None."""
    try:
        data: Mapping[str, Any] = json.loads((cell / BENCHMARK).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return data
