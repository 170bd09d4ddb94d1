"""Files of every kind, exported to every format by the command line; wrong ones end with code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    # Keras' own, for NumPy 2, when it saves a model's weights.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]
SIZE = (3, 8, 8)


def small_net() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 5)).eval()


def save_program(folder: Path) -> list[str]:
    import torch

    sizes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(small_net(), (torch.randn(2, *SIZE),), dynamic_shapes=sizes)
    torch.export.save(program, folder / "net.pt2")
    return ["net.pt2"]


def save_traced(folder: Path) -> list[str]:
    import torch

    torch.jit.trace(small_net(), torch.randn(2, *SIZE)).save(str(folder / "net.pt"))
    return ["net.pt", "--input", "image:float32:batch,3,8,8"]


def save_onnx(folder: Path) -> list[str]:
    import onnx
    import torch

    torch.onnx.export(
        small_net(), (torch.randn(2, *SIZE),), folder / "plain.onnx", dynamo=True, verbose=False,
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), input_names=["input.1"],
    )  # fmt: skip
    model = onnx.load(folder / "plain.onnx")
    onnx.save(
        model, folder / "net.onnx", save_as_external_data=True, location="net.weights",
        size_threshold=64,
    )  # fmt: skip
    return ["net.onnx"]


def save_signature(folder: Path) -> list[str]:
    import tensorflow as tf

    class Scaled(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(tf.random.stateless_normal([8, 4], [1, 2]))

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None, None, 8], tf.float32, name="x"),
                tf.TensorSpec([], tf.float32, name="scale"),
            ]
        )
        def scaled(self, x: Any, scale: Any) -> Any:
            # In this order the places of a tuple and the names do not agree.
            return {"output_1": tf.nn.tanh(x @ self.weight), "output_0": x * scale}

    module = Scaled()
    tf.saved_model.save(
        module, str(folder / "net"), signatures={"a": module.scaled, "b": module.scaled}
    )
    return ["net", "--signature", "b"]


def save_keras(folder: Path) -> list[str]:
    import keras

    inputs = keras.Input((8,), name="x")
    answer = keras.layers.Dense(4, activation="softmax", name="answer")(inputs)
    keras.Model(inputs, answer).save(folder / "net.keras")
    return ["net.keras"]


def save_bert(folder: Path) -> list[str]:
    transformers = pytest.importorskip("transformers", reason="the optional extra huggingface")
    config = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        vocab_size=60, max_position_embeddings=40,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).eval().save_pretrained(folder / "bert")
    return ["./bert"]


SAVED = {
    "exported program": save_program,
    "torchscript": save_traced,
    "onnx": save_onnx,
    "saved_model": save_signature,
    "keras": save_keras,
    "huggingface": save_bert,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", list(SAVED))
def test_every_format_passes(kind: str, shipworthy: Callable[..., Any], tmp_path: Path) -> None:
    words = SAVED[kind](tmp_path)
    ended = shipworthy("export", *words, "--no-bench", "--out", "out", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    cells = json.loads(ended.stdout)["cells"]
    assert [cell["status"] for cell in cells] == ["passed"] * 4
    again = shipworthy("validate", "out", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def test_a_pickle_ends_with_a_message_and_code_2(
    shipworthy: Callable[..., Any], tmp_path: Path
) -> None:
    import torch

    torch.save(small_net(), tmp_path / "net.pt")
    ended = shipworthy("export", "net.pt", "--out", "out", cwd=tmp_path)
    assert ended.returncode == 2
    assert "--trust" in ended.stderr
    assert "Traceback" not in ended.stderr
