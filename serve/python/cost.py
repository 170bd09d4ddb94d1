"""What Python costs: every way to run a cell's model in Python, beside its Python-free run.

All cells of a model are measured in one session. Every entry gets fresh processes, which take turns
in a seeded order that runs there and back (ABBA); the Python-free run of every cell is two entries,
which is the session's control (A/A). An original is measured once a framework and stands beside all
of that framework's cells.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.process import StoppedError
from shipworthy.convert.read_reference import read_reference
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.models.errors import ShipworthyError, first_line
from shipworthy.models.subject import Subject
from shipworthy.serve.bench import bench_case, schedule
from shipworthy.serve.contrast import control, decide, ratio_interval, ratio_of_values
from shipworthy.serve.folder import Cell, has_artifact
from shipworthy.serve.judge import judge_cell, read_validation
from shipworthy.serve.measurements import Measurement, forget, read_measurements
from shipworthy.serve.python.entry import Entry, Taken
from shipworthy.serve.python.ways import PACKAGE, RUNNER, missing_ways, ways_of
from shipworthy.serve.runners import Timing
from shipworthy.serve.stats import percentiles
from shipworthy.serve.steps import Event
from shipworthy.serve.validity import check_conditions

KIND = "python"
BATCH = 1


class CostError(ShipworthyError):
    """A cell of which nothing can be said; the message says why."""


@dataclass(frozen=True)
class Settings:
    """How a session is made.

    Parameters
    ----------
    mode : one of `MODES`.
    threads : of the runners, the packages and the frameworks.
    processes : fresh processes a way; the Python-free run has twice as many.
    warmup, min_runs, max_runs, min_ns, max_ns : of each, see `shipworthy.serve.runners.Timing`.
    seed : of the order.
    """

    mode: str
    threads: int = 1
    processes: int = 6
    warmup: int = 20
    min_runs: int = 140
    max_runs: int = 20_000
    min_ns: int = 300_000_000
    max_ns: int = 30_000_000_000
    seed: int = 0

    def timing(self, case: str) -> Timing:
        """Return the part of the settings that a process takes."""
        return Timing(case, self.warmup, self.min_runs, self.max_runs, self.min_ns, self.max_ns)


MODES: Mapping[str, Settings] = {
    "quick": Settings(
        "quick", processes=3, warmup=10, min_runs=30, min_ns=200_000_000, max_ns=10_000_000_000
    ),
    "normal": Settings("normal"),
}


@dataclass(frozen=True)
class _Planned:
    """One cell of the session, its entries by name, and the ways that it lacks."""

    cell: Cell
    verdict: str
    case: str
    runners: tuple[str, str]
    others: list[str]
    missing: Mapping[str, str]


def measure(
    out: Path, cells: Sequence[Cell], subject: Subject, settings: Settings, timeout: float
) -> Iterator[Event]:
    """Measure the cells that pass, and write ``measurements/python.json`` of each.

    Yields what happens. A way that fails, or whose outputs are not the original's, is unavailable
    in every cell that has it; a cell whose Python-free run fails is not written.
    """
    started = datetime.now(UTC)
    entries: dict[str, Entry] = {}
    planned: list[_Planned] = []
    with tempfile.TemporaryDirectory(dir=out, prefix=WORK_PREFIX) as scratch:
        for cell in cells:
            if not has_artifact(out, cell):
                continue
            try:
                verdict = judge_cell(out, *cell, threads=settings.threads, timeout=timeout)
                if not verdict.passed:
                    raise CostError(verdict.reason)
                planned.append(
                    _plan(
                        out, cell, verdict.key, subject, settings, timeout, Path(scratch), entries
                    )
                )
            except ShipworthyError as e:
                forget(out.joinpath(*cell), KIND)
                yield Event(_step(cell), "failed", e)
        taken: dict[str, list[Taken]] = {name: [] for name in entries}
        lost: dict[str, str] = {}
        yield from _take_turns(entries, taken, lost, settings)
    for one in planned:
        failed = [lost[name] for name in one.runners if name in lost]
        if failed:
            forget(out.joinpath(*one.cell), KIND)
            yield Event(_step(one.cell), "failed", CostError(f"its runner failed: {failed[0]}"))
            continue
        data = _tell(one, entries, taken, lost, settings)
        watched = [t.conditions for name in (*one.runners, *one.others) for t in taken[name]]
        reasons = [] if data["aa"]["fit"] else [f"unfit session: {data['aa']['reason']}"]
        # Turns share what slows all runs alike. Being preempted falls on the long runs only.
        reasons += check_conditions(watched)
        Measurement(KIND, settings.mode, data, reasons, asdict(settings), watched).write(
            out.joinpath(*one.cell), one.verdict, started
        )
        yield Event(_step(one.cell), "done", _told(data))


def _step(cell: Cell) -> str:
    return f"{cell[0]}/{cell[1]} beside Python"


def _plan(
    out: Path, cell: Cell, verdict: str, subject: Subject, settings: Settings, timeout: float,
    scratch: Path, entries: dict[str, Entry],
) -> _Planned:  # fmt: skip
    """Add a cell's entries to the session's; those of an original may be there already."""
    framework, format_ = cell
    folder = out.joinpath(*cell)
    reference = read_reference(out / framework / "reference")
    case = bench_case(reference, read_artifact(folder), BATCH)
    kind = subject.source(framework).kind

    def add(name: str, way: str, artifact: Path | None) -> str:
        made = Entry(way, artifact, subject, reference, settings.timing(case), settings.threads,
                     scratch, timeout)  # fmt: skip
        entries.setdefault(name, made)
        return name

    title = f"{framework}/{format_}"
    return _Planned(
        cell,
        verdict,
        case,
        (add(f"{title} runner", RUNNER, folder), add(f"{title} runner again", RUNNER, folder)),
        [
            add(f"{title} {PACKAGE}", PACKAGE, folder),
            *(
                add(f"{framework} original {way} ({case})", way, None)
                for way in ways_of(framework, kind)
            ),
        ],
        missing_ways(framework, kind),
    )


def _take_turns(
    entries: Mapping[str, Entry], taken: dict[str, list[Taken]], lost: dict[str, str],
    settings: Settings,
) -> Iterator[Event]:  # fmt: skip
    for name in schedule(list(entries), settings.processes, settings.seed):
        if name in lost:
            continue
        if not taken[name]:
            yield Event(name, "started")
        try:
            taken[name].append(entries[name].take())
        except StoppedError:
            raise
        except Exception as e:  # one way that does not work says nothing about the others
            lost[name] = str(e) if isinstance(e, ShipworthyError) else first_line(e)
            yield Event(name, "failed", lost[name])
            continue
        if len(taken[name]) == settings.processes:
            p50 = percentiles([ns for one in taken[name] for ns in one.latencies_ns])[50]
            yield Event(name, "done", f"p50 {p50 / 1000:.1f} us" if p50 else "too few runs for p50")


def _tell(
    one: _Planned, entries: Mapping[str, Entry], taken: Mapping[str, Sequence[Taken]],
    lost: Mapping[str, str], settings: Settings,
) -> dict[str, Any]:  # fmt: skip
    """Return what a cell's file says under ``data``."""
    first, second = (_latencies(taken[name]) for name in one.runners)
    aa = control(first, second, seed=settings.seed)
    free = [*first, *second]
    runner = [process for name in one.runners for process in taken[name]]
    ways = [_way(RUNNER, "artifact", runner) | _ALONE]
    unavailable = [
        {"way": way, "of": "original", "reason": why} for way, why in one.missing.items()
    ]
    for name in one.others:
        entry = entries[name]
        if name in lost:
            unavailable.append({"way": entry.way, "of": entry.of, "reason": lost[name]})
            continue
        ratio = ratio_interval(free, _latencies(taken[name]), seed=settings.seed)
        compared = {
            "ratio": ratio.to_json(),
            "cpu_ratio": _cpu_ratio(runner, taken[name], settings.seed),
            "decision": decide(ratio, control=aa),
        }
        ways.append(_way(entry.way, entry.of, taken[name]) | compared)
    return {
        "threads": settings.threads,
        "case": one.case,
        "batch": BATCH,
        "aa": aa.to_json(),
        "ways": ways,
        "unavailable": unavailable,
    }


