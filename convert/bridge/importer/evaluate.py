"""Runs nodes on values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import NotNumbersError, Numbers, Tensor
from shipworthy.convert.bridge.importer.table import number_functions
from shipworthy.convert.original import first_line
from shipworthy.convert.routes import UnsupportedModelError

Value = Any  # a tensor, or Numbers
# Whatever is larger can be no shape.
SMALL = 512


class Scope:
    """The values at hand while a graph runs.

    Parameters
    ----------
    values : by name; grows.
    constants : by name.
    around : the scope around a loop's or a branch's graph.
    """

    def __init__(
        self,
        values: dict[str, Value],
        constants: Mapping[str, Tensor],
        around: Scope | None = None,
        cache: dict[str, Numbers] | None = None,
    ) -> None:
        self.values = values
        self.constants = constants
        self._around = around
        # What a constant holds is read once for all runs.
        self._read = {} if cache is None else cache

    def inner(self, values: dict[str, Value]) -> Scope:
        """Return a scope inside this one."""
        return Scope(values, self.constants, self, self._read)

    def value(self, name: str) -> Value:
        """Return a value; None for an input that is left out."""
        if not name:
            return None
        if name in self.values:
            return self.values[name]
        if self._around is not None and name not in self.constants:
            return self._around.value(name)
        return self.constants[name]

    def tensor(self, name: str) -> Tensor:
        """Return a value as a tensor."""
        return as_tensor(self.value(name))

    def numbers(self, name: str) -> Numbers | None:
        """Return a value that carries shapes, or a small constant; None for any other."""
        if name not in self.values and name in self.constants:
            if name not in self._read and self.constants[name].numel() <= SMALL:
                self._read[name] = Numbers.read_constant(self.constants[name])
            return self._read.get(name)
        value = self.value(name)
        return value if isinstance(value, Numbers) else None


def as_tensor(value: Value) -> Tensor:
    """Return a value as a tensor."""
    return value.tensor if isinstance(value, Numbers) else value


def run_nodes(nodes: Iterable[Node], scope: Scope) -> None:
    """Run nodes in order; what nobody needs any more is let go."""
    for node in nodes:
        results = run_node(node, scope)
        for name in node.releases:
            scope.values.pop(name, None)
        for name, result in zip(node.outputs, results, strict=False):
            if name:
                scope.values[name] = result


def run_node(node: Node, scope: Scope) -> tuple[Value, ...]:
    """Return a node's outputs.

    Raises
    ------
    UnsupportedModelError : it cannot be computed; the message names it.
    """
    try:
        result = _on_numbers(node, scope)
        if result is None:
            result = _on_tensors(node, scope)
    except UnsupportedModelError:
        raise
    except Exception as e:  # PyTorch raises many kinds; the user wants to know the node with each
        raise UnsupportedModelError(
            f"the importer from ONNX to PyTorch cannot run {node}: {first_line(e)}"
        ) from e
    return result if isinstance(result, tuple) else (result,)


def _on_numbers(node: Node, scope: Scope) -> Numbers | None:
    """Compute on sizes, if all the inputs carry shapes and not all are constants."""
    function = number_functions().get(node.op)
    if function is None:
        return None
    if not any(isinstance(scope.value(name), Numbers) for name in node.inputs):
        return None
    given = [scope.numbers(name) if name else None for name in node.inputs]
    if any(name and one is None for name, one in zip(node.inputs, given, strict=True)):
        return None
    try:
        result: Numbers = function(node, *given)
    except NotNumbersError:
        return None
    return result


def _on_tensors(node: Node, scope: Scope) -> Any:
    entry = node.entry
    given: list[Value] = []
    for place, name in enumerate(node.inputs):
        value = scope.value(name)
        if place in entry.numbers and value is not None:
            found = scope.numbers(name)
            if found is not None or not entry.raw:
                value = _read(node, value) if found is None else found
        elif not entry.raw:
            value = as_tensor(value)
        given.append(value)
    if entry.scope:
        return entry.function(node, *given, scope=scope)
    return entry.function(node, *given)


def _read(node: Node, tensor: Tensor) -> Numbers:
    try:
        return Numbers.read(tensor)
    except NotNumbersError:
        return node.refuse("an input that says a shape has more than one axis and is not constant")
