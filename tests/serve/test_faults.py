"""Faulty exports, each of which must be caught in the process that ships."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from shipworthy.convert.routes import FORMATS
from shipworthy.convert.seal import seal
from shipworthy.serve.judge import judge_cell

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(600)]

# Changes of the original, as a careless conversion would make them; make_faults.py has them.
CHANGES = ("epsilon", "weight", "bias", "half", "transposed", "layout", "shape")
# What is told of a batch that is fixed at 2.
BAKED = {
    "onnx": "the model takes [2, 1, 8, 8]",
    "saved_model": "the model takes [2, 1, 8, 8]",
    "torchscript": "shape '[2, 256]' is invalid",
    "tflite": "the model takes [2, 1, 8, 8]",
}


@pytest.fixture
def good(exported, tmp_path):
    """Copy one cell, with the true reference, to be spoilt; returns the model's folder."""
    out = tmp_path / "cnn"

    def copy(format_, *options):
        whole = exported("cnn", *options) / "pytorch"
        for name in ("reference", format_):
            shutil.copytree(whole / name, out / "pytorch" / name)
        return out

    return copy


@pytest.fixture
def faulty(good, exported, shared, once):
    """Put a faulty file in the place of a format's good one; returns the model's folder."""

    def put(format_, fault):
        made = shared / "faults" / format_
        program = Path(__file__).with_name("make_faults.py")
        reference = exported("cnn") / "pytorch" / "reference"
        once(f"faults-{format_}", [sys.executable, program, reference, format_, made])
        out = good(format_)
        target = out / "pytorch" / format_ / FORMATS[format_].filename
        if target.is_dir():
            shutil.rmtree(target)
            shutil.copytree(made / fault / target.name, target)
        else:
            shutil.copy(made / fault / target.name, target)
        return out

    return put


def judge(out, format_, **options):
    return judge_cell(out, "pytorch", format_, threads=1, timeout=60, **options)


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_export_without_a_fault_passes(faulty, format_):
    verdict = judge(faulty(format_, "none"), format_, again=True)
    assert verdict.passed, verdict.reason
    assert verdict.validation.worst.error_ratio < 4


@pytest.mark.parametrize("fault", CHANGES)
@pytest.mark.parametrize("format_", FORMATS)
def test_a_changed_original_is_caught(faulty, format_, fault):
    verdict = judge(faulty(format_, fault), format_)
    assert not verdict.passed
    assert "output logits" in verdict.reason
    assert "has changed since it was exported" in " ".join(verdict.notes)
    if fault == "shape":
        assert any("got [64, 1, 10]" in c.detail for c in verdict.validation.comparisons)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_baked_batch_is_caught(faulty, format_):
    verdict = judge(faulty(format_, "baked"), format_)
    assert not verdict.passed
    assert BAKED[format_] in verdict.reason


def onnx_with_outputs(out, keep_own):
    """Make an inner tensor an output of the ONNX file, beside its own or instead; its name."""
    import onnx

    path = out / "pytorch" / "onnx" / "model.onnx"
    model = onnx.load(path)
    name = model.graph.node[0].output[0]
    if not keep_own:
        del model.graph.output[:]
    kind = onnx.TensorProto.FLOAT
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    onnx.save(model, path)
    return name


def test_a_dropped_output_is_caught_in_onnx(good):
    out = good("onnx")
    onnx_with_outputs(out, keep_own=False)
    verdict = judge(out, "onnx")
    assert not verdict.passed
    assert "logits" in verdict.reason


def test_an_extra_output_is_caught_in_onnx(good):
    out = good("onnx")
    name = onnx_with_outputs(out, keep_own=True)
    verdict = judge(out, "onnx")
    assert not verdict.passed
    assert f"output {name!r} of the file is not in the model's signature" in verdict.reason


@pytest.mark.parametrize(("fault", "told"), [("dropped", "output_0"), ("extra", "output_1")])
def test_another_number_of_outputs_is_caught_in_torchscript(faulty, fault, told):
    verdict = judge(faulty("torchscript", fault), "torchscript")
    assert not verdict.passed
    assert told in verdict.reason


@pytest.mark.parametrize("format_", FORMATS)
def test_one_changed_expectation_is_noticed(good, format_):
    """One element of one case, moved by 1e-3 in the reference: every element is compared."""
    out = good(format_)
    reference = out / "pytorch" / "reference"
    data = json.loads((reference / "reference.json").read_text())
    case = next(case for case in data["cases"] if case["name"] == "random_b64")
    for kind in ("expected32", "expected64"):
        path = reference / case[kind]["logits"]
        array = np.load(path)
        array[11, 3] += 1e-3
        np.save(path, array)
    seal(reference)
    verdict = judge(out, format_, again=True)
    assert not verdict.passed
    wrong = {(c.case, c.output) for c in verdict.validation.comparisons if not c.passed}
    assert wrong == {("random_b64", "logits"), ("*", "logits")}


FILES = {
    "onnx": "model.onnx",
    "torchscript": "model.pt",
    "tflite": "model.tflite",
    "saved_model": "saved_model/saved_model.pb",
    "saved_model's variables": "saved_model/variables/variables.data-00000-of-00001",
}

PLAIN = ("--no-optimize", "--format", "saved_model", "--framework", "pytorch")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["truncated", "garbage", "missing", "empty"])
def test_a_damaged_file_is_one_clear_failure(good, file, damage):
    format_, _, variables = file.partition("'")
    # An optimized SavedModel of this size holds constants, and no variables that matter.
    out = good(format_, *(PLAIN if variables else ()))
    path = out / "pytorch" / format_ / FILES[file]
    whole = path.read_bytes()
    path.unlink()
    left = {
        "truncated": whole[: len(whole) // 2],
        "garbage": bytes(range(256)) * (len(whole) // 256),
        "empty": b"",
    }
    if damage in left:
        path.write_bytes(left[damage])
    verdict = judge(out, format_)
    assert not verdict.passed
    assert verdict.reason
    assert "\n" not in verdict.reason
