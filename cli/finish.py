"""What every subcommand that judges or measures does last: records, reports, table, exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from shipworthy.report.records import RECORDS, Record, read_records
from shipworthy.report.summary import SUMMARY
from shipworthy.report.table import print_table
from shipworthy.report.write import write_reports
from shipworthy.serve.folder import Cell, FolderError
from shipworthy.serve.records import collect, write_records


def finish(out: Path, cells: Sequence[Cell], *, as_json: bool, again: bool = False) -> None:
    """Write the records and reports, show the cells, and exit 1 unless every one passed.

    Parameters
    ----------
    again : the pages are written even where the records are as they were.
    """
    paths = write_out(out, cells, again=again)
    records = {(r["framework"], r["format"]): r for r in read_records(out / RECORDS)}
    shown = [records[cell] for cell in cells]
    if as_json:
        click.echo((out / SUMMARY).read_text(), nl=False)
    else:
        print_table(shown, Console(highlight=False), str(out))
        tell_paths(paths)
    exit_by(shown)


def write_out(out: Path, cells: Sequence[Cell], *, again: bool) -> list[Path]:
    """Write the records and reports of a model's folder; return the reports' paths."""
    if not cells:
        raise FolderError(f"{out} was asked for no cell; `shipworthy export MODEL --out {out}`")
    changed = write_records(out, collect(out))
    return write_reports(out, changed=changed or again)


def tell_paths(paths: Sequence[Path]) -> None:
    """Tell on stderr what was written."""
    for path in paths:
        print(path, file=sys.stderr)


def exit_by(records: Sequence[Record]) -> None:
    """Exit 1 unless every cell passed."""
    if any(record["status"] != "passed" for record in records):
        sys.exit(1)
