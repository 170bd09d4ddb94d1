"""``report.csv``: one row a cell, one column a figure, as RFC 4180 has it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from shipworthy.report.measurements import SCENARIOS, read_measurement
from shipworthy.report.records import Record, reason
from shipworthy.report.scope import Scope
from shipworthy.report.units import plain
from shipworthy.serve import stats

Read = Callable[[Record], Any]
# Name, what it holds, how it is read. Columns may be added at the end; those here stay.
Column = tuple[str, str, Read]
WAYS = ("python_package", "eager", "torch_compile", "keras_predict", "keras_call", "tf_function")


def make_csv(scope: Scope) -> str:
    """Return the table: a head, then a row for each cell; lines end in CR LF, unknown is empty."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow([name for name, _, _ in COLUMNS])
    for record in scope.records:
        writer.writerow([_text(read(record)) for _, _, read in COLUMNS])
    return stream.getvalue()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        value = "; ".join(f"{name}={entry}" for name, entry in value.items())
    elif isinstance(value, list | tuple):
        value = "; ".join(map(str, value))
    return plain(" ".join(str(value).split()))


def _plain(name: str) -> Read:
    return lambda record: record.get(name)


def _passed(read: Read) -> Read:
    """Return a reader that leaves out what a cell did that did not pass."""
    return lambda record: read(record) if record["status"] == "passed" else None


def _latency(percent: int, part: str) -> Read:
    def read(record: Record) -> int | None:
        found = stats.estimate(record["latencies_ns"] or [], percent)
        return None if found is None else int(getattr(found, part))

    return _passed(read)


def _median(name: str) -> Read:
    return _passed(lambda record: stats.median(record[name] or []))


def _data(kind: str, name: str) -> Read:
    def read(record: Record) -> Any:
        found = read_measurement(record, kind)
        return None if found is None else found.data.get(name)

    return read


def _valid(kind: str) -> Read:
    def read(record: Record) -> bool | None:
        found = read_measurement(record, kind)
        return None if found is None else found.valid

    return read


def _best(kind: str, key: str, figure: str, *, least: bool, give: str) -> Read:
    """Return a reader of the point of a sweep whose figure is least, or largest."""

    def read(record: Record) -> Any:
        found = read_measurement(record, kind)
        points = [p for p in found.data["points"] if p.get(figure)] if found else []
        if not points:
            return None
        best = (min if least else max)(points, key=lambda p: float(p[figure]))
        return best[key if give == "key" else figure]

    return read


def _way(name: str) -> Read:
    def read(record: Record) -> float | None:
        found = read_measurement(record, "python")
        for way in found.data["ways"] if found else []:
            if way["way"] == name:
                value = (way.get("ratio") or {}).get("value")
                return None if value is None else round(float(value), 4)
        return None

    return read


def _of(name: str, key: str) -> Read:
    return lambda record: (record[name] or {}).get(key)


def _copied(**meanings: str) -> Sequence[Column]:
    return [(name, meaning, _plain(name)) for name, meaning in meanings.items()]


COLUMNS: tuple[Column, ...] = (
    *_copied(
        model="name of the model", framework="what it was written in",
        format="what it was exported to", route="the steps of the export",
        precision="precision of the arithmetic", device="where it ran",
        scenario="of the ordinary benchmark, in MLPerf's words", batch="rows of one inference",
        threads="threads of the runtime", status="passed, failed or skipped",
    ),
    ("reason", "why it did not pass", lambda r: None if r["status"] == "passed" else reason(r)),
    *_copied(
        yardstick="what the error is measured by: float64 or jitter",
        error_ratio="error in units of the yardstick, root mean square",
        error_ratio_max="the same of the largest error",
        threshold="limit of error_ratio", threshold_max="limit of error_ratio_max",
        dynamic_axes="axes of any size", fixed_axes="axes of one size, with that size",
    ),
    ("task", "name of the task's score", _of("task_metric", "name")),
    ("task_original", "the original's score", _of("task_metric", "original")),
    ("task_artifact", "the export's score", _of("task_metric", "artifact")),
    *_copied(
        path="the artifact, within the model's folder", size_bytes="its size",
        sha256="its hash", runtime="what ran it", runtime_version="version of that",
        valid="whether the latencies may be relied on", invalid_reasons="why not",
    ),
    ("processes", "fresh processes timed", _passed(_plain("processes"))),
    ("runs", "timed runs of all processes", _passed(lambda r: len(r["latencies_ns"] or []))),
    *(
        (f"p{p}{suffix}_ns", f"latency's {p}th percentile{told}, nanoseconds", _latency(p, part))
        for p in stats.PERCENTILES
        for suffix, part, told in (
            ("", "value", ""), ("_low", "low", ", 99 % interval's lower end"),
            ("_high", "high", ", 99 % interval's upper end"),
        )
    ),
    ("cold_start_ns", "median whole cold start of the benchmark's processes, nanoseconds",
     _median("cold_starts_ns")),
    ("process_start_ns", "of it: process and libraries",
     _median("process_starts_ns")),
    ("load_ns", "of it: loading the model", _median("loads_ns")),
    ("first_ns", "of it: the first inference", _median("firsts_ns")),
    ("memory_empty_bytes", "resident memory of the runtime without a model",
     lambda r: _data("memory", "empty_rss_bytes")(r) or _passed(_plain("memory_empty_bytes"))(r)),
    ("loaded_rss_bytes", "resident memory after the model was loaded",
     _passed(_plain("loaded_rss_bytes"))),
    ("peak_rss_bytes", "peak resident memory", _passed(_plain("peak_rss_bytes"))),
    ("libraries_bytes", "shared libraries to deploy", _data("footprint", "libraries_bytes")),
    ("footprint_bytes", "artifact and shared libraries", _data("footprint", "total_bytes")),
    *(
        column
        for kind in SCENARIOS
        for column in (
            (f"{kind}_per_s", f"{kind} scenario: rows a second", _data(kind, "throughput_per_s")),
            (f"{kind}_valid", f"{kind} scenario: VALID", _valid(kind)),
        )
    ),
    ("server_qps", "server scenario: queries a second under the bound",
     _data("server", "target_qps")),
    ("server_bound_ns", "server scenario: bound of the 99th percentile",
     _data("server", "bound_ns")),
    ("best_threads", "number of threads with the lowest median",
     _best("threads", "threads", "p50_ns", least=True, give="key")),
    ("best_threads_p50_ns", "median with that many threads, nanoseconds",
     _best("threads", "threads", "p50_ns", least=True, give="figure")),
    ("best_batch", "batch size with the most rows a second",
     _best("batches", "batch", "rows_per_s", least=False, give="key")),
    ("best_batch_rows_per_s", "rows a second with that batch size",
     _best("batches", "batch", "rows_per_s", least=False, give="figure")),
    ("sustained_drift", "last window's median over the first's", _data("sustained", "drift")),
    *((f"python_{way}_ratio", f"median by the way {way} over that without Python", _way(way))
      for way in WAYS),
    ("cpu", "CPU model", _of("machine", "cpu")),
    ("cores", "cores available", _of("machine", "cores")),
    ("governor", "frequency governor", _of("machine", "governor")),
    ("os", "operating system", _of("machine", "os")),
    *_copied(started_at="when it was measured", shipworthy="version that measured it"),
)  # fmt: skip