_ALONE = {"ratio": None, "cpu_ratio": None, "decision": None}


def _cpu_ratio(
    free: Sequence[Taken], other: Sequence[Taken], seed: int
) -> dict[str, float | None] | None:
    """Return the ratio of processor time a run; None where it is too short to be counted."""
    values = [[one.cpu_ns for one in processes] for processes in (free, other)]
    if not all(ns > 0 for each in values for ns in each):
        return None
    return ratio_of_values(*values, seed=seed).to_json()


def _way(way: str, of: str, processes: Sequence[Taken]) -> dict[str, Any]:
    latencies = _latencies(processes)
    compiled = f"{processes[0].first_ns / 1e9:.1f} s" if way == "torch_compile" else ""
    return {
        "way": way,
        "of": of,
        "package": processes[0].package,
        "latencies_ns": latencies,
        "p50_ns": percentiles([ns for run in latencies for ns in run])[50],
        "cpu_ns": [round(process.cpu_ns, 1) for process in processes],
        "load_ns": [process.load_ns for process in processes],
        "first_ns": [process.first_ns for process in processes],
        "cold_start_ns": [process.cold_start_ns for process in processes],
        "peak_rss_bytes": [process.peak_rss_bytes for process in processes],
        "equal": True,  # else it would be unavailable
        "note": f"The first process compiled for {compiled}; the others found what it had compiled."
        if compiled
        else "",
    }


def _latencies(processes: Sequence[Taken]) -> list[list[int]]:
    return [process.latencies_ns for process in processes]


def _told(data: Mapping[str, Any]) -> str:
    told = f"{len(data['ways'])} ways"
    return told if data["aa"]["fit"] else f"{told}; unfit: {data['aa']['reason']}"


def read_cost(out: Path, cell: Cell, settings: Settings) -> Mapping[str, Any] | None:
    """Return what a session with these settings measured of a cell that still is what it was.

    None where it was not measured, or failed, or has been judged anew since.
    """
    folder = out.joinpath(*cell)
    verdict = read_validation(folder)
    found = read_measurements(folder, verdict.key).get(KIND) if verdict else None
    return found if found and found["settings"] == asdict(settings) else None
