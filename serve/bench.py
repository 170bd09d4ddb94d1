"""Settings and schedule of a benchmark, and what one cell's processes measured.

Each process is fresh, runs alone on the machine, and proves its outputs before its latencies
count. Cells take turns, so that a slow minute of the machine falls on all of them.
"""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import read_artifact, write_text
from shipworthy.models.cache import hash_json
from shipworthy.serve import measurements
from shipworthy.serve.contrast import Control, control
from shipworthy.serve.feed import BenchError as BenchError
from shipworthy.serve.feed import bench_case as bench_case
from shipworthy.serve.machine import describe_machine
from shipworthy.serve.measurements import Measurement
from shipworthy.serve.modes import Settings as Settings
from shipworthy.serve.modes import minimum
from shipworthy.serve.trial import Proven, Trial, run_trial
from shipworthy.serve.validity import (
    check_clock,
    check_conditions,
    check_control,
    check_load,
    median,
)

BENCHMARK = "benchmark.json"
SCHEMA = 2
# What is found out of the runs when they are written.
_JUDGED = {"valid", "invalid_reasons", "control", "conditions"}


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

    def measure(self, settings: Settings, timeout: float) -> Proven:
        """Run one fresh process and prove what it timed.

        Raises
        ------
        ShipworthyError : the runner failed, or the outputs of the timed runs are wrong.
        """
        return self.run(Trial(settings.timing(), settings.threads, settings.batch), timeout)

    def run(self, trial: Trial, timeout: float) -> Proven:
        """Run one fresh process of any trial; as `measure`."""
        return run_trial(self.out, self.cell[0], self.folder, trial, timeout)

    def write(
        self,
        proven: Sequence[Proven],
        settings: Settings,
        started: datetime,
        empty_starts_ns: Sequence[int] = (),
    ) -> list[str]:
        """Keep every latency of every process, and what else these processes tell.

        Parameters
        ----------
        empty_starts_ns : see `shipworthy.serve.empty_start`.

        Returns
        -------
        Why the latencies may not be relied on; nothing if they may.
        """
        runs = [one.run for one in proven]
        reasons = check_benchmark(proven, settings)
        self._write(
            settings,
            started,
            {
                "valid": not reasons,
                "invalid_reasons": reasons,
                "control": control_session([one.latencies_ns for one in proven]).to_json(),
                "conditions": [asdict(one.conditions) for one in proven],
                "reason": None,
                "runs": [vars(run) for run in runs],
            },
        )
        conditions = [one.conditions for one in proven]
        quiet = check_conditions(conditions)
        artifact_bytes = read_artifact(self.folder).size_bytes
        loops = [run.bench for run in runs if run.bench]
        for kind, data, why in (
            ("single_stream", measurements.load(loops, settings.batch), reasons),
            ("cold_start", measurements.cold_start(runs, empty_starts_ns), quiet),
            ("memory", measurements.memory(runs), []),
            ("footprint", measurements.footprint(runs[-1], artifact_bytes), []),
        ):
            if kind == "cold_start" and self._has_more_starts(len(runs)):
                continue
            one = Measurement(kind, settings.mode, data, why, asdict(settings), conditions)
            one.write(self.folder, self.verdict, started)
        return reasons

    def _has_more_starts(self, count: int) -> bool:
        """Tell whether a study of cold starts made more of them than a benchmark does."""
        held = measurements.read_measurements(self.folder, self.verdict).get("cold_start")
        return held is not None and len(held["data"].get("processes", ())) > count

    def write_failure(self, settings: Settings, reason: str) -> None:
        """Keep why the cell could not be measured."""
        self._write(settings, datetime.now(UTC), {"reason": reason, "runs": []})

    def _write(self, settings: Settings, started: datetime, found: Mapping[str, Any]) -> None:
        data = {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "key": self._key(settings),
            "started_at": started.astimezone(UTC).isoformat(timespec="seconds"),
            "settings": asdict(settings),
            "machine": describe_machine(),
            **found,
        }
        # Tens of thousands of latencies: on one line, which is written ten times as fast.
        write_text(self.folder / BENCHMARK, json.dumps(data, allow_nan=False) + "\n")

    def _key(self, settings: Settings) -> str:
        machine = describe_machine()
        lasting = {name: machine[name] for name in ("cpu", "cores", "memory_bytes", "kernel")}
        return hash_json([self.verdict, asdict(settings), lasting])


def control_session(processes: Sequence[Sequence[int]]) -> Control:
    """Compare a cell with itself (A/A): its turns 0, 3, 4, 7, ... with its turns 1, 2, 5, 6, ...

    A drift falls on both nearly alike. If they differ all the same, the machine did not hold still,
    and no comparison of this session may be believed.
    """
    # A clock that is too coarse reads zero, which is told elsewhere.
    runs = [[max(ns, 1) for ns in one] for one in processes]
    first = [run for i, run in enumerate(runs) if i % 4 in (0, 3)]
    second = [run for i, run in enumerate(runs) if i % 4 in (1, 2)]
    return control(first, second)


def check_benchmark(proven: Sequence[Proven], settings: Settings) -> list[str]:
    """Return why the processes of a benchmark may not be relied on; nothing if they may."""
    loops = [one.run.bench for one in proven if one.run.bench]
    latencies = [ns for loop in loops for ns in loop["latencies_ns"]]
    return [
        *check_load(
            "single_stream",
            minimum(settings.mode, "single_stream"),
            queries=sum(loop["queries"] for loop in loops),
            kept=len(latencies),
            duration_ns=sum(loop["wall_ns"] for loop in loops),
        ),
        *check_clock([one.run.timer for one in proven], median(latencies)),
        *check_conditions([one.conditions for one in proven]),
        *check_control(control_session([one.latencies_ns for one in proven])),
    ]


def read_benchmark(cell: Path, verdict: str) -> Mapping[str, Any] | None:
    """Return what was measured of a cell that passed with this verdict, or None."""
    try:
        data = json.loads((cell / BENCHMARK).read_text())
        known = (
            data["schema"] == SCHEMA
            and data["verdict"] == verdict
            and bool(data["runs"] or data["reason"])
            and {"key", "started_at", "settings", "machine"} <= data.keys()
            and (not data["runs"] or data.keys() >= _JUDGED)
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


def told(proven: Sequence[Proven]) -> str:
    """Return one line about a finished benchmark."""
    latencies = [ns for one in proven for ns in one.latencies_ns]
    return f"p50 {statistics.median(latencies) / 1000:.1f} us over {len(latencies)} runs"
