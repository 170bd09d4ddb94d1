"""Runs an original on drawn inputs of any size, and reads what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from shipworthy.convert.original import first_line
from shipworthy.models.given import GivenError
from shipworthy.models.spec import DTYPES, Array, Arrays, TensorSpec, synthesise_one

_AGAIN = 4  # draws of other values at the same sizes, to see sizes that depend on them

Answer = Callable[[Arrays], dict[str, Array]]


@dataclass
class Probe:
    """An original under examination.

    Parameters
    ----------
    specs : its inputs, as far as they are known.
    answer : runs it; outputs by name.
    notes : what was found, one sentence each.
    """

    specs: list[TensorSpec]
    answer: Answer
    notes: list[str] = field(default_factory=list)
    _before: list[TensorSpec] | None = None

    def draw(self, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
        """Return random inputs of these sizes."""
        return {s.name: synthesise_one(s, sizes, seed + i) for i, s in enumerate(self.specs)}

    def try_example(self, example: Arrays) -> str:
        """Return why the original does not run on real inputs; empty if it does."""
        try:
            self.answer(example)
        except Exception as e:
            return first_line(e)
        return ""

    def refuses(self, sizes: Mapping[str, int]) -> str:
        """Return why the original does not run at these sizes; empty if it does.

        Integers are tried at both ends of their range as well: a table may end in between.
        """
        drawn = self.draw(sizes)
        ends = []
        if any(s.dtype != "bool" and np.dtype(s.dtype).kind in "iu" for s in self.specs):
            ends = [self._at(drawn, "low"), self._at(drawn, "high")]
        for arrays in (drawn, *ends):
            try:
                self.answer(arrays)
            except Exception as e:
                return first_line(e)
        return ""

    def _at(self, drawn: Arrays, end: str) -> dict[str, Array]:
        found = dict(drawn)
        for spec in self.specs:
            value = getattr(spec, end)
            if value is not None and found[spec.name].dtype.kind in "iu":
                found[spec.name] = np.full_like(found[spec.name], int(value))
        return found

    def shrink(self, size: int, other: int) -> bool:
        """Lower the range of integers that may count along an axis; tell whether there are any.

        Lengths and positions along an axis of 9 go up to 9 or 8; at a size of 6 they must not.
        """
        less = size - other
        shrunk = [
            replace(spec, low=min(spec.low or 0, spec.high - less), high=spec.high - less)
            if spec.dtype in ("int32", "int64") and spec.high in (size, size - 1)
            else spec
            for spec in self.specs
        ]
        if shrunk == self.specs or any((s.low or 0) < 0 for s in shrunk if s not in self.specs):
            return False
        self._before, self.specs = self.specs, shrunk
        return True

    def settle(self, keep: bool) -> None:
        """Keep what `shrink` did, or take it back."""
        assert self._before is not None, "shrink goes before"
        if keep:
            for old, new in zip(self._before, self.specs, strict=True):
                if old != new:
                    self.notes.append(
                        f"Values of {new.name} are drawn from {new.low:g}..{new.high:g}, so that "
                        "they fit shorter inputs as well."
                    )
        else:
            self.specs = self._before
        self._before = None


def describe_outputs(
    probe: Probe, base: Mapping[str, int], sizes: Mapping[str, Sequence[int]]
) -> tuple[TensorSpec, ...]:
    """Declare the outputs: an axis that moves with an input's bears its name.

    Parameters
    ----------
    base : size of every dynamic axis.
    sizes : the sizes of each; the second is tried.

    Raises
    ------
    GivenError : no output, one of another dtype, or one that is not the same at other sizes.
    """
    at_base = probe.answer(probe.draw(base))
    again = [probe.answer(probe.draw(base, seed=1000 * i)) for i in range(1, _AGAIN)]
    if not at_base:
        raise GivenError("the model returns no tensor")
    moved = {
        axis: probe.answer(probe.draw({**base, axis: known[1]})) for axis, known in sizes.items()
    }
    found = []
    for name, array in at_base.items():
        if array.dtype.name not in DTYPES:
            raise GivenError(
                f"output {name!r} is {array.dtype.name}; outputs can be: {', '.join(DTYPES)}. "
                "Cast it to one of them in the model"
            )
        for axis, answers in [*(("", one) for one in again), *moved.items()]:
            if name not in answers or answers[name].ndim != array.ndim:
                at = f"at another size of {axis!r}" if axis else "for other values"
                raise GivenError(
                    f"output {name!r} is not there, or has another rank, {at}; exports have one "
                    "form only"
                )
        shape: list[int | str] = []
        for position, here in enumerate(array.shape):
            ends = {axis: answers[name].shape[position] for axis, answers in moved.items()}
            if any(one[name].shape[position] != here for one in again):
                if position:
                    raise GivenError(
                        f"the size of axis {position} of output {name!r} depends on the values of "
                        "the inputs, so that cases cannot be put together; return all of it with a "
                        "mask, or pad it to a size that follows from the inputs'"
                    )
                probe.notes.append(f"The size of axis {position} of {name} depends on the values.")
                shape.append(f"{name}_dim_{position}")
            else:
                shape.append(_size(name, position, here, ends, base, sizes))
        found.append(TensorSpec(name, array.dtype.name, tuple(shape)))
    return tuple(found)


def _size(
    name: str,
    position: int,
    here: int,
    ends: Mapping[str, int],
    base: Mapping[str, int],
    sizes: Mapping[str, Sequence[int]],
) -> int | str:
    """Return a fixed size, the name of the input's axis that it equals, or a name of its own."""
    moving = [axis for axis, size in ends.items() if size != here]
    if not moving:
        return int(here)
    if len(moving) == 1 and here == base[moving[0]] and ends[moving[0]] == sizes[moving[0]][1]:
        return moving[0]
    return f"{name}_dim_{position}"


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
            "return tensors, in tuples, lists, dicts or dataclasses"
        )
    return np.array(value.numpy() if hasattr(value, "numpy") else value)
