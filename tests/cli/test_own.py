"""A model of one's own on the command line; a failed cell on one screen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.report.explanation import HEIGHT, WIDTH, explain_cell, explain_lines
from shipworthy.report.records import normalise

BIN = Path(sys.executable).parent / "shipworthy"


def call(*words: Any, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [BIN, *map(str, words)], capture_output=True, text=True, timeout=300, cwd=cwd, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["net.py"], "say what in it builds the model"),
        (["none.py:f"], "does not exist"),
        (["net.py:f", "--weights", "w.pt"], "--weights w.pt is no file"),
        (["net.py:f", "--inputs", "net.py"], "takes an .npz file"),
        (["net.py:f", "--input", "x"], "is not name:dtype:axes"),
        (["net.py:f", "--dynamic", "x"], "is not input:axis=name"),
        (["notes.txt"], "ends in '.txt'"),
        (["cnn", "--input", "x:float32:2"], "'cnn' is one of the zoo"),
    ],
)
def test_wrong_usage_exits_with_2(tmp_path: Path, words: list[str], told: str) -> None:
    (tmp_path / "net.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "cnn").mkdir()  # a folder of that name does not hide the zoo's model
    done = call("export", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


def record(**values: Any) -> Any:
    common = {
        "model": "net", "framework": "pytorch", "format": "tflite", "status": "failed",
        "route": "pytorch>saved_model>tflite",
    }  # fmt: skip
    return normalise(common | values)


FAILED = record(
    reason="pytorch>saved_model: the bridge cannot translate aten.cdist.default "
    + "at length " * 60,
    where="/home/me/net.py:12: return torch.cdist(x, y)",
    advice="write that line with plainer operations " * 6,
    command="shipworthy hop '/home/me/my net.py:make' pytorch saved_model --out /home/me/out/net",
    log="/home/me/out/net/logs/pytorch.saved_model.log",
    notes=[
        f"note {i}, rather long, of more than one line of the screen, as some are" for i in range(9)
    ],
    attempts=[{"route": "pytorch>tflite", "status": "failed", "reason": "no lowering " * 30}] * 3,
)


def test_a_failure_fits_one_screen() -> None:
    lines = explain_lines(FAILED)
    assert len(lines) <= HEIGHT
    assert all(len(line) <= WIDTH for line in lines)
    text = "\n".join(lines)
    for told in (
        "FAILED  pytorch > tflite of net",
        "hop        pytorch>saved_model", "op         aten.cdist",
        "your line  /home/me/net.py:12: return torch.cdist(x, y)", "plainer operations",
        "pytorch.saved_model.log", "tflite: no lowering",
    ):  # fmt: skip
        assert told in text
    start = next(i for i, line in enumerate(lines) if line.startswith("reproduce"))
    command = " ".join(line[11:].rstrip("\\").strip() for line in lines[start : start + 2])
    assert command == FAILED["command"]


def test_what_cases_tell_of_a_wrong_artifact() -> None:
    cases = {"example": True, "random_b2": True, "random_b5": False, "*": False}
    note = (
        "What '/me/net.py:3: if len(x) > 2:' decides was fixed when tracing: the dynamic axes ..."
    )
    found = explain_cell(
        record(
            reason="output y of case random_b5: Mismatched elements: 5 / 10",
            comparisons=[{"case": c, "output": "y", "passed": p} for c, p in cases.items()],
            notes=[note],
        )
    )
    assert "equal in example, random_b2; not in random_b5" in found["do"]
    assert found["your line"] == "/me/net.py:3: if len(x) > 2:"
    assert "op" not in found


def test_a_pass_says_how() -> None:
    passed = record(
        status="passed", error_ratio=1.25, threshold=5.0, yardstick="float64",
        path="pytorch/onnx/model.onnx",
        comparisons=[{"case": "golden", "output": "y", "passed": True}], dynamic_axes=["batch"],
        size_bytes=1000, command="shipworthy hop net.py:f pytorch onnx",
    )  # fmt: skip
    text = "\n".join(explain_lines(passed))
    assert "1.25 ≤ 5" in text
    assert "1 case: golden" in " ".join(text.split())
    assert "batch dynamic" in text


def test_a_folder_or_a_cell_that_was_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "cells.json").write_text(
        json.dumps({"model": "net", "cells": [["pytorch", "onnx"]]})
    )
    for cell, told in (
        (tmp_path, f"name a cell in it: {tmp_path}/pytorch/onnx"),
        (tmp_path / "pytorch/tflite", "its cells are: pytorch/onnx"),
        (tmp_path / "a/b/c", "holds no export"),
    ):
        done = call("explain", cell, cwd=tmp_path)
        assert done.returncode == 2
        assert told in done.stderr
    done = call("explain", tmp_path / "pytorch/onnx", cwd=tmp_path)
    assert done.returncode == 0
    assert "FAILED  pytorch > onnx of net" in done.stdout


TORCH = """
import os, sys, time
import numpy as np
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(3, 2)
    def forward(self, x):
        h = self.f(x.mean((2, 3)))
        if h.sum() > 1000:
            h = -h
        return {"pixels": h, "sides": h * 2}

