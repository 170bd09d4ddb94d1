"""What was measured of a cell beside its latencies: ``record["measurements"][kind]``.

Each kind is an object ``{valid, reasons, mode, settings, started_at, data}``. `data` is read by its
shape here, once: the rest of the report may rely on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shipworthy.report.records import Record
from shipworthy.report.units import plain

SCENARIOS = ("single_stream", "multi_stream", "offline", "server")
KINDS = (
    *SCENARIOS, "cold_start", "memory", "footprint", "threads", "batches", "sustained", "python",
)  # fmt: skip


@dataclass(frozen=True)
class Measurement:
    """One kind of measurement of one cell.

    Parameters
    ----------
    valid : whether it may be relied on.
    reasons : why not.
    mode : ``quick``, ``normal`` or ``submission``.
    data : as the kind's shape says.
    """

    kind: str
    valid: bool
    reasons: tuple[str, ...]
    mode: str
    data: Mapping[str, Any]


def read_measurement(record: Record, kind: str) -> Measurement | None:
    """Return a cell's measurement, or None if it was not made or cannot be read.

    That of a cell that did not pass is left out: its figures are those of the wrong model.
    """
    found = (record.get("measurements") or {}).get(kind)
    if found is None or record["status"] != "passed" or _misfit(found, kind):
        return None
    return Measurement(
        kind,
        found["valid"],
        tuple(plain(" ".join(str(reason).split())) for reason in found["reasons"]),
        plain(found.get("mode") or ""),
        found["data"],
    )


def unreadable(record: Record, kind: str) -> str:
    """Return what is wrong with a measurement that is there and cannot be read; else nothing."""
    found = (record.get("measurements") or {}).get(kind)
    return "" if found is None else _misfit(found, kind)


def _misfit(found: Any, kind: str) -> str:
    return _differs(found, _ENVELOPE, kind) or _differs(found["data"], _SHAPES[kind], "data")


def _differs(value: Any, shape: Any, where: str) -> str:
    """Return the first place where a value is not of a shape; nothing if it fits.

    A shape is a predicate, a list of one shape for all its elements, or a dict of shapes; a name
    that ends in ``?`` may be missing or null.
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where} is no object"
        for name, inner in shape.items():
            key = name.removesuffix("?")
            if value.get(key) is None and key != name:
                continue
            if key not in value:
                return f"{where} lacks {key!r}"
            if told := _differs(value[key], inner, f"{where}.{key}"):
                return told
        return ""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is no list"
        found = (_differs(v, shape[0], f"{where}[{i}]") for i, v in enumerate(value))
        return next(filter(None, found), "")
    return "" if shape(value) else f"{where} is {str(value)[:40]!r}"


def _count(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _anything(value: Any) -> bool:
    del value
    return True


_Shape = Callable[[Any], bool] | list[Any] | dict[str, Any]
_ENVELOPE: _Shape = {"valid": _flag, "reasons": [_text], "mode?": _text, "data": {}}
_RATIO: _Shape = {"value?": _number, "low?": _number, "high?": _number}
_SCENARIO: _Shape = {
    "queries": _count, "duration_ns": _count, "latencies_ns": [_count],
    "throughput_per_s?": _count, "rows_per_query?": _count, "workers?": _count,
    "target_qps?": _count, "bound_ns?": _count, "p99_ns?": _count,
    "tried?": [{"qps": _count, "p99_ns?": _count, "met": _flag}],
}  # fmt: skip
_SHAPES: dict[str, _Shape] = {
    **dict.fromkeys(SCENARIOS, _SCENARIO),
    "cold_start": {
        "processes": [
            {"process_ns": _count, "library_ns?": _count, "load_ns": _count, "first_ns": _count,
             "total_ns": _count}
        ]
    },
    "memory": {
        "empty_rss_bytes?": _count, "loaded_rss_bytes": _count, "peak_rss_bytes": _count,
        "model_bytes?": _number, "working_bytes?": _number,
    },
    "footprint": {
        "artifact_bytes": _count, "libraries_bytes": _count, "system_bytes": _count,
        "total_bytes": _count,
        "libraries": [{"name": _text, "bytes": _count, "system": _flag}],
    },
    "threads": {"points": [{"threads": _count, "p50_ns": _count, "latencies_ns?": [_count],
                            "throughput_per_s?": _count}]},
    "batches": {"points": [{"batch": _count, "p50_ns": _count, "latencies_ns?": [_count],
                            "rows_per_s?": _count}]},
    "sustained": {
        "duration_ns": _count, "windows": [{"start_ns": _count, "queries": _count,
                                            "p50_ns?": _count, "p99_ns?": _count}],
        "drift?": _number, "drift_low?": _number, "drift_high?": _number,
    },
    "python": {
        "threads?": _count, "aa?": _RATIO,
        "ways": [{"way": _text, "of?": _text, "package?": _text, "latencies_ns?": [[_count]],
                  "p50_ns?": _count, "first_ns?": [_count], "peak_rss_bytes?": [_count],
                  "ratio?": _RATIO, "equal?": _anything, "note?": _text}],
        "unavailable?": [{"way": _text, "reason": _text}],
    },
}  # fmt: skip
