"""``shipworthy compare`` and ``shipworthy report`` on folders, as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent / "shipworthy"


def call(*words):
    done = subprocess.run([BIN, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done


def write_run(folder, p50, *, cpu="Some CPU", status="passed", processes=6):
    """Write a model's folder as it is when a cell was timed: its records alone."""
    comparison = {"case": "*", "output": "y", "passed": True}
    latencies = [p50 + 13 * (i % 7) + (i // 100) for i in range(100 * processes)]
    record = {
        "schema": 1, "model": "net", "framework": "pytorch", "format": "onnx", "status": status,
        "route": "pytorch>onnx", "device": "local", "scenario": "SingleStream", "threads": 1,
        "comparisons": [comparison], "latencies_ns": latencies, "process_runs": [100] * processes,
        "reason": None if status == "passed" else "it is wrong", "machine": {"cpu": cpu},
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "records.jsonl").write_text(json.dumps(record) + "\n")
    return folder


@pytest.fixture
def runs(tmp_path):
    return write_run(tmp_path / "a", 10_000), write_run(tmp_path / "b", 12_000)


def test_a_comparison_alone_exits_with_0(runs):
    done = call("compare", *runs)
    assert done.returncode == 0
    assert "slower" in done.stdout
    assert "1 cell in both: 1 slower." in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(("percent", "code"), [("10", 1), ("25", 0)])
def test_the_gate_decides_the_exit_code(runs, percent, code):
    done = call("compare", *runs, "--fail-if-slower", percent)
    assert done.returncode == code
    assert ("FAILED net pytorch/onnx is slower by more than 10 %" in done.stdout) is (code == 1)


def test_a_cell_that_no_longer_passes_fails_the_gate_alone(tmp_path):
    a = write_run(tmp_path / "a", 10_000)
    b = write_run(tmp_path / "b", 10_000, status="failed")
    assert call("compare", a, b).returncode == 0
    done = call("compare", a, b, "--fail-if-slower", "50", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["failures"] == ["net pytorch/onnx passed and is now failed"]


def test_json_and_markdown(runs):
    data = json.loads(call("compare", *runs, "--json").stdout)
    assert data["cells"][0]["verdict"] == "slower"
    assert data["cells"][0]["ratio"]["low"] > 1.15
    assert call("compare", *runs, "--markdown").stdout.startswith("# 1 cell in both: 1 slower.\n")


def test_another_machine_is_told_first(tmp_path):
    a = write_run(tmp_path / "a", 10_000)
    b = write_run(tmp_path / "b", 10_000, cpu="Other CPU")
    assert call("compare", a, b).stdout.startswith("Not the same: CPU: Some CPU → Other CPU\n")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda p: p / "nothing", "nothing"),
        (lambda p: p, "is neither a model's folder nor"),
        (lambda p: Path(__file__), "cannot be read"),
    ],
)
def test_wrong_input_exits_with_2(runs, tmp_path, make, told):
    (tmp_path / "c").mkdir()
    done = call("compare", runs[0], make(tmp_path / "c"))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("options", [["--fail-if-slower", "-1"], ["--json", "--markdown"]])
def test_wrong_options_exit_with_2(runs, options):
    done = call("compare", *runs, *options)
    assert done.returncode == 2
    assert options[0] in done.stderr


def test_a_damaged_record_is_wrong_input(runs):
    (runs[1] / "records.jsonl").write_text('{"schema": 9}\n')
    done = call("compare", *runs)
    assert done.returncode == 2
    assert "has schema 9; this version reads 1" in done.stderr


@pytest.mark.matrix
def test_a_folder_of_models_is_reported_as_a_whole(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        cells = [["pytorch", "onnx"]]
        asked = {"schema": 1, "model": name, "cells": cells, "threads": 1, "origin": "zoo"}
        (tmp_path / name / "cells.json").write_text(json.dumps(asked))
    done = call("report", tmp_path)
    # Nothing was ever exported, so nothing passes; the reports are there all the same.
    assert done.returncode == 1
    assert "2 models. None of 2 exports passes: 2 failed." in done.stdout
    names = {"report.html", "report.md", "report.json", "report.csv"}
    assert names <= {path.name for path in tmp_path.iterdir()}
    assert names | {"summary.json"} <= {path.name for path in (tmp_path / "one").iterdir()}
    data = json.loads(call("report", tmp_path, "--json").stdout)
    assert [model["model"] for model in data["models"]] == ["one", "two"]
