"""A comparison of two runs as text: for a terminal and for a pull request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from shipworthy.report.comparing import Comparison, Pair, cell_key, changes
from shipworthy.report.markdown import escape, table_lines
from shipworthy.report.sections.section import Table
from shipworthy.report.table import natural_width, print_wide
from shipworthy.report.units import (
    UNKNOWN,
    format_bytes,
    format_ns,
    format_ratio,
    plain,
)
from shipworthy.serve.contrast import MARGIN

_HEAD = (
    "Cell", "Verdict", ">p50", ">Ratio", "Speed", ">Error ratio", ">Size", ">Peak memory",
    ">Cold start",
)  # fmt: skip
_LEAST = 5  # columns that every terminal gets
_SHOW: dict[str, Callable[[float | None], str]] = {
    "p50_ns": format_ns, "error_ratio": format_ratio, "size_bytes": format_bytes,
    "peak_rss_bytes": format_bytes, "cold_start_ns": format_ns,
}  # fmt: skip
_STYLES = {"faster": "green", "slower": "bold red", "inconclusive": "yellow"}


def print_comparison(found: Comparison, percent: float | None, console: Console) -> None:
    """Print the environments' differences, a row for each cell, and the verdict."""
    for line in _differences(found):
        console.print(Text(line, style="yellow"), soft_wrap=True)
    if found.pairs:
        _print_table(comparison_table(found), console)
        console.print()
    for line in (*_lonely(found), *(f"FAILED {line}" for line in found.failures(percent))):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(summary_line(found), style="bold"), soft_wrap=True)


def _print_table(table: Table, console: Console) -> None:
    """Print a table; a terminal too narrow for all columns gets the first ones."""
    for count in range(len(table.head), 0, -1):
        shown = RichTable(
            box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False
        )
        for title in table.head[:count]:
            justify: JustifyMethod = "right" if title.startswith(">") else "left"
            shown.add_column(title.removeprefix(">"), justify=justify, no_wrap=True)
        for row in table.rows:
            shown.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in row[:count]))
        width = natural_width(shown, console)
        if not console.is_terminal or width <= console.width or count <= _LEAST:
            print_wide(console, shown, width=width)
            return


def make_comparison_markdown(found: Comparison, percent: float | None) -> str:
    """Return the comparison for a pull request."""
    failures = found.failures(percent)
    parts = [
        f"# {summary_line(found)}",
        "\n".join(f"- **{escape(line)}**" for line in failures),
        "\n".join(f"- {escape(line)}" for line in _differences(found)),
        table_lines(comparison_table(found)) if found.pairs else "",
        "\n".join(f"- {escape(line)}" for line in _lonely(found)),
        "Ratio: median latency of the second over the first, with its bootstrap interval at 99 % "
        f"over fresh processes. Faster or slower: all of the interval is beyond {MARGIN:.0%}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def comparison_table(found: Comparison) -> Table:
    """Return a row for each cell that both runs have; ``a → b`` where a figure changed."""
    several = len({pair.model for pair in found.pairs}) > 1
    rows = [_row(pair, several) for pair in found.pairs]
    return Table("", _HEAD, rows)


def summary_line(found: Comparison) -> str:
    """Return one sentence: how many cells are faster, slower, the same, or not told apart."""
    count = len(found.pairs)
    if not count:
        return "The two have no cell in common."
    kinds: Counter[str] = Counter(pair.verdict or "not timed in both" for pair in found.pairs)
    names = ("faster", "slower", "same", "inconclusive", "not timed in both")
    told = ", ".join(f"{kinds[name]} {name}" for name in names if kinds[name])
    broken = sum(pair.broken for pair in found.pairs)
    more = f"; {broken} no longer pass{'es' if broken == 1 else ''}" if broken else ""
    cells = f"{count} cell{'' if count == 1 else 's'} in both"
    note = " (on another CPU)" if found.other_machine else ""
    return f"{cells}: {told}{more}{note}."


def _row(pair: Pair, several: bool) -> Sequence[str]:
    name = cell_key(pair.second)
    first, second = pair.first["status"], pair.second["status"]
    figures = {name: _change(a, b, _SHOW[name]) for name, (a, b) in changes(pair).items()}
    ratio = pair.ratio
    interval = UNKNOWN if ratio.value is None else f"{ratio.value:.3f}"
    if ratio.low is not None and ratio.high is not None:
        interval += f" ({ratio.low:.3f} to {ratio.high:.3f})"
    if pair.first["route"] != pair.second["route"]:
        name += f" ({plain(pair.first['route'])} → {plain(pair.second['route'])})"
    return (
        f"{pair.model} {name}" if several else name,
        second if first == second else f"{first} → {second}",
        figures["p50_ns"],
        interval,
        pair.verdict or UNKNOWN,
        figures["error_ratio"],
        figures["size_bytes"],
        figures["peak_rss_bytes"],
        figures["cold_start_ns"],
    )


def _change(first: float | None, second: float | None, show: Callable[[float | None], str]) -> str:
    a, b = show(first), show(second)
    return b if a == b else f"{a} → {b}"


def _differences(found: Comparison) -> list[str]:
    lines = [f"Not the same: {name}: {a} → {b}" for name, a, b in found.differences]
    if found.other_machine:
        lines.append("Another CPU: the ratios are of machines too.")
    return lines + [
        f"Latencies of the {place} {told}"
        for place, told in zip(("first", "second"), found.doubts, strict=True)
        if told
    ]


def _lonely(found: Comparison) -> list[str]:
    return [
        f"Only in the {place}: {plain(model)} {cell_key(record)} ({record['status']})"
        for place, cells in (("first", found.only_first), ("second", found.only_second))
        for model, record in cells
    ]
