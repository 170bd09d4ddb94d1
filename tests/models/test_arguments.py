"""How calls and answers are named."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

from shipworthy.models.arguments import (
    describe,
    fill,
    name_constants,
    name_leaves,
    rename,
    show,
)

Pair = namedtuple("Pair", "mean std")


@dataclasses.dataclass
class Output:
    logits: Any
    hidden: Any = None


def is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


A, B, C = (np.full(2, i) for i in range(3))


def test_a_nested_call_is_described_and_made_again() -> None:
    args, kwargs = ([A, {"r": B}], 2.0), {"state": (C, None)}
    arguments, tensors = describe(args, kwargs, ["feats", "scale"], is_array)
    assert list(tensors) == ["feats_0", "feats_1_r", "state_0"]
    found = fill(arguments, {name: name for name in tensors})
    assert found == ([["feats_0", {"r": "feats_1_r"}], 2.0], {"state": ("state_0", None)})
    renamed = rename(arguments, {"feats_0": "left"})
    assert fill(renamed, {"left": 1, "feats_1_r": 2, "state_0": 3})[0][0] == [1, {"r": 2}]
    assert show(renamed, {"left": "L", "feats_1_r": "R", "state_0": "S"}) == (
        "[L, {'r': R}], 2.0, state=(S, None)"
    )


def test_names_are_identifiers_and_distinct() -> None:
    _, tensors = describe(({"a b": A, "a/b": B, "3": C},), {}, ["batch"], is_array)
    assert list(tensors) == ["a_b", "a_b_", "input_3"]
    named = dict(name_leaves({"a b": A, "a/b": B, 3: C}))
    assert list(named) == ["a_b", "a_b_", "output_3"]


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (A, ["output"]),
        ((A, [B, None]), ["output_0", "output_1_0"]),
        (Pair(A, B), ["mean", "std"]),
        (Output(A), ["logits"]),
        ({"scores": {"top": A}, "n": 3}, ["scores_top"]),
        (None, []),
    ],
)
def test_outputs_are_named_by_their_paths(outputs: Any, names: list[str]) -> None:
    assert [name for name, _ in name_leaves(outputs)] == names


def test_what_is_no_tensor_is_left_out_and_told() -> None:
    outputs = (A, 3.0, "name", np.float32(2))
    assert [name for name, _ in name_leaves(outputs)] == ["output_0", "output_3"]
    assert name_constants(outputs) == ["output_1 = 3.0", "output_2 = 'name'"]


def test_what_cannot_be_handed_over_is_refused() -> None:
    with pytest.raises(TypeError, match=r"'x' is a builtins\.set"):
        describe(({1, 2},), {}, ["x"], is_array)
    with pytest.raises(TypeError, match="key 1"):
        describe(({1: A},), {}, ["x"], is_array)
