"""Makes references of tiny models; one process a framework. Prints one JSON object.

python reference_worker.py pytorch|tensorflow FOLDER
"""

import hashlib
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from shipworthy.convert.read_reference import read_reference
from shipworthy.convert.reference import main, reference
from shipworthy.convert.snapshot import load_original
from shipworthy.models.spec import Case, Signature, Source, Task, TensorSpec
from shipworthy.models.subject import Subject
from shipworthy.models.weights import FILENAMES, save_weights

X = (TensorSpec("x", "float32", ("batch", 6)),)
Y = (TensorSpec("y", "float32", ("batch", 3)),)


def source(framework, build, inputs=X, outputs=Y, **more):
    return Source("tiny", framework, Signature(inputs, outputs), build, **more)


def own_cases():
    return [Case("mine", {"x": np.linspace(0, 1, 18, dtype=np.float32).reshape(3, 6)})]


def task():
    return Task(
        "sum",
        lambda: {"x": np.ones((600, 6), np.float32)},
        lambda outputs: float(outputs["y"].sum()),
    )


def digest(folder):
    """Hash every expected output."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("cases/*/expected*/*.npy")):
        found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


class Recorder:
    """Runs the scenarios and keeps what became of each."""

    def __init__(self, folder):
        self.folder = folder
        self.results = {}

    def make(self, name, of, weights=None):
        folder = self.folder / name
        folder.mkdir()
        try:
            reference(of, weights, folder)
        except Exception as e:
            self.results[name] = {"error": type(e).__name__, "told": str(e)}
            return None
        found = read_reference(folder)
        expected = [found.expected(case.name) for case in found.cases]
        self.results[name] = {
            "yardstick": found.yardstick,
            "reason": found.yardstick_reason,
            "noise": found.noise,
            "runs": found.noise_runs,
            "notes": found.notes,
            "task": found.task,
            "cases": {c.name: [c.rows, c.traced, dict(c.sizes)] for c in found.cases},
            "digest": digest(folder),
            "unstable": sum(int(m.sum()) for one in expected for m in one.unstable.values()),
        }
        return folder

    def reload(self, name, of, run):
        """Tell whether the hop's side has the very model of the reference."""
        found = read_reference(self.folder / name)
        expected = found.expected("random_b5").expected32["y"]
        inputs = np.load(found.input_paths("random_b5")["x"])
        loaded = run(load_original(of, found.folder), inputs)
        other = run(of.build(), inputs)
        self.results[f"{name}, reloaded"] = {
            "equal": bool(np.array_equal(loaded, expected)),
            "other_equal": bool(np.array_equal(other, expected)),
        }

    def tamper(self, name, of):
        """Change one byte of the snapshot; return what loading it says."""
        path = self.folder / name / FILENAMES[of.framework]
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        try:
            load_original(of, self.folder / name)
        except Exception as e:
            self.results[f"{name}, tampered"] = {"error": type(e).__name__, "told": str(e)}

    def twice(self, of):
        """Make two references from one weights' file."""
        weights = self.folder / FILENAMES[of.framework]
        save_weights(of.build(), of.framework, weights)
        for name in ("first", "second"):
            self.make(name, of, weights)


