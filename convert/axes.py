"""Finds out by running the original which axes are dynamic, at which sizes, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shipworthy.convert.calling import OTHER_SIZE, TRACED_BATCH
from shipworthy.convert.original import first_line
from shipworthy.models.given import GivenError
from shipworthy.models.spec import DTYPES, Array, Arrays, Signature, TensorSpec, synthesise_one

Answer = Callable[[Arrays], dict[str, Array]]
BATCH = "batch"
_OTHER_BATCH = 3


@dataclass(frozen=True)
class Axes:
    """The signature that running the original has shown, and what it needed to assume."""

    signature: Signature
    notes: tuple[str, ...]


def find_axes(
    specs: Sequence[TensorSpec],
    arguments: Mapping[str, Any] | None,
    example: Arrays | None,
    answer: Answer,
) -> Axes:
    """Name the dynamic axes of a model's inputs and outputs.

    Where the user named no first axis, that of every input is tried as ``batch``.

    Parameters
    ----------
    specs : the inputs, with the axes named that the user named.
    example : real inputs, if there are any.
    answer : runs the original; outputs by name.

    Raises
    ------
    GivenError : the original does not run, or not at two sizes of an axis that the user named.
    """
    notes: list[str] = []
    specs = list(specs)
    base = _base_sizes(specs, example)
    try:
        answer(example if example is not None else _draw(specs, base))
    except Exception as e:
        shown = ", ".join(f"{s.name} {s.dtype}{list(s.resolve(base))}" for s in specs)
        raise GivenError(f"the model does not run on its inputs ({shown}): {first_line(e)}") from e
    specs, base = _try_batch(specs, base, answer, notes)
    sizes: dict[str, tuple[int, ...]] = {}
    for axis in base:
        sizes[axis] = _working_sizes(axis, specs, base, answer)
    base = {axis: found[0] for axis, found in sizes.items()}
    outputs = _outputs(specs, base, sizes, answer)
    sizes.pop(BATCH, None)  # cases choose batches by themselves
    return Axes(Signature(tuple(specs), outputs, arguments, sizes), tuple(notes))


def _base_sizes(specs: Sequence[TensorSpec], example: Arrays | None) -> dict[str, int]:
    """Return a size for every named axis: the example's, else the usual one."""
    sizes: dict[str, int] = {}
    for spec in specs:
        for position, axis in spec.dynamic_axes.items():
            if axis == BATCH:
                sizes.setdefault(axis, TRACED_BATCH)
            elif example is not None and example[spec.name].ndim == len(spec.shape):
                sizes.setdefault(axis, int(example[spec.name].shape[position]))
    others = [a for spec in specs for a in spec.dynamic_axes.values() if a not in sizes]
    for i, axis in enumerate(dict.fromkeys(others)):
        sizes[axis] = OTHER_SIZE + 4 * i
    return sizes


def _draw(specs: Sequence[TensorSpec], sizes: Mapping[str, int], seed: int = 0) -> Arrays:
    return {spec.name: synthesise_one(spec, sizes, seed + i) for i, spec in enumerate(specs)}


def _try_batch(
    specs: list[TensorSpec], base: dict[str, int], answer: Answer, notes: list[str]
) -> tuple[list[TensorSpec], dict[str, int]]:
    """Name first axes ``batch`` where the original takes another size there."""
    if any(0 in spec.dynamic_axes for spec in specs):
        return specs, base
    first = next((spec.shape[0] for spec in specs if spec.shape), None)
    told = "no input has an axis"
    for chosen in _candidates(specs, first):
        tried = [
            replace(spec, shape=(BATCH, *spec.shape[1:])) if spec.name in chosen else spec
            for spec in specs
        ]
        sizes = base | {BATCH: TRACED_BATCH}
        try:
            for batch in (1, TRACED_BATCH, _OTHER_BATCH):
                answer(_draw(tried, sizes | {BATCH: batch}))
        except Exception as e:
            told = first_line(e)
            continue
        left = [spec.name for spec in specs if spec.shape and spec.name not in chosen]
        if left:
            notes.append(f"Axis 0 is the batch of {', '.join(chosen)}; not of {', '.join(left)}.")
        else:
            notes.append("Axis 0 of every input was tried as the batch, and is.")
        return tried, sizes
    notes.append(
        f"Axis 0 was tried as the batch and is fixed: the model itself refuses another ({told})."
    )
    return specs, base


