"""The command that a failed cell names."""

import json
import shutil

import pytest

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(600)]


def test_a_hop_is_made_again_beside_its_cell(exported, shipworthy, tmp_path):
    out = shutil.copytree(exported("cnn"), tmp_path / "cnn")
    cell = out / "pytorch" / "tflite"
    before = {path.name: path.stat().st_mtime_ns for path in cell.iterdir()}
    assert "validation.json" in before
    done = shipworthy("hop", "cnn", "pytorch>saved_model", "tflite", "--out", out)
    assert done.returncode == 0, done.stderr
    made = out / "hops" / "pytorch-saved_model-tflite"
    assert done.stdout.strip() == str(made / "model.tflite")
    assert json.loads((made / "artifact.json").read_text())["route"] == "pytorch>saved_model>tflite"
    assert {path.name: path.stat().st_mtime_ns for path in cell.iterdir()} == before


def test_a_plain_hop_tells_the_plain_command(exported, shipworthy, tmp_path):
    out = shutil.copytree(exported("cnn"), tmp_path / "cnn")
    done = shipworthy("hop", "cnn", "pytorch", "torchscript", "--no-optimize", "--out", out)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((out / "hops" / "pytorch-torchscript" / "artifact.json").read_text())
    assert "--no-optimize" in manifest["command"]
