"""Outputs that a TFLite operator sizes only as it runs are copied into tensors that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.formats import tflite_outputs
from shipworthy.convert.formats.tflite_outputs import settle_outputs

pytestmark = pytest.mark.matrix


def converted(function: Callable[..., Any], *shape: int | None) -> bytes:
    import tensorflow as tf

    traced = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, "x")])
    module = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [traced.get_concrete_function()], module
    )
    return bytes(converter.convert())


def answers(content: bytes, x: np.ndarray) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    return dict(interpreter.get_signature_runner()(x=x))


def makers(content: bytes) -> list[str]:
    """Return the operator behind each output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    outputs = [int(output["index"]) for output in interpreter.get_output_details()]
    kinds = {
        int(i): op["op_name"]
        for op in interpreter._get_ops_details()
        if op["op_name"] != "DELEGATE"
        for i in op["outputs"]
    }
    return [kinds[index] for index in outputs]


def top(x: Any) -> Any:
    import tensorflow as tf

    values, places = tf.math.top_k(x * 2, 3)
    return {"values": values, "places": places, "scaled": x * 3}


def flat(x: Any) -> Any:
    import tensorflow as tf

    size = tf.shape(x)
    return {"flat": tf.reshape(tf.exp(x), [size[0], size[1] * size[2]])}


def test_top_k_is_copied_and_the_rest_left() -> None:
    content = converted(top, None, 7)
    settled, count = settle_outputs(content)
    assert count == 2
    assert sorted(makers(content)) == ["MUL", "TOPK_V2", "TOPK_V2"]
    assert sorted(makers(settled)) == ["CONCATENATION", "CONCATENATION", "MUL"]
    x = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    expected, actual = answers(content, x), answers(settled, x)
    assert set(actual) == {"values", "places", "scaled"}
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array)
    np.testing.assert_array_equal(actual["values"], np.sort(x * 2)[:, :-4:-1])


def test_computed_reshape_is_copied() -> None:
    content = converted(flat, None, None, None)
    settled, count = settle_outputs(content)
    assert (count, makers(settled)) == (1, ["CONCATENATION"])
    x = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    actual = answers(settled, x)["flat"]
    assert actual.shape == (3, 20)
    np.testing.assert_array_equal(actual, answers(content, x)["flat"])
    assert settle_outputs(settled) == (settled, 0)


def test_constant_shapes_are_left() -> None:
    import tensorflow as tf

    content = converted(lambda x: {"y": tf.reshape(tf.exp(x), [-1, 6])}, None, 2, 3)
    assert settle_outputs(content) == (content, 0)


def test_too_large_files_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    content = converted(top, None, 7)
    monkeypatch.setattr(tflite_outputs, "LARGEST_BYTES", len(content) - 1)
    assert settle_outputs(content) == (content, 0)
