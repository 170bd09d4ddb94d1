"""Folds BatchNorm into the weights before it, in a frozen TorchScript graph.

In float64 and rounded once: PyTorch's own pass rounds four times.
"""

from __future__ import annotations

from typing import Any

from shipworthy.convert.torch_graph import Graph

_CONVOLUTIONS = ("aten::_convolution", "aten::conv1d", "aten::conv2d", "aten::conv3d")


def fold_batch_norm(graph: Graph, node: Any) -> bool:
    """``batch_norm(convolution(x, w, b), ...)`` -> ``convolution(x, w', b')``, and of `linear`."""
    import torch

    before, fact = node.inputsAt(0).node(), graph.fact(node.output())
    if before.kind() not in (*_CONVOLUTIONS, "aten::linear") or fact is None:
        return False
    axis = _channels(graph, before)
    weight, bias = (graph.constant(before.inputsAt(i)) for i in (1, 2))
    gamma, beta, mean, variance = (graph.constant(node.inputsAt(i)) for i in (1, 2, 3, 4))
    epsilon = graph.constant(node.inputsAt(7))
    fits = (
        axis is not None
        and len(node.inputsAt(0).uses()) == 1
        and graph.constant(node.inputsAt(5)) is False
        and (before.kind() != "aten::linear" or fact.rank == 2)  # BatchNorm's channels are axis 1
        and all(isinstance(part, torch.Tensor) for part in (weight, mean, variance))
        and (isinstance(bias, torch.Tensor) or before.inputsAt(2).node().mustBeNone())
    )
    if not fits or weight.dtype != torch.float32:
        return False
    scale = 1.0 / torch.sqrt(variance.double() + epsilon)
    scale = scale if gamma is None else scale * gamma.double()
    offset = -mean.double() if bias is None else bias.double() - mean.double()
    offset = offset * scale if beta is None else offset * scale + beta.double()
    wide = [1] * weight.dim()
    wide[axis or 0] = -1
    changed = (weight.double() * scale.reshape(wide)).to(weight.dtype)
    inputs = list(before.inputs())
    inputs[1:3] = [
        graph.insert_constant(changed.contiguous(), node),
        graph.insert_constant(offset.to(weight.dtype), node),
    ]
    return graph.replace(node, graph.emit(before.kind(), inputs, node, fact))


def _channels(graph: Graph, node: Any) -> int | None:
    """Return the axis of a weight that counts the channels of the result; None if there is none."""
    if node.kind() != "aten::_convolution" or graph.constant(node.inputsAt(6)) is False:
        return 0
    return 1 if graph.constant(node.inputsAt(8)) == 1 else None
