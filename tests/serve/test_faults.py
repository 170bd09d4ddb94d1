"""Faulty exports, each of which must be caught in the process that ships."""

import json
import shutil
import subprocess
import sys

import pytest

from shipworthy.serve.judge import judge_cell

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(600)]

# Each changes the original, or how it is exported, as a careless conversion would. The last entry
# is what the user must be told.
FAULTS = {
    "none": ("", True, ""),
    "epsilon": ("for m in norms: m.eps = 1e-3", True, "logits"),
    "weight": ("convs[1].weight.data[3, 2, 1, 1] += 1e-4", True, "logits"),
    "bias": ("dense[-1].bias.data[7] += 1e-5", True, "logits"),
    "half": ("dense[-1].weight.data = dense[-1].weight.data.half().float()", True, "logits"),
    "layout": ("flatten_as_nhwc(module)", True, "logits"),
    "transposed": ("convs[0].weight.data = convs[0].weight.data.transpose(2, 3)", True, "logits"),
    "baked": ("", False, "fixed at 2"),
}
EXPORT = """
import sys, torch
from shipworthy.convert.snapshot import load_original
from shipworthy.models import zoo
from pathlib import Path

module = load_original(zoo.get("cnn").sources["pytorch"], Path(sys.argv[1]))
convs = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d)]
norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
dense = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]

def flatten_as_nhwc(module):
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, torch.nn.Flatten):
                class Swapped(torch.nn.Module):
                    def forward(self, x):
                        return x.permute(0, 2, 3, 1).flatten(1)
                setattr(parent, name, Swapped())
                return
    raise AssertionError("no flatten")

exec(sys.argv[3])
batch = {0: torch.export.Dim("batch", min=1, max=4096)} if sys.argv[4] == "True" else None
torch.onnx.export(
    module, (torch.randn(2, 1, 8, 8),), sys.argv[2], dynamo=True, verbose=False,
    input_names=["image"], output_names=["logits"], external_data=False,
    dynamic_shapes=(batch,) if batch else None,
)
"""


@pytest.fixture
def cell(exported, tmp_path):
    """A cell of its own to spoil, with the true reference."""
    shutil.copytree(exported("cnn"), tmp_path / "cnn")
    return tmp_path / "cnn"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_export_is_caught(cell, fault):
    change, dynamic, told = FAULTS[fault]
    path = cell / "pytorch" / "onnx" / "model.onnx"
    path.unlink()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXPORT, cell / "pytorch" / "reference", path,
         change, str(dynamic)],
        check=True, capture_output=True,
    )  # fmt: skip
    verdict = judge_cell(cell, "pytorch", "onnx", threads=1, timeout=60)
    assert "has changed since it was exported" in " ".join(verdict.notes)
    assert verdict.passed == (fault == "none"), verdict.reason
    assert told in verdict.reason
    if fault == "none":
        assert verdict.validation.worst.error_ratio < 4


def test_a_dropped_output_is_caught(cell):
    import onnx

    path = cell / "pytorch" / "onnx" / "model.onnx"
    model = onnx.load(path)
    inner = onnx.helper.make_tensor_value_info(
        model.graph.node[0].output[0], onnx.TensorProto.FLOAT, None
    )
    del model.graph.output[:]
    model.graph.output.append(inner)
    onnx.save(model, path)
    verdict = judge_cell(cell, "pytorch", "onnx", threads=1, timeout=60)
    assert not verdict.passed
    assert "logits" in verdict.reason


def test_an_extra_output_is_caught(cell):
    import onnx

    path = cell / "pytorch" / "onnx" / "model.onnx"
    model = onnx.load(path)
    name = model.graph.node[0].output[0]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    )
    onnx.save(model, path)
    verdict = judge_cell(cell, "pytorch", "onnx", threads=1, timeout=60)
    assert not verdict.passed
    assert name in verdict.reason


@pytest.mark.parametrize("format_", ["onnx", "torchscript", "tflite", "saved_model"])
def test_another_models_weights_are_caught(cell, format_):
    """The other framework's model has the same signature up to layout, and other weights."""
    reference = cell / "pytorch" / "reference"
    data = json.loads((reference / "reference.json").read_text())
    case = next(case for case in data["cases"] if case["name"] == "random_b64")
    import numpy as np

    path = reference / case["expected64"]["logits"]
    array = np.load(path)
    array[11, 3] += 1e-3
    np.save(path, array)
    verdict = judge_cell(cell, "pytorch", format_, threads=1, timeout=60, again=True)
    assert not verdict.passed
    assert "random_b64" in verdict.reason or "all cases" in verdict.reason


@pytest.mark.parametrize("format_", ["onnx", "torchscript", "tflite"])
@pytest.mark.parametrize("damage", ["truncated", "garbage", "missing", "empty"])
def test_a_damaged_file_is_one_clear_failure(cell, format_, damage):
    path = next((cell / "pytorch" / format_).glob("model.*"))
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        size = len(whole)
        path.write_bytes(
            {"truncated": whole[: size // 2], "garbage": bytes(range(256)) * (size // 256)}.get(
                damage, b""
            )
        )
    verdict = judge_cell(cell, "pytorch", format_, threads=1, timeout=60)
    assert not verdict.passed
    assert verdict.reason
    assert "\n" not in verdict.reason