def scale(pixels):
    return pixels.permute(0, 3, 1, 2).float() / 255
RAW = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)

def make():
    print("building"); print("loading", file=sys.stderr)
    state = torch.load("net.pt")
    net = Net(); net.load_state_dict(state)
    return {"model": net, "inputs": RAW, "preprocess": scale}
def hangs():
    time.sleep(100)
def fails():
    raise ValueError("no such thing")
def crashes():
    import ctypes
    ctypes.string_at(0)
def leaves():
    os._exit(0)
"""


@pytest.mark.matrix
class TestTorch:
    @pytest.fixture
    def repo(self, tmp_path: Path) -> Path:
        (tmp_path / "my net.py").write_text(TORCH)
        return tmp_path

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("fails", r"ValueError: no such thing at"),
            ("make", "Relative paths count from the working folder"),
            ("hangs", "no result within 25 s; the process was ended at"),
            ("crashes", "crashed with SIGSEGV at"),
            ("leaves", "ended without a result, as os._exit lets it"),
        ],
    )
    def test_a_factory_that_does_not_give_a_model(self, repo: Path, name: str, told: str) -> None:
        done = call("export", f"my net.py:{name}", "--timeout", "25", "--json", cwd=repo)
        assert done.returncode == 2
        assert done.stdout == ""
        assert f"looking at {repo}/my net.py:{name}" in done.stderr
        assert told in done.stderr

    def test_from_a_raw_input_to_an_explained_cell(self, repo: Path) -> None:
        import torch

        torch.manual_seed(1)
        layer = torch.nn.Linear(3, 2)
        torch.save({f"f.{k}": v for k, v in layer.state_dict().items()}, repo / "net.pt")
        words = ("export", "my net.py:make", "--no-bench", "--json", "--format", "torchscript,onnx")
        done = call(*words, cwd=repo)
        summary = json.loads(done.stdout)  # whatever the factory printed
        cells = {cell["format"]: cell for cell in summary["cells"]}
        assert cells["torchscript"]["status"] == "passed", done.stderr
        assert cells["onnx"]["status"] == "failed"
        lines = (repo / "out/make/records.jsonl").read_text().splitlines()
        records = {one["format"]: one for one in map(json.loads, lines)}
        notes = " ".join(records["torchscript"]["notes"])
        assert "is inside the export" in notes
        assert "Axis 0 of every input was tried as the batch, and is." in notes
        assert "if h.sum() > 1000:" in notes
        declared = records["torchscript"]["options"]["preprocess"]
        assert declared["inside"]
        assert declared["source"].endswith("my net.py:17")
        assert {c["case"] for c in records["torchscript"]["comparisons"]} >= {"golden"}
        golden = np.load(
            next((repo / "out/make/pytorch/reference/cases/golden/inputs").glob("*.npy"))
        )
        assert golden.dtype == np.uint8
        told = json.loads(call("explain", "out/make/pytorch/onnx", "--json", cwd=repo).stdout)
        assert told["your line"] == f"{repo}/my net.py:13: if h.sum() > 1000:"
        assert "torch.where" in told["do"]
        # The checkpoint that the factory reads is part of the model.
        torch.save({f"f.{k}": v + 1 for k, v in layer.state_dict().items()}, repo / "net.pt")
        call(*words, cwd=repo)
        lines = (repo / "out/make/records.jsonl").read_text().splitlines()
        again = next(one for one in map(json.loads, lines) if one["format"] == "torchscript")
        assert again["sha256"] != records["torchscript"]["sha256"]
