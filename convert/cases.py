"""The cases every export is judged on, and the check of arrays against a signature."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shipworthy.convert.calling import traced_sizes
from shipworthy.convert.yardstick import MINIMUM_ROWS
from shipworthy.models.spec import Array, Arrays, Signature, Source, TensorSpec, synthesise

TASK = "task"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# Batch sizes of the synthesised cases after the traced one.
_UNTRACED_BATCHES = (1, 5, MINIMUM_ROWS)
# Every other dynamic axis has its traced size, and these further away from it.
_STEPS = (0, -3, 5)


class SignatureError(Exception):
    """A model or a case that is not what its signature says; the message has the values."""


@dataclass(frozen=True)
class PlannedCase:
    """One set of inputs.

    Parameters
    ----------
    sizes : size of every dynamic axis.
    traced : whether exports are traced at these sizes.
    """

    name: str
    sizes: Mapping[str, int]
    traced: bool
    inputs: Arrays


def batch_axis(signature: Signature) -> int | str | None:
    """Return the axis whose rows are counted: a name, a fixed size, or None.

    ``batch`` wherever an input has it; else what all inputs have as their first axis.
    """
    if "batch" in signature.axes:
        return "batch"
    first = {spec.shape[0] if spec.shape else None for spec in signature.inputs}
    return first.pop() if len(first) == 1 and first != {0} else None


def can_split(signature: Signature) -> bool:
    """Tell whether rows can be run in parts: one dynamic first axis on all inputs and outputs."""
    axis = batch_axis(signature)
    return isinstance(axis, str) and all(
        spec.shape and spec.shape[0] == axis for spec in (*signature.inputs, *signature.outputs)
    )


def count_rows(signature: Signature, sizes: Mapping[str, int]) -> int:
    """Return how many rows a case of these sizes adds to the pool."""
    axis = batch_axis(signature)
    if axis is None:
        return 1
    return sizes[axis] if isinstance(axis, str) else axis


def make_cases(source: Source) -> list[PlannedCase]:
    """Return synthesised cases, the source's own, and its task's whole test set.

    Raises
    ------
    SignatureError : a case of the source's own does not fit its signature, or has a name that is
        taken or is no file name.
    """
    cases = _synthesised(source.signature)
    own = [(case.name, case.inputs) for case in source.cases()]
    if source.task is not None:
        own.append((TASK, source.task.inputs()))
    for name, inputs in own:
        if not _NAME.fullmatch(name) or name in {case.name for case in cases}:
            raise SignatureError(
                f"case {name!r} needs a name of letters, digits, '_', '.' and '-' that is not "
                f"taken; taken: {', '.join(case.name for case in cases)}"
            )
        sizes = bind(source.signature.inputs, inputs, f"case {name!r}, input")
        arrays = {spec.name: np.asarray(inputs[spec.name]) for spec in source.signature.inputs}
        cases.append(PlannedCase(name, sizes, sizes == cases[0].sizes, arrays))
    return cases


def bind(
    specs: Sequence[TensorSpec],
    arrays: Arrays,
    what: str,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Check arrays against their specs; return the size of every dynamic axis.

    Parameters
    ----------
    what : begins the error, such as ``"case 'real_3', input"``.
    sizes : sizes that are known already.

    Raises
    ------
    SignatureError : a name missing or extra, another dtype or rank, another size.
    """
    names = [spec.name for spec in specs]
    if sorted(arrays) != sorted(names):
        raise SignatureError(
            f"{what}s are {', '.join(sorted(arrays)) or 'none'}; "
            f"the signature has {', '.join(names)}"
        )
    bound = dict(sizes or {})
    for spec in specs:
        _bind_one(spec, np.asarray(arrays[spec.name]), what, bound)
    return bound


def _bind_one(spec: TensorSpec, array: Array, what: str, bound: dict[str, int]) -> None:
    where = f"{what} {spec.name!r}"
    if array.dtype != np.dtype(spec.dtype):
        raise SignatureError(f"{where} is {array.dtype}; the signature says {spec.dtype}")
    said = f"the signature says {_print(spec.shape)}"
    if array.ndim != len(spec.shape):
        raise SignatureError(f"{where} has shape {_print(array.shape)}; {said}")
    for position, (actual, size) in enumerate(zip(array.shape, spec.shape, strict=True)):
        expected = bound.setdefault(size, actual) if isinstance(size, str) else size
        if actual != expected:
            told = f"{size} = {expected}" if isinstance(size, str) else str(expected)
            raise SignatureError(
                f"{where} has shape {_print(array.shape)}; {said}, axis {position} is {told}"
            )


def _print(shape: Sequence[int | str]) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"


def _synthesised(signature: Signature) -> list[PlannedCase]:
    axis = batch_axis(signature)
    traced = traced_sizes(signature)
    others = {name: size for name, size in traced.items() if name != axis}
    if isinstance(axis, str):
        # The large case has the traced sizes again, so that most rows are where exports were made.
        turns = (0, 1, 2, 0)
        batches = (traced[axis], *_UNTRACED_BATCHES)
        plan = [
            (f"random_b{batch}", {axis: batch} | _turned(others, signature, turn))
            for batch, turn in zip(batches, turns, strict=True)
        ]
    else:
        count = max(math.ceil(MINIMUM_ROWS / (axis or 1)), len(_STEPS) if others else 1)
        plan = [(f"random_{i + 1}", _turned(others, signature, i)) for i in range(count)]
    return [
        PlannedCase(name, sizes, sizes == traced, synthesise(signature, sizes, seed))
        for seed, (name, sizes) in enumerate(plan)
    ]


def _turned(traced: Mapping[str, int], signature: Signature, turn: int) -> dict[str, int]:
    """Return sizes in turn: the traced ones, then others."""
    found = {}
    for name, size in traced.items():
        known = signature.sizes.get(name) or tuple(size + step for step in _STEPS)
        found[name] = known[turn % len(known)]
    return found
