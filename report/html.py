"""``report.html``: one file that opens offline, in light and dark, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from shipworthy.report import facts
from shipworthy.report.attempts import attempt_lines
from shipworthy.report.plots import draw_plots
from shipworthy.report.records import Record, format_title, reason
from shipworthy.report.rows import Row, describe_setting, fixed_note, headline, make_row, task_title
from shipworthy.report.units import format_bytes, format_limit, format_ns, plain
from shipworthy.serve import stats


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


@dataclass(frozen=True)
class Highlight:
    """The best passing cell by one measure."""

    title: str
    value: str
    cell: Cell


def make_html(records: Sequence[Record]) -> str:
    """Return the whole page; every text of a record is escaped, none of it is trusted."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    cells = [_make_cell(number, record) for number, record in enumerate(records, start=1)]
    template = environment.from_string(_read("report.html.j2"))
    page: str = template.render(
        model=plain(records[0]["model"]),
        headline=headline(records),
        passed=all(record["status"] == "passed" for record in records),
        setting=describe_setting(records),
        task=task_title(records),
        when=facts.describe_time(records),
        style=Markup(_read("report.css")),  # noqa: S704  our own file
        cells=cells,
        frameworks=list(dict.fromkeys(cell.row.framework for cell in cells)),
        formats=list(dict.fromkeys(cell.row.format for cell in cells)),
        titles={cell.row.format: cell.title for cell in cells},
        highlights=_highlights(records, cells),
        plots=[(plot, Markup(plot.svg)) for plot in draw_plots(records)],  # noqa: S704  escaped there
        machine=facts.machine_facts(records),
        versions=facts.version_facts(records),
        yardsticks={record["yardstick"] for record in records},
        needed={p: stats.needed_runs(p) for p in stats.PERCENTILES},
        confidence=f"{100 * stats.CONFIDENCE:.0f} %",
    )
    return page


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
            found.append(Highlight(title, show(best), cells[number]))
    return found


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else ""


def _read(name: str) -> str:
    return (files("shipworthy.report") / name).read_text(encoding="utf-8")
