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

from shipworthy.convert.artifact import Artifact, read_artifact, write_json
from shipworthy.convert.cases import batch_axis
from shipworthy.convert.read_reference import Reference, read_reference
from shipworthy.convert.routes import FORMATS
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.models.cache import hash_json
from shipworthy.models.errors import ShipworthyError
from shipworthy.serve.answers import fits
from shipworthy.serve.judge import judge_case
from shipworthy.serve.machine import describe_machine
from shipworthy.serve.runners import Run, Timing, find

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


@dataclass(frozen=True)
class Subject:
    """One cell that is measured.

    Parameters
    ----------
    out, cell : the model's folder, and which cell of it.
    verdict : key of the verdict that the cell passed with; a benchmark counts for that one only.
    aside : the artifact's folder, if it is not in its cell.
    """

    out: Path
    cell: tuple[str, str]
    verdict: str
    aside: Path | None = None

    @property
    def folder(self) -> Path:
        """The artifact's folder."""
        return self.aside or self.out.joinpath(*self.cell)

    def is_measured(self, settings: Settings) -> bool:
        """Tell whether these settings were measured on this machine, with this verdict."""
        kept = read_benchmark(self.folder, self.verdict)
        return kept is not None and bool(kept["runs"]) and kept["key"] == self._key(settings)

    def measure(self, settings: Settings, timeout: float) -> Run:
        """Run one fresh process and prove what it timed.

        Raises
        ------
        ShipworthyError : the runner failed, or the outputs of the timed runs are wrong.
        """
        artifact = read_artifact(self.folder)
        reference = read_reference(self.out / self.cell[0] / "reference")
        runner = find(FORMATS[artifact.format].runtime)
        case = bench_case(reference, artifact, settings.batch)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=WORK_PREFIX) as private:
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
        wrong = [c for c in comparisons if not c.passed]
        if wrong or not comparisons:
            told = wrong[0].detail if wrong else "nothing was compared"
            raise BenchError(f"the timed runs gave wrong outputs: {told}")
        if not run.python_free:
            raise BenchError(f"{runner.path.name} has Python in its process")
        return run

    def write(self, runs: Sequence[Run], settings: Settings, started: datetime) -> None:
        """Keep every latency of every process beside the artifact."""
        self._write(settings, started, [asdict(run) for run in runs], None)

    def write_failure(self, settings: Settings, reason: str) -> None:
        """Keep why the cell could not be measured."""
        self._write(settings, datetime.now(UTC), [], reason)

    def _write(
        self, settings: Settings, started: datetime, runs: list[Any], reason: str | None
    ) -> None:
        write_json(
            self.folder / BENCHMARK,
            {
                "schema": 1,
                "verdict": self.verdict,
                "key": self._key(settings),
                "started_at": started.astimezone(UTC).isoformat(timespec="seconds"),
                "settings": asdict(settings),
                "machine": describe_machine(),
                "reason": reason,
                "runs": runs,
            },
        )

    def _key(self, settings: Settings) -> str:
        machine = describe_machine()
        lasting = {name: machine[name] for name in ("cpu", "cores", "memory_bytes", "kernel")}
        return hash_json([self.verdict, asdict(settings), lasting])


def bench_case(reference: Reference, artifact: Artifact, batch: int) -> str:
    """Return the first case of that batch size that the artifact can run.

    Any such case where the model has no batch axis.

    Raises
    ------
    BenchError : no case has that size.
    """
    axis = batch_axis(reference.signature)
    cases = [case for case in reference.cases if fits(case, artifact)]
    for case in cases:
        if not isinstance(axis, str) or case.sizes[axis] == batch:
            return case.name
    sizes = sorted({case.sizes[axis] for case in cases}) if isinstance(axis, str) else []
    raise BenchError(f"no case has batch {batch}; there are {', '.join(map(str, sizes)) or 'none'}")


def read_benchmark(cell: Path, verdict: str) -> Mapping[str, Any] | None:
    """Return what was measured of a cell that passed with this verdict, or None."""
    try:
        data = json.loads((cell / BENCHMARK).read_text())
        known = (
            data["schema"] == 1
            and data["verdict"] == verdict
            and bool(data["runs"] or data["reason"])
            and {"key", "started_at", "settings", "machine"} <= data.keys()
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return data if known else None


def forget_failure(cell: Path) -> None:
    """Take away the note that a cell could not be measured, once it is judged anew."""
    try:
        if not json.loads((cell / BENCHMARK).read_text())["runs"]:
            (cell / BENCHMARK).unlink()
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return


def p50_ns(runs: Sequence[Mapping[str, Any]]) -> float:
    """Return the median latency of all processes of a benchmark."""
    return float(statistics.median(ns for run in runs for ns in run["bench"]["latencies_ns"]))


def told(runs: Sequence[Run]) -> str:
    """Return one line about a finished benchmark."""
    latencies = [ns for run in runs for ns in (run.bench or {})["latencies_ns"]]
    return f"p50 {statistics.median(latencies) / 1000:.1f} us over {len(latencies)} runs"
