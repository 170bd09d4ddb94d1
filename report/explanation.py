"""One cell on one screen: why it failed and what can be done, or how it passed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from shipworthy.report.attempts import attempt_lines, attempt_summary
from shipworthy.report.records import Record, cell_name
from shipworthy.report.rows import describe_axes
from shipworthy.report.units import format_bytes, format_limit, format_ns, plain
from shipworthy.serve import stats

WIDTH = 80
HEIGHT = 24
_LABEL = 11
_OP = re.compile(r"\b(?:aten|prims)(?:\.|::)\w+(?:\.\w+)?|\b[A-Z]\w+(?= \(at )|(?<=operator )\w+")
_FIXED = re.compile(r"What '(.+)' decides was fixed when tracing")
# Label -> most lines, the first to be cut last.
_LINES = {
    "why": 6, "your line": 2, "do": 4, "reproduce": 4, "route": 1, "hop": 1, "op": 1,
    "equal": 2, "axes": 1, "speed": 1, "file": 1, "log": 2, "others": 4, "notes": 6,
}  # fmt: skip
_CUT_FIRST = ("notes", "others", "why", "do")


def explain_cell(record: Record) -> dict[str, Any]:
    """Return what is to be told of a cell; what is not known, or is nothing, is left out."""
    failed = record["status"] != "passed"
    found: dict[str, Any] = {
        "model": record["model"],
        "cell": f"{record['framework']}/{record['format']}",
        "status": record["status"],
        "route": cell_name(record),
    }
    found |= _failure(record) if failed else _pass(record)
    found["others"] = attempt_summary(record)
    found["notes"] = list(record["notes"] or [])
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def _failure(record: Record) -> dict[str, Any]:
    reason = str(record["reason"] or "no reason was recorded")
    hop, colon, rest = reason.partition(": ")
    at_hop = bool(colon) and re.fullmatch(r"\w+>\w+", hop) is not None
    op = _OP.search(reason)
    where = record.get("where")
    if not where:
        decided = (_FIXED.search(note) for note in record["notes"] or [])
        where = next((match.group(1) for match in decided if match), None)
    return {
        "hop": hop if at_hop else None,
        "op": op.group(0) if op else None,
        "why": rest if at_hop else reason,
        "your line": where,
        "do": record.get("advice") or _judged_advice(record),
        "reproduce": record["command"],
        "log": record.get("log"),
    }


def _judged_advice(record: Record) -> str | None:
    """Say what the cases tell that passed and that did not."""
    verdicts: dict[str, bool] = {}
    for one in record["comparisons"] or []:
        if one["case"] != "*":
            verdicts[one["case"]] = verdicts.get(one["case"], True) and bool(one["passed"])
    right = [case for case, passed in verdicts.items() if passed]
    wrong = [case for case, passed in verdicts.items() if not passed]
    if not verdicts:
        return None
    if right and wrong:
        return (
            f"equal in {', '.join(right)}; not in {', '.join(wrong)}: where they differ in size, "
            "the file has kept a size it was made with; where they do not, an operation is "
            "translated wrongly for those values. `--no-optimize` tells whether an optimisation "
            "did it"
        )
    if wrong:
        return (
            "no case is equal: an operation is translated to another function. `--no-optimize` "
            "tells whether an optimisation did it; the hop's warnings may name it"
        )
    return None


def _pass(record: Record) -> dict[str, Any]:
    comparisons = record["comparisons"] or []
    cases = {one["case"] for one in comparisons} - {"*"}
    latencies = record["latencies_ns"] or []
    p50 = stats.percentiles(latencies)[50]
    limit = format_limit(record["error_ratio"], record["threshold"])
    ratio = "exactly" if record["error_ratio"] is None else f"error ratio {limit}"
    return {
        "equal": (
            f"{ratio} (yardstick {record['yardstick']}), {len(comparisons)} comparisons of "
            f"{len(cases)} case{'' if len(cases) == 1 else 's'}: {', '.join(sorted(cases))}"
        ),
        "axes": describe_axes(record),
        "speed": f"p50 {format_ns(p50)} in {record['runtime']}" if latencies else None,
        "file": f"{record['path']}, {format_bytes(record['size_bytes'])}",
        "reproduce": record["command"],
    }


def explain_lines(record: Record) -> list[str]:
    """Return the explanation in lines of at most 80 characters, at most 24 of them.

    The command is cut nowhere but at its spaces, each line of it ending in a backslash, so that it
    can be copied.
    """
    found = explain_cell(record)
    found["others"] = attempt_lines(record)
    room = dict(_LINES)
    lines = _lay_out(record, found, room)
    for label in _CUT_FIRST:
        while len(lines) > HEIGHT and room[label] > (1 if label in ("why", "do") else 0):
            room[label] -= 1
            lines = _lay_out(record, found, room)
    return lines


def _lay_out(record: Record, found: dict[str, Any], room: dict[str, int]) -> list[str]:
    cell = f"{record['framework']} > {record['format']}"
    title = f"{record['status'].upper()}  {cell} of {record['model']}"
    lines = [plain(title)[:WIDTH]]
    for label in _in_order(found):
        value = found[label]
        if label in ("others", "notes"):
            parts = [part for one in value for part in _wrap(f"- {one}", room[label])[:2]]
        elif label == "reproduce":
            parts = _wrap_command(plain(value))
        else:
            parts = _wrap(plain(" ".join(str(value).split())), room[label])
        for i, part in enumerate(_cut(parts, room[label])):
            lines.append(f"{label if i == 0 else '':<{_LABEL}}{part}")
    return lines


def _in_order(found: dict[str, Any]) -> Iterator[str]:
    order = ("route", "hop", "op", "why", "equal", "axes", "speed", "file", "your line", "do",
             "reproduce", "log", "others", "notes")  # fmt: skip
    yield from (label for label in order if label in found)


def _wrap(text: str, most: int) -> list[str]:
    return _cut(textwrap.wrap(text, WIDTH - _LABEL, break_on_hyphens=False), most)


def _cut(parts: list[str], most: int) -> list[str]:
    if len(parts) <= most:
        return parts
    kept = parts[:most]
    if kept:
        kept[-1] = kept[-1][: WIDTH - _LABEL - 4] + " ..."
    return kept


def _wrap_command(command: str) -> list[str]:
    room = WIDTH - _LABEL - 2
    parts = textwrap.wrap(command, room, break_long_words=False, break_on_hyphens=False)
    return [f"{part} \\" for part in parts[:-1]] + parts[-1:]
