"""Writes the small models on which the runners are tested: one framework a process.

Run as ``python make_models.py FRAMEWORK FOLDER``. Every format gets

- ``pair``: inputs ``first``, ``second`` (float32, [batch, 4]); outputs first - second and
  10 * first + second, so that swapped tensors show;
- ``dtypes``: one input and one output of every dtype, [batch, 3]; TFLite has no arithmetic on
  float64 and uint8, so that TensorFlow's casts;
- ``conv``: two convolutions, heavy enough that a second thread shows;
- ``reshaped`` (TensorFlow): x [batch, 2, 3] reshaped to a computed [batch, 6], then its products
  with 1..6 summed, [batch, 1].

Each comes with ``<model>.names.json``: canonical name -> name in the file.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
CHANNELS, SIZE = 16, 32


def write_names(folder: Path, model: str, inputs: dict[str, str], outputs: dict[str, str]) -> None:
    (folder / f"{model}.names.json").write_text(json.dumps({"inputs": inputs, "outputs": outputs}))


def onnx_models(folder: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto
    from onnx import helper as h

    kinds = {
        "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int32": TensorProto.INT32,
        "int64": TensorProto.INT64, "uint8": TensorProto.UINT8, "bool": TensorProto.BOOL,
    }  # fmt: skip

    def save(name, nodes, inputs, outputs, constants=()):
        def info(tensors):
            return [h.make_tensor_value_info(n, kinds[k], shape) for n, k, shape in tensors]

        initializers = [
            h.make_tensor(n, kinds[str(v.dtype)], v.shape, v.tobytes(), raw=True)
            for n, v in constants
        ]
        graph = h.make_graph(nodes, name, info(inputs), info(outputs), initializers)
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{name}.onnx")
        write_names(folder, name, {n: n for n, _, _ in inputs}, {n: n for n, _, _ in outputs})

    row = ["batch", 4]
    save(
        "pair",
        [
            h.make_node("Sub", ["first", "second"], ["difference"]),
            h.make_node("Mul", ["first", "ten"], ["tenfold"]),
            h.make_node("Add", ["tenfold", "second"], ["weighted"]),
        ],
        [("first", "float32", row), ("second", "float32", row)],
        [("difference", "float32", row), ("weighted", "float32", row)],
        [("ten", np.float32([10.0]))],
    )
    three = ["batch", 3]
    save(
        "dtypes",
        [
            h.make_node("Not" if k == "bool" else "Add", [k] if k == "bool" else [k, f"{k}_one"],
                        [f"{k}_out"])
            for k in DTYPES
        ],
        [(k, k, three) for k in DTYPES],
        [(f"{k}_out", k, three) for k in DTYPES],
        [(f"{k}_one", np.ones(1, k)) for k in DTYPES if k != "bool"],
    )  # fmt: skip
    rng = np.random.default_rng(0)
    kernels = [
        (f"kernel{i}", rng.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype("float32") / 12)
        for i in range(2)
    ]
    image = ["batch", CHANNELS, SIZE, SIZE]
    save(
        "conv",
        [
            h.make_node("Conv", ["x", "kernel0"], ["h"], pads=[1, 1, 1, 1]),
            h.make_node("Relu", ["h"], ["r"]),
            h.make_node("Conv", ["r", "kernel1"], ["y"], pads=[1, 1, 1, 1]),
        ],
        [("x", "float32", image)],
        [("y", "float32", image)],
        kernels,
    )


def torch_models(folder: Path) -> None:
    warnings.simplefilter("ignore", DeprecationWarning)
    import torch

    class Pair(torch.nn.Module):
        def forward(self, first, second):
            return {"difference": first - second, "weighted": 10 * first + second}

    class Dtypes(torch.nn.Module):
        def forward(self, float32, float64, int32, int64, uint8, bool):
            return (float32 + 1, float64 + 1, (int32 + 1, [int64 + 1, uint8 + 1]), ~bool)

    class Conv(torch.nn.Sequential):
        def __init__(self):
            layers = [torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in range(2)]
            super().__init__(layers[0], torch.nn.ReLU(), layers[1])

        def forward(self, x):
            return super().forward(x)

    torch.manual_seed(0)
    examples = {
        "pair": (Pair(), tuple(torch.rand(2, 4) for _ in range(2))),
        "dtypes": (Dtypes(), tuple(torch.ones(2, 3, dtype=getattr(torch, k)) for k in DTYPES)),
        "conv": (Conv(), (torch.rand(2, CHANNELS, SIZE, SIZE),)),
    }
    outputs = {
        "pair": {"difference": "difference", "weighted": "weighted"},
        "dtypes": {f"{k}_out": f"output_{i}" for i, k in enumerate(DTYPES)},
        "conv": {"y": "output_0"},
    }
    inputs = {"pair": ("first", "second"), "dtypes": DTYPES, "conv": ("x",)}
    for name, (module, example) in examples.items():
        traced = torch.jit.trace(module.eval(), example, strict=False)
        torch.jit.save(torch.jit.freeze(traced), folder / f"{name}.pt")
        write_names(folder, name, {n: n for n in inputs[name]}, outputs[name])

    class Flat(torch.nn.Module):
        def forward(self, x):
            return x.t()

    traced = torch.jit.trace(Flat(), torch.rand(2, 3))
    torch.jit.save(traced, folder / "transposed.pt")

    class Counted(torch.nn.Module):
        def forward(self, x: torch.Tensor, times: int):
            return x * times

    torch.jit.save(torch.jit.script(Counted()), folder / "counted.pt")


def tensorflow_models(folder: Path) -> None:
    import tensorflow as tf

    class Pair(tf.Module):
        def __call__(self, first, second):
            return {"difference": first - second, "weighted": 10 * first + second}

    class Dtypes(tf.Module):
        def __call__(self, **inputs):
            return {
                "float32_out": inputs["float32"] + 1,
                "float64_out": tf.cast(inputs["int32"], tf.float64),
                "int32_out": tf.cast(inputs["float64"], tf.int32),
                "int64_out": inputs["int64"] + 1,
                "uint8_out": tf.cast(inputs["float32"], tf.uint8),
                "bool_out": tf.logical_or(
                    tf.logical_not(inputs["bool"]), tf.cast(inputs["uint8"], tf.bool)
                ),
            }

    class Conv(tf.Module):
        def __init__(self):
            super().__init__()
            shape = (3, 3, CHANNELS, CHANNELS)
            self.kernels = [
                tf.Variable(tf.random.stateless_normal(shape, (i, 0)) / 12) for i in range(2)
            ]

        def __call__(self, x):
            hidden = tf.nn.relu(tf.nn.conv2d(x, self.kernels[0], 1, "SAME"))
            return {"y": tf.nn.conv2d(hidden, self.kernels[1], 1, "SAME")}

    class Reshaped(tf.Module):
        def __call__(self, x):
            flat = tf.reshape(tf.nn.relu(x), tf.stack([tf.shape(x)[0], 6]))
            return {"y": tf.matmul(flat, tf.range(1.0, 7.0)[:, None])}

    def save(name, module, specs):
        function = tf.function(module.__call__).get_concrete_function(**specs)
        path = folder / f"{name}_saved_model"
        tf.saved_model.save(module, path, signatures={"serving_default": function})
        keys = {k: f"serving_default_{k}:0" for k in specs}
        # Outputs of the saved function lie in the order of their names.
        call = "StatefulPartitionedCall" if module.variables else "PartitionedCall"
        names = sorted(function.structured_outputs)
        outputs = {k: f"{call}:{i}" for i, k in enumerate(names)}
        write_names(folder, f"{name}_saved_model", keys, outputs)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(path))
        (folder / f"{name}.tflite").write_bytes(converter.convert())
        write_names(folder, name, {k: k for k in keys}, {k: k for k in outputs})

    def rows(n, dtype="float32"):
        return tf.TensorSpec((None, n), dtype)

    save("pair", Pair(), {"first": rows(4), "second": rows(4)})
    save("dtypes", Dtypes(), {k: rows(3, k) for k in DTYPES})
    save("reshaped", Reshaped(), {"x": tf.TensorSpec((None, 2, 3), "float32")})
    save("conv", Conv(), {"x": tf.TensorSpec((None, SIZE, SIZE, CHANNELS), "float32")})


if __name__ == "__main__":
    {"onnx": onnx_models, "torch": torch_models, "tensorflow": tensorflow_models}[sys.argv[1]](
        Path(sys.argv[2])
    )
