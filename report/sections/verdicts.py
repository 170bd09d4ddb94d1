"""The verdict matrix, and what is best among what passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shipworthy.report.records import Record, format_title, reason
from shipworthy.report.rows import Row, describe_setting, make_row, task_title
from shipworthy.report.scope import Scope, cell_label
from shipworthy.report.sections.section import Section
from shipworthy.report.units import format_bytes, format_ns, plain
from shipworthy.serve import stats


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix; `address` is where it is told in full."""

    row: Row
    title: str
    label: str
    reason: str
    address: str


@dataclass(frozen=True)
class Highlight:
    """The best passing cell by one measure."""

    title: str
    value: str
    label: str
    address: str


@dataclass(frozen=True)
class Line:
    """One line of the matrix: a framework of a model, with its cells by format."""

    model: str
    page: str
    framework: str
    cells: dict[str, list[Cell]]


@dataclass(frozen=True)
class Matrix:
    """What the matrix and the table of figures show."""

    formats: dict[str, str]
    lines: Sequence[Line]
    cells: Sequence[Cell]
    highlights: Sequence[Highlight]
    setting: str
    task: str
    whole: bool


def make(scope: Scope) -> Section:
    """Return the verdicts of every cell."""
    lines, cells = [], []
    for model in scope:
        made = [
            _make_cell(r, f"{model.page}#cell-{n}") for n, r in enumerate(model.records, start=1)
        ]
        cells += made
        for framework in dict.fromkeys(cell.row.framework for cell in made):
            mine = [cell for cell in made if cell.row.framework == framework]
            by_format: dict[str, list[Cell]] = {}
            for cell in mine:
                by_format.setdefault(cell.row.format, []).append(cell)
            lines.append(Line(model.name, model.page, framework, by_format))
    records = scope.records
    formats = {plain(r["format"]): plain(format_title(r["format"])) for r in records}
    return Section(
        "verdicts",
        "Verdicts",
        template="verdicts.html.j2",
        data=Matrix(
            formats,
            lines,
            cells,
            [] if scope.whole else _highlights(records, cells),
            describe_setting(records),
            task_title(records),
            scope.whole,
        ),
    )


def _make_cell(record: Record, address: str) -> Cell:
    return Cell(
        row=make_row(record),
        title=plain(format_title(record["format"])),
        label=cell_label(record),
        reason="" if record["status"] == "passed" else plain(reason(record)),
        address=address,
    )


def _highlights(records: Sequence[Record], cells: Sequence[Cell]) -> list[Highlight]:
    """Return the best cell by each measure that at least two passing cells have."""
    measures = (
        ("Lowest median latency", lambda r: stats.percentiles(r["latencies_ns"] or [])[50],
         format_ns),
        ("Shortest cold start", lambda r: stats.median(r["cold_starts_ns"] or []), format_ns),
        ("Lowest peak memory", lambda r: r["peak_rss_bytes"], format_bytes),
        ("Smallest artifact", lambda r: r["size_bytes"], format_bytes),
    )  # fmt: skip
    found = []
    for title, read, show in measures:
        known = [
            (value, number)
            for number, record in enumerate(records)
            if record["status"] == "passed" and (value := read(record)) is not None
        ]
        if len(known) > 1:
            best, number = min(known)
            cell = cells[number]
            found.append(Highlight(title, show(best), cell.label, cell.address))
    return found
