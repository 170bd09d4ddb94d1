"""The table that ends an export, on stdout."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from shipworthy.report.doubts import latency_doubts
from shipworthy.report.records import Record, cell_name, reason
from shipworthy.report.rows import Row, describe_setting, fixed_note, headline, make_row
from shipworthy.report.units import UNKNOWN, plain

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}
_ASCII = str.maketrans({"µ": "u", "≤": "<=", UNKNOWN: "-"})
_TWO_LINE_WIDTH = 78
_Column = tuple[str, JustifyMethod, Callable[[Row], str]]
# The first two are what a route begins and ends with.
_COLUMNS: tuple[_Column, ...] = (
    ("Framework", "left", lambda row: row.framework),
    ("Format", "left", lambda row: row.format),
    ("Route", "left", lambda row: row.route),
    ("Size", "right", lambda row: row.size),
    ("Verdict", "left", lambda row: row.status),
    ("Error ratio", "right", lambda row: row.limit),
    ("Runtime", "left", lambda row: row.runtime),
    ("p50", "right", lambda row: row.p50),
    ("p90", "right", lambda row: row.p90),
    ("Cold start", "right", lambda row: row.cold_start),
    ("Peak memory", "right", lambda row: row.peak),
)


def print_table(records: Sequence[Record], console: Console, out: str = "") -> None:
    """Print one row a cell, then why cells failed, then the verdict.

    A terminal too narrow for the full table gets one without the columns that the route repeats,
    then one with two lines a row, then a small block a cell. A file or a pipe gets the full table,
    without colour and however wide it is.

    Parameters
    ----------
    out : the model's folder, for the command that explains a cell; empty tells none.
    """
    rows = [make_row(record) for record in records]
    _print_rows(rows, console)
    console.print()
    _print_footer(records, console, out)


def _print_rows(rows: Sequence[Row], console: Console) -> None:
    full, compact = _table(rows, _COLUMNS, console), _table(rows, _COLUMNS[2:], console)
    # To a file nothing is wrapped, and rich's guess of 80 columns means nothing.
    for table in (full, compact):
        width = natural_width(table, console)
        if not console.is_terminal or width <= console.width:
            print_wide(console, table, width=width)
            return
    if console.width >= _TWO_LINE_WIDTH:
        print_wide(console, _two_line_table(rows, console))
        return
    for row in rows:
        _print_block(row, console)


def print_overview(models: Sequence[Sequence[Record]], console: Console, folder: str = "") -> None:
    """Print a line for each model, a line for each cell that does not pass, then the verdict.

    Parameters
    ----------
    folder : the folder of the models' folders, for the command that explains a cell.
    """
    wide = max(len(plain(records[0]["model"])) for records in models)
    for records in models:
        passed = all(record["status"] == "passed" for record in records)
        style = "green" if passed else "bold red"
        name = plain(records[0]["model"])
        line = Text.assemble(f"{name:<{wide}}  ", (headline(records), style))
        print_wide(console, line, wrap=console.is_terminal)
        for record in records:
            if record["status"] != "passed":
                told = f"  {record['status']} {plain(cell_name(record))}: {plain(reason(record))}"
                print_wide(console, _text(told, console), wrap=console.is_terminal)
    console.print()
    every = [record for records in models for record in records]
    passed = all(record["status"] == "passed" for record in every)
    told = f"{len(models)} model{'' if len(models) == 1 else 's'}. {headline(every)}"
    if not passed and folder:
        told += f" Why: shipworthy explain {folder}/MODEL/FRAMEWORK/FORMAT"
    verdict = Text(told, style="bold green" if passed else "bold red")
    print_wide(console, verdict, wrap=console.is_terminal)


def _table(rows: Sequence[Row], columns: Sequence[_Column], console: Console) -> Table:
    table = _new_table()
    for title, justify, _ in columns:
        table.add_column(title, justify=justify, no_wrap=True)
    for row in rows:
        cells = [_text(read(row), console) for _, _, read in columns]
        for cell in cells:
            if cell.plain == row.status:
                cell.stylize(_STYLES[row.status])
        table.add_row(*cells)
    return table


def _two_line_table(rows: Sequence[Row], console: Console) -> Table:
    table = _new_table()
    table.add_column("Route\n  runtime", ratio=1, overflow="fold")
    table.add_column("Verdict\nerror ratio", no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("p50\np90", justify="right", no_wrap=True)
    table.add_column("Cold\nstart", justify="right", no_wrap=True)
    table.add_column("Peak\nmemory", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            _text(f"{row.route}\n  {row.runtime}", console),
            Text.assemble(_verdict(row), "\n", _text(row.ratio, console)),
            _text(row.size, console),
            _text(f"{row.p50}\n{row.p90}", console),
            _text(row.cold_start, console),
            _text(row.peak, console),
        )
    return table


def _print_block(row: Row, console: Console) -> None:
    print_wide(console, Text.assemble((row.route, "bold"), "  ", _verdict(row)))
    known = [
        (f"{label} {value}").strip()
        for label, value in (
            ("error ratio", row.limit),
            ("", row.runtime),
            ("", row.size),
            ("p50", row.p50),
            ("p90", row.p90),
            ("cold start", row.cold_start),
            ("peak memory", row.peak),
        )
        if value != UNKNOWN
    ]
    for line in _fill(known, console.width - 2):
        print_wide(console, _text(f"  {line}", console))


def _print_footer(records: Sequence[Record], console: Console, out: str) -> None:
    # Long reasons are one line each in a file, where `grep` finds them whole.
    for record in records:
        name = plain(cell_name(record))
        if record["status"] != "passed":
            style = _STYLES[record["status"]]
            line = Text.assemble((record["status"], style), f" {name}: {plain(reason(record))}")
            print_wide(console, line, wrap=console.is_terminal)
            if record["status"] == "failed" and out:
                cell = f"{out}/{record['framework']}/{record['format']}"
                told = f"  explain: {shlex.join(['shipworthy', 'explain', plain(cell)])}"
                print_wide(console, _text(told, console), wrap=False)
            if record["status"] == "failed" and record["command"]:
                # Never wrapped, so that it can be copied.
                command = " ".join(plain(record["command"]).split())
                print_wide(console, _text(f"  reproduce: {command}", console), wrap=False)
        elif note := fixed_note(record):
            print_wide(console, _text(f"note {name}: {note}", console), wrap=console.is_terminal)
    if told := latency_doubts(records):
        line = _text(f"note: latencies {told}", console)
        print_wide(console, line, wrap=console.is_terminal)
    setting = describe_setting(records)
    timed = f" Latency at {setting}." if setting else ""
    passed = all(record["status"] == "passed" for record in records)
    verdict = Text(headline(records), style="bold green" if passed else "bold red")
    print_wide(console, Text.assemble(verdict, timed), wrap=console.is_terminal)


def _new_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)


def _verdict(row: Row) -> Text:
    return Text(row.status, style=_STYLES[row.status])


def _text(value: str, console: Console) -> Text:
    """Return text that is not markup, in ASCII where the terminal knows no more."""
    return Text(value.translate(_ASCII) if console.options.ascii_only else value)


def _fill(parts: Sequence[str], width: int) -> list[str]:
    """Join parts by commas into lines no wider than `width`, breaking only between parts."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= width:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines


def natural_width(table: Table, console: Console) -> int:
    """Return how wide a table is when nothing in it is wrapped."""
    return Measurement.get(console, console.options.update(max_width=1000), table).maximum


def print_wide(
    console: Console, what: Table | Text, *, width: int | None = None, wrap: bool = True
) -> None:
    """Print what may be wider than the console believes it is, such as a table into a pipe."""
    if width is None or width <= console.width:
        console.print(what, soft_wrap=not wrap, highlight=False)
        return
    narrow, console.width = console.width, width
    try:
        console.print(what, highlight=False)
    finally:
        console.width = narrow
