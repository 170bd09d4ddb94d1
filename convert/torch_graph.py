"""A frozen TorchScript graph that can be rewritten: facts about its values, new nodes, constants.

TorchScript is frozen upstream, so the few private entry points used here (``graph.create``,
``insertBefore``, ``replaceAllUsesWith``, the ``_jit_pass_*`` functions) move no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Perm = tuple[int, ...]


@dataclass(frozen=True)
class Fact:
    """What one run on the example showed of a tensor: its rank, its `torch.dtype`, its sizes."""

    rank: int
    dtype: Any
    sizes: tuple[int, ...] = ()


class Graph:
    """A graph under rewriting.

    A rewrite inserts new nodes before the node it replaces and moves that node's uses to them;
    `sweep` then drops what is unused. So every value keeps its meaning at all times.

    Parameters
    ----------
    module : a frozen ``torch.jit.ScriptModule``; its ``forward`` is changed in place.
    example : the inputs to observe ranks and dtypes on.
    """

    def __init__(self, module: Any, example: Sequence[Any]) -> None:
        import torch

        self.raw = module.graph
        torch._C._jit_pass_remove_mutation(self.raw)
        torch._C._jit_pass_constant_propagation(self.raw)
        torch._C._jit_pass_dce(self.raw)
        self._facts = _observe(self.raw, example)

    def nodes(self) -> list[Any]:
        """Return the nodes in order, as they are now."""
        return list(self.raw.nodes())

    def kinds(self) -> set[str]:
        """Return the kinds of nodes."""
        return {node.kind() for node in self.raw.nodes()}

    def fact(self, value: Any) -> Fact | None:
        """Return what is known of a tensor; None where nothing is."""
        if value.node().kind() != "prim::Constant":
            return self._facts.get(value.unique())
        constant = value.toIValue()
        if hasattr(constant, "dim"):
            return Fact(constant.dim(), constant.dtype, tuple(constant.shape))
        # A tensor that was traced from a number comes back as that number.
        return Fact(0, None) if value.type().kind() == "TensorType" else None

    def rank(self, value: Any) -> int | None:
        """Return a tensor's rank, or None where it is not known."""
        fact = self.fact(value)
        return None if fact is None else fact.rank

    @staticmethod
    def constant(value: Any) -> Any:
        """Return a constant's Python value; None where `value` is None or is computed."""
        return value.toIValue() if value.node().kind() == "prim::Constant" else None

    def insert_constant(self, value: Any, before: Any) -> Any:
        """Insert a constant before a node and return its value."""
        self.raw.setInsertPoint(before)
        constant = self.raw.insertConstant(value)
        # Where later passes start; `before` may be gone by then, and they would abort.
        self.raw.setInsertPoint(self.raw.return_node())
        return constant

    def emit(self, kind: str, inputs: Iterable[Any], before: Any, fact: Fact) -> Any:
        """Insert a node with one tensor output before another one and return that output.

        An input that is no graph value becomes a constant.
        """
        import torch

        values = [
            value if isinstance(value, torch._C.Value) else self.insert_constant(value, before)
            for value in inputs
        ]
        output = self._insert(kind, values, before)
        self._facts[output.unique()] = fact
        return output

    def emit_list(self, values: Sequence[Any], before: Any) -> Any:
        """Insert a list of tensors before a node and return it."""
        import torch

        output = self._insert("prim::ListConstruct", values, before)
        output.setType(torch._C.ListType(torch._C.TensorType.get()))
        return output

    def emit_numbers(self, values: Sequence[float], before: Any) -> Any:
        """Insert a list of ``Scalar?``, as operators take it, before a node and return it."""
        import torch

        constants = [self.insert_constant(value, before) for value in values]
        output = self._insert("prim::ListConstruct", constants, before)
        number = torch._C.OptionalType(torch._C.NumberType.get())
        output.setType(torch._C.ListType(number))
        return output

    def attribute(self, owner: Any, name: str, kind: Any, before: Any) -> Any:
        """Insert the reading of an object's attribute before a node and return its value."""
        node = self.raw.create("prim::GetAttr", [owner], 1)
        node.s_("name", name)
        node.insertBefore(before)
        node.output().setType(kind)
        return node.output()

    def _insert(self, kind: str, values: Sequence[Any], before: Any) -> Any:
        node = self.raw.create(kind, list(values), 1)
        node.insertBefore(before)
        node.copyMetadata(before)
        return node.output()

    def permute(self, value: Any, perm: Perm, before: Any) -> Any:
        """Return `value` with its axes permuted; permutations of permutations are composed."""
        base, inner = self.view(value) or (value, tuple(range(len(perm))))
        perm = tuple(inner[axis] for axis in perm)
        fact = self.fact(base)
        if fact is None or perm == tuple(range(len(perm))):
            return base
        return self.emit("aten::permute", [base, list(perm)], before, fact)

    def view(self, value: Any) -> tuple[Any, Perm] | None:
        """Return ``(base, perm)`` where `value` is ``base.permute(perm)``, else None."""
        node = value.node()
        if node.kind() != "aten::permute":
            return None
        base, perm = node.inputsAt(0), self.constant(node.inputsAt(1))
        rank = self.rank(base)
        if perm is None or rank is None:
            return None
        return base, tuple(axis % rank for axis in perm)

    def replace(self, node: Any, value: Any) -> bool:
        """Let every use of the node's output use `value`; answers True."""
        node.output().replaceAllUsesWith(value)
        return True

    def sweep(self) -> None:
        """Drop the nodes that nothing uses, and merge equal ones."""
        import torch

        torch._C._jit_pass_dce(self.raw)
        torch._C._jit_pass_cse(self.raw)
        torch._C._jit_pass_constant_pooling(self.raw)


def inverse(perm: Perm) -> Perm:
    """Return the permutation that undoes `perm`."""
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


def _observe(graph: Any, example: Sequence[Any]) -> dict[int, Fact]:
    """Run a copy of the graph that returns every tensor, and note ranks and dtypes."""
    import torch

    copy = graph.copy()
    outputs = len(list(copy.outputs()))
    for value in list(_tensors(copy)):
        copy.registerOutput(value)
    copy.eraseInput(0)  # self, which a frozen graph does not use
    copy.makeMultiOutputIntoTuple()
    function = torch._C._create_function_from_graph("observe", copy)
    with torch.no_grad():
        values = function(*example)[outputs:]
    watched = [*list(graph.inputs())[1:], *_tensors(graph)]
    return {
        value.unique(): Fact(tensor.dim(), tensor.dtype, tuple(tensor.shape))
        for value, tensor in zip(watched, [*example, *values], strict=True)
    }


def _tensors(graph: Any) -> Iterator[Any]:
    for node in graph.nodes():
        if node.kind() != "prim::Constant":
            yield from (v for v in node.outputs() if v.type().kind() == "TensorType")
