"""The table of ``shipworthy python``: every way beside the Python-free run, cell by cell."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shipworthy.report.units import UNKNOWN, format_bytes, format_ns, format_ratio
from shipworthy.serve.python.ways import PACKAGE, TITLES
from shipworthy.serve.stats import estimate

RATIO = "× Python-free"  # noqa: RUF001  the multiplication sign
_STYLES = {"faster": "green", "slower": "red", "same": "", "inconclusive": "yellow"}
_ASCII = str.maketrans({"µ": "u", "×": "x", UNKNOWN: "-"})  # noqa: RUF001  as people write it


def print_python(cells: Sequence[tuple[str, Mapping[str, Any]]], console: Console) -> None:
    """Print one table a cell.

    Parameters
    ----------
    cells : name, and what its ``measurements/python.json`` says.
    """
    for name, measured in cells:
        data = measured["data"]
        rows = [_row(way) for way in data["ways"]]
        table = Table(box=box.SIMPLE_HEAD, title=_plain(name, console), title_justify="left")
        for title in ("Way", "p50", "99 % interval", RATIO, "99 % interval", "", "Processor", RATIO,
                      "99 % interval", "Peak memory", "First run", "Cold start"):  # fmt: skip
            table.add_column(
                _plain(title, console), justify="left" if title in ("Way", "") else "right",
                no_wrap=True,
            )  # fmt: skip
        for row in rows:
            cells_ = [Text(_plain(cell, console)) for cell in row]
            cells_[5].stylize(_STYLES.get(row[5], ""))
            table.add_row(*cells_)
        _print(table, console)
        for reason in measured["reasons"]:
            console.print(Text(f"INVALID: {reason}", style="bold red"), soft_wrap=True)
        _print_footer(data, console)


def _row(way: Mapping[str, Any]) -> list[str]:
    pooled = [ns for run in way["latencies_ns"] for ns in run]
    p50 = estimate(pooled, 50)
    return [
        _title(way),
        format_ns(p50.value if p50 else None),
        _between(format_ns(p50.low), format_ns(p50.high)) if p50 else UNKNOWN,
        *_ratio(way["ratio"]),
        way["decision"] or "",
        format_ns(statistics.median(way["cpu_ns"])),
        *_ratio(way["cpu_ratio"]),
        format_bytes(statistics.median(way["peak_rss_bytes"])),
        format_ns(statistics.median(way["first_ns"])),
        format_ns(statistics.median(way["cold_start_ns"])),
    ]


def _ratio(ratio: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return a ratio and its interval."""
    if ratio is None or ratio["low"] is None:
        return format_ratio(ratio["value"] if ratio else None), UNKNOWN
    return format_ratio(ratio["value"]), _between(
        format_ratio(ratio["low"]), format_ratio(ratio["high"])
    )


def _title(way: Mapping[str, Any]) -> str:
    title = TITLES[way["way"]]
    return f"original, {title}" if (way["way"], way["of"]) == (PACKAGE, "original") else title


def _between(low: str, high: str) -> str:
    return f"{low} to {high}"


def _print_footer(data: Mapping[str, Any], console: Console) -> None:
    aa = data["aa"]
    if aa["value"] is None or aa["low"] is None:
        told = f"A/A: {aa['reason']}"
    else:
        told = f"A/A {aa['value']:.3f} ({aa['low']:.3f} to {aa['high']:.3f})"
        told += ": fit" if aa["fit"] else ": UNFIT, no comparison of this session is to be believed"
    threads = f"{data['threads']} thread{'s' if data['threads'] > 1 else ''}"
    console.print(Text(f"{told}. Batch {data['batch']}, {threads}."), soft_wrap=True)
    packages = [f"{_title(way)}: {way['package']}" for way in data["ways"]]
    console.print(Text("; ".join(packages) + "."), soft_wrap=True)
    for way in data["ways"]:
        if way["note"]:
            console.print(Text(f"{_title(way)}: {way['note']}"), soft_wrap=True)
    for lost in data["unavailable"]:
        told = f"{_title(lost)} is unavailable: {lost['reason']}"
        console.print(Text(told, style="yellow"), soft_wrap=True)
    console.print()


def _print(table: Table, console: Console) -> None:
    if console.is_terminal:
        console.print(table)
        return
    # To a file nothing is wrapped.
    wide = Console(file=console.file, width=1000, highlight=False)
    with wide.capture() as captured:
        wide.print(table)
    console.file.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def _plain(text: str, console: Console) -> str:
    return text.translate(_ASCII) if not console.encoding.startswith("utf") else text
