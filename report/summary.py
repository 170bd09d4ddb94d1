"""``summary.json``: what a CI reads of one export.

Its fields may grow, and never change. ``summary.schema.json`` describes them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import write_text
from shipworthy.models.errors import ShipworthyError
from shipworthy.report.attempts import attempt_summary
from shipworthy.report.records import Record, reason
from shipworthy.serve import stats

SUMMARY = "summary.json"
SCHEMA = 1

_COPIED = (
    "framework", "format", "route", "precision", "device", "scenario", "batch", "threads",
)  # fmt: skip


class SummaryError(ShipworthyError):
    """A summary that its schema refuses; the message names the field."""


def make_summary(records: Sequence[Record]) -> dict[str, Any]:
    """Build the summary of one model's records, at least one.

    Latencies become percentiles, the figures of several fresh processes their median. A cell that
    did not pass has no figures of speed or memory: they would be of the wrong model.
    """
    return {
        "schema": SCHEMA,
        "model": records[0]["model"],
        "cells": [_make_cell(record) for record in records],
    }


def load_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the summary."""
    text = (files("shipworthy.report") / "summary.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check_summary(summary: Any) -> None:
    """Check a summary against its schema.

    Raises
    ------
    SummaryError : a field is missing or not as described; the message says which and why.
    """
    # Here, because importing it takes longer than all else of a repeat with nothing changed.
    import jsonschema

    validator = jsonschema.Draft202012Validator(load_schema())
    error = jsonschema.exceptions.best_match(validator.iter_errors(summary))
    if error is not None:
        raise SummaryError(f"{SUMMARY}, {error.json_path}: {error.message}")


def write_summary(records: Sequence[Record], path: Path) -> Path:
    """Write ``summary.json`` by rename, checked against its schema; untouched if it is the same.

    Raises
    ------
    SummaryError : the records make a summary that the schema refuses; nothing is written.
    """
    summary = make_summary(records)
    text = json.dumps(summary, indent=1, allow_nan=False) + "\n"
    try:
        if path.read_text(encoding="utf-8") == text:
            return path  # It was checked when it was written.
    except (OSError, UnicodeDecodeError):
        pass
    check_summary(summary)
    write_text(path, text)
    return path


def _make_cell(record: Record) -> dict[str, Any]:
    passed = record["status"] == "passed"
    latencies = (record["latencies_ns"] or []) if passed else []
    points = stats.percentiles(latencies)
    return {name: record[name] for name in _COPIED} | {
        "status": record["status"],
        "reason": None if passed else reason(record),
        "yardstick": record["yardstick"],
        "error_ratio": record["error_ratio"],
        "threshold": record["threshold"],
        "dynamic_axes": record["dynamic_axes"],
        "task_metric": _task_metric(record),
        "path": record["path"],
        "size_bytes": record["size_bytes"],
        "runtime": record["runtime"],
        "runtime_version": record["runtime_version"],
        "latency_ns": {"n": len(latencies)} | {f"p{p}": value for p, value in points.items()},
        "cold_start_ns": _median(record, "cold_starts_ns"),
        "load_ns": _median(record, "loads_ns"),
        "first_ns": _median(record, "firsts_ns"),
        "peak_rss_bytes": record["peak_rss_bytes"] if passed else None,
        "python_free": record["python_free"],
        "valid": record["valid"] if passed else None,
        "invalid_reasons": record["invalid_reasons"] if passed else None,
        "attempts": attempt_summary(record),
    }


def _median(record: Record, name: str) -> int | None:
    return stats.median(record[name] or []) if record["status"] == "passed" else None


def _task_metric(record: Record) -> dict[str, Any] | None:
    metric = record["task_metric"]
    return metric and {name: metric.get(name) for name in ("name", "original", "artifact")}
