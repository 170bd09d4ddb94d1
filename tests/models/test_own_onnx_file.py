"""``model.onnx`` as a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.models.given import parse
from shipworthy.models.own import Opened, OwnModelError, open_own

pytestmark = pytest.mark.matrix
WEIGHT = np.arange(6, dtype=np.float32).reshape(3, 2)


def save(path: Path, *, dtype: int = 1, domain: str = "", opset: int = 17, **options: Any) -> Path:
    import onnx
    from onnx import helper, numpy_helper

    nodes = [
        helper.make_node("MatMul", ["input.1", "w"], ["/a/y"]),
        helper.make_node("Relu", ["/a/y"], ["out:0"], domain=domain),
    ]
    graph = helper.make_graph(
        nodes, "graph",
        [helper.make_tensor_value_info("input.1", dtype, ["N", "len", 3])],
        [helper.make_tensor_value_info("out:0", dtype, ["N", "len", 2])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, path, **options)
    return path


def load(path: Path, **options: Any) -> Opened:
    return open_own(parse(str(path), **options))


def refusal(path: Path) -> str:
    with pytest.raises(OwnModelError) as caught:
        load(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_names_and_axes_are_plain_and_the_graph_runs(tmp_path: Path) -> None:
    opened = load(save(tmp_path / "model.onnx"))
    assert (opened.framework, opened.kind) == ("onnx", "onnx")
    assert [(s.name, s.shape) for s in opened.specs] == [("input_1", ("batch", "len", 3))]
    x = np.ones((2, 5, 3), np.float32)
    np.testing.assert_array_equal(opened.model.call_arrays([x])["out_0"], x @ WEIGHT)


def test_weights_beside_the_file_belong_to_it(tmp_path: Path) -> None:
    path = save(
        tmp_path / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    opened = load(path)
    assert opened.files == (path, tmp_path / "w.bin")
    (tmp_path / "w.bin").rename(tmp_path / "elsewhere.bin")
    assert "keep it beside the model" in refusal(path)


@pytest.mark.parametrize("link", [False, True])
def test_weights_outside_the_folder_are_not_read(link: bool, tmp_path: Path) -> None:
    import onnx

    secret, folder = tmp_path / "secret", tmp_path / "folder"
    secret.write_bytes(bytes(64))
    folder.mkdir()
    path = save(
        folder / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    if link:
        (folder / "w.bin").unlink()
        (folder / "w.bin").symlink_to(secret)
    else:
        model = onnx.load(path, load_external_data=False)
        for entry in model.graph.initializer[0].external_data:
            entry.value = "../secret" if entry.key == "location" else entry.value
        path.write_bytes(model.SerializeToString())
    assert "outside the model's folder" in refusal(path)


@pytest.mark.parametrize(("dtype", "name"), [(10, "float16"), (8, "string")])
def test_dtypes_that_no_runtime_is_given(dtype: int, name: str, tmp_path: Path) -> None:
    assert f"is {name}" in refusal(save(tmp_path / "model.onnx", dtype=dtype))


@pytest.mark.parametrize(("how", "told"), [
    ({"domain": "their.own"}, "their.own:Relu"), ({"opset": 99}, "ONNX Runtime only"),
])  # fmt: skip
def test_what_onnx_runtime_lacks_is_named(how: Any, told: str, tmp_path: Path) -> None:
    opened = load(save(tmp_path / "model.onnx", **how))
    with pytest.raises(OwnModelError, match=told):
        opened.model.call_arrays([np.ones((2, 5, 3), np.float32)])


@pytest.mark.parametrize("content", [b"", b"hello" * 30, None])
def test_what_is_no_whole_onnx_file(content: bytes | None, tmp_path: Path) -> None:
    path = save(tmp_path / "model.onnx")
    path.write_bytes(path.read_bytes()[:-60] if content is None else content)
    assert "is not an ONNX model" in refusal(path)
