"""Writes the reports beside the records they are made of."""

from __future__ import annotations

from pathlib import Path

from shipworthy.convert.artifact import write_text
from shipworthy.report.records import RECORDS, read_records
from shipworthy.report.scope import Scope
from shipworthy.report.summary import SUMMARY, write_summary

MARKDOWN = "report.md"
HTML = "report.html"
JSON = "report.json"
CSV = "report.csv"
PAGES = (MARKDOWN, HTML, JSON, CSV)


def write_reports(out: Path, *, changed: bool = True) -> list[Path]:
    """Write ``summary.json``, the pages and the event files into a model's folder.

    Each appears by rename. The summary comes first, so that a CI has it whatever else happens. The
    records are only read.

    Parameters
    ----------
    changed : the records are new; if not, pages that are there stay as they are.

    Raises
    ------
    RecordsError : no records, or not what the pipeline writes.
    SummaryError : the records make a summary that its schema refuses.
    LedgerError : the claims beside the model are not what shipworthy writes.
    """
    records = read_records(out / RECORDS)
    written = [write_summary(records, out / SUMMARY)]
    pages = [out / page for page in PAGES]
    if changed or not all(page.exists() for page in pages):
        # Here, because drawing takes longer than all else of a repeat with nothing changed.
        from shipworthy.report.tensorboard import write_events
        from shipworthy.report.zoo import read_model

        scope = read_model(out, records)
        _write_pages(scope, out)
        write_events(scope, out)
    return [*written, *pages]


def write_zoo(folder: Path) -> list[Path]:
    """Write the pages of all models inside a folder, from their records.

    Raises
    ------
    WrongUsageError : no model's folder is inside.
    RecordsError, LedgerError : what lies there is not what shipworthy writes.
    """
    from shipworthy.report.zoo import read_zoo

    _write_pages(read_zoo(folder), folder)
    return [folder / page for page in PAGES]


def _write_pages(scope: Scope, folder: Path) -> None:
    from shipworthy.report.cells_csv import make_csv
    from shipworthy.report.full_json import make_json
    from shipworthy.report.html import make_html
    from shipworthy.report.markdown import make_markdown

    makers = (make_markdown, make_html, make_json, make_csv)
    for name, make in zip(PAGES, makers, strict=True):
        write_text(folder / name, make(scope))
