"""``.keras`` and ``.h5`` files and SavedModel folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.models.given import parse
from shipworthy.models.own import Opened, OwnModelError, open_own

pytestmark = [
    pytest.mark.matrix,
    # Keras' own, for NumPy 2, when it saves a model's weights.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]


def load(path: Path, **options: Any) -> Opened:
    return open_own(parse(str(path), **options))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(OwnModelError) as caught:
        load(path, **options)
    assert caught.value.exit_code == 2
    return str(caught.value)


def dense() -> Any:
    import keras

    return keras.Sequential([keras.Input((8,), name="x"), keras.layers.Dense(4)])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_keras_file_is_the_model_that_was_saved(suffix: str, tmp_path: Path) -> None:
    model, x = dense(), np.ones((3, 8), np.float32)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    opened = load(path)
    assert (opened.framework, opened.kind, opened.files) == ("tensorflow", "module", ())
    np.testing.assert_array_equal(opened.model(x), model(x))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_under_a_float64_policy_a_file_is_built_in_float64(suffix: str, tmp_path: Path) -> None:
    from keras import config

    path = tmp_path / f"model{suffix}"
    dense().save(path)
    policy, floatx = config.dtype_policy(), config.floatx()
    try:
        config.set_floatx("float64")
        config.set_dtype_policy("float64")
        model = load(path).model
    finally:
        config.set_floatx(floatx)
        config.set_dtype_policy(policy)
    assert {weight.dtype for weight in model.weights} == {"float64"}
    assert model(np.ones((2, 8))).dtype.name == "float64"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_layer_needs_trust(suffix: str, tmp_path: Path) -> None:
    import keras

    doubled = keras.Sequential([keras.Input((8,)), keras.layers.Lambda(lambda t: t * 2)])
    path = tmp_path / f"model{suffix}"
    doubled.save(path)
    told = refusal(path)
    assert "Lambda" in told
    assert "--trust" in told
    opened = load(path, trust=True)
    assert "--trust" in opened.notes[0]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_class_of_the_users_own_is_named(suffix: str, tmp_path: Path) -> None:
    import keras

    class Plus(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x + 1

    path = tmp_path / f"model{suffix}"
    keras.Sequential([keras.Input((8,)), Plus()]).save(path)
    told = refusal(path)
    assert "'Plus'" in told
    assert "file.py:NAME" in told


def test_weights_alone_say_so(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    dense().save_weights(path)
    assert "file.py:NAME --weights" in refusal(path)


@pytest.mark.parametrize("name", ["cut.keras", "cut.h5", "text.keras", "text.h5", "other.keras"])
def test_what_is_no_whole_keras_file(name: str, tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / name
    whole = tmp_path / f"whole{path.suffix}"
    dense().save(whole)
    if name.startswith("cut"):
        path.write_bytes(whole.read_bytes()[:-500])
    elif name.startswith("other"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    else:
        path.write_text("hello")
    assert str(path) in refusal(path)


def several(path: Path) -> Path:
    """Save a module with a table and functions of several forms."""
    import tensorflow as tf

    class Several(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(tf.random.stateless_normal([8, 4], [1, 2]))
            keys = tf.constant([1, 2], tf.int64)
            content = tf.lookup.KeyValueTensorInitializer(keys, tf.constant([0.5, 0.25]))
            self.table = tf.lookup.StaticHashTable(content, 0.0)

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[
                tf.TensorSpec([None, None, 8], tf.float32, name="x"),
                tf.TensorSpec([None], tf.int64, name="key"),
            ]
        )
        def looked_up(self, x: Any, key: Any) -> Any:
            return {"y": x @ self.weight, "z": self.table.lookup(key)}

        @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def any_rank(self, x: Any) -> Any:
            return x * 2

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def python(self, x: Any) -> Any:
            return tf.py_function(lambda a: a * 2, [x], tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])  # type: ignore[untyped-decorator]
        def text(self, x: Any) -> Any:
            return tf.strings.length(x)

    module = Several()
    names = ("looked_up", "any_rank", "python", "text")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, str(path), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return several(tmp_path_factory.mktemp("saved") / "several")


def test_one_signature_of_several_is_chosen(folder: Path) -> None:
    told = refusal(folder)
    assert "--signature: any_rank, looked_up, python, text" in told
    assert "it has: any_rank, looked_up" in refusal(folder, signature="none")
    opened = load(folder, signature="looked_up")
    assert (opened.framework, opened.kind, opened.files) == ("tensorflow", "saved_model", (folder,))
    shapes = {spec.name: (spec.dtype, spec.shape) for spec in opened.specs}
    assert shapes == {
        "x": ("float32", ("batch", "dim_1", 8)), "key": ("int64", ("batch",)),
    }  # fmt: skip
    given = {"x": np.ones((2, 3, 8), np.float32), "key": np.array([2, 7])}
    answer = opened.model.call_arrays([given[spec.name] for spec in opened.specs])
    assert answer["y"].shape == (2, 3, 4)
    np.testing.assert_array_equal(answer["z"], [0.25, 0.0])


def test_an_unknown_rank_is_told_by_input(folder: Path) -> None:
    assert "--input x:float32:batch,8" in refusal(folder, signature="any_rank")
    opened = load(folder, signature="any_rank", specs=("x:float32:batch,3",))
    assert opened.specs[0].shape == ("batch", 3)


def test_a_call_into_python_is_refused(folder: Path) -> None:
    assert "EagerPyFunc" in refusal(folder, signature="python")


def test_texts_are_refused(folder: Path) -> None:
    assert "is string" in refusal(folder, signature="text")


def test_a_graph_that_writes_files_needs_trust(tmp_path: Path) -> None:
    import tensorflow as tf

    mark = tmp_path / "ran"

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def writing(x: Any) -> Any:
        tf.io.write_file(str(mark), "ran")
        return x

    module = tf.Module()
    module.writing = writing
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=writing)
    told = refusal(tmp_path / "model")
    assert "WriteFile" in told
    assert "--trust" in told
    assert not mark.exists()


def test_folders_without_a_signature_or_a_whole_graph(folder: Path, tmp_path: Path) -> None:
    import shutil

    import tensorflow as tf

    bare = tf.Module()
    bare.weight = tf.Variable(1.0)
    tf.saved_model.save(bare, str(tmp_path / "bare"))
    assert "has no signature" in refusal(tmp_path / "bare")
    cut, empty = tmp_path / "cut", tmp_path / "empty"
    shutil.copytree(folder, cut)
    (cut / "saved_model.pb").write_bytes((folder / "saved_model.pb").read_bytes()[:1000])
    assert "damaged" in refusal(cut)
    shutil.copytree(folder, empty)
    shutil.rmtree(empty / "variables")
    assert "cannot load" in refusal(empty, signature="looked_up")
