from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shipworthy.models import digits, zoo
from shipworthy.models.training import score
from shipworthy.models.weights import WeightsError, load_weights, save_weights


def test_score_is_the_share_of_right_answers():
    logits = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert score(logits, np.array([1, 0, 0, 0])) == 0.75


def test_score_counts_nan_as_wrong():
    logits = np.array([[np.nan, 0.0], [1.0, 0.0]])
    assert score(logits, np.array([0, 0])) == 0.5


@pytest.mark.parametrize("shape", [(3, 10), (4,), (4, 10, 1)])
def test_score_refuses_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"do not score labels of shape \(4,\)"):
        score(np.zeros(shape), np.zeros(4, int))


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_both_frameworks_see_the_same_batches(name):
    sources = zoo.get(name).sources
    ours, theirs = (sources[framework].train for framework in ("pytorch", "tensorflow"))
    assert ours.recipe == theirs.recipe
    seen = 0
    for (a, a_labels), (b, b_labels) in zip(ours.batches(3), theirs.batches(3), strict=True):
        assert np.array_equal(a.reshape(len(a), 64), b.reshape(len(b), 64))
        assert np.array_equal(a_labels, b_labels)
        assert a.shape[1:] == digits.LAYOUTS[ours.layout]
        assert a.dtype == np.float32
        seen += len(a)
    assert seen == 1437


def test_batches_follow_the_epoch_and_the_seed():
    training = zoo.source("mlp", "pytorch").train
    other = replace(training, recipe=replace(training.recipe, seed=7))

    def first(source, epoch):
        return next(source.batches(epoch))[0]

    assert len(list(training.batches(0))) == training.steps
    assert np.array_equal(first(training, 0), first(training, 0))
    assert not np.array_equal(first(training, 0), first(training, 1))
    assert not np.array_equal(first(training, 0), first(other, 0))


@pytest.mark.parametrize("name", ["cnn", "mlp"])
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_cases_and_task_fit_the_signature(name, framework):
    source = zoo.source(name, framework)
    (spec,) = source.signature.inputs
    (output,) = source.signature.outputs
    sizes = {}
    for case in source.cases():
        (array,) = case.inputs.values()
        sizes[case.name] = len(array)
        assert list(case.inputs) == [spec.name]
        assert array.shape == spec.resolve({"batch": len(array)})
        assert array.dtype == spec.dtype
        assert array.flags.writeable
    assert sizes == {"real_64": 64, "real_3": 3}
    assert source.signature.axes == ("batch",)
    inputs = source.task.inputs()[spec.name]
    assert inputs.shape == spec.resolve({"batch": 360})
    perfect = np.eye(10, dtype=np.float32)[digits.load().test_labels]
    assert perfect.shape == output.resolve({"batch": 360})
    assert source.task.metric == "accuracy"
    assert source.task.score({output.name: perfect}) == 1.0
    perfect[:36] = -perfect[:36]
    assert source.task.score({output.name: perfect}) == 0.9


def test_the_models_share_no_tensor_names():
    specs = [zoo.source(name, "pytorch").signature for name in ("cnn", "mlp")]
    cnn, mlp = ({spec.name for spec in (*s.inputs, *s.outputs)} for s in specs)
    assert not cnn & mlp


def test_missing_weights_say_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match=r"gone\.safetensors does not exist; train the model"):
        load_weights(object(), "pytorch", tmp_path / "gone.safetensors")


def test_weights_of_an_unknown_framework(tmp_path):
    with pytest.raises(ValueError, match="unknown framework 'jax'; known: pytorch, tensorflow"):
        save_weights(object(), "jax", tmp_path / "weights.safetensors")


def test_keras_weights_need_their_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"'w\.h5' must end in '\.weights\.h5'"):
        save_weights(object(), "tensorflow", tmp_path / "w.h5")
