"""One flat, self-describing record a cell, put together from what lies in the model's folder."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import Artifact, ArtifactError, read_artifact, write_text
from shipworthy.convert.export import read_failure
from shipworthy.convert.read_reference import BrokenReferenceError, Reference, read_reference
from shipworthy.convert.routes import FORMATS
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.serve.bench import read_benchmark
from shipworthy.serve.comparison import POOLED, Comparison
from shipworthy.serve.judge import Verdict, read_validation

RECORDS = "records.jsonl"

Record = dict[str, Any]


def collect(out: Path) -> list[Record]:
    """Return the record of every cell in a model's folder that was judged or failed.

    An artifact that was made only on the way to another has no record.
    """
    return [
        record
        for framework in FRAMEWORKS
        for format_ in FORMATS
        if (record := _record(out, framework, format_)) is not None
    ]


def write_records(out: Path, records: Sequence[Mapping[str, Any]]) -> bool:
    """Write ``records.jsonl``; return whether anything in it is new."""
    path = out / RECORDS
    text = "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)
    if path.exists() and path.read_text() == text:
        return False
    write_text(path, text)
    return True


def _record(out: Path, framework: str, format_: str) -> Record | None:
    folder = out / framework / format_
    failure = read_failure(folder)
    if failure is not None:
        return _common(framework, format_) | {
            "model": failure["model"],
            "route": failure["route"],
            "status": "failed",
            "reason": failure["reason"],
            "command": failure["command"],
        }
    verdict = read_validation(folder)
    if verdict is None:
        return None
    try:
        artifact = read_artifact(folder)
        reference = read_reference(out / framework / "reference")
    except (ArtifactError, BrokenReferenceError):
        return None
    record = _common(framework, format_) | _of_artifact(artifact, out)
    record |= _of_verdict(verdict, artifact, reference)
    if record["status"] == "failed":
        record["command"] = shlex.join(["shipworthy", "validate", str(out)])
    benchmark = read_benchmark(folder)
    if benchmark is not None and record["status"] == "passed":
        record |= _of_benchmark(benchmark)
    return record


def _common(framework: str, format_: str) -> Record:
    return {
        "schema": 1,
        "shipworthy": metadata.version("shipworthy"),
        "framework": framework,
        "format": format_,
        "precision": "fp32",
        "device": "local",
        "scenario": "SingleStream",
        "runtime": FORMATS[format_].runtime,
        "batch": 1,
        "threads": 1,
        "reason": None,
    }


def _of_artifact(artifact: Artifact, out: Path) -> Record:
    return {
        "model": artifact.model,
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


def _of_verdict(verdict: Verdict, artifact: Artifact, reference: Reference) -> Record:
    stale = artifact.weights_sha256 != reference.weights_sha256
    worst = _most_telling(verdict)
    record: Record = {
        "status": "passed" if verdict.passed else "failed",
        "reason": verdict.reason or None,
        "yardstick": reference.yardstick,
        "yardstick_reason": reference.yardstick_reason or None,
        "comparisons": [comparison.to_json() for comparison in verdict.validation.comparisons],
        "error_ratio": worst.error_ratio if worst else None,
        "error_ratio_max": worst.error_ratio_max if worst else None,
        "threshold": worst.threshold if worst else None,
        "threshold_max": worst.threshold_max if worst else None,
        "task_metric": verdict.task,
        "threads": verdict.facts.get("threads", 1),
        "runtime_version": verdict.facts.get("runtime_version"),
        "runner_build": verdict.facts.get("runner_build"),
        "python_free": verdict.facts.get("python_free"),
        "notes": [*artifact.notes, *verdict.notes],
    }
    if stale:
        told = "it was exported from other weights than the reference has now; export it again"
        record |= {"status": "failed", "reason": told}
    return record


def _most_telling(verdict: Verdict) -> Comparison | None:
    """Return the pooled comparison nearest to its limit, or beyond it."""
    pooled = [
        c for c in verdict.validation.comparisons if c.case == POOLED and c.error_ratio is not None
    ]
    return max(pooled, key=lambda c: c.severity, default=None)


def _of_benchmark(benchmark: Mapping[str, Any]) -> Record:
    runs = benchmark["runs"]
    if not runs:
        return {"status": "failed", "reason": f"not timed: {benchmark['reason']}"}
    loops = [run["bench"] for run in runs]
    return {
        "started_at": benchmark["started_at"],
        "machine": benchmark["machine"],
        "settings": benchmark["settings"],
        "runtime_settings": runs[0]["settings"],
        "batch": benchmark["settings"]["batch"],
        "threads": benchmark["settings"]["threads"],
        "processes": len(runs),
        "latencies_ns": [ns for loop in loops for ns in loop["latencies_ns"]],
        "cpu_per_wall": round(
            sum(loop["cpu_ns"] for loop in loops) / sum(loop["wall_ns"] for loop in loops), 3
        ),
        "cold_starts_ns": [run["cold_start_ns"] for run in runs],
        "process_starts_ns": [run["process_ns"] for run in runs],
        "loads_ns": [run["load_ns"] for run in runs],
        "firsts_ns": [run["first_ns"] for run in runs],
        "peak_rss_bytes": int(statistics.median(run["peak_rss_bytes"] for run in runs)),
        "loaded_rss_bytes": int(statistics.median(run["loaded_rss_bytes"] for run in runs)),
        "os_threads": max(run["os_threads"] for run in runs),
        "python_free": all(run["python_free"] for run in runs),
        "mapped_libraries": runs[0]["mapped_libraries"],
    }
