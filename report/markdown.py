"""``report.md``: the same verdicts and figures for a pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence

from shipworthy.report import facts
from shipworthy.report.attempts import attempt_lines
from shipworthy.report.records import Record, cell_name, reason
from shipworthy.report.rows import describe_setting, fixed_note, headline, make_row, task_title
from shipworthy.report.units import plain

_MARKS = {"passed": "✅ passed", "failed": "❌ failed", "skipped": "⚠️ skipped"}
_COLUMNS = (
    ("Framework", "---"), ("Format", "---"), ("Route", "---"), ("Verdict", "---"),
    ("Error ratio", "--:"), ("Runtime", "---"), ("Size", "--:"), ("p50", "--:"), ("p90", "--:"),
    ("Cold start", "--:"), ("Peak memory", "--:"), ("{task}", "--:"),
)  # fmt: skip


def make_markdown(records: Sequence[Record]) -> str:
    """Return the report in GitHub's Markdown; every text of a record is escaped."""
    parts = [
        f"# {_escape(records[0]['model'])}: {headline(records)}",
        _introduction(records),
        _table(records),
        *_failures(records),
        *_notes(records),
        _folded("Other routes", _attempts(records)),
        _folded("Machine", facts.machine_facts(records)),
        _folded("Versions", facts.version_facts(records)),
        "Comparisons, plots and every setting are in `report.html`; raw latencies in "
        "`records.jsonl`.",
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
    return f"{text} {when}".strip()


def _table(records: Sequence[Record]) -> str:
    lines = [
        "| "
        + " | ".join(title for title, _ in _COLUMNS).format(task=_escape(task_title(records)))
        + " |",
        "| " + " | ".join(rule for _, rule in _COLUMNS) + " |",
    ]
    for record in records:
        row = make_row(record)
        task = row.task_original and f"({row.task_original})"
        cells = (
            row.framework, row.format, row.route, row.status, row.limit, row.runtime, row.size,
            row.p50, row.p90, row.cold_start, row.peak, " ".join(filter(None, (row.task, task))),
        )  # fmt: skip
        texts = [_MARKS[c] if c == row.status else _escape(c) for c in cells]
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _failures(records: Sequence[Record]) -> list[str]:
    parts = []
    for record in records:
        if record["status"] == "passed":
            continue
        text = f"**{_escape(cell_name(record))} {record['status']}:** {_escape(reason(record))}"
        if record["status"] == "failed" and record["command"]:
            text += f"\n\n{_fence(plain(record['command']))}"
        parts.append(text)
    return parts


def _notes(records: Sequence[Record]) -> list[str]:
    lines = []
    for record in records:
        notes = [note for note in (fixed_note(record), *(record["notes"] or [])) if note]
        lines += [f"- {_escape(cell_name(record))}: {_escape(note)}" for note in notes]
    return ["\n".join(lines)] if lines else []


def _attempts(records: Sequence[Record]) -> facts.Facts:
    return [(cell_name(record), line) for record in records for line in attempt_lines(record)]


def _folded(title: str, pairs: facts.Facts) -> str:
    if not pairs:
        return ""
    lines = "\n".join(f"- {_escape(name)}: {_escape(value)}" for name, value in pairs)
    return f"<details><summary>{title}</summary>\n\n{lines}\n\n</details>"


def _escape(text: str) -> str:
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
