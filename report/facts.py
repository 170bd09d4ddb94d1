"""What a report tells beyond the figures of the table: per cell, and of the whole run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from shipworthy.report.records import Record
from shipworthy.report.rows import describe_axes, format_score
from shipworthy.report.units import UNKNOWN, format_bytes, format_ns, plain
from shipworthy.serve import stats

Facts = list[tuple[str, str]]

_MACHINE_TITLES = {
    "cpu": "CPU",
    "cores": "cores available",
    "memory_bytes": "memory",
    "os": "operating system",
    "libc": "C library",
    "python": "Python (exports only)",
    "governor": "frequency governor",
    "load_1m": "load average before (1 min)",
    "frequency_mhz": "frequency before, MHz",
    "memory_available_bytes": "memory available before",
}


def artifact_facts(record: Record) -> Facts:
    """Return what is known of the exported file."""
    seconds = record["export_seconds"]
    return _known(
        ("path", record["path"]),
        ("SHA-256", record["sha256"]),
        ("size", record["size_bytes"], format_bytes),
        ("precision", record["precision"]),
        ("axes", describe_axes(record)),
        ("options", record["options"], _pairs),
        ("made with", record["tools"], _pairs),
        ("export took", seconds, lambda s: format_ns(s * 1e9)),
    )


def run_facts(record: Record) -> Facts:
    """Return what is known of the process that ran it; nothing if none did."""
    if not record["runtime"]:
        return []
    runtime = " ".join(filter(None, (record["runtime"], record["runtime_version"])))
    threads = record["threads"]
    return _known(
        ("runtime", runtime),
        ("device", record["device"]),
        ("scenario", record["scenario"]),
        ("batch", record["batch"]),
        ("threads asked for", threads),
        ("threads of the process", record["os_threads"]),
        ("CPU time per wall time", record["cpu_per_wall"], lambda v: f"{v:.2f}"),
        ("Python-free", record["python_free"], lambda v: "yes" if v else "no"),
        ("memory after load", record["loaded_rss_bytes"], format_bytes),
        ("peak memory", record["peak_rss_bytes"], format_bytes),
        ("task", record["task_metric"], _task),
    )


def timing_facts(record: Record) -> Facts:
    """Return latency percentiles with their intervals, and the parts of the cold start.

    None of a cell that did not pass.
    """
    if record["status"] != "passed":
        return []
    latencies = record["latencies_ns"] or []
    facts: list[tuple[Any, ...]] = [
        (f"p{p}", stats.estimate(latencies, p), _interval) for p in stats.PERCENTILES
    ]
    runs = f"{len(latencies):,}" if latencies else None
    if runs and record["processes"]:
        count = record["processes"]
        runs += f" in {count} fresh process{'' if count == 1 else 'es'}"
    facts.append(("timed runs", runs))
    if runs and record.get("valid") is not None:
        reasons = "; ".join(map(str, record.get("invalid_reasons") or []))
        facts.append(("result", "VALID" if record["valid"] else f"INVALID: {reasons}"))
    for title, name in (
        ("cold start", "cold_starts_ns"),
        ("— process and libraries", "process_starts_ns"),
        ("— model load", "loads_ns"),
        ("— first inference", "firsts_ns"),
    ):
        facts.append((title, record[name], _spread))
    return _known(*facts)


def machine_facts(records: Sequence[Record]) -> Facts:
    """Return the machine; where cells differ, every value is told."""
    machines = [record["machine"] or {} for record in records]
    names = dict.fromkeys(name for machine in machines for name in machine)
    return _known(
        *(
            (_MACHINE_TITLES.get(name, name.replace("_", " ")), _distinct(name, machines))
            for name in names
        )
    )


def version_facts(records: Sequence[Record]) -> Facts:
    """Return the version of everything that made, ran or judged an export."""
    tools = [record["tools"] or {} for record in records]
    builds = [record["runner_build"] or {} for record in records]
    runtimes = [
        {record["runtime"]: record["runtime_version"]} for record in records if record["runtime"]
    ]
    return _known(
        ("shipworthy", _distinct("shipworthy", records)),
        *(
            (f"{n} (runtime)", _distinct(n, runtimes))
            for n in sorted({k for r in runtimes for k in r})
        ),
        *((name, _distinct(name, tools)) for name in sorted({k for t in tools for k in t})),
        *(
            (f"runner {name}", _distinct(name, builds))
            for name in dict.fromkeys(k for b in builds for k in b)
        ),
    )


def differences(records: Sequence[tuple[str, Record]]) -> list[tuple[str, str]]:
    """Return what is not the same in all cells: its name, and which cells have which value.

    The load of the machine differs always and is left out.

    Parameters
    ----------
    records : each with its model's name.
    """
    found = []
    for title, read in _ENVIRONMENT:
        cells: dict[str, list[str]] = {}
        for model, record in records:
            if (value := read(record)) not in (None, ""):
                name = f"{model} {record['framework']} {record['format']}"
                cells.setdefault(_value(value), []).append(name)
        if len(cells) > 1:
            parts = [f"{value} ({_few(names)})" for value, names in cells.items()]
            found.append((title, plain("; ".join(parts))))
    return found


def compare_environments(
    first: Sequence[Record], second: Sequence[Record]
) -> list[tuple[str, str, str]]:
    """Return what two runs do not share: its name, and the values in the first and the second."""
    found = []
    for title, read in _ENVIRONMENT:
        values = [
            dict.fromkeys(_value(v) for r in records if (v := read(r)) not in (None, ""))
            for records in (first, second)
        ]
        if values[0].keys() != values[1].keys():
            a, b = (plain(", ".join(one)) or UNKNOWN for one in values)
            found.append((title, a, b))
    runtimes = [
        {str(r["runtime"]): str(r["runtime_version"]) for r in records if r["runtime_version"]}
        for records in (first, second)
    ]
    return found + [
        (plain(name), plain(runtimes[0][name]), plain(runtimes[1][name]))
        for name in sorted(runtimes[0].keys() & runtimes[1].keys())
        if runtimes[0][name] != runtimes[1][name]
    ]


def describe_time(records: Sequence[Record]) -> str:
    """Return when the newest record was made; empty if no record says."""
    times = [record["started_at"] for record in records if record["started_at"]]
    if not times:
        return ""
    try:
        latest = datetime.fromisoformat(max(times))
    except ValueError:
        return plain(max(times))
    return latest.strftime("%Y-%m-%d %H:%M %Z").strip()


def _known(*facts: tuple[Any, ...]) -> Facts:
    """Return the facts that are known, as text: (title, value) or (title, value, to text)."""
    return [
        (plain(title), plain((to_text or [str])[0](value)))
        for title, value, *to_text in facts
        if value not in (None, "", [], {})
    ]


def _distinct(name: str, dicts: Iterable[Any]) -> str:
    show: Callable[[Any], str] = format_bytes if name.endswith("_bytes") else _value
    values = [d[name] for d in dicts if d.get(name) is not None]
    return ", ".join(dict.fromkeys(show(v) for v in values))


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}" if isinstance(value, float) else json.dumps(value)


def _task(metric: dict[str, Any]) -> str:
    scores = [format_score(metric.get(name)) for name in ("artifact", "original")]
    return f"{metric.get('name')} {scores[0]} (original {scores[1]})"


def _interval(found: stats.Estimate) -> str:
    interval = f"{format_ns(found.low)} to {format_ns(found.high)}"
    return f"{format_ns(found.value)} ({100 * found.confidence:.0f} %: {interval})"


def _spread(values: list[int]) -> str:
    if not values:
        return UNKNOWN
    text = format_ns(stats.median(values))
    if len(values) > 1:
        text += f" ({format_ns(min(values))} to {format_ns(max(values))})"
    return text


def _few(names: Sequence[str]) -> str:
    if len(names) < 3:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1} more cells"


def _of_machine(name: str) -> Callable[[Record], Any]:
    def read(record: Record) -> Any:
        value = (record["machine"] or {}).get(name)
        return format_bytes(value) if value is not None and name.endswith("_bytes") else value

    return read


def _of_build(name: str) -> Callable[[Record], Any]:
    return lambda record: (record["runner_build"] or {}).get(name)


_ENVIRONMENT: tuple[tuple[str, Callable[[Record], Any]], ...] = (
    *(
        (_MACHINE_TITLES.get(name, name), _of_machine(name))
        for name in ("cpu", "cores", "memory_bytes", "os", "kernel", "architecture", "libc",
                     "python", "governor")
    ),
    ("shipworthy", lambda record: record["shipworthy"]),
    ("runner compiler", _of_build("compiler")),
    ("runner flags", _of_build("flags")),
    ("threads", lambda record: record["threads"]),
    ("batch", lambda record: record["batch"]),
)  # fmt: skip
