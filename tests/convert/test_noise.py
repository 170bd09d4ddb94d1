"""The noise runs and what they are weighed as, on originals written in NumPy."""

import numpy as np
import pytest

from shipworthy.convert.cases import (
    SignatureError,
    batch_axis,
    bind,
    can_split,
    count_rows,
    make_cases,
)
from shipworthy.convert.noise import NoYardstickError, move, move_inputs, run_noise
from shipworthy.convert.weigh import noise_ratios, weigh
from shipworthy.models.spec import Case, Signature, Source, Task, TensorSpec

X = TensorSpec("x", "float32", ("batch", 5))
Y = TensorSpec("y", "float32", ("batch", 2))
WEIGHT = np.linspace(-1, 1, 10).reshape(5, 2)


class Plain:
    """A dense layer; counts how it was run."""

    def __init__(self, change=lambda y, rows: y):
        self.weight = WEIGHT.astype(np.float32)
        self.change = change
        self.rows = []
        self.threads = []

    def run(self, inputs, *, threads=1):
        self.rows.append(len(inputs["x"]))
        self.threads.append(threads)
        return {"y": self.change(inputs["x"] @ self.weight, len(inputs["x"]))}

    def nudge_weights(self, nudge):
        raise AssertionError("there is a float input to move")


def source(signature, **more):
    return Source("plain", "pytorch", signature, lambda: None, **more)


def prepare(original, signature=None):
    signature = signature or Signature((X,), (Y,))
    cases = make_cases(source(signature))
    first = [original.run(case.inputs) for case in cases]
    wide = [{"y": case.inputs["x"].astype(np.float64) @ WEIGHT} for case in cases]
    return signature, cases, first, wide


def test_every_way_is_run_and_none_differs_much():
    original = Plain()
    signature, cases, first, wide = prepare(original)
    runs, notes = run_noise(original, signature, cases, first)
    assert [run.name for run in runs][:3] == ["2 threads", "rows one by one", "rows in halves"]
    assert not notes
    assert original.threads.count(2) == len(cases)
    assert original.rows.count(32) == 2  # the halves of 64
    expected = weigh(signature, cases, first, wide, runs)
    ratios = noise_ratios(signature, expected, runs)["y"]
    assert len(ratios["rms"]) == len(ratios["max"]) == 8
    assert set(ratios["cases"]) == {case.name for case in cases}
    assert ratios["scale"] == pytest.approx(
        np.sqrt(np.mean(np.concatenate([w["y"] for w in wide]) ** 2))
    )


def test_the_jitter_yardstick_measures_from_the_float32_answer():
    original = Plain()
    signature, cases, first, _ = prepare(original)
    runs, _ = run_noise(original, signature, cases, first)
    for i, one in enumerate(weigh(signature, cases, first, None, runs)):
        answer = first[i]
        np.testing.assert_array_equal(one.centre["y"], answer["y"].astype(np.float64))
        changes = [run.outputs[i]["y"].astype(np.float64) - one.centre["y"] for run in runs]
        np.testing.assert_allclose(one.error["y"], np.sqrt(np.mean(np.square(changes), axis=0)))


def test_an_original_that_answers_anything_is_no_yardstick():
    rng = np.random.default_rng(0)
    original = Plain(lambda y, rows: y + rng.normal(0, 0.1, y.shape).astype(np.float32))
    signature, cases, first, _ = prepare(original)
    with pytest.raises(NoYardstickError, match=r"does not repeat itself: with 2 threads 'y' of"):
        run_noise(original, signature, cases, first)


def test_rows_that_depend_on_each_other_drop_the_split_runs_only():
    original = Plain(lambda y, rows: y * np.float32(rows))
    signature, cases, first, _ = prepare(original)
    runs, notes = run_noise(original, signature, cases, first)
    assert len(runs) == 6
    assert [note.split("'")[1] for note in notes] == ["rows one by one", "rows in halves"]


def test_large_cases_are_left_out_of_the_noise_runs():
    original = Plain()
    signature = Signature((X,), (Y,))
    task = Task("sum", lambda: {"x": np.ones((600, 5), np.float32)}, lambda o: 0.0)
    cases = make_cases(source(signature, task=task))
    first = [original.run(case.inputs) for case in cases]
    runs, _ = run_noise(original, signature, cases, first)
    assert all(run.outputs[-1] is None and run.outputs[0] is not None for run in runs)
    expected = weigh(signature, cases, first, None, runs)
    assert "task" not in noise_ratios(signature, expected, runs)["y"]["cases"]
    everything, _ = run_noise(original, signature, cases, first, float("inf"))
    assert all(run.outputs[-1] is not None for run in everything)


