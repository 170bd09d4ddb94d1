"""Writes the reports beside the records they are made of."""

from __future__ import annotations

from pathlib import Path

from shipworthy.convert.artifact import write_text
from shipworthy.report.records import RECORDS, read_records
from shipworthy.report.summary import SUMMARY, write_summary

MARKDOWN = "report.md"
HTML = "report.html"


def write_reports(out: Path) -> list[Path]:
    """Write ``summary.json``, ``report.md`` and ``report.html`` into a model's folder.

    Each appears by rename. The summary comes first, so that a CI has it whatever else happens. The
    records are only read.

    Raises
    ------
    RecordsError : no records, or not what the pipeline writes.
    SummaryError : the records make a summary that its schema refuses.
    """
    # Here, because a repeat with nothing changed writes the summary alone.
    from shipworthy.report.html import make_html
    from shipworthy.report.markdown import make_markdown

    records = read_records(out / RECORDS)
    written = [write_summary(records, out / SUMMARY)]
    for name, make in ((MARKDOWN, make_markdown), (HTML, make_html)):
        write_text(out / name, make(records))
        written.append(out / name)
    return written
