"""Which results are INVALID and why, told once for all cells that share a reason."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shipworthy.report.records import Record
from shipworthy.report.scope import cell_label
from shipworthy.report.units import plain

Doubt = tuple[str, Sequence[str]]


def tell_doubts(cells: Sequence[Doubt], total: int) -> str:
    """Return one sentence on the cells that are INVALID; nothing if there are none.

    Reasons that differ in their figures alone are one, with one cell's figures.

    Parameters
    ----------
    cells : name and reasons of each that is INVALID.
    total : how many there are, valid ones included.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for name, reasons in cells:
        for reason in reasons or ["no reason was recorded"]:
            told = plain(" ".join(str(reason).split()))
            found.setdefault(re.sub(r"\d[\d.,]*", "#", told), []).append((name, told))
    parts = []
    for known in found.values():
        names = [name for name, _ in known]
        which = "all" if len(names) == total > 1 else ", ".join(names)
        figures = {told for _, told in known}
        such = f"; this of {names[0]}" if len(figures) > 1 else ""
        parts.append(f"{known[0][1]} ({which}{such})")
    return f"INVALID: {'; '.join(parts)}." if parts else ""


def latency_doubts(records: Sequence[Record]) -> str:
    """Return which latencies are INVALID and why; nothing if none are, or no record says."""
    timed = [r for r in records if r["status"] == "passed" and r["latencies_ns"]]
    cells = [
        (cell_label(r), r.get("invalid_reasons") or []) for r in timed if r.get("valid") is False
    ]
    return tell_doubts(cells, len(timed))
