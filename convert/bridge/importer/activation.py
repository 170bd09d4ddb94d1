"""Activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Numbers, Tensor, fixed_shape, torch
from shipworthy.convert.bridge.importer.table import onnx_op

# ONNX op -> (PyTorch function, attributes with ONNX's defaults, first opset).
_SIMPLE: dict[str, tuple[str, dict[str, float], int]] = {
    "Relu": ("relu", {}, 1),
    "Sigmoid": ("sigmoid", {}, 1),
    "Tanh": ("tanh", {}, 1),
    "Softplus": ("nn.functional.softplus", {}, 1),
    "Softsign": ("nn.functional.softsign", {}, 1),
    "Mish": ("nn.functional.mish", {}, 18),
    "HardSwish": ("nn.functional.hardswish", {}, 14),
    "Elu": ("nn.functional.elu", {"alpha": 1.0}, 1),
    "Celu": ("nn.functional.celu", {"alpha": 1.0}, 12),
    "LeakyRelu": ("nn.functional.leaky_relu", {"alpha": 0.01}, 1),
}


def _simple(name: str, settings: dict[str, float]) -> Callable[..., Any]:
    def function(node: Node, x: Tensor) -> Tensor:
        found = torch
        for part in name.split("."):
            found = getattr(found, part)
        return found(x, *(node.get(key, usual) for key, usual in settings.items()))

    function.__module__ = __name__
    return function


for _name, (_torch, _settings, _since) in _SIMPLE.items():
    onnx_op(_name, since=_since)(_simple(_torch, _settings))


@onnx_op("Gelu", since=20)
def gelu(node: Node, x: Tensor) -> Tensor:
    """Gaussian error linear unit."""
    return torch.nn.functional.gelu(x, approximate=node.get("approximate", "none"))


@onnx_op("Selu", since=1)
def selu(node: Node, x: Tensor) -> Tensor:
    """Scaled exponential linear unit."""
    alpha, gamma = node.get("alpha", 1.6732632), node.get("gamma", 1.0507010)
    if abs(alpha - 1.6732632) < 1e-5 and abs(gamma - 1.0507010) < 1e-5:
        return torch.selu(x)
    return gamma * torch.nn.functional.elu(x, alpha)


@onnx_op("HardSigmoid", since=1)
def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    """Follow a line between 0 and 1; PyTorch has the one of slope 1/6."""
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        return torch.nn.functional.hardsigmoid(x)
    return torch.clamp(x * alpha + beta, 0.0, 1.0)


@onnx_op("ThresholdedRelu", since=1)
def thresholded_relu(node: Node, x: Tensor) -> Tensor:
    """Zero up to a threshold, and unchanged beyond."""
    return torch.where(x > node.get("alpha", 1.0), x, torch.zeros_like(x))


@onnx_op("Swish", since=24)
def swish(node: Node, x: Tensor) -> Tensor:
    """``x sigmoid(alpha x)``."""
    alpha = node.get("alpha", 1.0)
    return torch.nn.functional.silu(x) if alpha == 1 else x * torch.sigmoid(x * alpha)


@onnx_op("Shrink", since=9)
def shrink(node: Node, x: Tensor) -> Tensor:
    """Zero near zero, and moved by a bias beyond."""
    bias, lambd = node.get("bias", 0.0), node.get("lambd", 0.5)
    outer = torch.where(x > lambd, x - bias, torch.zeros_like(x))
    return torch.where(x < -lambd, x + bias, outer)


@onnx_op("PRelu", since=7)
def prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    """Leaky, with slopes that were learned; the slope is broadcast to x."""
    shape = fixed_shape(slope)
    by_channel = len(shape) == x.dim() - 1 and all(size == 1 for size in shape[1:])
    if x.dim() > 1 and by_channel and slope.dtype == x.dtype:
        return torch.nn.functional.prelu(x, slope.reshape(-1))
    return torch.where(x < 0, x * slope, x)


def _last_axis(node: Node, x: Tensor, function: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Apply a function along an axis; before opset 13, along it and all behind it at once."""
    if node.opset >= 13:
        return function(x, node.get("axis", -1))
    axis = node.get("axis", 1) % x.dim()
    if axis == x.dim() - 1:
        return function(x, -1)
    return function(x.flatten(axis), -1).reshape(node.shape(0, x))


@onnx_op("Softmax", since=1)
def softmax(node: Node, x: Tensor) -> Tensor:
    """Exponentials that sum to 1."""
    return _last_axis(node, x, torch.softmax)


@onnx_op("LogSoftmax", since=1)
def log_softmax(node: Node, x: Tensor) -> Tensor:
    """Logarithm of the softmax."""
    return _last_axis(node, x, torch.log_softmax)


@onnx_op("Hardmax", since=1)
def hardmax(node: Node, x: Tensor) -> Tensor:
    """1 at the first greatest element, 0 elsewhere."""

    def function(x: Tensor, axis: int) -> Tensor:
        place = x.argmax(axis, keepdim=True)
        return torch.zeros_like(x).scatter(axis, place, 1.0)

    return _last_axis(node, x, function)


@onnx_op("Dropout", since=7, numbers=(2,))
def dropout(node: Node, x: Tensor, ratio: Any = None, training: Numbers | None = None) -> Any:
    """Nothing is dropped in inference."""
    if any(node.integers(training, "training_mode")):
        node.refuse("training_mode; export the model for inference")
    return (x, torch.ones_like(x, dtype=torch.bool)) if node.wants(1) else x
