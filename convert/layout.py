"""Cleans the layout churn out of a Keras model that was traced under the torch backend.

Keras computes channels-last on top of PyTorch's channels-first operators: every convolution and
every pooling stands between two ``permute``, most with a ``contiguous`` behind them, every layer
calls ``to(float32)``, and BatchNorm is spelled out in arithmetic. The rules move each ``permute``
towards the outputs, ``op(permute(x)) -> permute(op(x))``, until it meets its inverse. What is left
is the graph of the same net born in PyTorch, and `torch.jit.run_frozen_optimizations` can then
fold the arithmetic into the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shipworthy.convert.layout_rules import RULES
from shipworthy.convert.torch_graph import Graph

# Operators whose answer depends on strides: with one of them no copy may be dropped.
STRIDED = (
    "aten::as_strided",
    "aten::is_contiguous",
    "aten::storage_offset",
    "aten::stride",
    "aten::view_as_complex",
    "aten::view_as_real",
)
TRANSPOSITIONS = ("aten::permute", "aten::transpose", "aten::contiguous", "aten::clone")


@dataclass(frozen=True)
class Cleaned:
    """How many transpositions and copies there were and are.

    Parameters
    ----------
    reason : why the graph was left as it was, if it was.
    folded : how many BatchNorms went into weights.
    """

    before: int
    after: int
    reason: str = ""
    folded: int = 0


def clean(module: Any, example: Sequence[Any]) -> Cleaned:
    """Rewrite a frozen module in place.

    Parameters
    ----------
    module : ``torch.jit.freeze(..., optimize_numerics=False)`` of a traced model. It must not have
        run yet: the first call compiles the graph.
    example : the tensors it was traced on.

    Returns
    -------
    Cleaned
        With a `reason` if an operator in the graph forbids rewriting.
    """
    before = count_transpositions(module)
    graph = Graph(module, example)
    if kinds := sorted(kind for kind in graph.kinds() if _forbids(kind)):
        return Cleaned(before, before, f"operators that depend on storage: {', '.join(kinds)}")
    norms = _count_batch_norms(module)
    while _apply_rules(graph):
        graph.sweep()
    _row_major_outputs(graph)
    folded = norms - _count_batch_norms(module)
    return Cleaned(before, count_transpositions(module), folded=folded)


def count_transpositions(module: Any) -> int:
    """Count the nodes of a module's ``forward`` that transpose, or copy for layout's sake."""
    return sum(node.kind() in TRANSPOSITIONS for node in module.graph.nodes())


def _count_batch_norms(module: Any) -> int:
    return sum(node.kind() == "aten::batch_norm" for node in module.graph.nodes())


def _apply_rules(graph: Graph) -> bool:
    changed = False
    for node in graph.nodes():
        if node.hasUses():
            changed |= any(rule(graph, node) for rule in RULES.get(node.kind(), ()))
    return changed


def _row_major_outputs(graph: Graph) -> None:
    """Copy outputs row-major where they may not be: a C++ caller reads them as they lie."""
    end = graph.raw.return_node()
    for reader in _readers_of_outputs(end):
        for i, value in enumerate(reader.inputs()):
            fact = graph.fact(value)
            if fact is not None and fact.rank > 2:
                reader.replaceInput(i, graph.emit("aten::contiguous", [value, 0], reader, fact))


def _readers_of_outputs(end: Any) -> list[Any]:
    """Return the return node and the tuples, lists and dicts it returns."""
    found = [end]
    for node in found:
        found += [
            value.node()
            for value in node.inputs()
            if value.node().kind()
            in ("prim::TupleConstruct", "prim::ListConstruct", "prim::DictConstruct")
        ]
    return found


def _forbids(kind: str) -> bool:
    in_place = kind.startswith("aten::") and kind.endswith("_") and not kind.endswith("__")
    return in_place or kind in STRIDED
