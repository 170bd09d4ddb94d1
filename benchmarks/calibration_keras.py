"""Keras models for the calibration, their correct exports, and faults put into them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from calibration import Answer, batched, measure_all, quiet

from shipworthy.models.spec import Array, Arrays, Signature

_FLAT = (batched("x", "float32", 16),)
_IMAGE = (batched("x", "float32", 10, 10, 3),)


def _out(*shape: int) -> tuple[Any, ...]:
    return (batched("y", "float32", *shape),)


def _functional(shape: tuple[int, ...], body: Callable[[Any, Any], Any], dtype: str | None = None):  # type: ignore[no-untyped-def]
    def build(seed: int) -> Any:
        import keras

        keras.utils.set_random_seed(seed)
        x = keras.Input(shape, name="x", dtype=dtype)
        model = keras.Model(x, body(x, keras.layers))
        rng = np.random.default_rng(seed)
        for layer in model.layers:
            for weight in layer.weights:  # biases and moving averages as after training
                if weight.name in ("bias", "beta", "moving_mean"):
                    weight.assign(rng.normal(0.0, 0.2, weight.shape))
                if weight.name in ("gamma", "moving_variance"):
                    weight.assign(rng.uniform(0.1, 1.5, weight.shape))
        return model

    return build


def _one_output(x: Any, layers: Any) -> Any:
    return layers.Dense(1)(layers.Dense(24, activation="tanh")(x))


def _sigmoid(x: Any, layers: Any) -> Any:
    x = layers.Dense(24, activation="selu")(x)
    return layers.Dense(1, activation="sigmoid")(layers.Rescaling(6.0)(x))


def _softmax(x: Any, layers: Any) -> Any:
    x = layers.Dense(24, activation="relu")(x)
    return layers.Softmax()(layers.Rescaling(40.0)(layers.Dense(8)(x)))


def _relu_head(x: Any, layers: Any) -> Any:
    return layers.Dense(12, activation="relu")(layers.Dense(20, activation="elu")(x))


def _gelu_norm(x: Any, layers: Any) -> Any:
    x = layers.LayerNormalization(epsilon=1e-5)(layers.Dense(32)(x))
    return layers.Dense(5)(layers.Activation("gelu")(x))


def _deep(x: Any, layers: Any) -> Any:
    x = layers.Dense(24)(x)
    for _ in range(16):
        x = layers.Add()([x, layers.Dense(24, activation="swish")(x)])
        x = layers.BatchNormalization(epsilon=1e-5)(x)
    return layers.Dense(4)(x)


def _cnn(x: Any, layers: Any) -> Any:
    x = layers.Conv2D(12, 3, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5)(x))
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Dense(6)(layers.GlobalAveragePooling2D()(x))


def _separable(x: Any, layers: Any) -> Any:
    x = layers.SeparableConv2D(12, 3, padding="same", activation="relu")(x)
    x = layers.BatchNormalization(epsilon=1e-5)(x)
    x = layers.DepthwiseConv2D(3, dilation_rate=2)(x)
    return layers.Dense(5)(layers.Flatten()(layers.AveragePooling2D(2)(x)))


def _upsample(x: Any, layers: Any) -> Any:
    x = layers.Conv2D(6, 3, padding="same", activation="leaky_relu")(x)
    return layers.Conv2D(2, 1)(layers.UpSampling2D(2, interpolation="bilinear")(x))


def _wide(x: Any, layers: Any) -> Any:
    return layers.Dense(4)(layers.Dense(96, activation="relu")(x))


def _tokens(x: Any, layers: Any) -> Any:
    return layers.Dense(6)(layers.GlobalAveragePooling1D()(layers.Embedding(50, 16)(x)))


MODELS: dict[str, tuple[Signature, Callable[[int], Any]]] = {
    "one_output": (Signature(_FLAT, _out(1)), _functional((16,), _one_output)),
    "sigmoid_head": (Signature(_FLAT, _out(1)), _functional((16,), _sigmoid)),
    "saturated_softmax": (Signature(_FLAT, _out(8)), _functional((16,), _softmax)),
    "relu_head": (Signature(_FLAT, _out(12)), _functional((16,), _relu_head)),
    "gelu_norm": (Signature(_FLAT, _out(5)), _functional((16,), _gelu_norm)),
    "deep_residual": (Signature(_FLAT, _out(4)), _functional((16,), _deep)),
    "cnn_max": (Signature(_IMAGE, _out(6)), _functional((10, 10, 3), _cnn)),
    "separable": (Signature(_IMAGE, _out(5)), _functional((10, 10, 3), _separable)),
    "upsample": (Signature(_IMAGE, _out(20, 20, 2)), _functional((10, 10, 3), _upsample)),
    "wide_dense": (
        Signature((batched("x", "float32", 1500),), _out(4)),
        _functional((1500,), _wide),
    ),
    "bag_of_tokens": (
        Signature((batched("x", "int32", 10, low=0, high=49),), _out(6)),
        _functional((10,), _tokens, dtype="int32"),
    ),
}


def _traced(model: Any, signature: Signature, **options: Any) -> Answer:
    import tensorflow as tf

    function = tf.function(lambda x: model(x, training=False), **options)
    name = signature.outputs[0].name

    def run(inputs: Arrays) -> Arrays:
        (value,) = inputs.values()
        return {name: function(tf.constant(value)).numpy()}

    return run


def _tflite(saved: Path, signature: Signature) -> Answer:
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        content = tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert()
    interpreter = Interpreter(model_content=content, num_threads=1)
    given, answered = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    name = signature.outputs[0].name

    def run(inputs: Arrays) -> Arrays:
        (value,) = inputs.values()
        interpreter.resize_tensor_input(given["index"], value.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], value)
        interpreter.invoke()
        return {name: np.array(interpreter.get_tensor(answered["index"]))}

    return run


def _onnxruntime(model: Any, signature: Signature) -> Answer:
    import onnxruntime as ort
    import tensorflow as tf
    import tf2onnx

    spec = signature.inputs[0]
    shape = [None if isinstance(size, str) else size for size in spec.shape]
    function = tf.function(
        lambda x: model(x, training=False), input_signature=[tf.TensorSpec(shape, spec.dtype, "x")]
    )
    with quiet():
        proto, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=18)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed, name = session.get_inputs()[0].name, signature.outputs[0].name

    def run(inputs: Arrays) -> Arrays:
        (value,) = inputs.values()
        return {name: session.run(None, {feed: value})[0]}

    return run


def faults(model: Any) -> Iterator[str]:
    """Put one fault at a time into the model and take it out again."""
    kernels = [w for w in model.weights if len(w.shape) > 1]
    biases = [w for w in model.weights if w.name == "bias"]

    def change(weight: Any, new: Callable[[Array], Array]) -> Iterator[None]:
        kept = np.array(weight)
        weight.assign(new(kept.copy()))
        yield
        weight.assign(kept)

    def off_by(amount: float) -> Callable[[Array], Array]:
        def new(value: Array) -> Array:
            flat = value.reshape(-1)
            flat[np.abs(flat).argmax()] += amount
            return value

        return new

    import ml_dtypes

    middle, last = kernels[len(kernels) // 2], kernels[-1]
    for told, weight, new in (
        ("a weight off by 1e-4", middle, off_by(1e-4)),
        ("(a weight off by 1e-5)", middle, off_by(1e-5)),
        ("last layer in float16", last, lambda w: w.astype(np.float16).astype(w.dtype)),
        ("last layer in bfloat16", last, lambda w: w.astype(ml_dtypes.bfloat16).astype(w.dtype)),
        ("weights shifted by one", last, lambda w: np.roll(w, 1, -2)),
        ("a bias dropped", biases[0], np.zeros_like),
    ):
        for _ in change(weight, new):
            yield told
    yield from _layer_faults(model)


def _layer_faults(model: Any) -> Iterator[str]:
    from keras import activations

    for kind, told in (("BatchNormalization", "BatchNorm"), ("LayerNormalization", "LayerNorm")):
        layers = [layer for layer in model.layers if type(layer).__name__ == kind]
        for layer in layers:
            layer.epsilon = 1e-3
        if layers:
            yield f"{told} epsilon 1e-3"
        for layer in layers:
            layer.epsilon = 1e-5
    for layer in model.layers:
        if type(layer).__name__ == "UpSampling2D":
            layer.interpolation = "bicubic"
            yield "bicubic for bilinear"
            layer.interpolation = "bilinear"
        if getattr(getattr(layer, "activation", None), "__name__", "") == "gelu":
            layer.activation = lambda x: activations.gelu(x, approximate=True)
            yield "GELU by tanh"
            layer.activation = activations.gelu


def answers(model: Any, signature: Signature, folder: Path) -> Iterator[tuple[str, str, Answer]]:
    """Yield correct alternatives, then faults, each as a function of the inputs."""
    saved = folder / "saved_model"
    with quiet():
        model.export(saved, verbose=False)
    yield "XLA", "", _traced(model, signature, jit_compile=True)
    yield "LiteRT", "", _tflite(saved, signature)
    exported: Answer | None = None
    try:
        exported = _onnxruntime(model, signature)
    except Exception as e:
        # tf2onnx writes files that ONNX Runtime refuses; that is told, not hidden.
        told = str(e).splitlines()[0][:120]
        print(f"tensorflow no ONNX for this model: {told}", file=sys.stderr)
    if exported is not None:
        yield "tf2onnx, ONNX Runtime", "", exported
    for fault in faults(model):
        yield "tf.function", fault, _traced(model, signature, autograph=False)


if __name__ == "__main__":
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2")
    warnings.simplefilter("ignore")
    seeded = {
        f"{name}/{seed}": (signature, partial(build, seed))
        for name, (signature, build) in MODELS.items()
        for seed in map(int, sys.argv[1:])
    }
    measure_all("tensorflow", seeded, answers)
