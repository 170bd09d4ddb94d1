"""Small values that carry shapes, kept apart from tensors.

ONNX computes with shapes as with any other tensor. A traced program must not: as tensors their
sizes would be lost to `torch.export`, and as Python's integers `torch.jit.trace` would write the
traced sizes into the program. `Numbers` is an array whose elements are plain numbers where they are
known, and what stands for a size where they are not: a ``SymInt`` under `torch.export`, a tensor
without axes under `torch.jit.trace`. PyTorch takes both wherever it takes a size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from shipworthy.convert.bridge.lazy import Lazy
from shipworthy.models.spec import Array

torch: Any = Lazy("torch")
Tensor = Any  # torch.Tensor
Number = Any  # int | float | bool, a SymInt or SymFloat, or a traced tensor without axes


class NotNumbersError(Exception):
    """Sizes cannot do this; tensors can."""


class Sized:
    """One element that is not known before the model runs; hides a tensor from NumPy."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def is_plain(number: Number) -> bool:
    """Tell whether a number is known now."""
    return isinstance(number, bool | int | float)


def _box(number: Number) -> Any:
    return number if is_plain(number) else Sized(number)


def _unbox(element: Any) -> Number:
    return element.value if isinstance(element, Sized) else element


class Numbers:
    """A small array of numbers, some of which may be sizes not known yet.

    Parameters
    ----------
    array : dtype object; elements are plain Python numbers or `Sized`.
    dtype : the `torch.dtype` that ONNX gives them.
    """

    def __init__(self, array: Array, dtype: Any) -> None:
        self.array = array
        self.dtype = dtype
        self._tensor: Tensor = None

    @classmethod
    def of(cls, numbers: Sequence[Number], dtype: Any = None) -> Numbers:
        """Return a list of numbers as a `Numbers` with one axis."""
        array = np.empty(len(numbers), object)
        for i, number in enumerate(numbers):
            array[i] = _box(number)
        return cls(array, dtype or torch.int64)

    @classmethod
    def read(cls, tensor: Tensor) -> Numbers:
        """Return a tensor's elements; what a traced tensor holds is not known now.

        Raises
        ------
        NotNumbersError : a tensor of more than one axis that is not known.
        """
        if not _is_followed(tensor):
            return cls.read_constant(tensor)
        if tensor.dim() == 0:
            found = cls.of([_followed(tensor)], tensor.dtype)
            return cls(found.array.reshape(()), tensor.dtype)
        if tensor.dim() > 1:
            raise NotNumbersError
        return cls.of([_followed(one) for one in tensor.unbind(0)], tensor.dtype)

    @classmethod
    def read_constant(cls, tensor: Tensor) -> Numbers:
        """Return the elements of a tensor that the file holds."""
        with untraced():
            array = np.array(tensor.detach().tolist(), dtype=object)
            return cls(array.reshape(tuple(tensor.shape)), tensor.dtype)

    @property
    def items(self) -> list[Number]:
        """The elements, in C order."""
        return [_unbox(element) for element in self.array.ravel()]

    @property
    def is_plain(self) -> bool:
        """Whether every element is known now."""
        return not any(isinstance(element, Sized) for element in self.array.ravel())

    @property
    def tensor(self) -> Tensor:
        """The same as a tensor."""
        if self._tensor is None:
            self._tensor = self._build()
        return self._tensor

    def _build(self) -> Tensor:
        if self.is_plain:
            return constant(self.array.tolist(), self.dtype)
        parts = [as_scalar(number, self.dtype) for number in self.items]
        if self.array.ndim == 0:
            return parts[0]
        stacked = torch.stack(parts)
        return stacked if self.array.ndim == 1 else stacked.reshape(self.array.shape)

    def with_array(self, array: Any) -> Numbers:
        """Return other elements of the same dtype."""
        if isinstance(array, np.ndarray):
            return Numbers(array, self.dtype)
        # NumPy gives the element itself where no axis is left.
        single = np.empty((), object)
        single[()] = array
        return Numbers(single, self.dtype)


def _is_followed(tensor: Tensor) -> bool:
    """Tell whether a tensor stands for what the model will compute, and holds no values to read."""
    return bool(torch.jit.is_tracing() or isinstance(tensor, torch._subclasses.FakeTensor))


def _followed(tensor: Tensor) -> Number:
    return tensor if torch.jit.is_tracing() else tensor.item()


def as_scalar(number: Number, dtype: Any = None) -> Tensor:
    """Return a number as a tensor without axes, int64 if not said otherwise."""
    dtype = dtype or torch.int64
    if isinstance(number, torch.Tensor):
        return number.to(dtype)
    if is_plain(number):
        return constant(number, dtype)
    return torch.scalar_tensor(number, dtype=dtype)


def elementwise(function: Callable[..., Number], *operands: Numbers, dtype: Any = None) -> Numbers:
    """Apply a function of plain numbers and sizes element by element, with broadcasting."""

    def on_elements(*elements: Any) -> Any:
        return _box(function(*map(_unbox, elements)))

    result = np.frompyfunc(on_elements, len(operands), 1)(*(one.array for one in operands))
    return Numbers(np.empty(0), dtype or operands[0].dtype).with_array(result)


def sizes(x: Tensor) -> list[Number]:
    """Return a tensor's sizes: sizes to come under `torch.jit.trace` and `torch.export`."""
    return list(x.shape)


def product(numbers: Iterable[Number]) -> Number:
    """Multiply sizes."""
    result: Number = 1
    for number in numbers:
        result = number if is_plain(result) and result == 1 else result * number
    return result


def at_least(number: Number, low: int) -> Number:
    """Return the greater of a size and a number."""
    if is_plain(number):
        return max(number, low)
    if isinstance(number, torch.Tensor):
        return torch.clamp(number, min=low)
    return torch.sym_max(number, low)


@contextmanager
def untraced() -> Iterator[None]:
    """Compute without `torch.jit.trace` following."""
    from torch.jit import _trace

    state, modules = torch._C._get_tracing_state(), _trace._trace_module_map
    torch._C._set_tracing_state(None)
    _trace._trace_module_map = None
    try:
        yield
    finally:
        torch._C._set_tracing_state(state)
        _trace._trace_module_map = modules


def constant(values: Any, dtype: Any = None) -> Tensor:
    """Return a tensor of numbers that are known now."""
    with untraced():
        return torch.tensor(values, dtype=dtype)


def fixed_shape(x: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor whose shape is the model's own, such as a weight's."""
    with untraced():
        return tuple(x.shape)
