"""Every cell in full: comparisons, timing, process, artifact, the command that repeats it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shipworthy.report import facts
from shipworthy.report.attempts import attempt_lines
from shipworthy.report.records import Record, format_title, reason
from shipworthy.report.rows import Row, fixed_note, make_row
from shipworthy.report.scope import Scope
from shipworthy.report.sections.section import Section
from shipworthy.report.units import format_limit, plain


@dataclass(frozen=True)
class Comparison:
    """One output in one case, as text."""

    case: str
    output: str
    passed: bool
    limit: str
    limit_max: str
    unstable: str
    elements: str
    detail: str


@dataclass(frozen=True)
class Cell:
    """What the page shows of one cell; `anchor` is unique on the page."""

    anchor: str
    row: Row
    title: str
    reason: str
    note: str
    artifact: facts.Facts
    run: facts.Facts
    timing: facts.Facts
    comparisons: list[Comparison]
    notes: list[str]
    attempts: list[str]
    warnings: list[str]
    libraries: list[str]
    command: str


def make(scope: Scope) -> Section:
    """Return the details of every cell of the one model."""
    cells = [_make_cell(number, record) for number, record in enumerate(scope.records, start=1)]
    return Section("exports", "Exports", template="exports.html.j2", data=cells)


def _make_cell(number: int, record: Record) -> Cell:
    return Cell(
        anchor=f"cell-{number}",
        row=make_row(record),
        title=plain(format_title(record["format"])),
        reason="" if record["status"] == "passed" else plain(reason(record)),
        note=fixed_note(record),
        artifact=facts.artifact_facts(record),
        run=facts.run_facts(record),
        timing=facts.timing_facts(record),
        comparisons=[_make_comparison(c) for c in record["comparisons"] or []],
        notes=[plain(note) for note in record["notes"] or []],
        attempts=attempt_lines(record),
        warnings=[plain(warning) for warning in record["warnings"] or []],
        libraries=[plain(library) for library in record["mapped_libraries"] or []],
        command=plain(record["command"] or ""),
    )


def _make_comparison(found: dict[str, Any]) -> Comparison:
    case = found.get("case")
    return Comparison(
        case="all cases pooled" if case == "*" else plain(case),
        output=plain(found.get("output")),
        passed=found.get("passed") is True,
        limit=format_limit(found.get("error_ratio"), found.get("threshold")),
        limit_max=format_limit(found.get("error_ratio_max"), found.get("threshold_max")),
        unstable=_count(found.get("unstable")),
        elements=_count(found.get("elements")),
        detail=plain(found.get("detail") or ""),
    )


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""
