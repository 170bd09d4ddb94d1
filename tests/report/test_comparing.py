"""Two runs side by side."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from shipworthy.report.compared import (
    comparison_table,
    make_comparison_markdown,
    print_comparison,
    summary_line,
)
from shipworthy.report.comparing import changes, compare, to_json
from shipworthy.report.records import normalise
from shipworthy.report.scope import Model, Scope, of_one

PROCESSES = 8


def timed(record, p50, seed=0, spread=0.004):
    """Return a record of processes that differ a little, around a median latency."""
    rng = np.random.default_rng(seed)
    means = p50 * (1 + spread * rng.standard_normal(PROCESSES))
    runs = [mean * (1 + 0.01 * rng.standard_normal(200)) for mean in means]
    latencies = [int(ns) for run in runs for ns in run]
    return record | {"latencies_ns": latencies, "process_runs": [200] * PROCESSES}


def one(*records):
    return of_one([normalise(record) for record in records], "out/toycnn")


@pytest.mark.parametrize(
    ("factor", "verdict", "slower"),
    [(1.0, "same", False), (1.3, "slower", True), (0.7, "faster", False)],
)
def test_a_cell_is_faster_slower_or_the_same(record, factor, verdict, slower):
    found = compare(one(timed(record(), 1e5)), one(timed(record(), 1e5 * factor, seed=1)))
    (pair,) = found.pairs
    assert pair.verdict == verdict
    assert pair.ratio.value == pytest.approx(factor, rel=0.02)
    assert pair.ratio.low < pair.ratio.value < pair.ratio.high
    assert bool(found.failures(10)) is slower
    assert found.failures(None) == found.failures(40) == []


def test_a_slowdown_that_the_interval_does_not_prove_passes_the_gate(record):
    first = one(timed(record(), 1e5, spread=0.3))
    found = compare(first, one(timed(record(), 1.3e5, seed=1, spread=0.3)))
    (pair,) = found.pairs
    assert pair.verdict == "inconclusive"
    assert pair.ratio.value > 1.1
    assert found.failures(10) == []


@pytest.mark.parametrize("runs", [None, [], [1600, 1]])
def test_without_the_processes_there_is_no_interval(record, runs):
    old = timed(record(), 1e5) | {"process_runs": runs}
    (pair,) = compare(one(old), one(timed(record(), 2e5))).pairs
    assert pair.ratio.value == pytest.approx(2, rel=0.02)
    assert pair.ratio.low is None
    assert pair.verdict == "inconclusive"


def test_cells_are_matched_by_what_they_are(record, failed, eight):
    theirs = [*eight[1:], record(threads=2)]
    theirs[0] = theirs[0] | {"route": "pytorch>onnx>saved_model"}
    found = compare(one(*eight), one(*theirs))
    assert len(found.pairs) == 7
    assert [(m, r["format"], r["threads"]) for m, r in found.only_first] == [("toycnn", "onnx", 1)]
    assert [(m, r["format"], r["threads"]) for m, r in found.only_second] == [("toycnn", "onnx", 2)]
    assert comparison_table(found).rows[0][0] == (
        "pytorch/saved_model (pytorch>saved_model → pytorch>onnx>saved_model)"
    )


def test_two_models_are_compared_whatever_their_names_but_several_by_name(record):
    old, new = record(model="old"), record(model="new")
    (pair,) = compare(one(old), one(new)).pairs
    assert pair.model == "new"
    zoo = Scope("zoo", [Model(n, [normalise(record(model=n))], n) for n in ("old", "b")], "out")
    found = compare(zoo, one(new))
    assert not found.pairs
    assert summary_line(found) == "The two have no cell in common."
    assert len(found.only_first) == 2


def test_a_cell_that_breaks_fails_the_gate_and_one_that_is_mended_does_not(record, failed):
    bad = failed("pytorch", "onnx", "it crashed")
    found = compare(one(record()), one(bad))
    (pair,) = found.pairs
    assert pair.verdict is None
    assert found.failures(5) == ["toycnn pytorch/onnx passed and is now failed"]
    assert found.failures(None) == []
    assert changes(pair)["p50_ns"][1] is None
    assert compare(one(bad), one(record())).failures(5) == []
    assert "1 no longer passes" in summary_line(found)


def test_environments_come_first(record):
    here = record()
    there = record(
        machine=here["machine"] | {"cpu": "Other", "memory_bytes": 16 * 10**9, "load_1m": 7.0},
        runtime_version="2.0",
    )
    found = compare(one(here), one(there))
    assert found.differences == [
        ("CPU", "Imaginary 9000 @ 2.50GHz", "Other"),
        ("memory", "8.00 GB", "16.0 GB"),
        ("onnxruntime", "1.32.0", "2.0"),
    ]
    assert found.other_machine
    stream = io.StringIO()
    print_comparison(found, None, Console(file=stream, width=80))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Not the same: CPU: Imaginary 9000 @ 2.50GHz → Other"
    assert lines[3] == "Another CPU: the ratios are of machines too."
    assert not compare(one(here), one(here)).differences


@pytest.mark.parametrize("terminal", [True, False])
def test_a_narrow_terminal_gets_the_first_columns_and_a_pipe_all(eight, terminal):
    found = compare(one(*eight), one(*eight))
    stream = io.StringIO()
    console = Console(file=stream, width=90, force_terminal=terminal, color_system=None)
    print_comparison(found, None, console)
    text = stream.getvalue()
    assert "…" not in text
    assert ("Cold start" in text) is not terminal
    assert "Error ratio" in text
    assert text.count("µs") == 8
    assert text.count("tensorflow/") == 4


def test_markdown_tells_the_gate_the_differences_and_the_cells(record, mixed, eight):
    there = [r | {"machine": (r["machine"] or {}) | {"cpu": "A|B"}} for r in mixed]
    text = make_comparison_markdown(compare(one(*eight), one(*there)), 5)
    assert text.startswith("# 8 cells in both: ")
    assert "- **toycnn pytorch/tflite passed and is now failed**" in text
    assert "A\\|B" in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 10
    assert "passed → skipped" in lines[-2]


def test_json_holds_figures_of_both(record, mixed, eight):
    data = json.loads(json.dumps(to_json(compare(one(*eight), one(*mixed)), 5), allow_nan=False))
    assert data["schema"] == 1
    assert len(data["cells"]) == 8
    assert len(data["failures"]) == 3
    cell = data["cells"][5]
    assert cell["status"] == {"first": "passed", "second": "failed"}
    assert cell["error_ratio"]["second"] == 2944.2
    assert cell["p50_ns"]["second"] is None
    assert data["cells"][0]["p50_ns"]["first"] == data["cells"][0]["p50_ns"]["second"]


def test_latencies_that_are_invalid_are_told(record):
    bad = record(valid=False, invalid_reasons=["the load changed"])
    found = compare(one(record()), one(bad))
    assert found.doubts == ("", "INVALID: the load changed (pytorch ONNX).")
    text = make_comparison_markdown(found, None)
    assert "- Latencies of the second INVALID: the load changed (pytorch ONNX)." in text
    assert to_json(found, None)["doubts"]["first"] is None


def test_invalid_latencies_are_inconclusive_and_fail_no_gate(record):
    slower = timed(record(), 2e5, seed=1) | {"valid": False, "invalid_reasons": ["too short"]}
    found = compare(one(timed(record(), 1e5)), one(slower))
    assert found.pairs[0].verdict == "inconclusive"
    assert found.failures(10) == []


def test_a_cell_that_passed_and_is_missing_fails_the_gate(record, eight):
    found = compare(one(*eight()) if callable(eight) else one(*eight), one(record()))
    lost = found.failures(10)
    assert len(lost) == len(found.only_first) > 0
    assert all("is missing now" in line for line in lost)
    assert found.failures(None) == []
