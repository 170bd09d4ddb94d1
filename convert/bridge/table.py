"""The table: ATen op -> the small function that writes it in TensorFlow ops."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

# One file a family; importing it fills the table.
FAMILIES = (
    "convolution", "pooling", "adaptive", "rearrange", "sampling", "linear", "normalisation",
    "activation", "elementwise", "binary", "comparison", "reduction", "shape", "joining", "padding",
    "indexing", "creation", "resize", "sizes", "recurrent", "sorting", "cumulative",
    "scattering",
)  # fmt: skip


class UnsupportedUseError(Exception):
    """An op is in the table, but not with these arguments; the message says which."""


@dataclass(frozen=True)
class Out:
    """What PyTorch says the op gives, for the functions that ask for it.

    Parameters
    ----------
    dtype : a `tf.DType`.
    shape : None is a size only known when the model runs.
    """

    dtype: Any
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Missing:
    """An output that the bridge does not compute; using it is an error that says why."""

    reason: str


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Parameters
    ----------
    name : the overload, without the namespace ``aten``, such as ``"convolution.default"``.
    function : takes the op's arguments as `torch.export` gives them, with a
        `shipworthy.convert.bridge.value.Value` for every tensor. An argument named `out`, by
        keyword only, receives the `Out`.
    family : name of the file it stands in.
    """

    name: str
    function: Callable[..., Any]
    family: str

    @property
    def wants_out(self) -> bool:
        """Whether the function asks what PyTorch says of the result."""
        return "out" in inspect.signature(self.function).parameters


_TABLE: dict[str, Entry] = {}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def aten(*names: str) -> Callable[[_Function], _Function]:
    """Register a function for one or more ATen overloads, or ops of another namespace in full.

    Raises
    ------
    ValueError : an overload is registered twice.
    """

    def register(function: _Function) -> _Function:
        family = function.__module__.rpartition(".")[2]
        for name in names:
            if name in _TABLE:
                raise ValueError(f"aten.{name} is already in {_TABLE[name].family}.py")
            _TABLE[name] = Entry(name, function, family)
        return function

    return register


def table() -> Mapping[str, Entry]:
    """Return every entry, by overload name."""
    for family in FAMILIES:
        importlib.import_module(f"shipworthy.convert.bridge.{family}")
    return _TABLE
