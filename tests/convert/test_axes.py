"""Axes are found by running the original; here, originals of a few lines of NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.axes import find_axes
from shipworthy.convert.calling import traced_sizes
from shipworthy.convert.cases import make_cases
from shipworthy.convert.ranges import example_spec, shown
from shipworthy.models.given import GivenError
from shipworthy.models.spec import Array, Arrays, Signature, Source, TensorSpec

Function = Callable[..., Any]


def look(
    function: Function, *, dynamic: Mapping[str, tuple[Any, ...]] | None = None, **example: Array
) -> Any:
    """Find the axes of a function of arrays, from one example."""

    def answer(arrays: Arrays) -> dict[str, Array]:
        found = function(**arrays)
        return found if isinstance(found, dict) else {"output": np.asarray(found)}

    specs, narrow = [], {}
    for name, array in example.items():
        spec = example_spec(name, [array])
        narrow[name] = shown(spec, [array])
        shape = (dynamic or {}).get(name, spec.shape)
        specs.append(TensorSpec(name, spec.dtype, tuple(shape), spec.low, spec.high))
    asked = [a for s in (dynamic or {}).values() for a in s if isinstance(a, str)]
    return find_axes(specs, None, example, answer, shown=narrow, asked=asked, takes="f(...)")


def shapes(signature: Signature) -> dict[str, tuple[int | str, ...]]:
    return {spec.name: spec.shape for spec in signature.inputs}


def normal(*shape: int) -> Array:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_axis_0_of_every_input_is_tried() -> None:
    found = look(lambda a, b: a.sum(1) + b, a=normal(2, 3), b=normal(2))
    assert shapes(found.signature) == {"a": ("batch", 3), "b": ("batch",)}
    assert found.signature.outputs[0].shape == ("batch",)
    assert found.notes == ("Axis 0 of every input was tried as the batch, and is.",)


def test_a_table_beside_the_batch_stays_as_it_is() -> None:
    found = look(lambda x, table: x @ table.T, x=normal(2, 3), table=normal(6, 3))
    assert shapes(found.signature) == {"x": ("batch", 3), "table": (6, 3)}
    assert found.signature.outputs[0].shape == ("batch", 6)
    other = look(lambda table, x: x @ table.T, table=normal(6, 3), x=normal(2, 3))
    assert shapes(other.signature) == {"table": (6, 3), "x": ("batch", 3)}


def test_a_mask_over_the_sequence_stays_as_it_is() -> None:
    def attend(x: Array, mask: Array) -> Array:
        return np.einsum("st,btc->bsc", mask, x) + x

    found = look(attend, x=normal(6, 6, 2), mask=normal(6, 6))  # the batch is as long as the mask
    assert shapes(found.signature) == {"x": ("batch", 6, 2), "mask": (6, 6)}


def test_the_batch_may_be_another_axis_of_a_state() -> None:
    def step(x: Array, state: Array) -> Array:
        assert state.shape[1] == x.shape[0]
        return x.sum(1) + state[0]

    found = look(step, x=normal(2, 5), state=normal(1, 2))
    assert shapes(found.signature) == {"x": ("batch", 5), "state": (1, "batch")}
    assert "state (axis 1)" in found.notes[-1]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: x * np.ones((4, 3), np.float32), "operands could not be broadcast"),
        (lambda x: np.squeeze(x), "1 axes at a batch of 1"),
        (lambda x: x[[0, 1]] if len(x) > 1 else 1 / 0, "at a batch of 1"),
    ],
)
def test_a_batch_that_the_model_refuses_is_fixed_and_said(function: Function, why: str) -> None:
    found = look(function, x=normal(4, 3))
    assert shapes(found.signature) == {"x": (4, 3)}
    assert "is fixed" in found.notes[-1]
    assert why in found.notes[-1]


def test_lengths_stay_within_a_shorter_sequence() -> None:
    def last(x: Array, lengths: Array) -> Array:
        assert lengths.min() > 0
        assert x.shape[1] <= 9, "no more positions"
        return x[np.arange(len(x)), lengths - 1]

    example = {"x": normal(2, 9), "lengths": np.array([9, 4])}
    found = look(last, dynamic={"x": ("batch", "seq"), "lengths": ("batch",)}, **example)
    assert found.signature.sizes == {"seq": (9, 6, 8)}
    lengths = found.signature.inputs[1]
    assert (lengths.low, lengths.high) == (4, 6)
    assert "drawn from 4..6" in " ".join(found.notes)


def test_sides_that_must_be_multiples_are_found() -> None:
    def halve(x: Array) -> Array:
        assert x.shape[1] % 32 == 0, "multiples of 32"
        return x.mean(1)

    found = look(halve, dynamic={"x": ("batch", "width")}, x=normal(1, 64))
    assert found.signature.sizes == {"width": (64, 96, 32)}


def test_an_axis_that_does_not_move_is_refused_only_where_the_user_named_it() -> None:
    weights = normal(8)
    with pytest.raises(GivenError, match=r"'w' is called dynamic, but the model itself takes no"):
        look(lambda x: x @ weights, dynamic={"x": ("batch", "w")}, x=normal(2, 8))
    specs = [TensorSpec("x", "float32", ("batch", "w"))]
    found = find_axes(specs, None, None, lambda arrays: {"y": arrays["x"] @ weights})
    assert shapes(found.signature) == {"x": ("batch", 8)}
    assert "Axis w is fixed at 8" in found.notes[-1]


def test_values_beyond_the_example_are_given_up_where_refused() -> None:
    def strict(ids: Array) -> Array:
        assert (ids == 1).all()
        return ids

    found = look(strict, ids=np.ones((2, 3), np.int64))
    assert (found.signature.inputs[0].low, found.signature.inputs[0].high) == (1, 1)
    assert "keep to those of the example" in " ".join(found.notes)


def test_sizes_that_depend_on_values_have_names_of_their_own() -> None:
    found = look(lambda x: x[x[:, 0] > 0], x=normal(8, 2))
    assert found.signature.outputs[0].shape == ("output_dim_0", 2)
    assert "depends on the values" in " ".join(found.notes)


def test_an_original_that_does_not_run_is_shown_as_it_was_called() -> None:
    with pytest.raises(
        GivenError, match=r"called with \(ids: int64\[2\] in 3..7\): IndexError.*f\("
    ):
        look(lambda ids: np.zeros(5)[ids], ids=np.array([3, 7]))


def test_every_axis_called_dynamic_is_compared_off_its_traced_size() -> None:
    """A trace may have kept the size it was made at; only another one shows it."""

    def conv(x: Array, y: Array) -> Array:
        assert x.shape[2] >= 9
        return x.mean(2) + y.mean(1, keepdims=True)

    dynamic = {"x": ("batch", 2, "time"), "y": ("batch", "words")}
    found = look(conv, dynamic=dynamic, x=normal(2, 2, 9), y=normal(2, 7))
    for signature in (found.signature, _without_batch(found.signature)):
        source = Source("m", "pytorch", signature, build=lambda: None)
        traced = traced_sizes(signature)
        for axis in signature.axes:
            others = {case.sizes[axis] for case in make_cases(source)} - {traced[axis]}
            assert len(others) >= 2, axis


def _without_batch(signature: Signature) -> Signature:
    specs = [
        TensorSpec(s.name, s.dtype, tuple(2 if a == "batch" else a for a in s.shape))
        for s in signature.inputs
    ]
    return Signature(tuple(specs), (), None, signature.sizes)


@pytest.mark.parametrize(
    ("values", "dtype", "wanted"),
    [
        ([3, 9], "int64", (3, 9)),
        ([1, 1], "int64", (0, 1)),
        ([7, 7], "int32", (1, 7)),
        ([0, 12], "uint8", (0, 255)),
        ([-1, 1], "float32", (None, None)),
        ([0, 0], "float32", (None, None)),
        ([2, 2], "float32", (1, 3)),
        ([0.25, 0.5], "float32", (0.25, 0.5)),
        ([-80, 20], "float32", (-80, 20)),
        ([-np.inf, 0], "float32", (None, None)),
        ([True, False], "bool", (None, None)),
    ],
)
def test_ranges_by_what_an_example_shows(values: Any, dtype: str, wanted: Any) -> None:
    spec = example_spec("x", [np.array(values, dtype)])
    assert (spec.low, spec.high) == wanted