def _candidates(specs: Sequence[TensorSpec], first: int | str | None) -> Iterator[list[str]]:
    ranked = [spec.name for spec in specs if spec.shape]
    alike = [spec.name for spec in specs if spec.shape and spec.shape[0] == first]
    if ranked:
        yield ranked
    if alike and alike != ranked:
        yield alike


def _working_sizes(
    axis: str, specs: Sequence[TensorSpec], base: Mapping[str, int], answer: Answer
) -> tuple[int, ...]:
    """Return the traced size of an axis and two others that the original takes."""
    size = base[axis]
    if axis == BATCH:
        return (TRACED_BATCH, _OTHER_BATCH)
    wanted = (size - 3, size + 5, size + 1, size - 1, size * 2, size // 2, size * 3, size + 8)
    found, why = [size], ""
    for other in wanted:
        if other < 2 or other in found or len(found) == 3:
            continue
        try:
            answer(_draw(specs, {**base, axis: other}))
            found.append(other)
        except Exception as e:
            why = why or f"{other}: {first_line(e)}"
    if len(found) == 1:
        raise GivenError(
            f"axis {axis!r} is called dynamic, but the model itself takes no size beside {size} "
            f"there (at {why}); leave it out of --dynamic"
        )
    if size == 1:  # torch.export and torch.jit.trace take a size of 1 for a constant
        found = [*found[1:], size]
    return tuple(found)


def _outputs(
    specs: Sequence[TensorSpec],
    base: Mapping[str, int],
    sizes: Mapping[str, Sequence[int]],
    answer: Answer,
) -> tuple[TensorSpec, ...]:
    """Declare the outputs: an axis that moves with an input's bears its name."""
    at_base = answer(_draw(specs, base))
    if not at_base:
        raise GivenError("the model returns no tensor")
    moved = {axis: answer(_draw(specs, {**base, axis: known[1]})) for axis, known in sizes.items()}
    found = []
    for name, array in at_base.items():
        _check_dtype(name, array)
        for axis, answers in moved.items():
            if name not in answers or answers[name].ndim != array.ndim:
                raise GivenError(
                    f"output {name!r} is not there, or has another rank, at another size of "
                    f"{axis!r}; exports have one form only"
                )
        shape = [_size(name, position, array, moved, base, sizes) for position in range(array.ndim)]
        found.append(TensorSpec(name, array.dtype.name, tuple(shape)))
    return tuple(found)


def _size(
    name: str,
    position: int,
    array: Array,
    moved: Mapping[str, Mapping[str, Array]],
    base: Mapping[str, int],
    sizes: Mapping[str, Sequence[int]],
) -> int | str:
    here = array.shape[position]
    moving = [axis for axis, answers in moved.items() if answers[name].shape[position] != here]
    if not moving:
        return int(here)
    if len(moving) == 1:
        axis = moving[0]
        if here == base[axis] and moved[axis][name].shape[position] == sizes[axis][1]:
            return axis
    return f"{name}_dim_{position}"


def _check_dtype(name: str, array: Array) -> None:
    if array.dtype.name not in DTYPES:
        raise GivenError(
            f"output {name!r} is {array.dtype.name}; outputs can be: {', '.join(DTYPES)}"
        )


def to_array(value: Any) -> Array:
    """Return a framework's tensor as an array.

    Raises
    ------
    TypeError : it is no tensor.
    """
    if hasattr(value, "detach"):
        value = value.detach()
    if not hasattr(value, "numpy") and not isinstance(value, np.ndarray | np.generic):
        raise TypeError(
            f"the model returns a {type(value).__name__} where a tensor is expected; let it "
            "return tensors, in tuples, lists or dicts"
        )
    return np.array(value.numpy() if hasattr(value, "numpy") else value)
