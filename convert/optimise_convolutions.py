"""Packs the convolutions of a frozen TorchScript graph, with what follows them.

LibTorch's ``conv2d`` brings its weight into oneDNN's blocked layout whenever it is called, and what
follows reads and writes the result once more. Here the weight is stored plainly and packed once,
when the file is loaded, and an activation or an addition is done by the convolution itself. The
operators are those that ``torch.compile`` uses on CPUs (``mkldnn::_convolution_pointwise``); they
are part of LibTorch's CPU library and take any batch and any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shipworthy.convert.optimise_packed import packed_weight
from shipworthy.convert.torch_graph import Graph

# Activations that oneDNN computes exactly, by the name of its post-operation.
_PLAIN = {
    "aten::relu": "relu",
    "aten::hardswish": "hardswish",
    "aten::hardsigmoid": "hardsigmoid",
}
_BOUNDED = {"aten::hardtanh": (-1.0, 1.0), "aten::clamp": None}


@dataclass(frozen=True)
class Packed:
    """How many convolutions were packed, and how many took an activation or an addition in."""

    convolutions: int
    activations: int
    additions: int


@dataclass(frozen=True)
class _Settings:
    """A convolution's constants, in the words of its operator."""

    weight: Any
    bias: Any
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int


def can_pack() -> bool:
    """Tell whether this build of PyTorch has the operators."""
    import torch

    return bool(torch.backends.mkldnn.is_available()) and bool(
        torch._C._jit_get_schemas_for_operator("mkldnn::_convolution_pointwise")
    )


def pack(module: Any, example: Sequence[Any]) -> Packed:
    """Rewrite a frozen module in place.

    Parameters
    ----------
    module : frozen and optimised, without operators that write into their inputs. It must not have
        run yet.
    example : the tensors it was traced on.
    """
    graph = Graph(module, example)
    counts = [0, 0, 0]
    for node in graph.nodes():
        settings = _settings(graph, node)
        fact = graph.fact(node.inputsAt(0)) if settings else None
        if settings is None or fact is None:
            continue
        other, end = _addition(graph, node)
        attribute, scalars, end = _activation(graph, end)
        holder = _hold(module, graph, settings, fact.sizes, counts[0], end)
        _emit(graph, node, holder, settings, other, attribute, scalars, end)
        for i, done in enumerate((True, attribute != "none", other is not None)):
            counts[i] += done
    graph.sweep()
    return Packed(*counts)


def _settings(graph: Graph, node: Any) -> _Settings | None:
    import torch

    if node.kind() not in ("aten::_convolution", "aten::conv2d"):
        return None
    whole = node.kind() == "aten::_convolution"
    if whole and graph.constant(node.inputsAt(6)) is not False:  # transposed
        return None
    weight = graph.constant(node.inputsAt(1))
    bias = graph.constant(node.inputsAt(2))
    shape = [graph.constant(node.inputsAt(i)) for i in (3, 4, 5)]
    groups = graph.constant(node.inputsAt(8 if whole else 6))
    known = (
        weight is not None
        and weight.dim() == 4
        and weight.dtype == torch.float32
        and (bias is not None or node.inputsAt(2).node().mustBeNone())
        and all(isinstance(value, list) for value in shape)  # padding may be "same"
        and groups is not None
    )
    if not known:
        return None
    stride, padding, dilation = (value * 2 if len(value) == 1 else value for value in shape)
    return _Settings(weight, bias, stride, padding, dilation, groups)


def _only_user(node: Any) -> Any:
    """Return the one node that reads a node's output, or None."""
    uses = node.output().uses()
    return uses[0].user if len(uses) == 1 else None


def _addition(graph: Graph, node: Any) -> tuple[Any, Any]:
    """Return what is added to a convolution's result, or None, and the last node so far."""
    user = _only_user(node)
    if user is None or user.kind() != "aten::add" or user.inputsSize() != 3:
        return None, node
    first, second = user.inputsAt(0), user.inputsAt(1)
    other = second if first.node() is node or first == node.output() else first
    mine, theirs = graph.fact(node.output()), graph.fact(other)
    same = mine is not None and mine == theirs and graph.constant(user.inputsAt(2)) == 1
    # The operator takes no tensor that would have to be broadcast.
    return (other, user) if same and other.node().kind() != "prim::Constant" else (None, node)


def _activation(graph: Graph, node: Any) -> tuple[str, list[float], Any]:
    """Return the post-operation behind a node, its constants, and the last node so far."""
    user = _only_user(node)
    kind = user.kind() if user is not None else ""
    if kind in _PLAIN:
        return _PLAIN[kind], [], user
    if kind == "aten::relu6":
        return "hardtanh", [0.0, 6.0], user
    if kind == "aten::leaky_relu":
        slope = graph.constant(user.inputsAt(1))
        return ("leaky_relu", [float(slope)], user) if slope is not None else ("none", [], node)
    if kind in _BOUNDED:
        bounds = [graph.constant(user.inputsAt(i)) for i in (1, 2)]
        if all(isinstance(bound, int | float) for bound in bounds):
            return "hardtanh", [float(bound) for bound in bounds], user
    return "none", [], node


def _hold(
    module: Any, graph: Graph, settings: _Settings, sizes: Sequence[int], number: int, before: Any
) -> Any:
    """Give the module an attribute that packs the weight on loading; return its weight's value."""
    import torch

    name = f"convolution_{number}"
    shape = (settings.padding, settings.stride, settings.dilation, settings.groups)
    holder = packed_weight(settings.weight.contiguous(), *shape, list(sizes))
    kind = holder._c._type()
    module._c._register_attribute(name, kind, holder._c)
    self = next(iter(graph.raw.inputs()))
    found = graph.attribute(self, name, kind, before)
    return graph.attribute(found, "weight", torch._C.TensorType.get(), before)


def _emit(
    graph: Graph,
    node: Any,
    weight: Any,
    settings: _Settings,
    other: Any,
    attribute: str,
    scalars: list[float],
    end: Any,
) -> None:
    fact = graph.fact(end.output())
    assert fact is not None, "the graph was observed"
    bounds = graph.emit_numbers(scalars, end)
    shape: list[Any] = [settings.padding, settings.stride, settings.dilation, settings.groups]
    x, bias = node.inputsAt(0), node.inputsAt(2)
    if other is None:
        inputs = [x, weight, bias, *shape, attribute, bounds, ""]
    else:
        activation = None if attribute == "none" else attribute
        inputs = [x, other, weight, bias, *shape, "add", 1.0, activation, bounds, ""]
    graph.replace(end, graph.emit("mkldnn::_convolution_pointwise", inputs, end, fact))
