"""What the tables show of a cell; the terminal, Markdown and HTML share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shipworthy.report.records import STATUSES, Record, cell_name
from shipworthy.report.units import (
    UNKNOWN,
    format_bytes,
    format_limit,
    format_ns,
    format_ratio,
    plain,
)
from shipworthy.serve import stats


@dataclass(frozen=True)
class Row:
    """One cell as text."""

    framework: str
    format: str
    route: str
    status: str
    ratio: str
    limit: str
    runtime: str
    size: str
    p50: str
    p90: str
    p99: str
    cold_start: str
    peak: str
    axes: str
    task: str
    task_original: str


def make_row(record: Record) -> Row:
    """Return a cell's figures as text; those of speed and memory only if it passed."""
    timed = record["status"] == "passed"
    points = stats.percentiles(record["latencies_ns"] or [] if timed else [])
    task = record["task_metric"]
    return Row(
        framework=plain(record["framework"]),
        format=plain(record["format"]),
        route=plain(cell_name(record)),
        status=record["status"],
        ratio=format_ratio(record["error_ratio"]),
        limit=format_limit(record["error_ratio"], record["threshold"]),
        runtime=plain(
            " ".join(filter(None, (record["runtime"], record["runtime_version"]))) or UNKNOWN
        ),
        size=format_bytes(record["size_bytes"]),
        p50=format_ns(points[50]),
        p90=format_ns(points[90]),
        p99=format_ns(points[99]),
        cold_start=format_ns(stats.median(record["cold_starts_ns"] or []) if timed else None),
        peak=format_bytes(record["peak_rss_bytes"] if timed else None),
        axes=describe_axes(record) or UNKNOWN,
        task=format_score(task.get("artifact")) if task else UNKNOWN,
        task_original=f"original {format_score(task.get('original'))}" if task else "",
    )


def headline(records: Sequence[Record]) -> str:
    """Return the verdict on the whole model, one sentence."""
    counts = Counter(record["status"] for record in records)
    total = len(records)
    if counts["passed"] == total:
        return "The export passes." if total == 1 else f"All {total} exports pass."
    rest = ", ".join(f"{counts[s]} {s}" for s in STATUSES[1:] if counts[s])
    if not counts["passed"]:
        return (
            f"None of {total} exports passes: {rest}." if total > 1 else f"The export {rest[2:]}."
        )
    verb = "passes" if counts["passed"] == 1 else "pass"
    return f"{counts['passed']} of {total} exports {verb}: {rest}."


def describe_setting(records: Sequence[Record]) -> str:
    """Return how the latencies were taken, such as ``batch 1, 1 thread``; empty if none were."""
    found = []
    for record in records:
        if record["status"] == "passed" and record["latencies_ns"]:
            threads = record["threads"]
            parts = [] if record["batch"] is None else [f"batch {record['batch']}"]
            if threads is not None:
                parts.append(f"{threads} thread{'' if threads == 1 else 's'}")
            found.append(", ".join(parts))
    return "; ".join(dict.fromkeys(filter(None, found)))


def describe_axes(record: Record) -> str:
    """Return which axes stay dynamic and which are fixed at what size."""
    parts = [f"{name} dynamic" for name in record["dynamic_axes"] or []]
    parts += [f"{name} fixed at {size}" for name, size in (record["fixed_axes"] or {}).items()]
    return plain(", ".join(parts))


def fixed_note(record: Record) -> str:
    """Return one sentence on the axes an export lost; empty if it lost none."""
    axes = record["fixed_axes"] or {}
    if not axes or record["status"] != "passed":
        return ""
    return plain(
        ", ".join(f"{name} is fixed at {size}" for name, size in axes.items())
        + "; judged at that size"
    )


def task_title(records: Sequence[Record]) -> str:
    """Return what the task's score is called, if all records call it the same."""
    names = {record["task_metric"].get("name") for record in records if record["task_metric"]}
    name = names.pop() if len(names) == 1 else None
    return plain(name).capitalize() if name else "Task score"


def format_score(value: float | None) -> str:
    """Return a task's score with four decimals."""
    return UNKNOWN if value is None else f"{value:.4f}"
