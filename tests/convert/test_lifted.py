"""Weights that stay out of the graph while a large model is converted."""

from types import SimpleNamespace

import numpy as np
import pytest

from shipworthy.models.spec import Signature, Source, TensorSpec

pytestmark = [pytest.mark.matrix, pytest.mark.xdist_group("lifted")]

SIGNATURE = Signature(
    (TensorSpec("ids", "int32", ("batch", 4)), TensorSpec("x", "float32", ("batch", 8, 8, 2))),
    (TensorSpec("y", "float32", ("batch", 3)),),
)


def build():
    from keras import Input, Model, layers, utils

    utils.set_random_seed(0)
    ids, x = Input((4,), dtype="int32", name="ids"), Input((8, 8, 2), name="x")
    y = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(x)
    y = layers.DepthwiseConv2D(3)(layers.BatchNormalization()(y))
    y = layers.Conv2DTranspose(2, 2, strides=2)(y)
    words = layers.Flatten()(layers.Embedding(9, 3)(ids))
    return Model([ids, x], layers.Dense(3)(layers.Concatenate()([layers.Flatten()(y), words])))


def feed(rows):
    rng = np.random.default_rng(rows)
    return {
        "ids": rng.integers(0, 9, (rows, 4), "int32"),
        "x": rng.standard_normal((rows, 8, 8, 2), "float32"),
    }


@pytest.fixture
def parent(tmp_path):
    from shipworthy.convert.routes import hops

    model = build()
    source = Source("large", "tensorflow", SIGNATURE, lambda: model, optimize=False)
    hops()["tensorflow>saved_model"].convert(model, source, tmp_path / "saved")
    return SimpleNamespace(path=tmp_path / "saved", source=source, model=model)


@pytest.mark.parametrize("limit", [None, 100])
def test_a_lifted_model_answers_as_the_original(parent, tmp_path, monkeypatch, limit):
    import onnx
    import onnxruntime

    from shipworthy.convert.formats import onnx_lifted, onnx_weights
    from shipworthy.convert.routes import hops

    monkeypatch.setattr(onnx_lifted, "LEAST_BYTES", 0)
    if limit:
        monkeypatch.setattr(onnx_weights, "MOST_BYTES", limit)
    path = tmp_path / "model.onnx"
    told = hops()["saved_model>onnx"].convert(parent, parent.source, path)
    assert told.options["external_data"] is bool(limit)
    assert path.with_name("model.onnx.data").exists() is bool(limit)
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path)
    assert [value.name for value in model.graph.input] == ["ids", "x"]
    assert "Transpose" not in [
        node.op_type for node in model.graph.node if node.input[0].startswith("lifted")
    ]
    session = onnxruntime.InferenceSession(path)
    for rows in (1, 5):
        given = feed(rows)
        (got,) = session.run(None, given)
        wanted = parent.model.predict_on_batch([given["ids"], given["x"]])
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_variable_inside_a_loop_is_not_lifted():
    import tensorflow as tf

    from shipworthy.convert.lift import lift_variables

    step = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([], "float32")], autograph=False)
    def loop(x):
        return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * step), (0, x))[1]

    assert lift_variables(loop.get_concrete_function()) is None


def test_large_values_are_written_as_protobuf_has_them(tmp_path):
    """Every length that takes another number of bytes to tell."""
    import onnx
    from onnx import helper, numpy_helper

    from shipworthy.convert.formats.onnx_weights import take_in, write_beside

    sizes = [0, 1, 31, 32, 4095, 4096, 600_000]
    arrays = {f"w{size}": np.arange(size, dtype=np.float32) for size in sizes}
    value = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n"])
    kept = numpy_helper.from_array(np.float32([7]), "small")
    graph = helper.make_graph(
        [helper.make_node("Concat", [*arrays, "small"], ["y"], axis=0)], "g", [], [value], [kept]
    )
    path = tmp_path / "model.onnx"
    write_beside(helper.make_model(graph), {n: lambda a=a: a for n, a in arrays.items()}, path)
    assert take_in(path)
    onnx.checker.check_model(str(path), full_check=True)
    found = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
    assert found["small"] == 7
