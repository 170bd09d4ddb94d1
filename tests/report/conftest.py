"""Made-up records: plausible in size, and of a machine that nobody has."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RUNTIMES = {
    "onnx": ("onnxruntime", "1.32.0", "model.onnx", 58_000, 9_000_000),
    "saved_model": ("tensorflow", "2.21.0", "saved_model", 221_000, 310_000_000),
    "torchscript": ("libtorch", "2.13.0", "model.pt", 236_000, 190_000_000),
    "tflite": ("litert", "2.3.0", "model.tflite", 66_000, 14_000_000),
}
ROUTES = {
    ("tensorflow", "onnx"): "tensorflow>saved_model>onnx",
    ("tensorflow", "tflite"): "tensorflow>saved_model>tflite",
}
UNKNOWN_WHEN_UNTIMED = (
    "cold_starts_ns", "process_starts_ns", "loads_ns", "firsts_ns", "latencies_ns",
)  # fmt: skip


def make_record(
    framework: str = "pytorch", format_: str = "onnx", **changes: Any
) -> dict[str, Any]:
    """Return a record of a passed cell; `changes` replace keys."""
    runtime, version, file, p50, rss = RUNTIMES[format_]
    rng = np.random.default_rng([len(framework), *format_.encode()])
    latencies = p50 * (1 + 0.02 * np.abs(rng.standard_normal(1200)) + rng.pareto(9, 1200) * 0.2)
    starts = (20_000_000 + rss // 10 + rng.integers(0, 4_000_000, 5)).tolist()
    loads = (3_000_000 + rss // 20 + rng.integers(0, 900_000, 5)).tolist()
    firsts = (p50 * 9 + rng.integers(0, 90_000, 5)).tolist()
    route = ROUTES.get((framework, format_), f"{framework}>{format_}")
    ratio = round(0.8 + rng.random() * 0.9, 3)
    fixed = {"batch": 2} if route == "pytorch>tflite" else {}
    comparison = {
        "output": "logits", "passed": True, "detail": "every element is within the yardstick",
        "error_ratio": ratio, "error_ratio_max": round(ratio * 1.4, 3), "threshold": 4.1,
        "threshold_max": 6.3, "unstable": 0, "elements": 710,
    }  # fmt: skip
    record = {
        "schema": 1, "model": "toycnn", "framework": framework, "format": format_, "route": route,
        "precision": "fp32", "device": "local", "scenario": "SingleStream", "batch": 1,
        "threads": 1, "status": "passed", "reason": None, "yardstick": "float64",
        "error_ratio": ratio, "error_ratio_max": round(ratio * 1.4, 3), "threshold": 4.1,
        "threshold_max": 6.3,
        "comparisons": [
            comparison | {"case": "*"},
            comparison | {"case": "random_b1", "threshold": 12.0, "elements": 10},
            comparison | {"case": "random_b2", "threshold": 12.0, "elements": 20},
            comparison | {"case": "digits", "threshold": 12.0, "elements": 40},
        ],
        "attempts": [],
        "dynamic_axes": [] if fixed else ["batch"], "fixed_axes": fixed,
        "task_metric": {"name": "accuracy", "original": 0.9861, "artifact": 0.9861},
        "path": f"{framework}/{format_}/{file}", "size_bytes": 231_000 + len(route) * 997,
        "sha256": "0f" * 32, "runtime": runtime, "runtime_version": version,
        "latencies_ns": latencies.astype(int).tolist(), "processes": 5,
        "cold_starts_ns": [sum(t) + 150_000 for t in zip(starts, loads, firsts, strict=True)],
        "process_starts_ns": starts, "loads_ns": loads, "firsts_ns": firsts,
        "peak_rss_bytes": rss + 21_000_000, "loaded_rss_bytes": rss + 15_000_000, "os_threads": 1,
        "cpu_per_wall": 0.998, "python_free": True,
        "mapped_libraries": ["ld-linux-x86-64.so.2", "libc.so.6", "libstdc++.so.6"],
        "tools": {"numpy": "2.4.6", "torch": "2.13.0"}, "options": {"opset": 20},
        "notes": ["TorchScript is deprecated upstream; its successor is torch.export."]
        if format_ == "torchscript" else [],
        "warnings": [],
        "command": f"shipworthy hop toycnn {route!r} --out out/toycnn",
        "export_seconds": 3.2,
        "machine": {
            "cpu": "Imaginary 9000 @ 2.50GHz", "cores": 2, "memory_bytes": 8 * 10**9,
            "os": "Example Linux 1", "kernel": "6.0.0", "architecture": "x86_64",
            "libc": "glibc 2.36", "python": "3.11.9", "governor": None, "load_1m": 0.3,
        },
        "runner_build": {"compiler": "g++ 12.2.0", "flags": "-O2", "standard": "c++20"},
        "started_at": "2001-02-03T04:05:06Z", "shipworthy": "0.0.1",
        "process_runs": [240] * 5, "valid": True, "invalid_reasons": [], "mode": "quick",
        "memory_empty_bytes": rss, "timer": {"resolution_ns": 1, "overhead_ns": 20},
        "measurements": {},
    }  # fmt: skip
    assert set(changes) <= set(record), f"unknown keys {set(changes) - set(record)}"
    return record | changes


def make_failed(framework: str, format_: str, reason: str, **changes: Any) -> dict[str, Any]:
    """Return a record of a cell whose export did not happen."""
    unknown = dict.fromkeys(
        (
            "error_ratio", "error_ratio_max", "threshold", "threshold_max", "yardstick",
            "comparisons", "dynamic_axes", "fixed_axes", "task_metric", "path", "size_bytes",
            "sha256", "runtime", "runtime_version", "processes", "peak_rss_bytes",
            "loaded_rss_bytes", "os_threads", "cpu_per_wall", "python_free", "mapped_libraries",
            "runner_build", "process_runs", "valid", "invalid_reasons", "mode",
            "memory_empty_bytes", "timer", "measurements", *UNKNOWN_WHEN_UNTIMED,
        )
    )  # fmt: skip
    failed = {"status": "failed", "reason": reason}
    return make_record(framework, format_, **unknown | failed | changes)


def make_eight() -> list[dict[str, Any]]:
    """Return records of the full matrix, all passed."""
    return [make_record(f, t) for f in ("pytorch", "tensorflow") for t in RUNTIMES]


def make_mixed() -> list[dict[str, Any]]:
    """Return the full matrix with a crash, a wrong export and a cell that was skipped."""
    records = make_eight()
    records[3] = make_failed(
        "pytorch", "tflite", "the hop's process was killed by signal 9 (out of memory?)"
    )
    wrong = "output 'logits' in case 'random_b5': error ratio 2944.2 is above 4.1"
    records[5] = make_record(
        "tensorflow", "saved_model", status="failed", reason=wrong, error_ratio=2944.2,
        comparisons=[
            records[5]["comparisons"][0]
            | {"passed": False, "error_ratio": 2944.2, "detail": "worst at (3, 7)"}
        ],
        **dict.fromkeys(UNKNOWN_WHEN_UNTIMED),
    )  # fmt: skip
    records[6] = make_failed(
        "tensorflow", "torchscript", "the LibTorch runner is not built", status="skipped"
    )
    return records


def write_records(folder: Path, records: list[dict[str, Any]]) -> Path:
    """Write ``records.jsonl`` as the pipeline does; return the folder."""
    lines = [json.dumps(record) + "\n" for record in records]
    (folder / "records.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    return make_record


@pytest.fixture
def failed() -> Callable[..., dict[str, Any]]:
    return make_failed


@pytest.fixture
def eight() -> list[dict[str, Any]]:
    return make_eight()


@pytest.fixture
def mixed() -> list[dict[str, Any]]:
    return make_mixed()


@pytest.fixture
def write() -> Callable[[Path, list[dict[str, Any]]], Path]:
    return write_records


def load_beside(name: str) -> Any:
    """Return a module of this folder, which is no package."""
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"report_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


LEDGER = [
    {"number": 1, "slug": "no-python", "claim": "No Python at deployment", "verdict": "REFUTED",
     "measurable": "the files that the process maps", "rule": "none is Python's",
     "effect": {"value": 1.03, "low": 0.99, "high": 1.08, "unit": "ratio"},
     "evidence": [{"title": "languages", "path": "evidence/languages.json"}],
     "meaning": "Either framework ships without it.", "reasons": [],
     "parts": [{"title": "ONNX", "verdict": "SUPPORTED", "told": "4 of 4", "decides": False}]},
    {"number": 3, "slug": "web", "claim": "More useful on the web", "verdict": "NOT TESTED",
     "measurable": "", "rule": "", "effect": None, "evidence": [], "meaning": "Nothing is known.",
     "reasons": ["there is no browser runtime"]},
]  # fmt: skip


def make_zoo(folder: Path, count: int = 3) -> Path:
    """Write models' folders with every measurement, a failure in the second, and a ledger."""
    measure = load_beside("make_measurements").make_measurements
    for number in range(count):
        name = f"model{number}"
        records = make_mixed() if number == 1 else make_eight()
        for record in records:
            record |= {"model": name}
            if record["status"] == "passed":
                record |= {"measurements": measure(record)}
        (folder / name).mkdir(parents=True)
        write_records(folder / name, records)
        cells = [[record["framework"], record["format"]] for record in records]
        asked = {"schema": 1, "model": name, "cells": cells, "threads": 1, "origin": "zoo"}
        (folder / name / "cells.json").write_text(json.dumps(asked))
    (folder / "claims").mkdir()
    (folder / "claims" / "claims.json").write_text(json.dumps(LEDGER))
    return folder


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three models' folders; nobody writes reports into it."""
    return make_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def pages_of_zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of a zoo and of one of its models."""
    from shipworthy.report.write import write_reports, write_zoo

    folder = make_zoo(tmp_path_factory.mktemp("pages"))
    write_reports(folder / "model0")
    write_zoo(folder)
    return {"one": folder / "model0" / "report.html", "all": folder / "report.html"}


@pytest.fixture
def measured() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Add every measurement to a record."""
    measure = load_beside("make_measurements").make_measurements
    return lambda record: record | {"measurements": measure(record)}


@pytest.fixture(scope="session")
def chromium() -> Callable[[], Any]:
    """Starts a headless browser; the test is skipped where none is installed."""
    driver = load_beside("chromium")
    path = driver.find()
    if path is None:
        pytest.skip(f"no Chromium is installed; looked for {', '.join(driver.NAMES)}")
    return lambda: driver.Chromium(path)


@pytest.fixture
def zoo_of() -> Callable[[Path, int], Path]:
    return make_zoo
