"""The workers that time one framework, each in a process of its own."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from shipworthy.models import zoo
from shipworthy.serve.experiments import timing
from shipworthy.serve.experiments.learners import WAYS
from shipworthy.serve.experiments.quality import QualityError, lesson_of, train_to_quality

MODULE = "shipworthy.serve.experiments.timing"


def work(*arguments, code=0):
    """Run a worker; return its JSON, or what it says on stderr where it is to fail."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", MODULE, *map(str, arguments)],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-2000:]
    if code:
        assert "Traceback" not in done.stderr
        return done.stderr
    return json.loads(done.stdout)


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["inference", "train_step"])
@pytest.mark.parametrize(
    ("framework", "way"), [(f, way) for f, ways in WAYS.items() for way in ways]
)
def test_every_way_times_one_framework(framework, way, kind):
    found = work("--framework", framework, "--model", "mlp", "--way", way, "--work", kind,
                 "--batch", 4, "--seconds", 0.2)  # fmt: skip
    assert len(found["latencies_ns"]) >= 11
    assert all(ns > 0 for ns in found["latencies_ns"])
    assert sum(found["latencies_ns"]) >= 0.15e9 or len(found["latencies_ns"]) == 11
    assert found["first_ns"] > np.median(found["latencies_ns"])
    assert found["threads"] == 1
    assert {"torch", "tensorflow"} & set(found["versions"]) == {
        "torch" if framework == "pytorch" else "tensorflow"
    }
    # A step goes downhill, but so little that the last one is as much work as the first.
    if kind == "train_step":
        assert 0.5 * found["first_loss"] < found["loss"] < found["first_loss"]
    else:
        assert found["loss"] is found["first_loss"] is None


@pytest.mark.matrix
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
@pytest.mark.parametrize("model", ["policy", "bert"])
def test_models_without_a_lesson_take_steps_too(framework, model):
    way = WAYS[framework][-1] if framework == "tensorflow" else "eager"
    found = work("--framework", framework, "--model", model, "--way", way, "--work", "train_step",
                 "--batch", 2, "--seconds", 0.1)  # fmt: skip
    assert len(found["latencies_ns"]) >= 11
    assert np.isfinite(found["loss"])


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("framework", "way"), [("pytorch", "eager"), ("tensorflow", "tf_function")]
)
def test_a_model_is_trained_to_its_quality(framework, way):
    found = work("--framework", framework, "--model", "mlp", "--way", way, "--work", "train",
                 "--quality", "--seed", 1)  # fmt: skip
    assert found["quality"] >= found["required"] == 0.98
    assert len(found["history"]) == found["epochs"]
    assert max(found["history"][:-1]) < found["required"]  # it stopped at once
    lesson = lesson_of(zoo.source("mlp", framework))
    assert found["seconds_to_quality"] > found["first_step_seconds"] > 0
    slowest = lesson.rows * found["epochs"] / found["seconds_to_quality"]
    assert found["rows_per_s"] > 0.5 * slowest


class Deaf:
    """A learner whose model never learns."""

    def supervised(self, model, kind):
        return None

    def optimise(self, models, loss, steps, rate):
        self.steps = steps
        return lambda *batch: (1.0, ())

    def run(self, model):
        return lambda images: (np.zeros((len(images), 10), np.float32),)


def test_a_training_that_does_not_arrive_is_an_error():
    known = zoo.source("mlp", "pytorch")
    source = replace(known, train=replace(known.train, build=object))
    learner = Deaf()
    with pytest.raises(QualityError, match=r"mlp \(pytorch\) reached accuracy .* it needs 0.98"):
        train_to_quality(source, learner, seed=3)
    lesson, recipe = lesson_of(source), source.train.recipe
    assert learner.steps == recipe.epochs * -(-lesson.rows // recipe.batch_size)


def test_a_model_that_learns_in_its_own_way_is_refused():
    with pytest.raises(QualityError, match="policy learns in a way of its own"):
        train_to_quality(zoo.source("policy", "pytorch"), Deaf(), seed=0)


@pytest.mark.parametrize(("arguments", "told"), [
    (["--framework", "pytorch", "--model", "mlp", "--work", "inference", "--way", "tf_function"],
     "pytorch has the ways eager, compiled"),
    (["--framework", "pytorch", "--model", "mlp", "--work", "inference", "--batch", "0"],
     "must be above 0"),
    (["--framework", "pytorch", "--model", "mlp", "--work", "dance"], "invalid choice"),
])  # fmt: skip
def test_wrong_usage_is_exit_code_2(arguments, told, capsys):
    with pytest.raises(SystemExit) as caught:
        timing.main(arguments)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.matrix
def test_an_unknown_model_is_exit_code_2():
    told = work("--framework", "pytorch", "--model", "cnm", "--work", "inference", code=2)
    assert "did you mean 'cnn'" in told
