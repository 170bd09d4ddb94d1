"""The ledger for people: a table on a terminal, and ``claims.md``."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shipworthy.report.claims.ledger import Entry
from shipworthy.report.units import plain

_STYLES = {
    "SUPPORTED": "green", "REFUTED": "red", "MIXED": "yellow", "INCONCLUSIVE": "yellow",
    "NOT TESTED": "dim", "NOT TESTABLE": "dim",
}  # fmt: skip
_WIDE = 100  # columns that a table of five needs
_FILE = 160  # columns in a file or a pipe, whose width nobody knows


def print_ledger(entries: Sequence[Entry], console: Console) -> None:
    """Print one row a claim: number, claim, verdict, effect and what it means.

    Lines are folded, never cut; on a narrow terminal the claims stand one under another.
    """
    if not console.is_terminal:
        console.width = _FILE
    if console.width < _WIDE:
        for entry in entries:
            console.print(_stacked(entry))
        return
    table = Table(box=box.SIMPLE_HEAD, show_lines=True)
    table.add_column("#", justify="right")
    table.add_column("Claim", ratio=4, overflow="fold")
    table.add_column("Verdict", no_wrap=True)
    table.add_column("Effect [99 % interval]", ratio=3, overflow="fold")
    table.add_column("What it means today", ratio=4, overflow="fold")
    for entry in entries:
        verdict = Text(entry.finding.verdict, style=_STYLES[entry.finding.verdict])
        table.add_row(
            str(entry.claim.number), _text(entry.claim.claim), verdict, _text(_effect(entry)),
            _text(entry.finding.meaning),
        )  # fmt: skip
    console.print(table)


def _stacked(entry: Entry) -> Text:
    text = Text(f"{entry.claim.number}. ", style="bold")
    text.append(plain(entry.claim.claim), style="not bold")
    text.append(f"\n{entry.finding.verdict}", style=_STYLES[entry.finding.verdict])
    text.append(f"  {plain(_effect(entry))}\n{plain(entry.finding.meaning)}\n", style="not bold")
    return text


def _text(value: str) -> Text:
    return Text(plain(value))


def _effect(entry: Entry) -> str:
    effect = entry.finding.effect
    return f"{effect}: {effect.unit}" if effect else "-"


def make_markdown(entries: Sequence[Entry]) -> str:
    """Return the ledger in GitHub's Markdown."""
    lines = [
        "# What people say of the two frameworks, tested",
        "",
        *(_fold(_origin(entries))),
        "",
        "| # | Claim | Verdict | Effect [99 % interval] |",
        "|--:|---|---|---|",
    ]
    lines += [
        f"| {e.claim.number} | {_cell(e.claim.claim)} | **{e.finding.verdict}** "
        f"| {_cell(_effect(e))} |"
        for e in entries
    ]
    for entry in entries:
        lines += ["", *_section(entry)]
    return "\n".join(lines) + "\n"


def _origin(entries: Sequence[Entry]) -> str:
    """Tell in which mode, when and on what machine the evidence was made."""
    found = {one.experiment: one for entry in entries for one in entry.evidence}.values()
    if not found:
        return "No experiment was run."
    modes = " and ".join(dict.fromkeys(one.mode for one in found))
    days = sorted({one.started_at[:10] for one in found})
    machines = {f"{one.machine.get('cpu')}, {one.machine.get('cores')} cores" for one in found}
    return (
        f"Evidence of mode {modes}, made {' to '.join(dict.fromkeys((days[0], days[-1])))} on "
        f"{'; '.join(sorted(machines))}. It speaks of the models, "
        "versions and machine in the evidence, not of the frameworks at large."
    )


def _section(entry: Entry) -> list[str]:
    claim, finding = entry.claim, entry.finding
    lines = [
        f"## {claim.number}. {finding.verdict}",
        "",
        f"> {_cell(claim.claim)}",
        "",
        f"**Today:** {_cell(finding.meaning)}",
        "",
    ]
    if finding.parts:
        lines += ["| Part | Verdict | Found |", "|---|---|---|"]
        lines += [
            f"| {_cell(part.title)}{'' if part.decides else ' (beside)'} | {part.verdict} "
            f"| {_cell(part.told)} |"
            for part in finding.parts
        ]
        lines.append("")
    lines += [f"- {_cell(reason)}" for reason in finding.reasons]
    lines += [""] * bool(finding.reasons)
    links = ", ".join(f"[{_cell(title)}]({path})" for title, path in entry.links)
    lines += [
        f"*Measured:* {_cell(claim.measurable)}",
        "",
        f"*Rule:* {_cell(claim.rule)}",
        "",
        f"*Evidence:* {links or 'none'}",
    ]
    return [line for text in lines for line in (_fold(text) if text else [""])]


def _fold(line: str) -> list[str]:
    """Fold prose to 100 columns; a table's row must stay whole."""
    if line.startswith("|"):
        return [line]
    indent = {">": "> ", "-": "  "}.get(line[0], "")
    return textwrap.wrap(
        line, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _cell(text: str) -> str:
    """Return text on one line that Markdown does not take for its own marks."""
    line = " ".join(plain(text).split())
    for mark in ("\\", "|", "*", "<"):
        line = line.replace(mark, f"\\{mark}")
    return line
