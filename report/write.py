"""Writes the reports beside the records they are made of."""

from __future__ import annotations

from pathlib import Path

from shipworthy.convert.artifact import write_text
from shipworthy.report.records import RECORDS, read_records
from shipworthy.report.scope import of_one
from shipworthy.report.summary import SUMMARY, write_summary

MARKDOWN = "report.md"
HTML = "report.html"


def write_reports(out: Path, *, changed: bool = True) -> list[Path]:
    """Write ``summary.json``, ``report.md`` and ``report.html`` into a model's folder.

    Each appears by rename. The summary comes first, so that a CI has it whatever else happens. The
    records are only read.

    Parameters
    ----------
    changed : the records are new; if not, pages that are there stay as they are.

    Raises
    ------
    RecordsError : no records, or not what the pipeline writes.
    SummaryError : the records make a summary that its schema refuses.
    """
    records = read_records(out / RECORDS)
    written = [write_summary(records, out / SUMMARY)]
    pages = [out / MARKDOWN, out / HTML]
    if changed or not all(page.exists() for page in pages):
        # Here, because drawing takes longer than all else of a repeat with nothing changed.
        from shipworthy.report.html import make_html
        from shipworthy.report.markdown import make_markdown

        write_text(pages[0], make_markdown(records))
        write_text(pages[1], make_html(of_one(records, str(out))))
    return [*written, *pages]
