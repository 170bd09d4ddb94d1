"""What a Keras model holds beside operators: loops, tables, constants, float64, effects."""

from types import SimpleNamespace

import numpy as np
import pytest

from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.spec import Signature, Source, TensorSpec

pytestmark = [pytest.mark.matrix, pytest.mark.xdist_group("keras-graphs")]


def signature_of(inputs, outputs):
    return Signature(
        tuple(TensorSpec(name, *rest) for name, *rest in inputs),
        tuple(TensorSpec(name, *rest) for name, *rest in outputs),
    )


def convert(model, signature, folder, format_):
    """Go by SavedModel, as the route does; return what runs the file and what the hop told."""
    from shipworthy.convert.routes import hops

    source = Source("graph", "tensorflow", signature, lambda: model)
    if not (folder / "saved").exists():
        hops()["tensorflow>saved_model"].convert(model, source, folder / "saved")
    path = folder / f"model.{format_}"
    parent = SimpleNamespace(path=folder / "saved")
    told = hops()[f"saved_model>{format_}"].convert(parent, source, path)
    return {"onnx": open_onnx, "tflite": open_tflite}[format_](path), told


def open_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(names, inputs), strict=True))


def open_tflite(path):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path), num_threads=1).get_signature_runner("serving_default")


def recurrent():
    from keras import Input, Model, layers, utils

    utils.set_random_seed(3)
    ids = Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(6, 5, mask_zero=True)(ids)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    y, state = layers.GRU(3, return_sequences=True, return_state=True, go_backwards=True)(x)
    z = layers.GRU(3, reset_after=False)(y)
    w = layers.SimpleRNN(2, return_sequences=True)(x)
    return Model(ids, [y, state, z, w])


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_masked_recurrent_layers_answer_at_lengths_and_batches_that_were_not_traced(
    tmp_path, format_
):
    model = recurrent()
    sequence = ("float32", ("batch", "steps", 3))
    signature = signature_of(
        [("ids", "int32", ("batch", "steps"))],
        [
            ("sequence", *sequence),
            ("state", "float32", ("batch", 3)),
            ("last", "float32", ("batch", 3)),
            ("simple", "float32", ("batch", "steps", 2)),
        ],
    )
    run, _ = convert(model, signature, tmp_path, format_)
    rng = np.random.default_rng(1)
    for batch, steps in ((1, 3), (4, 13)):
        ids = rng.integers(0, 4, (batch, steps), "int32")
        ids[:, -1] = 0
        got = run(ids=ids)
        for spec, want in zip(signature.outputs, model(ids), strict=True):
            np.testing.assert_allclose(got[spec.name], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_lookup_tables_and_captured_constants_are_part_of_the_file(tmp_path, format_):
    from keras import Input, Model, layers

    ids = Input((3,), dtype="int64", name="ids")
    age = Input((1,), name="age")
    known = layers.IntegerLookup(vocabulary=[40, 7, 1000])(ids)
    normal = layers.Normalization(mean=[40.0], variance=[9.0])(age)
    model = Model([ids, age], [known, normal])
    signature = signature_of(
        [("ids", "int64", ("batch", 3)), ("age", "float32", ("batch", 1))],
        [("known", "int64", ("batch", 3)), ("normal", "float32", ("batch", 1))],
    )
    run, _ = convert(model, signature, tmp_path, format_)
    given = np.array([[7, 8, 1000], [40, 40, -3]]), np.array([[31.0], [77.0]], "float32")
    got = run(ids=given[0], age=given[1])
    np.testing.assert_array_equal(got["known"], [[2, 0, 3], [1, 1, 0]])
    np.testing.assert_allclose(got["normal"], (given[1] - 40) / 3, rtol=1e-6)


def plain_model(call):
    import keras

    class Plain(keras.Model):
        def call(self, x):
            return call(x)

    model = Plain()
    model(np.ones((2, 4), "float32"))
    return model


ROW = signature_of([("x", "float32", ("batch", 4))], [("y", "float32", ("batch", 4))])


def test_float64_inside_becomes_float32_for_tflite_and_is_told(tmp_path):
    import tensorflow as tf

    def centre(x):
        wide = tf.cast(x, tf.float64)
        return tf.cast(wide - tf.reduce_mean(wide, axis=1, keepdims=True) / 3.0, tf.float32)

    run, told = convert(plain_model(centre), ROW, tmp_path, "tflite")
    x = np.random.default_rng(2).standard_normal((5, 4)).astype("float32")
    np.testing.assert_allclose(run(x=x)["y"], x - x.mean(1, keepdims=True) / 3, atol=1e-6)
    assert any("float64" in note and "float32" in note for note in told.notes)


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_masking_with_infinity_leaves_no_nan(tmp_path, format_):
    import tensorflow as tf

    model = plain_model(lambda x: tf.nn.softmax(tf.where(x > 0, x, tf.math.log(tf.nn.relu(x)))))
    run, _ = convert(model, ROW, tmp_path, format_)
    x = np.array([[1, -1, 2, 0.5], [3, 1, -2, -2]], "float32")
    want = np.exp(np.where(x > 0, x, -np.inf))
    np.testing.assert_allclose(run(x=x)["y"], want / want.sum(1, keepdims=True), rtol=1e-5)


def test_a_list_that_grows_is_refused_with_its_place_and_a_way_out(tmp_path):
    import tensorflow as tf

    def grow(x):
        rows = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[None])
        _, rows = tf.while_loop(
            lambda i, _: i < 4, lambda i, a: (i + 1, a.write(i, x[:, i])), [tf.constant(0), rows]
        )
        return tf.transpose(rows.stack())

    with pytest.raises(UnsupportedModelError, match=r"TensorListSetItem.*dynamic_size"):
        convert(plain_model(grow), ROW, tmp_path, "tflite")


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_what_a_format_cannot_express_is_refused_by_name_and_place(tmp_path, format_):
    import tensorflow as tf

    with pytest.raises(UnsupportedModelError, match=r"Digamma \(at plain\w*/Digamma") as refused:
        convert(plain_model(tf.math.digamma), ROW, tmp_path, format_)
    assert "\n" not in str(refused.value)
