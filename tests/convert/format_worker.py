"""One process of test_formats.py: builds two small originals, takes every hop of one framework.

Run as ``python format_worker.py pytorch|bridge|tensorflow|keras_torch FOLDER``. Writes
``expected-*.npz`` (what the original answers), ``actual-*.npz`` (what each export answers in its
own runtime's Python package, addressed by the names the hop told) and ``told-*.json``.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from shipworthy.convert import routes
from shipworthy.convert.calling import call_keras, flatten
from shipworthy.models.spec import Signature, Source, TensorSpec, synthesise

BATCHES = (1, 2, 3, 5)


def image_signature(layout):
    shape = {"nchw": (3, 12, 10), "nhwc": (12, 10, 3)}[layout]
    features = {"nchw": (16, 6, 5), "nhwc": (6, 5, 16)}[layout]
    return Signature(
        (TensorSpec("image", "float32", ("batch", *shape)),),
        (
            TensorSpec("logits", "float32", ("batch", 7)),
            TensorSpec("features", "float32", ("batch", *features)),
        ),
    )


# Inputs in another order than the alphabet's, outputs in a dict in another order than named.
PAIR = Signature(
    (
        TensorSpec("weight.in", "float32", ("batch", 6)),
        TensorSpec("ids", "int64", ("batch", 4), low=0, high=10),
    ),
    (TensorSpec("scores", "float32", ("batch", 5)), TensorSpec("gated", "float32", ("batch", 6))),
)


def build_torch_cnn():
    import torch
    from torch import nn

    class Cnn(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(8)
            self.second = nn.Conv2d(8, 16, 3, padding=(1, 2), dilation=(1, 2), groups=4)
            self.third = nn.Conv2d(16, 16, 1)
            self.head = nn.Linear(16 * 6 * 5, 7)

        def forward(self, x):
            x = nn.functional.relu_(self.norm(self.first(x)))
            x = nn.functional.max_pool2d(torch.sigmoid(self.second(x)), 2)
            x = x + self.third(x)
            return self.head(x.view(x.size(0), -1)), x

    return Cnn()


def build_torch_pair():
    import torch
    from torch import nn

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(11, 6)
            self.head = nn.Linear(6, 5)

        def forward(self, weight, ids):
            gated = torch.tanh(weight) * self.table(ids).mean(1)
            return {"gated": gated, "scores": self.head(gated)}

    return Pair()


def build_keras_cnn():
    from keras import Input, Model, layers

    image = Input((12, 10, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(16, 3, strides=1, padding="same", activation="sigmoid")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Add()([x, layers.Conv2D(16, 1)(x)])
    y = layers.ZeroPadding2D(((0, 1), (2, 0)))(x)
    y = layers.Concatenate()([y, layers.BatchNormalization()(y)])
    y = layers.AveragePooling2D(2, padding="same")(y)
    pooled = layers.GlobalAveragePooling2D()(y)
    y = layers.Concatenate()([layers.Flatten()(y), pooled])
    return Model(image, [layers.Dense(7)(y), x])


def build_keras_pair():
    from keras import Input, Model, layers, ops

    weight, ids = Input((6,), name="w"), Input((4,), name="ids", dtype="int64")
    table = ops.mean(layers.Embedding(11, 6)(ids), axis=1)
    gated = ops.tanh(weight) * table
    return Model([weight, ids], {"gated": gated, "scores": layers.Dense(5)(gated)})


SOURCES = {
    "pytorch": {
        "cnn": Source("cnn", "pytorch", image_signature("nchw"), build_torch_cnn),
        "pair": Source("pair", "pytorch", PAIR, build_torch_pair),
    },
    "tensorflow": {
        "cnn": Source("cnn", "tensorflow", image_signature("nhwc"), build_keras_cnn),
        "pair": Source("pair", "tensorflow", PAIR, build_keras_pair),
    },
}


def batches(signature):
    return {n: synthesise(signature, {"batch": n}, seed=n) for n in BATCHES}


def randomise(shape, index):
    # Every weight, bias and running statistic gets a value of its own, variances positive.
    rng = np.random.default_rng(index)
    return np.asarray(rng.uniform(0.2, 1.0, shape) * rng.choice([1, -1], shape) / 3, np.float32)


def open_torch(source):
    import torch

    torch.set_num_threads(1)
    model = source.build().eval()
    for i, (name, tensor) in enumerate(model.state_dict().items()):
        value = torch.from_numpy(randomise(tuple(tensor.shape), i))
        tensor.copy_(value.abs() if "var" in name else value)

    def run(inputs):
        with torch.no_grad():
            tensors = [torch.from_numpy(inputs[s.name]) for s in source.signature.inputs]
            flat = flatten(model(*tensors), source.signature)
            return [value.numpy().copy() for value in flat]

    return model, run


def open_keras(source, folder):
    model = source.build()
    for i, variable in enumerate(model.weights):
        value = randomise(tuple(variable.shape), i)
        variable.assign(abs(value) if "variance" in variable.path else value)
    model.save_weights(folder / f"{source.name}.weights.h5")

    def run(inputs):
        tensors = [inputs[spec.name] for spec in source.signature.inputs]
        flat = flatten(call_keras(model, tensors, source.signature), source.signature)
        return [np.array(value) for value in flat]

    return model, run


def open_keras_torch(source, folder):
    model = source.build()
    model.load_weights(folder / f"{source.name}.weights.h5")
    return model, None


def run_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda inputs, outputs: dict(
        zip(outputs, session.run(list(outputs), dict(inputs)), strict=True)
    )


def run_torchscript(path):
    import torch

    module = torch.jit.load(path)

    def run(inputs, outputs):
        given = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        flat = given if isinstance(given, tuple) else (given,)
        assert all(value.is_contiguous() for value in flat)
        return {f"output_{i}": value.numpy() for i, value in enumerate(flat)}

    return run


def run_saved_model(path):
    import tensorflow as tf

    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        tf.compat.v1.saved_model.load(session, ["serve"], str(path))
    # By tensor name, as the C API does it.
    return lambda inputs, outputs: dict(
        zip(outputs, session.run(list(outputs), dict(inputs)), strict=True)
    )


def run_tflite(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    runner = interpreter.get_signature_runner()
    return lambda inputs, outputs: runner(**inputs)


RUNTIMES = {
    "onnx": run_onnx,
    "torchscript": run_torchscript,
    "saved_model": run_saved_model,
    "tflite": run_tflite,
}


def take(hop, original, source, folder):
    format_ = routes.FORMATS[hop.target]
    path = folder / f"{source.framework}-{source.name}-{format_.filename}"
    converted = hop.convert(original, source, path)
    name = f"{source.framework}-{source.name}-{hop.target}"
    (folder / f"told-{name}.json").write_text(json.dumps(dataclasses.asdict(converted)))
    run = RUNTIMES[hop.target](path)
    actual = {}
    for n, inputs in batches(source.signature).items():
        if converted.fixed_axes.get("batch", n) == n:
            native = {converted.inputs[key]: value for key, value in inputs.items()}
            given = run(native, list(converted.outputs.values()))
            actual |= {f"{n} {key}": given[name] for key, name in converted.outputs.items()}
    np.savez(folder / f"actual-{name}.npz", **actual)
    return path


def write_expected(source, run, folder):
    expected = {}
    for n, inputs in batches(source.signature).items():
        names = [spec.name for spec in source.signature.outputs]
        expected |= {f"{n} {k}": v for k, v in zip(names, run(inputs), strict=True)}
    np.savez(folder / f"expected-{source.framework}-{source.name}.npz", **expected)


def main(kind, folder):
    hops = routes.hops()
    for source in SOURCES["pytorch" if kind in ("pytorch", "bridge") else "tensorflow"].values():
        if kind == "pytorch":
            original, run = open_torch(source)
            write_expected(source, run, folder)
            for name in ("onnx", "torchscript", "tflite"):
                take(hops[f"pytorch>{name}"], original, source, folder)
        elif kind == "bridge":
            original, run = open_torch(source)
            write_expected(source, run, folder)
            take(hops["pytorch>saved_model"], original, source, folder)
        elif kind == "tensorflow":
            original, run = open_keras(source, folder)
            write_expected(source, run, folder)
            parent = take(hops["tensorflow>saved_model"], original, source, folder)
            for name in ("onnx", "tflite"):
                take(hops[f"saved_model>{name}"], SimpleNamespace(path=parent), source, folder)
        else:
            original, _ = open_keras_torch(source, folder)
            take(hops["tensorflow>torchscript"], original, source, folder)


if __name__ == "__main__":
    if sys.argv[1] == "keras_torch":
        os.environ["KERAS_BACKEND"] = "torch"
    main(sys.argv[1], Path(sys.argv[2]))