def test_moved_values_are_neighbours_and_zeros_stay():
    rng = np.random.default_rng(0)
    value = rng.standard_normal(1000).astype(np.float32)
    value[:10] = 0.0
    value[10] = np.inf
    moved = move(value, rng)
    np.testing.assert_array_equal(moved[:11], value[:11])
    up, down = np.nextafter(value, np.float32(np.inf)), np.nextafter(value, np.float32(-np.inf))
    assert np.all((moved[11:] == up[11:]) | (moved[11:] == down[11:]))
    assert 300 < np.count_nonzero(moved == up) < 700
    assert moved.dtype == np.float32


def test_moved_inputs_stay_in_their_range_and_integers_stay():
    specs = (
        TensorSpec("x", "float32", ("batch",), low=0.0, high=1.0),
        TensorSpec("n", "int64", ("batch",)),
    )
    inputs = {"x": np.ones(50, np.float32), "n": np.arange(50)}
    moved = move_inputs(specs, inputs, np.random.default_rng(0))
    assert moved["x"].max() == 1.0
    assert moved["x"].min() < 1.0
    np.testing.assert_array_equal(moved["n"], inputs["n"])


def test_every_dynamic_axis_has_two_untraced_sizes():
    tokens = TensorSpec("t", "int32", ("batch", "time", "width"))
    cases = make_cases(source(Signature((tokens,), (Y,))))
    traced = cases[0].sizes
    assert cases[0].traced
    for axis in ("batch", "time", "width"):
        assert len({c.sizes[axis] for c in cases} - {traced[axis]}) >= 2
    assert all(len(set(c.sizes.values())) == 3 for c in cases[:3])
    assert cases[3].sizes["batch"] == 64


@pytest.mark.parametrize(
    ("shapes", "axis", "rows", "splits"),
    [
        ([("batch", 5)], "batch", 7, True),
        ([("batch", 5), ("batch",)], "batch", 7, True),
        ([(3, 5)], 3, 3, False),
        ([("batch", 5), (4, 4)], "batch", 7, False),
        ([("seq", 5), (4, 4)], None, 1, False),
        ([()], None, 1, False),
    ],
)
def test_what_counts_as_a_row(shapes, axis, rows, splits):
    inputs = tuple(TensorSpec(f"x{i}", "float32", shape) for i, shape in enumerate(shapes))
    signature = Signature(inputs, (Y,))
    assert batch_axis(signature) == axis
    assert count_rows(signature, {"batch": 7}) == rows
    assert can_split(signature) is splits


def test_enough_rows_are_pooled_whatever_the_shape():
    for shape in [("batch", 5), (3, 5), (5,), ("time", 2)]:
        signature = Signature((TensorSpec("x", "float32", shape),), (Y,))
        cases = make_cases(source(signature))
        assert sum(count_rows(signature, c.sizes) for c in cases) >= 64


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({}, "inputs are none; the signature has x, mask"),
        ({"x": 1, "mask": 1, "more": 1}, "inputs are mask, more, x; the signature has x, mask"),
        (
            {"x": np.zeros((2, 5)), "mask": np.zeros(2, bool)},
            "input 'x' is float64; the signature says float32",
        ),
        (
            {"x": np.zeros((2, 4), np.float32), "mask": np.zeros(2, bool)},
            "has shape [2, 4]; the signature says [batch, 5], axis 1 is 5",
        ),
        (
            {"x": np.zeros((2, 5), np.float32), "mask": np.zeros(3, bool)},
            "has shape [3]; the signature says [batch], axis 0 is batch = 2",
        ),
        (
            {"x": np.zeros(5, np.float32), "mask": np.zeros(2, bool)},
            "has shape [5]; the signature says [batch, 5]",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_told_with_values(arrays, told):
    specs = (X, TensorSpec("mask", "bool", ("batch",)))
    with pytest.raises(SignatureError) as caught:
        bind(specs, arrays, "case 'c', input")
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["random_b1", "task", "../up", "", "twice"])
def test_a_case_needs_a_name_of_its_own(name):
    case = Case(name, {"x": np.zeros((1, 5), np.float32)})
    cases = [case, case] if name == "twice" else [case]
    task = Task("sum", lambda: case.inputs, lambda o: 0.0)
    with pytest.raises(SignatureError, match="needs a name"):
        make_cases(source(Signature((X,), (Y,)), cases=lambda: cases, task=task))
