"""Made-up measurements of every kind, for records of a machine that nobody has."""

from __future__ import annotations

from typing import Any

import numpy as np

WAYS = {
    "pytorch": {"python_package": 1.4, "eager": 8.0, "torch_compile": 4.0},
    "tensorflow": {"python_package": 1.6, "keras_predict": 900.0, "keras_call": 60.0,
                   "tf_function": 9.0},
}  # fmt: skip
LIBRARIES = {"onnxruntime": 24, "tensorflow": 480, "libtorch": 410, "litert": 7}


def make_measurements(record: dict[str, Any]) -> dict[str, Any]:
    """Return ``record["measurements"]`` of a passed cell; the offline run is INVALID."""
    p50 = float(np.median(record["latencies_ns"]))
    rng = np.random.default_rng(len(record["route"]))

    def latencies(count: int, scale: float = 1) -> list[int]:
        return [int(p50 * scale * (1 + 0.05 * abs(x))) for x in rng.standard_normal(count)]

    return {
        **_scenarios(p50, latencies),
        "cold_start": _envelope(_cold_start(record)),
        "memory": _envelope(
            {"empty_rss_bytes": int(record["loaded_rss_bytes"] * 0.8),
             "loaded_rss_bytes": record["loaded_rss_bytes"],
             "peak_rss_bytes": record["peak_rss_bytes"]}
        ),
        "footprint": _envelope(_footprint(record)),
        "threads": _envelope(
            {"points": [{"threads": t, "latencies_ns": latencies(100, s), "p50_ns": int(p50 * s),
                         "throughput_per_s": 1e9 / p50 / s}
                        for t, s in ((1, 1), (2, 0.7), (4, 0.8))]}
        ),
        "batches": _envelope(
            {"points": [{"batch": b, "latencies_ns": latencies(100, b**0.8),
                         "p50_ns": int(p50 * b**0.8), "rows_per_s": 1e9 * b**0.2 / p50}
                        for b in (1, 2, 4, 8, 16, 32, 64, 128)]}
        ),
        "sustained": _envelope(
            {"duration_ns": 120 * 10**9, "drift": 1.06, "drift_low": 1.04, "drift_high": 1.08,
             "windows": [{"start_ns": i * 10**9, "queries": int(1e9 / p50), "p99_ns": None,
                          "p50_ns": int(p50 * (1 + 0.0005 * i))} for i in range(120)]}
        ),
        "python": _envelope(_python(record, p50)),
    }  # fmt: skip


def _envelope(data: dict[str, Any], *reasons: str) -> dict[str, Any]:
    return {
        "valid": not reasons, "reasons": list(reasons), "mode": "quick", "settings": {},
        "started_at": "2001-02-03T04:05:06+00:00", "data": data,
    }  # fmt: skip


def _scenarios(p50: float, latencies: Any) -> dict[str, Any]:
    found = {}
    for kind, queries, scale, rows in (
        ("single_stream", 900, 1, 1), ("multi_stream", 700, 6, 8), ("offline", 1, 4000, 4096),
        ("server", 700, 1.6, 1),
    ):  # fmt: skip
        values = latencies(queries, scale)
        data = {
            "scenario": kind, "queries": queries, "duration_ns": sum(values), "seed": 0,
            "latencies_ns": values, "throughput_per_s": 1e9 / p50, "rows_per_query": rows,
            "workers": 2 if kind == "server" else 1,
        }  # fmt: skip
        reasons = ["too few queries: 1, at least 24,576"] if kind == "offline" else []
        if kind == "server":
            top = 8e8 / p50
            data |= {
                "target_qps": top * 0.9, "bound_ns": int(p50 * 4), "p99_ns": int(p50 * 3.6),
                "tried": [{"qps": top * f, "p99_ns": int(p50 * (1 + f**4 * 4)), "met": f < 0.95}
                          for f in (0.25, 0.5, 0.7, 0.9, 1)],
            }  # fmt: skip
        found[kind] = _envelope(data, *reasons)
    return found


def _cold_start(record: dict[str, Any]) -> dict[str, Any]:
    parts = zip(record["process_starts_ns"], record["loads_ns"], record["firsts_ns"], strict=True)
    return {
        "processes": [
            {"process_ns": a // 10, "library_ns": a - a // 10, "load_ns": b, "first_ns": c,
             "total_ns": a + b + c + 150_000}
            for a, b, c in parts
        ]
    }  # fmt: skip


def _footprint(record: dict[str, Any]) -> dict[str, Any]:
    size = LIBRARIES[record["runtime"]] * 10**6
    return {
        "artifact_bytes": record["size_bytes"], "libraries_bytes": size, "system_bytes": 1_900_000,
        "libraries": [{"name": "libruntime.so.1", "bytes": size, "system": False},
                      {"name": "libc.so.6", "bytes": 1_900_000, "system": True}],
        "total_bytes": size + record["size_bytes"],
    }  # fmt: skip


def _python(record: dict[str, Any], p50: float) -> dict[str, Any]:
    common = {"latencies_ns": [[int(p50)]], "first_ns": [10**6], "equal": True, "note": ""}
    ways: list[dict[str, Any]] = [
        {"way": "runner", "of": "artifact", "package": "", "p50_ns": int(p50), "ratio": None,
         "peak_rss_bytes": [record["peak_rss_bytes"]], **common}
    ]  # fmt: skip
    for way, ratio in WAYS[record["framework"]].items():
        ways.append(
            {"way": way, "of": "original", "package": "some 1.2.3", "p50_ns": int(p50 * ratio),
             "ratio": {"value": ratio, "low": ratio * 0.93, "high": ratio * 1.1},
             "peak_rss_bytes": [5 * 10**8], **common}
        )  # fmt: skip
    return {
        "threads": 1, "case": "random_b1", "ways": ways,
        "aa": {"value": 1.003, "low": 0.98, "high": 1.02, "fit": True},
        "unavailable": [{"way": "python_package", "reason": "no wheel for this Python"}]
        if record["format"] == "saved_model" else [],
    }  # fmt: skip
