"""Reads ``records.jsonl``: one flat, self-describing record a cell.

A record stays a plain dict with every known key; what is not known is None.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shipworthy.convert.routes import FORMATS
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import FRAMEWORKS

RECORDS = "records.jsonl"
SCHEMA = 1
STATUSES = ("passed", "failed", "skipped")

Record = Mapping[str, Any]

# What makes two records two cells.
IDENTITY = ("framework", "format", "route", "precision", "device", "scenario", "batch", "threads")


class RecordsError(ShipworthyError):
    """Records that are missing or not what the pipeline writes; the message names the line."""


def read_records(path: Path) -> list[Record]:
    """Read and check the records of one model, ordered by framework and format.

    Known keys that are missing become None; unknown keys are kept. NaN and Infinity, which are not
    JSON though Python writes them, become None too: a figure that is not a number is not known.

    Raises
    ------
    RecordsError : no file, no record, a line that is not a record, two records of one cell, or
        records of two models.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as e:
        raise RecordsError(f"{path} does not exist; export the model first") from e
    except (OSError, UnicodeDecodeError) as e:
        raise RecordsError(f"{path} cannot be read: {e}") from e
    records: list[Record] = []
    seen: dict[tuple[Any, ...], int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = _read_record(line)
            identity = tuple(record[key] for key in IDENTITY)
            if identity in seen:
                raise ValueError(f"is the same cell as line {seen[identity]}: {cell_name(record)}")
            if records and record["model"] != records[0]["model"]:
                raise ValueError(
                    f"is of the model {record['model']!r}, line {min(seen.values())} is of "
                    f"{records[0]['model']!r}; each model has a folder of its own"
                )
        except ValueError as e:
            raise RecordsError(f"{path}, line {number}: {e}") from e
        seen[identity] = number
        records.append(record)
    if not records:
        raise RecordsError(f"{path} holds no record; export the model again")
    return in_order(records)


def normalise(record: Record) -> Record:
    """Return a record with every known key; what is not known is None."""
    return {name: None for name in _FIELDS} | dict(record)


def in_order(records: Sequence[Record]) -> list[Record]:
    """Return the records by framework and format, known ones first; otherwise as they came."""
    frameworks, formats = list(FRAMEWORKS), list(FORMATS)

    def place(record: Record) -> tuple[int, str, int, str]:
        framework, format_ = record["framework"], record["format"]
        return (
            frameworks.index(framework) if framework in frameworks else len(frameworks),
            framework,
            formats.index(format_) if format_ in formats else len(formats),
            format_,
        )

    return sorted(records, key=place)


def cell_name(record: Record) -> str:
    """Return the cell's route, or where it starts and ends if no route is known."""
    return str(record["route"] or f"{record['framework']}>{record['format']}")


def format_title(name: str) -> str:
    """Return a format's name as people write it."""
    return FORMATS[name].title if name in FORMATS else name


def reason(record: Record) -> str:
    """Return why a cell did not pass, on one line."""
    return " ".join(str(record["reason"] or "no reason was recorded").split())


def _read_record(line: str) -> dict[str, Any]:
    try:
        data = json.loads(line, parse_constant=lambda _: None)
    except json.JSONDecodeError as e:
        raise ValueError(f"is not JSON: {e.msg} at column {e.colno}") from e
    return check_record(data)


def check_record(data: Any) -> dict[str, Any]:
    """Return a record with every known key, checked; what is not known is None.

    Raises
    ------
    ValueError : it is no record; the message says what it has or lacks.
    """
    if not isinstance(data, dict):
        raise ValueError(f"is a JSON {type(data).__name__}; a record is an object")
    if data.get("schema") != SCHEMA:
        raise ValueError(f"has schema {data.get('schema')!r}; this version reads {SCHEMA}")
    record = {name: data.get(name) for name in _FIELDS} | data
    for name, (kind, fits) in _FIELDS.items():
        value = record[name]
        if name in _REQUIRED and value is None:
            raise ValueError(f"lacks {name!r}, which every record has")
        if value is not None and not fits(value):
            raise ValueError(f"has {name!r} = {_shorten(value)}; it must be {kind}")
    if record["status"] == "passed":
        _check_passed(record["comparisons"] or [])
    return record


def _check_passed(comparisons: list[dict[str, Any]]) -> None:
    """Hold a pass to its proof: a comparison of nothing is none."""
    if not comparisons:
        raise ValueError("has status 'passed' and no comparison")
    for comparison in comparisons:
        if comparison.get("passed") is not True:
            raise ValueError(
                f"has status 'passed', but its comparison of {comparison.get('output')!r} in case "
                f"{comparison.get('case')!r} did not pass"
            )


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _fields(kind: str, fits: Callable[[Any], bool], names: str) -> dict[str, _Rule]:
    return dict.fromkeys(names.split(), (kind, fits))


_Rule = tuple[str, Callable[[Any], bool]]
_REQUIRED = ("model", "framework", "format", "status")
_FIELDS: dict[str, _Rule] = (
    _fields("a whole number of at least 0", _is_count,
            "schema batch threads size_bytes processes peak_rss_bytes loaded_rss_bytes os_threads "
            "memory_empty_bytes")
    | _fields(f"one of {', '.join(STATUSES)}", STATUSES.__contains__, "status")
    | _fields("a string", _is_text,
              "model framework format route precision device scenario reason yardstick path "
              "sha256 runtime runtime_version command started_at shipworthy")
    | _fields("a number of at least 0", _is_number,
              "error_ratio error_ratio_max threshold threshold_max cpu_per_wall export_seconds")
    | _fields("true or false", _is_flag, "python_free valid")
    | _fields("a list of whole numbers of at least 0", _list_of(_is_count),
              "latencies_ns cold_starts_ns process_starts_ns loads_ns firsts_ns process_runs")
    | _fields("a list of strings", _list_of(_is_text),
              "dynamic_axes mapped_libraries notes warnings invalid_reasons")
    | _fields("a list of objects", _list_of(_is_object), "comparisons attempts")
    | _fields("an object", _is_object,
              "fixed_axes task_metric tools options machine runner_build measurements timer")
)  # fmt: skip
