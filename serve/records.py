"""One flat, self-describing record a cell, put together from what lies in the model's folder."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import (
    Artifact,
    ArtifactError,
    hash_content,
    read_artifact,
    write_text,
)
from shipworthy.convert.export import read_failure
from shipworthy.convert.identify import read_notes, read_words
from shipworthy.convert.place import Place
from shipworthy.convert.read_reference import Reference, read_reference
from shipworthy.convert.routes import FORMATS, find_routes
from shipworthy.models.errors import ShipworthyError
from shipworthy.serve.bench import p50_ns, read_benchmark
from shipworthy.serve.comparison import POOLED, Comparison
from shipworthy.serve.folder import Asked, Cell, asked
from shipworthy.serve.judge import Verdict, check_place, read_validation
from shipworthy.serve.measurements import read_measurements

RECORDS = "records.jsonl"

Record = dict[str, Any]


def collect(out: Path) -> list[Record]:
    """Return a record of every cell that a model's folder was asked for, in the report's order.

    An artifact that was made only on the way to another has none. A cell of which nothing is known
    is a failed one.

    Raises
    ------
    FolderError : no export was ever asked for here.
    """
    wanted = asked(out)
    found = [_record(out, wanted, cell) for cell in wanted.cells]
    told = read_notes(out)
    return [record | {"notes": [*told, *(record.get("notes") or [])]} for record in found]


def write_records(out: Path, records: Sequence[Mapping[str, Any]]) -> bool:
    """Write ``records.jsonl``; return whether anything in it is new."""
    path = out / RECORDS
    text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
    if path.exists() and path.read_bytes() == text.encode():
        return False
    write_text(path, text)
    return True


def _record(out: Path, wanted: Asked, cell: Cell) -> Record:
    folder = out.joinpath(*cell)
    model = wanted.model
    record = _common(wanted, cell) | {"attempts": list_attempts(out, cell)}
    failure = read_failure(folder)
    if failure is not None:
        route = failure["route"] or record["route"]
        more = {name: failure[name] for name in ("where", "advice", "log")}
        return record | _failed(failure["reason"], failure["command"]) | {"route": route} | more
    try:
        artifact = read_artifact(folder)
        record |= _of_artifact(artifact, out)
        reference = read_reference(out / cell[0] / "reference")
    except ShipworthyError as e:
        return record | _failed(str(e), _again(model, out))
    verdict = read_validation(folder)
    if verdict is None:
        return record | _failed("it was exported and not judged", _validate(out))
    record |= _of_verdict(verdict, reference)
    record["notes"] = [*artifact.notes, *verdict.notes]
    if not verdict.passed:
        return record | _failed(verdict.reason, _validate(out))
    try:
        check_place(artifact, reference, cell)
        if hash_content(folder) != verdict.facts.get("sha256"):
            told = "the file has changed since it was judged"
            return record | _failed(told, _validate(out))
    except ArtifactError as e:
        return record | _failed(str(e), _again(model, out))
    if reference.model != model:
        told = f"the reference is of {reference.model!r}, the folder of {model!r}"
        return record | _failed(told, _again(model, out))
    if verdict.facts.get("reference") != reference.key:
        told = "it was judged against an earlier original"
        return record | _failed(told, _again(model, out))
    if artifact.weights_sha256 != reference.weights_sha256:
        told = "it was exported from other weights than the reference has now"
        return record | _failed(told, _again(model, out))
    record["measurements"] = read_measurements(folder, verdict.key)
    benchmark = read_benchmark(folder, verdict.key)
    if benchmark is None:
        return record
    if not benchmark["runs"]:
        return record | _failed(f"not timed: {benchmark['reason']}", _bench(out))
    return record | _of_benchmark(benchmark)


def list_attempts(out: Path, cell: Cell) -> list[Record]:
    """Return what became of the other routes to a cell; artifacts of other weights do not count."""
    try:
        weights = read_reference(out / cell[0] / "reference").weights_sha256
    except ShipworthyError:
        return []
    found = []
    for folder in Place(out).attempts(*cell):
        failure = read_failure(folder)
        if failure is not None:
            found.append(_attempt(failure["route"], failure["reason"]))
            continue
        try:
            artifact = read_artifact(folder)
        except ArtifactError:
            continue
        verdict = read_validation(folder)
        if artifact.weights_sha256 != weights or verdict is None:
            continue
        worst = _most_telling(verdict)
        measured = read_benchmark(folder, verdict.key)
        found.append(
            _attempt(artifact.route, verdict.reason or None)
            | {
                "fixed_axes": dict(artifact.fixed_axes),
                "size_bytes": artifact.size_bytes,
                "error_ratio": worst.error_ratio if worst else None,
                "p50_ns": p50_ns(measured["runs"]) if measured and measured["runs"] else None,
            }
        )
    return found


def _attempt(route: str, reason: str | None) -> Record:
    return {
        "route": route,
        "status": "failed" if reason else "passed",
        "reason": reason,
        "fixed_axes": {},
        "size_bytes": None,
        "error_ratio": None,
        "p50_ns": None,
    }


def _failed(reason: str, command: str) -> Record:
    return {"status": "failed", "reason": reason, "command": command}


def _again(model: str, out: Path) -> str:
    words = read_words(out) or [model]
    return shlex.join(["shipworthy", "export", *words, "--out", str(out)])


def _validate(out: Path) -> str:
    return shlex.join(["shipworthy", "validate", str(out)])


def _bench(out: Path) -> str:
    return shlex.join(["shipworthy", "bench", str(out)])


def _common(wanted: Asked, cell: Cell) -> Record:
    framework, format_ = cell
    return {
        "schema": 1,
        "shipworthy": metadata.version("shipworthy"),
        "model": wanted.model,
        "framework": framework,
        "format": format_,
        "route": next((str(route) for route in find_routes(framework, format_)), ">".join(cell)),
        "precision": "fp32",
        "device": "local",
        "scenario": "SingleStream",
        "runtime": FORMATS[format_].runtime,
        "batch": 1,
        "threads": wanted.threads,
        "reason": None,
    }


def _of_artifact(artifact: Artifact, out: Path) -> Record:
    return {
        "route": artifact.route,
        "path": artifact.path.relative_to(out).as_posix(),
        "size_bytes": artifact.size_bytes,
        "sha256": artifact.sha256,
        "dynamic_axes": list(artifact.dynamic_axes),
        "fixed_axes": dict(artifact.fixed_axes),
        "tools": dict(artifact.tools),
        "options": dict(artifact.options),
        "notes": list(artifact.notes),
        "warnings": list(artifact.warnings),
        "command": artifact.command,
        "export_seconds": artifact.seconds,
    }


def _of_verdict(verdict: Verdict, reference: Reference) -> Record:
    worst = _most_telling(verdict)
    facts = verdict.facts
    judged = ("sha256", "size_bytes", "runtime_version", "runner_build", "python_free")
    return {
        "status": "passed",
        "yardstick": reference.yardstick,
        "yardstick_reason": reference.yardstick_reason or None,
        "comparisons": [comparison.to_json() for comparison in verdict.validation.comparisons],
        "error_ratio": worst.error_ratio if worst else None,
        "error_ratio_max": worst.error_ratio_max if worst else None,
        "threshold": worst.threshold if worst else None,
        "threshold_max": worst.threshold_max if worst else None,
        "task_metric": verdict.task,
        **{name: facts[name] for name in judged if name in facts},
    }


def _most_telling(verdict: Verdict) -> Comparison | None:
    """Return the pooled comparison nearest to its limit, or beyond it."""
    pooled = [
        c for c in verdict.validation.comparisons if c.case == POOLED and c.error_ratio is not None
    ]
    return max(pooled, key=lambda c: c.severity, default=None)


def _of_benchmark(benchmark: Mapping[str, Any]) -> Record:
    runs = benchmark["runs"]
    loops = [run["bench"] for run in runs]
    return {
        "started_at": benchmark["started_at"],
        "machine": benchmark["machine"],
        "settings": benchmark["settings"],
        "mode": benchmark["settings"]["mode"],
        "valid": benchmark["valid"],
        "invalid_reasons": benchmark["invalid_reasons"],
        "conditions": benchmark["conditions"],
        "control": benchmark["control"],
        "timer": {name: max(run["timer"][name] for run in runs) for name in runs[0]["timer"]},
        "runtime_settings": runs[0]["settings"],
        "batch": benchmark["settings"]["batch"],
        "threads": benchmark["settings"]["threads"],
        "processes": len(runs),
        "latencies_ns": [ns for loop in loops for ns in loop["latencies_ns"]],
        "process_runs": [len(loop["latencies_ns"]) for loop in loops],
        "cpu_per_wall": round(
            sum(loop["cpu_ns"] for loop in loops) / sum(loop["wall_ns"] for loop in loops), 3
        ),
        "cold_starts_ns": [run["cold_start_ns"] for run in runs],
        "process_starts_ns": [run["process_ns"] for run in runs],
        "loads_ns": [run["load_ns"] for run in runs],
        "firsts_ns": [run["first_ns"] for run in runs],
        "peak_rss_bytes": int(statistics.median(run["peak_rss_bytes"] for run in runs)),
        "memory_empty_bytes": int(statistics.median(run["empty_rss_bytes"] for run in runs)),
        "loaded_rss_bytes": int(statistics.median(run["loaded_rss_bytes"] for run in runs)),
        "os_threads": max(run["os_threads"] for run in runs),
        "python_free": all(run["python_free"] for run in runs),
        "mapped_libraries": runs[0]["mapped_libraries"],
    }
