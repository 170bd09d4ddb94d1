"""Drives ONNX Runtime's Python package by MLCommons LoadGen, or by a plain loop. One process a run.

For `cross_check.py`, which starts it in an environment of its own: it needs ``mlcommons-loadgen``,
``onnxruntime`` and ``numpy``, and nothing of shipworthy. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

SCENARIOS = {"single_stream": "SingleStream", "offline": "Offline", "server": "Server"}


def open_session(model: str, threads: int, feeds: Sequence[str]) -> Callable[[], object]:
    """Return what runs the model once: the same session options as the runner's."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    fed = {}
    for feed in feeds:
        name, _, path = feed.partition("=")
        fed[name] = np.load(path)
    return lambda: session.run(outputs, fed)


def plainly(run: Callable[[], object], seconds: float) -> dict[str, Any]:
    """Time runs by Python's own clock."""
    latencies: list[int] = []
    begin = time.perf_counter_ns()
    while time.perf_counter_ns() - begin < seconds * 1e9 or len(latencies) < 64:
        start = time.perf_counter_ns()
        run()
        latencies.append(time.perf_counter_ns() - start)
    return {"p50_ns": float(np.percentile(latencies, 50, method="inverted_cdf")),
            "p90_ns": float(np.percentile(latencies, 90, method="inverted_cdf"))}  # fmt: skip


def by_loadgen(
    run: Callable[[], object], scenario: str, seconds: float, expected_ns: int, qps: float
) -> dict[str, Any]:
    """Let LoadGen issue the queries; return its figures, and the time spent inside the runtime.

    Every query is answered in the call that issues it: one worker, first come first served.
    """
    import mlperf_loadgen as loadgen

    inside: list[int] = []

    def issue(queries: Sequence[Any]) -> None:
        for query in queries:
            start = time.perf_counter_ns()
            run()
            inside.append(time.perf_counter_ns() - start)
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(query.id, 0, 0)])

    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, SCENARIOS[scenario])
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = int(seconds * 1000)
    settings.min_query_count = 64 if scenario != "offline" else 1
    settings.single_stream_expected_latency_ns = expected_ns
    settings.offline_expected_qps = 1e9 / expected_ns
    if scenario == "server":
        settings.server_target_qps = qps
        settings.server_target_latency_ns = 10**10  # the rate is given; no bound is looked for
    system = loadgen.ConstructSUT(issue, lambda: None)
    library = loadgen.ConstructQSL(1, 1, lambda _: None, lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        log = loadgen.LogSettings()
        log.enable_trace = False
        log.log_output.outdir = folder
        log.log_output.copy_summary_to_stdout = False
        loadgen.StartTestWithLogSettings(system, library, settings, log)
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(system)
    return read_summary(summary, scenario) | {
        "inside_p50_ns": float(np.percentile(inside, 50, method="inverted_cdf")),
        "queries": len(inside),
    }


def read_summary(summary: str, scenario: str) -> dict[str, Any]:
    """Read the figures that LoadGen printed."""

    def figure(label: str) -> float:
        found = re.search(rf"^{re.escape(label)}\s*: ([0-9.e+]+)", summary, re.M)
        if found is None:
            raise SystemExit(f"LoadGen's summary has no {label!r}:\n{summary}")
        return float(found[1])

    if scenario == "offline":
        return {"per_s": figure("Samples per second")}
    return {"p50_ns": figure("50.00 percentile latency (ns)"),
            "p90_ns": figure("90.00 percentile latency (ns)")}  # fmt: skip


def main() -> None:
    """Run one process' work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--by", choices=("loadgen", "python"), required=True)
    parser.add_argument("--scenario", choices=SCENARIOS, default="single_stream")
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", action="append", required=True, help="NAME=FILE.npy")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--qps", type=float, default=1.0)
    given = parser.parse_args()
    run = open_session(given.model, given.threads, given.input)
    for _ in range(given.warmup):
        run()
    if given.by == "python":
        found = plainly(run, given.seconds)
    else:
        expected = plainly(run, 0.05)["p50_ns"]
        found = by_loadgen(run, given.scenario, given.seconds, int(expected), given.qps)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
