"""Computed reshapes become constants where that is the same, and nothing else changes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from shipworthy.convert.formats import tflite_reshape
from shipworthy.convert.formats.tflite_reshape import Dim, constant_shape, fix_reshapes

BATCH = Dim(3, 0)


@pytest.mark.parametrize(
    ("wanted", "given", "expected"),
    [
        ([BATCH, 256], [BATCH, 2, 2, 64], [-1, 256]),
        ([None, 4], [BATCH, 7, 4], [-1, 4]),
        ([2, None, 8], [BATCH, 8, 8], [2, -1, 8]),
        # A second -1 is found out when the first size is the reshaped tensor's only dynamic one.
        ([BATCH, -1], [BATCH, 8, 8, 2], [-1, 128]),
        ([-1, BATCH, 4], [BATCH, 8, 8], [16, -1, 4]),
        ([Dim(9, 0), -1], [BATCH, 8, 8, 2], None),
        ([Dim(3, 1), -1], [BATCH, Dim(3, 1), 2], None),
        ([None, -1], [BATCH, 8], None),
        ([BATCH, -1, -1], [BATCH, 8], None),
        ([BATCH, -1, 3], [BATCH, 8], None),
        ([BATCH, -1], [BATCH, 0], None),
        # Two sizes unknown, none unknown, nothing in it.
        ([BATCH, Dim(3, 1), 4], [BATCH, Dim(3, 1), 4], None),
        ([BATCH, None], [BATCH, 4], None),
        ([2, 4], [BATCH, 4], None),
        ([BATCH, 0], [BATCH, 0], None),
        ([BATCH, -2], [BATCH, 4], None),
        ([], [BATCH], None),
    ],
)
def test_a_shape_is_constant_only_when_one_value_is_possible(wanted, given, expected):
    assert constant_shape(wanted, given) == expected


# One process converts every model, so that TensorFlow is imported once.
CONVERT = """
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import tensorflow as tf
from keras import layers

def custom(function):
    return layers.Lambda(function, output_shape=lambda shape: (None, *shape[1:]))

def cnn(x):
    for _ in range(2):
        x = layers.MaxPooling2D(2)(layers.Conv2D(8, 3, padding="same", activation="relu")(x))
    return layers.Dense(5)(layers.Dense(7, activation="relu")(layers.Flatten()(x)))

def swapped(t):
    return tf.reshape(t, tf.stack([tf.shape(t)[0], 2, tf.shape(t)[1], 2]))

def used_twice(t):
    batch = tf.shape(t)[0]
    return tf.reshape(t, tf.stack([batch, 16])) * tf.cast(batch, tf.float32)

