"""The table: ONNX op -> the small function that computes it with PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

# One file a family; importing it fills the table.
FAMILIES = (
    "convolution", "pooling", "normalisation", "linear", "elementwise", "activation", "reduction",
    "shape", "creation", "padding", "indexing", "scatter", "resize", "spatial", "recurrent",
    "quantisation", "attention", "control",
)  # fmt: skip

# The op sets of ONNX itself; both names mean the same.
STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Parameters
    ----------
    name : the op.
    since : first opset that the function is right for.
    function : takes a `shipworthy.convert.bridge.importer.node.Node`, then the op's inputs: a
        tensor each, None for one that is left out.
    numbers : places of the inputs that are given as
        `shipworthy.convert.bridge.importer.number.Numbers` instead: shapes, axes, pads.
    raw : every input is given as it is at hand, `Numbers` or tensor; those of `numbers` as
        `Numbers` where that is at hand too.
    scope : the function also takes the values around it, as `scope`: loops and branches.
    prepare : shown the inputs when the file is read, None for those that are no constants. Returns
        None, or what the function is given instead: a tensor, None for the input as it is, ``""``
        for no input; `Node.prepared` is then true.
    family : name of the file it stands in.
    """

    name: str
    since: int
    function: Callable[..., Any]
    numbers: tuple[int, ...]
    raw: bool
    scope: bool
    prepare: Callable[..., Sequence[Any] | None] | None
    family: str


_TABLE: dict[str, list[Entry]] = {}
_NUMBERS: dict[str, Callable[..., Any]] = {}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def onnx_op(
    *names: str,
    since: int,
    numbers: tuple[int, ...] = (),
    raw: bool = False,
    scope: bool = False,
    prepare: Callable[..., Sequence[Any] | None] | None = None,
) -> Callable[[_Function], _Function]:
    """Register a function for one or more ONNX ops; see `Entry`.

    Raises
    ------
    ValueError : an op is registered twice for one opset.
    """

    def register(function: _Function) -> _Function:
        family = function.__module__.rpartition(".")[2]
        for name in names:
            rows = _TABLE.setdefault(name, [])
            if any(row.since == since for row in rows):
                raise ValueError(f"{name} since opset {since} is in the table already")
            rows.append(Entry(name, since, function, numbers, raw, scope, prepare, family))
        return function

    return register


def on_numbers(*names: str) -> Callable[[_Function], _Function]:
    """Register what an op does where all its inputs carry shapes.

    The function takes the node and a `Numbers` an input and returns `Numbers`; it raises
    `shipworthy.convert.bridge.importer.number.NotNumbersError` where it cannot, and the op is then
    computed on tensors.
    """

    def register(function: _Function) -> _Function:
        _NUMBERS.update(dict.fromkeys(names, function))
        return function

    return register


def table() -> Mapping[str, Sequence[Entry]]:
    """Return every entry, by op."""
    for family in FAMILIES:
        importlib.import_module(f"shipworthy.convert.bridge.importer.{family}")
    return _TABLE


def number_functions() -> Mapping[str, Callable[..., Any]]:
    """Return what `on_numbers` registered, by op."""
    for file in ("size_ops", "size_layout"):
        importlib.import_module(f"shipworthy.convert.bridge.importer.{file}")
    return _NUMBERS


def find_entry(name: str, opset: int) -> Entry | None:
    """Return the entry that an op has at an opset; None where there is none."""
    rows = [row for row in table().get(name, ()) if row.since <= opset]
    return max(rows, key=lambda row: row.since, default=None)
