"""What became of the other routes to a cell, one sentence each."""

from __future__ import annotations

from typing import Any

from shipworthy.report.records import Record
from shipworthy.report.units import format_bytes, format_ns, plain


def attempt_lines(record: Record) -> list[str]:
    """Return a line for every other route that was tried for a cell."""
    return [_line(attempt) for attempt in record["attempts"] or []]


def attempt_summary(record: Record) -> list[dict[str, Any]]:
    """Return the other routes as ``summary.json`` has them."""
    names = ("route", "status", "reason", "fixed_axes", "size_bytes", "error_ratio", "p50_ns")
    return [{name: attempt.get(name) for name in names} for attempt in record["attempts"] or []]


def _line(attempt: dict[str, Any]) -> str:
    route = plain(attempt.get("route") or "?").replace(">", " > ")
    if attempt.get("status") != "passed":
        return f"{route}: {plain(' '.join(str(attempt.get('reason')).split()))}"
    facts = ["passed"]
    fixed = attempt.get("fixed_axes") or {}
    facts += [f"{plain(axis)} fixed at {size}" for axis, size in fixed.items()]
    ratio, p50, size = attempt.get("error_ratio"), attempt.get("p50_ns"), attempt.get("size_bytes")
    facts += [f"error ratio {ratio:.2f}"] if isinstance(ratio, int | float) else []
    facts += [f"p50 {format_ns(p50)}"] if isinstance(p50, int | float) else []
    facts += [format_bytes(size)] if isinstance(size, int) else []
    return f"{route}: {', '.join(facts)}"
