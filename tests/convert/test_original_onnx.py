"""ONNX files as they come: what they declare, what is refused, and how they are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Signature, TensorSpec

pytestmark = pytest.mark.matrix

SIGNATURE = Signature(
    (TensorSpec("x", "float32", ("batch", 3)),),
    (TensorSpec("z", "float32", ("batch", 4)), TensorSpec("y", "float32", ("batch", 4))),
)


def save(path: Path, *, weights: Any = None, as_input: bool = False, **options: Any) -> Path:
    """y = x W + 1; z = 2 y."""
    from onnx import TensorProto, helper, numpy_helper
    from onnx import save as write

    if weights is None:
        weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])]
    if as_input:  # as files did before IR version 4
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 4]))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "one"], ["y"]),
            helper.make_node("Add", ["y", "y"], ["z"]),
        ],
        "affine",
        inputs,
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", None]) for n in "yz"],
        [
            numpy_helper.from_array(weights, "w"),
            numpy_helper.from_array(np.ones(4, np.float32), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    write(model, path, **options)
    return path


def save_beside(path: Path) -> Path:
    return save(path, save_as_external_data=True, location="weights.bin", size_threshold=0)


def move_weights_to(path: Path, location: str) -> None:
    import onnx

    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    onnx.save(model, path)


@pytest.mark.parametrize("as_input", [False, True])
def test_the_signature_is_what_the_file_declares(tmp_path: Path, as_input: bool) -> None:
    from shipworthy.models.onnx_file import OnnxTensor, signature_of

    inputs, outputs = signature_of(save(tmp_path / "m.onnx", as_input=as_input))
    assert inputs == [OnnxTensor("x", np.dtype(np.float32), ("batch", 3))]
    assert [one.name for one in outputs] == ["y", "z"]
    assert outputs[0].shape == ("batch", None)


def test_an_input_that_is_no_tensor_is_told(tmp_path: Path) -> None:
    from onnx import TensorProto, helper
    from onnx import save as write

    from shipworthy.models.onnx_file import signature_of

    graph = helper.make_graph(
        [helper.make_node("SequenceLength", ["s"], ["n"])],
        "sequence",
        [helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("n", TensorProto.INT64, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    write(model, tmp_path / "m.onnx")
    with pytest.raises(ShipworthyError, match="'s' is a sequence; the runtimes here are given"):
        signature_of(tmp_path / "m.onnx")


def test_files_that_are_missing_or_broken_are_told(tmp_path: Path) -> None:
    import onnx

    from shipworthy.models.onnx_file import read_onnx

    with pytest.raises(ShipworthyError, match="is not a file"):
        read_onnx(tmp_path / "nothing.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("not a model")
    with pytest.raises(ShipworthyError, match="is not an ONNX model"):
        read_onnx(text)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    with pytest.raises(ShipworthyError, match="it has no op set or no outputs"):
        read_onnx(empty)
    path = save(tmp_path / "broken.onnx")
    model = onnx.load(path)
    model.graph.node[0].input[0] = "nowhere"
    onnx.save(model, path)
    with pytest.raises(ShipworthyError, match=r"breaks ONNX's rules: .*nowhere"):
        read_onnx(path)


@pytest.mark.parametrize("location", ["../weights.bin", "a/../../weights.bin", "/etc/hostname"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, location: str) -> None:
    from shipworthy.models.onnx_file import read_onnx

    (tmp_path / "inner").mkdir()
    path = save_beside(tmp_path / "inner" / "m.onnx")
    (tmp_path / "weights.bin").write_bytes((path.parent / "weights.bin").read_bytes())
    move_weights_to(path, location)
    with pytest.raises(ShipworthyError, match="outside the model's folder"):
        read_onnx(path)


def test_a_link_does_not_lead_outside(tmp_path: Path) -> None:
    from shipworthy.models.onnx_file import read_onnx

    (tmp_path / "inner").mkdir()
    path = save_beside(tmp_path / "inner" / "m.onnx")
    weights = path.parent / "weights.bin"
    weights.rename(tmp_path / "secret.bin")
    with pytest.raises(ShipworthyError, match=r"weights\.bin, which is not there; keep it beside"):
        read_onnx(path)
    weights.symlink_to(tmp_path / "secret.bin")
    with pytest.raises(ShipworthyError, match="outside the model's folder"):
        read_onnx(path)


@pytest.mark.parametrize("beside", [False, True])
def test_an_original_runs_at_any_thread_count_and_with_other_weights(
    tmp_path: Path, beside: bool
) -> None:
    from shipworthy.convert.original_onnx import OnnxOriginal

    path = tmp_path / "m.onnx"
    original = OnnxOriginal(save_beside(path) if beside else save(path), SIGNATURE)
    assert original.model == path
    x = {"x": np.array([[1, 2, 3]], np.float32)}
    usual = original.run(x)
    assert list(usual) == ["z", "y"]
    np.testing.assert_array_equal(usual["y"], [[33, 39, 45, 51]])
    np.testing.assert_array_equal(usual["z"], 2 * usual["y"])
    np.testing.assert_array_equal(original.run(x, threads=2)["y"], usual["y"])
    restore = original.nudge_weights(lambda weight: weight + 1)
    np.testing.assert_array_equal(original.run(x)["y"], usual["y"] + 7)
    np.testing.assert_array_equal(original.run(x, threads=2)["y"], usual["y"] + 7)
    restore()
    np.testing.assert_array_equal(original.run(x)["y"], usual["y"])


def test_float64_is_refused_with_the_reason(tmp_path: Path) -> None:
    from shipworthy.convert.original import Float64RefusedError
    from shipworthy.convert.original_onnx import run_float64

    source: Any = None
    with pytest.raises(Float64RefusedError, match="no float64 kernels for convolutions"):
        run_float64(source, tmp_path, [], lambda original: None)


def test_what_onnx_runtime_refuses_is_told(tmp_path: Path) -> None:
    from shipworthy.convert.original_onnx import OnnxOriginal

    path = save(tmp_path / "m.onnx", weights=np.ones((2, 4), np.float32))  # x has 3 columns
    with pytest.raises(ShipworthyError, match="ONNX Runtime does not take"):
        OnnxOriginal(path, SIGNATURE)