def run_torch(recorder):
    import torch
    from torch import nn

    class Pinned(nn.Linear):
        def forward(self, x):
            return super().forward(x).float() * 2.0

    class Unsaved(nn.Linear):
        def __init__(self):
            super().__init__(6, 3)
            self.extra = torch.randn(3)

        def forward(self, x):
            return super().forward(x) + self.extra

    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(nn.functional.dropout(x, 0.5, training=True))

    class Coupled(nn.Linear):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    class Several(nn.Linear):
        def forward(self, x, mask):
            y = super().forward(x)
            return {"best": y.argmax(-1), "y": torch.where(mask, y, y * 0.5)}

    class Steps(nn.Linear):
        def forward(self, x):
            return torch.round(super().forward(x) * 40.0)

    def linear(kind=nn.Linear):
        return lambda: kind(6, 3)

    def run(model, inputs):
        torch.set_num_threads(1)
        with torch.inference_mode():
            return model.eval()(torch.from_numpy(inputs)).numpy()

    plain = source("pytorch", lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(),
                                                    nn.Dropout(0.5), nn.Linear(8, 3)).train(),
                   cases=own_cases, task=task())  # fmt: skip
    recorder.make("plain", plain)
    recorder.reload("plain", plain, run)
    recorder.tamper("plain", plain)
    recorder.twice(plain)
    recorder.make("pinned", source("pytorch", linear(Pinned)))
    recorder.make("unsaved", source("pytorch", Unsaved))
    recorder.make("random", source("pytorch", linear(Noisy)))
    recorder.make("coupled", source("pytorch", linear(Coupled)))
    recorder.make("steps", source("pytorch", linear(Steps)))
    mask = TensorSpec("mask", "bool", ("batch", 3))
    best = TensorSpec("best", "int64", ("batch",))
    recorder.make("several", source("pytorch", linear(Several), (*X, mask), (best, *Y)))
    tokens = TensorSpec("x", "int64", ("batch", 4), low=0, high=9)
    bag = source("pytorch", lambda: nn.EmbeddingBag(10, 3), (tokens,))
    recorder.make("tokens", bag)
    recorder.make("fixed", source("pytorch", linear(), (TensorSpec("x", "float32", (4, 6)),),
                                  (TensorSpec("y", "float32", (4, 3)),)))  # fmt: skip
    wide = source("pytorch", lambda: nn.Linear(6, 3).double(),
                  (TensorSpec("x", "float64", ("batch", 6)),),
                  (TensorSpec("y", "float64", ("batch", 3)),))  # fmt: skip
    recorder.make("wide", wide)
    recorder.make("shape", source("pytorch", lambda: nn.Linear(6, 4)))
    recorder.make("dtype", source("pytorch", linear(), X, (replace(Y[0], dtype="int64"),)))
    recorder.make("count", source("pytorch", linear(), X, (*Y, best)))
    recorder.make("type", source("pytorch", lambda: "a model"))
    recorder.make("case", source("pytorch", linear(), cases=lambda: [Case("a/b", {})]))


def run_keras(recorder):
    import keras
    import tensorflow as tf

    def functional(body, **options):
        def build():
            x = keras.Input((6,), name="x", **options)
            return keras.Model(x, body(x, keras.layers))

        return build

    def dense(x, layers):
        x = layers.BatchNormalization()(layers.Dense(8, activation="tanh")(x))
        return layers.Dense(3, bias_initializer="uniform")(layers.Dropout(0.5)(x))

    class Narrow(keras.layers.Layer):
        def call(self, x):
            return tf.cast(tf.cast(x, "float32") * 3.0, x.dtype)

    class Inner(keras.layers.Layer):
        def build(self, shape):
            self.function = tf.function(lambda x: tf.cast(tf.sin(tf.cast(x, "float16")), x.dtype))

        def call(self, x):
            return self.function(x)

    class Mixing(keras.layers.Layer):
        def call(self, x):
            return x * tf.constant([0.5, 0.25, 2.0])

    def run(model, inputs):
        function = tf.function(lambda x: model(x, training=False))
        return function(tf.constant(inputs)).numpy()

    plain = source("tensorflow", functional(dense), cases=own_cases, task=task())
    recorder.make("plain", plain)
    recorder.reload("plain", plain, run)
    recorder.tamper("plain", plain)
    recorder.twice(plain)
    recorder.make("typed input", source("tensorflow", functional(dense, dtype="float32")))
    for name, layer in (
        ("pinned", lambda: keras.layers.Dense(3, dtype="float32")),
        ("narrow", lambda: keras.Sequential([keras.layers.Dense(3), Narrow()])),
        ("inner", lambda: keras.Sequential([keras.layers.Dense(3), Inner()])),
        ("mixing", lambda: keras.Sequential([keras.layers.Dense(3), Mixing()])),
    ):
        build = functional(lambda x, layers, layer=layer: layer()(layers.Dense(6)(x)))
        recorder.make(name, source("tensorflow", build))
    tokens = TensorSpec("x", "int32", ("batch", 6), low=0, high=9)
    body = functional(
        lambda x, layers: layers.GlobalAveragePooling1D()(layers.Embedding(10, 3)(x)),
        dtype="int32",
    )
    recorder.make("tokens", source("tensorflow", body, (tokens,)))
    recorder.results["policy"] = [keras.config.floatx(), keras.config.dtype_policy().name]


if __name__ == "__main__":
    # What the frameworks warn of in their own code is theirs.
    warnings.simplefilter("ignore")
    framework, folder = sys.argv[1], Path(sys.argv[2])
    recorder = Recorder(folder)
    (run_torch if framework == "pytorch" else run_keras)(recorder)
    bad = folder / "bad"
    bad.mkdir()
    unknown = json.dumps(Subject("no-such").to_json())
    code = main(["--subject", unknown, "--framework", framework, "--weights", "none",
                 "--out", str(bad)])  # fmt: skip
    recorder.results["main"] = [code, json.loads((bad / "failure.json").read_text())]
    other = "tensorflow" if framework == "pytorch" else "torch"
    recorder.results["alone"] = other not in sys.modules
    print(json.dumps(recorder.results))
