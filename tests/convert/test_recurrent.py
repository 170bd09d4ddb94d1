"""Recurrent layers stay whole in every format, and run at lengths that were not traced.

The bridge's own numbers are in ``bridge_cases_sequence.py``; here are ONNX's nodes, the loop of the
TFLite file, and what is said where a layer cannot be kept.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.bridge.branches import branches
from shipworthy.convert.bridge.lazy import Lazy
from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.spec import Signature, Source, TensorSpec, synthesise

torch: Any = Lazy("torch")
nn: Any = Lazy("torch.nn")

pytestmark = [
    pytest.mark.matrix,
    # PyTorch, inside torch.export and run_decompositions.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
    # PyTorch, of its own speed on a projected LSTM.
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported:UserWarning"),
]

X = TensorSpec("x", "float32", ("batch", "seq", 4))
LENGTHS = TensorSpec("lengths", "int64", ("batch",), 1, 5)
SIZES = ({"batch": 2, "seq": 8}, {"batch": 3, "seq": 5}, {"batch": 1, "seq": 13})


def stack() -> Any:
    """An LSTM, a GRU and two plain layers, with everything that changes how they are written."""

    class Stack(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 5, 2, bidirectional=True, batch_first=True)
            self.gru = nn.GRU(10, 6, batch_first=True)
            self.tanh = nn.RNN(6, 4, 2, bias=False, batch_first=True)
            self.relu = nn.RNN(4, 3, nonlinearity="relu", bidirectional=True, batch_first=True)
            self.projected = nn.LSTM(6, 5, proj_size=3, bidirectional=True, batch_first=True)

        def forward(self, x: Any, lengths: Any) -> Any:
            from torch.nn.utils import rnn

            packed = rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
            y, (_, cell) = self.lstm(packed)
            y, _ = rnn.pad_packed_sequence(y, True, total_length=x.shape[1])
            y, _ = self.gru(y)
            y, state = self.tanh(y)
            y, _ = self.relu(y)
            first = (torch.ones(2, x.shape[0], 3), torch.zeros(2, x.shape[0], 5))
            y, (h, c) = self.projected(y, first)
            return y, torch.cat([cell.transpose(0, 1).flatten(1), state[-1], h[0], c[1]], 1)

    torch.manual_seed(0)
    return Stack().eval()


OUTPUTS = (
    TensorSpec("y", "float32", ("batch", "seq", 6)),
    TensorSpec("states", "float32", ("batch", 32)),
)
SIGNATURE = Signature((X, LENGTHS), OUTPUTS)


def expected(model: Any, arrays: Any) -> list[Any]:
    with torch.no_grad():
        return [t.numpy() for t in model(*map(torch.from_numpy, arrays.values()))]


def source(model: Any, signature: Signature) -> Source:
    return Source("stack", "pytorch", signature, build=lambda: model)


def test_onnx_has_one_node_a_layer(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    from shipworthy.convert.formats.onnx import from_pytorch

    model, path = stack(), tmp_path / "model.onnx"
    from_pytorch(model, source(model, SIGNATURE), path)
    graph = onnx.load(path).graph
    kinds = Counter(node.op_type for node in graph.node)
    assert (kinds["LSTM"], kinds["GRU"], kinds["RNN"]) == (3, 1, 3)
    assert kinds["Loop"] == kinds["Scan"] == 0
    axes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.input]
    assert axes == [["batch", "seq", 4], ["batch"]]
    # Weights stand in the file as the nodes want them.
    stored = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in ("LSTM", "GRU", "RNN"):
            assert {name for name in node.input[1:4] if name} <= stored
    session = onnxruntime.InferenceSession(path)
    for seed, sizes in enumerate(SIZES):
        arrays = synthesise(SIGNATURE, sizes, seed)
        for actual, wanted in zip(session.run(None, arrays), expected(model, arrays), strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=2e-6)


def test_tflite_loops_without_tensor_lists(tmp_path: Path) -> None:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    from shipworthy.convert.bridge.saved_model import write_saved_model

    model = stack()
    told = write_saved_model(model, SIGNATURE, synthesise(SIGNATURE, SIZES[0], 0), tmp_path)
    assert not [kind for kind in told["ops"] if kind.startswith("TensorList")]
    assert told["ops"]["StatelessWhile"] == 7
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    run = Interpreter(model_content=converter.convert()).get_signature_runner()
    for seed, sizes in enumerate(SIZES):
        arrays = synthesise(SIGNATURE, sizes, seed)
        actual = run(**arrays)
        for spec, wanted in zip(OUTPUTS, expected(model, arrays), strict=True):
            np.testing.assert_allclose(actual[spec.name], wanted, rtol=0, atol=2e-6)


def test_onnx_refuses_a_packed_projection(tmp_path: Path) -> None:
    from shipworthy.convert.formats.onnx import from_pytorch

    class Packed(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 5, proj_size=3)

        def forward(self, x: Any, lengths: Any) -> Any:
            from torch.nn.utils import rnn

            packed = rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
            return self.lstm(packed)[1][0][0]

    signature = Signature((X, LENGTHS), (TensorSpec("h", "float32", ("batch", 3)),))
    with pytest.raises(UnsupportedModelError, match="has no projection") as caught:
        from_pytorch(Packed().eval(), source(None, signature), tmp_path / "model.onnx")
    assert "LSTM without proj_size" in str(caught.value)


def checked(self: Any, x: Any) -> Any:
    assert x.shape[1] <= 64, "too long"
    if x.shape[1] > 32:
        raise ValueError(f"{x.shape[1]} is too long")
    torch._check(x.shape[1] < 50)
    return x * 2


def chosen(self: Any, x: Any) -> Any:
    if x.shape[1] > 6:
        return x * 2
    return x


@pytest.mark.parametrize(("forward", "count"), [(checked, 0), (chosen, 1)])
def test_a_check_is_no_branch(forward: Any, count: int) -> None:
    model = type("Made", (nn.Module,), {"forward": forward})().eval()
    dynamic = {1: torch.export.Dim.DYNAMIC}
    program = torch.export.export(model, (torch.ones(2, 8),), dynamic_shapes=(dynamic,))
    found = branches(program)
    assert len(found) == count
    assert all("if x.shape[1] > 6" in line for line in found)
