"""Measurements of a cell beside its benchmark: ``<cell>/measurements/<kind>.json``."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import write_text
from shipworthy.serve.conditions import Conditions
from shipworthy.serve.empty_start import split_start
from shipworthy.serve.machine import describe_machine
from shipworthy.serve.runners import Run

FOLDER = "measurements"
SCHEMA = 1
KINDS = (
    "single_stream", "multi_stream", "offline", "server", "cold_start", "memory", "footprint",
    "threads", "batches", "sustained", "python",
)  # fmt: skip
_FIELDS = ("valid", "reasons", "mode", "settings", "started_at", "data")
_NAME = re.compile(r"[a-z_]+")


@dataclass(frozen=True)
class Measurement:
    """What was found out about one cell.

    Parameters
    ----------
    kind : one of `KINDS`.
    reasons : why it may not be relied on; none makes it valid.
    data : as the kind has it; times in nanoseconds, sizes in bytes.
    settings : what it was made with.
    conditions : what the machine did during each process.
    """

    kind: str
    mode: str
    data: Mapping[str, Any]
    reasons: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Sequence[Conditions] = ()

    def write(self, cell: Path, verdict: str, started: datetime) -> None:
        """Write it into a cell's folder.

        Parameters
        ----------
        verdict : key of the verdict that the cell has passed with.
        """
        data = {
            "schema": SCHEMA,
            "kind": self.kind,
            "verdict": verdict,
            "started_at": started.astimezone(UTC).isoformat(timespec="seconds"),
            "mode": self.mode,
            "settings": dict(self.settings),
            "machine": describe_machine(),
            "conditions": [asdict(one) for one in self.conditions],
            "valid": not self.reasons,
            "reasons": list(self.reasons),
            "data": dict(self.data),
        }
        folder = cell / FOLDER
        folder.mkdir(exist_ok=True)
        write_text(folder / f"{self.kind}.json", json.dumps(data, allow_nan=False) + "\n")


def forget(cell: Path, kind: str) -> None:
    """Take away what was measured of a cell, where it could not be measured anew."""
    (cell / FOLDER / f"{kind}.json").unlink(missing_ok=True)


def read_measurements(cell: Path, verdict: str) -> dict[str, dict[str, Any]]:
    """Return what was measured of a cell that passed with this verdict, by kind.

    What is damaged, or of another verdict, is left out.
    """
    found = {}
    for path in sorted((cell / FOLDER).glob("*.json")):
        one = _read(path, verdict)
        if one is not None:
            found[path.stem] = one
    return found


def _read(path: Path, verdict: str) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_text())
        known = (
            data["schema"] == SCHEMA
            and data["kind"] == path.stem
            and _NAME.fullmatch(path.stem)
            and data["verdict"] == verdict
            and set(_FIELDS) <= data.keys()
            and isinstance(data["data"], dict)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not known:
        return None
    return {
        name: value for name, value in data.items() if name not in ("schema", "kind", "verdict")
    }


def cold_start(runs: Sequence[Run], empty_ns: Sequence[int]) -> dict[str, Any]:
    """Return the parts of every process' cold start; `empty_ns` as `split_start` has it."""
    processes = []
    for run in runs:
        assert run.process_ns is not None, "the runner is always told when its process began"
        process, library = split_start(run.process_ns, empty_ns)
        processes.append(
            {
                "process_ns": process,
                "library_ns": library,
                "load_ns": run.load_ns,
                "first_ns": run.first_ns,
                "total_ns": run.cold_start_ns,
            }
        )
    return {"processes": processes, "empty_starts_ns": list(empty_ns)}


def memory(runs: Sequence[Run]) -> dict[str, Any]:
    """Return resident memory: of the empty runtime, after loading, at its peak; medians and all.

    What the model takes is counted above the process with its libraries mapped, before it loads
    anything.
    """
    processes = [
        {
            "empty_rss_bytes": run.empty_rss_bytes,
            "loaded_rss_bytes": run.loaded_rss_bytes,
            "peak_rss_bytes": run.peak_rss_bytes,
        }
        for run in runs
    ]
    middle = {
        name: round(statistics.median(one[name] for one in processes)) for name in processes[0]
    }
    return {
        **middle,
        "model_bytes": middle["loaded_rss_bytes"] - middle["empty_rss_bytes"],
        "working_bytes": middle["peak_rss_bytes"] - middle["empty_rss_bytes"],
        "processes": processes,
    }


def footprint(run: Run, artifact_bytes: int) -> dict[str, Any]:
    """Return what has to be carried to another machine: the artifact, the runner, its libraries.

    All files that are mapped when everything has run, whole; the system's C library and its loader
    are listed and not counted.
    """
    libraries = [
        {"name": one["name"], "bytes": one["bytes"], "system": one["system"]}
        for one in run.libraries
    ]
    carried = sum(one["bytes"] for one in libraries if not one["system"])
    return {
        "artifact_bytes": artifact_bytes,
        "libraries": libraries,
        "libraries_bytes": carried,
        "system_bytes": sum(one["bytes"] for one in libraries if one["system"]),
        "total_bytes": artifact_bytes + carried,
    }


def load(loops: Sequence[Mapping[str, Any]], batch: int) -> dict[str, Any]:
    """Return a scenario's result over several processes.

    Parameters
    ----------
    loops : ``Run.bench`` of each.
    batch : rows of one input.
    """
    first: Mapping[str, Any] = loops[0] if loops else {}
    inputs = first.get("inputs_per_query", 1)
    queries = sum(loop["queries"] for loop in loops)
    duration = sum(loop["wall_ns"] for loop in loops)
    return {
        "scenario": first.get("scenario"),
        "queries": queries,
        "unserved": sum(loop["unserved"] for loop in loops),
        "duration_ns": duration,
        "latencies_ns": [ns for loop in loops for ns in loop["latencies_ns"]],
        "kept_every": [loop["stride"] for loop in loops],
        "throughput_per_s": round(queries * inputs * 1e9 / duration, 3) if duration else None,
        "rows_per_query": inputs * batch,
        "workers": len(first.get("cases", ())),
        "seed": first.get("seed"),
    }
