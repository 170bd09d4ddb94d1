"""``report.md``: the same verdicts and figures for a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shipworthy.report import facts
from shipworthy.report.attempts import attempt_lines
from shipworthy.report.doubts import latency_doubts
from shipworthy.report.records import Record, cell_name, format_title, reason
from shipworthy.report.rows import describe_setting, fixed_note, headline, make_row, task_title
from shipworthy.report.scope import Scope
from shipworthy.report.sections import cold_start, memory, python_cost, scaling, scenarios
from shipworthy.report.sections.ledger import describe_effect
from shipworthy.report.sections.section import Table
from shipworthy.report.units import UNKNOWN, plain

_MARKS = {"passed": "✅ passed", "failed": "❌ failed", "skipped": "⚠️ skipped"}
_COLUMNS = (
    "Framework", "Format", "Route", "Verdict", ">Error ratio", "Runtime", ">Size", ">p50", ">p90",
    ">Cold start", ">Peak memory",
)  # fmt: skip
_MEASURED = (
    ("Cold start", cold_start.tables_of),
    ("Memory and footprint", memory.tables_of),
    ("What Python costs", python_cost.tables_of),
    ("Threads, batches, sustained", scaling.tables_of),
    ("Scenarios", scenarios.tables_of),
)


def make_markdown(scope: Scope) -> str:
    """Return the report in GitHub's Markdown; every text of a record is escaped.

    What everybody has to see comes first and is short; the rest is folded. Of several models the
    measurements are left to each model's own: a comment on GitHub ends at 65,536 characters.
    """
    records = scope.records
    parts = [
        f"# {escape(scope.title)}: {headline(records)}",
        table_lines(_matrix(scope) if scope.whole else _figures(records)),
        *_failures(scope),
        *_doubts(scope),
        *([] if scope.whole else _notes(records)),
        *([_fold("Every figure", [_figures(m.records) for m in scope])] if scope.whole else []),
        *(
            _fold(title, [table for model in scope for table in tables_of(model)])
            for title, tables_of in ([] if scope.whole else _MEASURED)
        ),
        _ledger(scope),
        _listed("Other routes", _attempts(records)),
        _listed(
            "Not the same in all cells",
            facts.differences([(model.name, r) for model in scope for r in model.records]),
        ),
        _listed("Machine", facts.machine_facts(records)),
        _listed("Versions", facts.version_facts(records)),
        _introduction(records),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(records: Sequence[Record]) -> str:
    setting, when = describe_setting(records), facts.describe_time(records)
    text = (
        "Each export ran in the Python-free process that would ship it and was compared with the "
        "untouched original there. An error ratio of 1 is the original's own rounding error."
    )
    if setting:
        text += f" Latency is measured at {setting}."
    text += " Comparisons, plots and every setting are in `report.html`."
    return f"{text} {when}".strip()


def _figures(records: Sequence[Record]) -> Table:
    rows = []
    for record in records:
        row = make_row(record)
        task = row.task_original and f"({row.task_original})"
        rows.append((
            row.framework, row.format, row.route, _MARKS[row.status], row.limit, row.runtime,
            row.size, row.p50, row.p90, row.cold_start, row.peak,
            " ".join(filter(None, (row.task, task))),
        ))  # fmt: skip
    return Table(str(records[0]["model"]), (*_COLUMNS, f">{task_title(records)}"), rows)


def _matrix(scope: Scope) -> Table:
    """Return a row for each model and framework: verdict and median in each format."""
    formats = list(dict.fromkeys(str(r["format"]) for r in scope.records))
    rows = []
    for model in scope:
        for framework in dict.fromkeys(str(r["framework"]) for r in model.records):
            mine = [r for r in model.records if r["framework"] == framework]
            rows.append([model.name, framework, *(_entry(mine, name) for name in formats)])
    return Table("", ("Model", "From", *(f">{format_title(name)}" for name in formats)), rows)


def _entry(records: Sequence[Record], format_: str) -> str:
    rows = [make_row(record) for record in records if record["format"] == format_]
    texts = [
        f"{_MARKS[r.status].split()[0]} {r.status if r.p50 == UNKNOWN else r.p50}" for r in rows
    ]
    return ", ".join(texts) or UNKNOWN


def table_lines(table: Table) -> str:
    """Return a table in Markdown, its texts escaped."""
    lines = [
        [title.removeprefix(">") for title in table.head],
        ["--:" if title.startswith(">") else "---" for title in table.head],
        *table.rows,
    ]
    return "\n".join(
        "| " + " | ".join(text if n == 1 else escape(text) for text in line) + " |"
        for n, line in enumerate(lines)
    )


def _failures(scope: Scope) -> list[str]:
    parts = []
    for model in scope:
        for record in model.records:
            if record["status"] == "passed":
                continue
            name = f"{model.name} {cell_name(record)}" if scope.whole else cell_name(record)
            text = f"**{escape(name)} {record['status']}:** {escape(reason(record))}"
            if record["status"] == "failed" and record["command"] and not scope.whole:
                text += f"\n\n{_fence(plain(record['command']))}"
            parts.append(text)
    return parts


def _doubts(scope: Scope) -> list[str]:
    """Return which models' latencies are not to be relied on."""
    found = ((model, latency_doubts(model.records)) for model in scope)
    lines = [
        f"- {escape(f'{model.name}: latencies {told}' if scope.whole else f'Latencies {told}')}"
        for model, told in found
        if told
    ]
    return ["\n".join(lines)] if lines else []


def _notes(records: Sequence[Record]) -> list[str]:
    lines = []
    for record in records:
        notes = [note for note in (fixed_note(record), *(record["notes"] or [])) if note]
        lines += [f"- {escape(cell_name(record))}: {escape(note)}" for note in notes]
    return ["\n".join(lines)] if lines else []


def _attempts(records: Sequence[Record]) -> facts.Facts:
    return [(cell_name(record), line) for record in records for line in attempt_lines(record)]


def _ledger(scope: Scope) -> str:
    if scope.ledger is None:
        return ""
    rows = [
        [str(claim.get("number", "")), claim["claim"], claim["verdict"],
         describe_effect(claim.get("effect")), str(claim.get("meaning") or "")]
        for claim in scope.ledger
    ]  # fmt: skip
    head = ("#", "Claim", "Verdict", ">Effect", "What it means")
    return _fold("The ledger of claims", [Table("", head, rows)])


def _fold(title: str, tables: Sequence[Table]) -> str:
    if not tables:
        return ""
    # Without the blank lines GitHub shows the tables' source.
    body = "\n\n".join(
        f"{escape(table.caption)}\n\n{table_lines(table)}" if table.caption else table_lines(table)
        for table in tables
    )
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _listed(title: str, pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    lines = "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in pairs)
    return f"<details><summary>{title}</summary>\n\n{lines}\n\n</details>"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line, and that pings nobody."""
    line = " ".join(plain(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;")
    # An underscore inside a word is plain; what begins a quote, list or title is so only in front.
    line = re.sub(r"([\\`*\[\]|~]|(?<!\w)_|_(?!\w)|^[>#+-])", r"\\\1", line)
    return re.sub(r"@(?=\w)", "@\N{ZERO WIDTH SPACE}", line)


def _fence(text: str) -> str:
    """Return a code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
