"""Normalisations."""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Tensor, fixed_shape, torch
from shipworthy.convert.bridge.importer.table import onnx_op


@onnx_op("BatchNormalization", since=7)
def batch_norm(
    node: Node, x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor
) -> Tensor:
    """Normalise by statistics that were learned."""
    if node.get("training_mode", 0) or sum(map(node.wants, range(len(node.outputs)))) > 1:
        node.refuse("training_mode; export the model for inference")
    eps = node.get("epsilon", 1e-5)
    return torch.nn.functional.batch_norm(x, mean, var, scale, b, False, 0.0, eps)


@onnx_op("InstanceNormalization", since=6)
def instance_norm(node: Node, x: Tensor, scale: Tensor, b: Tensor) -> Tensor:
    """Normalise every channel of every row by its own statistics."""
    eps = node.get("epsilon", 1e-5)
    return torch.instance_norm(x, scale, b, None, None, True, 0.0, eps, False)


@onnx_op("LayerNormalization", since=17)
def layer_norm(node: Node, x: Tensor, scale: Tensor, b: Tensor | None = None) -> Any:
    """Normalise over the last axes, from ``axis`` on."""
    eps = node.get("epsilon", 1e-5)
    axes = list(range(node.get("axis", -1) % x.dim(), x.dim()))
    covers = scale.dim() == len(axes) and (b is None or b.dim() == len(axes))
    known = node.shapes[0][axes[0] :] if node.shapes[0] else fixed_shape(scale)
    if covers and known == fixed_shape(scale) and not node.wants(1) and not node.wants(2):
        return torch.nn.functional.layer_norm(x, fixed_shape(scale), scale, b, eps)
    mean = x.mean(axes, keepdim=True)
    centred = x - mean
    inverse = torch.rsqrt((centred * centred).mean(axes, keepdim=True) + eps)
    y = centred * inverse * scale
    return (y if b is None else y + b), mean, inverse


@onnx_op("RMSNormalization", since=23)
def rms_norm(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    """Divide by the root mean square of the last axes, from ``axis`` on."""
    axes = list(range(node.get("axis", -1) % x.dim(), x.dim()))
    return x * torch.rsqrt((x * x).mean(axes, keepdim=True) + node.get("epsilon", 1e-5)) * scale


@onnx_op("GroupNormalization", since=21)
def group_norm(node: Node, x: Tensor, scale: Tensor, b: Tensor) -> Tensor:
    """Normalise groups of channels; scale and bias are one number a channel."""
    return torch.group_norm(x, node.get("num_groups"), scale, b, node.get("epsilon", 1e-5), False)


@onnx_op("LRN", since=1)
def local_response_norm(node: Node, x: Tensor) -> Tensor:
    """Divide by the sum of squares of the channels nearby."""
    size = node.get("size")
    # A window of even size reaches further to the channels behind.
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    squares = torch.nn.functional.pad(x * x, [0, 0] * (x.dim() - 2) + [before, after])
    channels = node.shape(0, x)[1]
    total = squares[:, 0:channels]
    for i in range(1, size):
        total = total + squares[:, i : i + channels]
    return x / (node.get("bias", 1.0) + node.get("alpha", 1e-4) / size * total) ** node.get(
        "beta", 0.75
    )


@onnx_op("MeanVarianceNormalization", since=9)
def mean_variance_norm(node: Node, x: Tensor) -> Tensor:
    """Bring some axes to mean 0 and variance 1."""
    axes = node.get("axes", [0, 2, 3])
    centred = x - x.mean(axes, keepdim=True)
    return centred / (torch.sqrt((centred * centred).mean(axes, keepdim=True)) + 1e-9)


@onnx_op("LpNormalization", since=1)
def lp_norm(node: Node, x: Tensor) -> Tensor:
    """Divide by the norm along an axis; zeros stay."""
    axis, p = node.get("axis", -1), node.get("p", 2)
    if p == 1:
        norm = x.abs().sum(axis, keepdim=True)
    else:
        norm = torch.sqrt((x * x).sum(axis, keepdim=True))
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)