def while_loop(t):
    def step(i, y):
        y = tf.sin(tf.reshape(y, tf.stack([tf.shape(y)[0], 16])))
        return i + 1, tf.reshape(y, tf.stack([tf.shape(y)[0], 4, 4]))
    return tf.while_loop(lambda i, y: i < tf.size(t) // 16 + 1, step, (0, t))[1]

MODELS = {
    "cnn": ((8, 8, 3), cnn),
    "reshape": ((8, 8, 2), layers.Reshape((16, 8))),
    "rest": ((8, 8, 2), lambda x: layers.Dense(3)(
        layers.Lambda(lambda t: tf.reshape(t, tf.stack([tf.shape(t)[0], -1])), (128,))(x))),
    "sequence": ((7, 4), layers.Dense(3)),
    "shape": ((7, 4), custom(
        lambda t: tf.reshape(tf.reshape(t, tf.stack([tf.shape(t)[0] * 7, 4])) * 2, tf.shape(t)))),
    "used_twice": ((4, 4), custom(used_twice)),
    "two": ((None, 4), custom(swapped)),
    "loop": ((4, 4), custom(while_loop)),
    "pooling": ((8, 8, 2), layers.GlobalAveragePooling2D()),
}
keras.utils.set_random_seed(0)
for name, (shape, body) in MODELS.items():
    x = keras.Input(shape, name="x")
    folder = str(Path(sys.argv[1]) / name)
    keras.Model(x, body(x)).export(folder, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    Path(folder + ".tflite").write_bytes(converter.convert())

from shipworthy.convert.formats.tflite_reshape import fix_reshapes
from shipworthy.convert.routes import hops
from shipworthy.models.spec import Signature, Source, TensorSpec

told = {}
for name in ("cnn", "pooling"):
    shape, body = MODELS[name]
    x = keras.Input(shape, name="x")
    model = keras.Model(x, body(x))
    signature = Signature((TensorSpec("x", "float32", ("batch", *shape)),),
                          (TensorSpec("y", "float32", ("batch", *model.output_shape[1:])),))
    source = Source(name, "tensorflow", signature, lambda: model)
    saved, path = Path(sys.argv[1]) / f"{name}-saved", Path(sys.argv[1]) / f"{name}.hop"
    hops()["tensorflow>saved_model"].convert(model, source, saved)
    done = hops()["saved_model>tflite"].convert(SimpleNamespace(path=saved), source, path)
    left = fix_reshapes(path.read_bytes())[1]
    told[name] = {"options": dict(done.options), "reshapes_left": left}
Path(sys.argv[1], "told.json").write_text(json.dumps(told))
"""
SIZE_OPERATORS = {"SHAPE", "STRIDED_SLICE", "PACK", "CONCATENATION", "GATHER", "REDUCE_PROD"}
REWRITTEN = {"cnn": 1, "reshape": 1, "rest": 1, "sequence": 2, "shape": 2, "used_twice": 1}
UNTOUCHED = ("two", "pooling")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reshapes")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CONVERT, str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def files(folder):
    return {path.stem: path.read_bytes() for path in folder.glob("*.tflite")}


def parse(content):
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def operators(content, subgraph=0):
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    model = parse(content)
    names = {code: name for name, code in vars(BuiltinOperator).items()}
    return [
        names[model.operatorCodes[op.opcodeIndex].builtinCode]
        for op in model.subgraphs[subgraph].operators
    ]


def run(content, batch):
    """Return the output's shape as it was allocated, and the output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    (given,), (told,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape = [size if size > 0 else 3 for size in given["shape_signature"]]
    shape[0] = batch
    interpreter.resize_tensor_input(given["index"], shape)
    interpreter.allocate_tensors()
    allocated = tuple(interpreter.get_output_details()[0]["shape"].tolist())
    x = np.random.default_rng(batch).normal(size=shape).astype(np.float32)
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return allocated, interpreter.get_tensor(told["index"])


matrix = pytest.mark.matrix
together = pytest.mark.xdist_group("tflite_reshape")


@matrix
@together
@pytest.mark.parametrize("name", REWRITTEN)
def test_a_rewritten_file_answers_the_same_and_is_sized_in_advance(files, name):
    fixed, count = fix_reshapes(files[name])
    assert count == REWRITTEN[name]
    for batch in (1, 2, 5):
        expected = run(files[name], batch)[1]
        allocated, actual = run(fixed, batch)
        assert allocated == actual.shape == expected.shape
        assert actual.shape[0] == batch
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


@matrix
@together
def test_without_the_rewriting_the_output_is_not_sized_in_advance(files):
    # When the converter or LiteRT does this by itself, the module has had its day.
    allocated, actual = run(files["cnn"], 5)
    assert allocated[0] == 1
    assert actual.shape[0] == 5


@matrix
@together
@pytest.mark.parametrize("name", UNTOUCHED)
def test_where_there_is_nothing_to_rewrite_the_file_is_the_same_to_the_byte(files, name):
    assert ("RESHAPE" in operators(files[name])) == (name == "two")
    fixed, count = fix_reshapes(files[name])
    assert count == 0
    assert fixed is files[name]


@matrix
@together
def test_a_fixed_file_has_no_more_to_fix(files):
    fixed, _ = fix_reshapes(files["sequence"])
    assert fix_reshapes(fixed) == (fixed, 0)


@matrix
@together
def test_unused_arithmetic_goes_and_the_rest_stays_in_order(files):
    for name in ("cnn", "reshape", "rest", "sequence"):
        before = operators(files[name])
        after = operators(fix_reshapes(files[name])[0])
        assert SIZE_OPERATORS & set(before)
        assert after == [kind for kind in before if kind not in SIZE_OPERATORS]


@matrix
@together
def test_arithmetic_that_something_else_uses_stays(files):
    after = operators(fix_reshapes(files["used_twice"])[0])
    assert {"SHAPE", "STRIDED_SLICE", "CAST", "MUL", "RESHAPE"} <= set(after)
    assert "PACK" not in after


@matrix
@together
def test_everything_else_stays_in_its_place(files):
    old, new = parse(files["cnn"]), parse(fix_reshapes(files["cnn"])[0])
    signatures = [
        [
            (one.signatureKey, one.subgraphIndex, t.name, t.tensorIndex)
            for one in model.signatureDefs
            for t in (*one.inputs, *one.outputs)
        ]
        for model in (old, new)
    ]
    assert signatures[0] == signatures[1]
    assert signatures[0][0][0] == b"serving_default"
    metadata = [[(m.name, m.buffer) for m in model.metadata] for model in (old, new)]
    assert metadata[0] == metadata[1] != []
    assert len(new.buffers) == len(old.buffers) + 1
    for a, b in zip(old.buffers, new.buffers[:-1], strict=True):
        assert (a.data is None) == (b.data is None)
        assert a.data is None or bytes(a.data) == bytes(b.data)
    tensors = [[(t.name, t.type, t.buffer, str(t.shape), str(t.shapeSignature), t.hasRank)
                for t in model.subgraphs[0].tensors] for model in (old, new)]  # fmt: skip
    assert tensors[0] == tensors[1][:-1]
    assert new.buffers[tensors[1][-1][2]].data.view("<i4").tolist() == [-1, 32]
    for field in ("version", "description"):
        assert getattr(old, field) == getattr(new, field)


@matrix
@together
def test_the_bodies_of_control_flow_are_left_alone(files):
    model = parse(files["loop"])
    assert len(model.subgraphs) == 3
    fixed, count = fix_reshapes(files["loop"])
    bodies = [operators(files["loop"], i) for i in (1, 2)]
    assert any("RESHAPE" in body and "PACK" in body for body in bodies)
    assert [operators(fixed, i) for i in (1, 2)] == bodies
    assert count == 0


@matrix
@together
def test_buffers_are_aligned_for_a_runtime_that_reads_them_in_place(files):
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(fix_reshapes(files["cnn"])[0], 0)
    found = [model.Buffers(i) for i in range(model.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in found if not b.DataIsNone()]
    assert len(starts) > 5
    assert not [start for start in starts if start % 16]


def edited(content, edit):
    import flatbuffers

    model = parse(content)
    edit(model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@matrix
@together
@pytest.mark.parametrize("field", ["buffer", "options", "tensor"])
def test_a_file_with_data_outside_the_flatbuffer_is_left_alone(files, field):
    def edit(model):
        if field == "buffer":
            model.buffers[2].offset, model.buffers[2].size = 4096, 16
        elif field == "options":
            model.subgraphs[0].operators[0].largeCustomOptionsOffset = 4096
        else:
            model.subgraphs[0].tensors[1].externalBuffer = 1

    content = edited(files["cnn"], edit)
    assert fix_reshapes(content) == (content, 0)


@matrix
@together
def test_a_file_above_the_limit_is_left_alone(files, monkeypatch):
    monkeypatch.setattr(tflite_reshape, "LARGEST_BYTES", len(files["cnn"]) - 1)
    assert fix_reshapes(files["cnn"]) == (files["cnn"], 0)


def assert_operators_stay(files, edit):
    content = edited(files["cnn"], edit)
    fixed, count = fix_reshapes(content)
    assert count == 1
    assert operators(fixed) == operators(content)


@matrix
@together
def test_operators_stay_where_metadata_names_them_by_place(files):
    def edit(model):
        model.metadata[0].name = b"model_control_dependencies"

    assert_operators_stay(files, edit)


@matrix
@together
def test_arithmetic_that_is_itself_an_output_stays(files):
    def edit(model):
        graph = model.subgraphs[0]
        pack = next(op for op in graph.operators if op.outputs[0] not in graph.outputs
                    and graph.tensors[op.outputs[0]].name.endswith(b"Reshape/shape"))  # fmt: skip
        graph.outputs = np.array([*graph.outputs, pack.outputs[0]], np.int32)

    assert_operators_stay(files, edit)


@matrix
@together
@pytest.mark.parametrize(("name", "count"), [("cnn", 1), ("pooling", 0)])
def test_the_hop_rewrites_and_records_the_count(folder, name, count):
    assert json.loads((folder / "told.json").read_text())[name] == {
        "reshapes_left": 0,
        "options": {
            "signature": "serving_default",
            "operators": ["TFLITE_BUILTINS"],
            "static_reshapes": count,
            "copied_outputs": 0,
            "replaced_operators": [],
        },
    }
