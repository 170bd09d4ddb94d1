from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shipworthy.convert.cases import TASK, make_cases
from shipworthy.models import digits, zoo
from shipworthy.models.training import LOSSES, Lesson, accuracy
from shipworthy.models.weights import WeightsError, load_weights, save_weights


def test_accuracy_is_the_share_of_right_answers():
    logits = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert accuracy(logits, np.array([1, 0, 0, 0])) == 0.75


def test_accuracy_counts_nan_as_wrong():
    logits = np.array([[np.nan, 0.0], [1.0, 0.0]])
    assert accuracy(logits, np.array([0, 0])) == 0.5


@pytest.mark.parametrize("shape", [(3, 10), (4,), (4, 10, 1)])
def test_accuracy_refuses_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"do not score labels of shape \(4,\)"):
        accuracy(np.zeros(shape), np.zeros(4, int))


TRAINED = [name for name in zoo.names() if not zoo.get(name).untrained]
LESSONS = [name for name in TRAINED if isinstance(zoo.source(name, "pytorch").train.teach, Lesson)]


@pytest.mark.parametrize("name", LESSONS)
def test_both_frameworks_see_the_same_batches(name):
    sources = zoo.get(name).sources
    ours, theirs = (sources[framework].train for framework in ("pytorch", "tensorflow"))
    assert ours.recipe == theirs.recipe
    seen = 0
    epochs = (training.teach.epoch(training.recipe, 3) for training in (ours, theirs))
    for ours_batch, theirs_batch in zip(*epochs, strict=True):
        specs = zoo.source(name, "pytorch").signature.inputs
        for spec, a, b in zip(specs, ours_batch, theirs_batch, strict=False):
            assert a.dtype == spec.dtype
            assert np.array_equal(a.ravel(), b.ravel())
        assert np.array_equal(ours_batch[-1].ravel(), theirs_batch[-1].ravel())
        assert {len(array) for array in ours_batch} == {len(a)}
        seen += len(a)
    assert seen == ours.teach.rows == theirs.teach.rows


def test_batches_follow_the_epoch_and_the_seed():
    training = zoo.source("mlp", "pytorch").train
    other = replace(training.recipe, seed=7)

    def first(recipe, epoch):
        return next(training.teach.epoch(recipe, epoch))[0]

    recipe = training.recipe
    assert np.array_equal(first(recipe, 0), first(recipe, 0))
    assert not np.array_equal(first(recipe, 0), first(recipe, 1))
    assert not np.array_equal(first(recipe, 0), first(other, 0))


def test_losses_of_a_test_set():
    logits = np.array([[2.0, -1.0], [0.5, 3.0]])
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log([chances[0, 1], chances[1, 1]]).mean()
    assert LOSSES["classes"](logits, np.array([1, 1])) == pytest.approx(expected)
    assert LOSSES["classes"](logits * 1000, np.array([0, 1])) == 0
    chance = 1 / (1 + np.exp(-logits))
    targets = np.array([[1.0, 0.0], [0.0, 1.0]])
    expected = -np.log(np.where(targets == 1, chance, 1 - chance)).mean()
    assert LOSSES["binary"](logits, targets) == pytest.approx(expected)
    assert LOSSES["squares"](logits, targets) == pytest.approx((1 + 1 + 0.25 + 4) / 4)


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
@pytest.mark.parametrize("name", zoo.names())
def test_cases_and_task_fit_the_signature(name, framework):
    source = zoo.source(name, framework)
    own = [case.name for case in source.cases()]
    if zoo.get(name).untrained:
        assert own == []
        assert source.task is source.train is None
        return
    cases = {case.name: case for case in make_cases(source)}  # which binds them to it
    assert sorted(cases[case].sizes["batch"] for case in own) == [3, 64]
    assert 256 <= cases[TASK].sizes["batch"] <= 800
    for case in (*own, TASK):
        assert all(array.flags.writeable for array in cases[case].inputs.values())
    assert source.task.metric in (source.train.recipe.metric, "distilled_return")


def test_sequences_have_cases_of_several_lengths():
    for name in ("lstm", "transformer"):
        source = zoo.source(name, "pytorch")
        assert source.signature.axes == ("batch", "seq")
        assert len({case.sizes["seq"] for case in make_cases(source)}) >= 4


@pytest.mark.parametrize("name", ["cnn", "mlp", "resnet", "mobilenet"])
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_classifiers_are_scored_by_their_accuracy(name, framework):
    source = zoo.source(name, framework)
    (output,) = source.signature.outputs
    perfect = np.eye(10, dtype=np.float32)[digits.load().test_labels]
    assert perfect.shape == output.resolve({"batch": 360})
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
