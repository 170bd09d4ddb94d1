"""What every subcommand that judges or measures does last: records, reports, table, exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from shipworthy.report.records import RECORDS, read_records
from shipworthy.report.summary import SUMMARY
from shipworthy.report.table import print_table
from shipworthy.report.write import write_reports
from shipworthy.serve.folder import Cell, FolderError
from shipworthy.serve.records import collect, write_records


def finish(out: Path, cells: Sequence[Cell], *, as_json: bool) -> None:
    """Write the records and reports, show the cells, and exit 1 unless every one passed."""
    if not cells:
        raise FolderError(f"{out} was asked for no cell; `shipworthy export MODEL --out {out}`")
    changed = write_records(out, collect(out))
    paths = write_reports(out, changed=changed)
    records = {(r["framework"], r["format"]): r for r in read_records(out / RECORDS)}
    shown = [records[cell] for cell in cells]
    if as_json:
        click.echo((out / SUMMARY).read_text(), nl=False)
    else:
        print_table(shown, Console(highlight=False), str(out))
        for path in paths:
            print(path, file=sys.stderr)
    if any(record["status"] != "passed" for record in shown):
        sys.exit(1)
