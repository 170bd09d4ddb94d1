"""Weights for models of real size that nobody trains: drawn, the same in every process.

What a layer gets depends on its name and shapes alone, so that two frameworks' models whose layers
have the same names (a dot in PyTorch's is an underscore in Keras') compute the same function. The
scales are such that activations stay of a size through the depth, as trained ones do.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from shipworthy.models.spec import Model, Signature, Source, TensorSpec

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

Range = tuple[float, float]

IMAGE, CLASSES = 224, 1000

_BIAS = 0.05  # standard deviation of biases and of running means
_VARIANCE: Range = (0.8, 1.25)  # of running variances
_EMBEDDING = 0.02  # standard deviation, BERT's


def image_classifier(name: str, about: str, builds: Mapping[str, Callable[[], Any]]) -> Model:
    """Return an untrained model that maps images of 224 x 224 in colour to 1,000 logits.

    Parameters
    ----------
    name, about : the model's name and one line about it.
    builds : framework -> returns the model; PyTorch's takes its channels first, Keras' last.
    """
    shapes = {"pytorch": (3, IMAGE, IMAGE), "tensorflow": (IMAGE, IMAGE, 3)}
    logits = TensorSpec("logits", "float32", ("batch", CLASSES))
    sources = {
        framework: Source(
            name,
            framework,
            Signature(
                (TensorSpec("image", "float32", ("batch", *shapes[framework]), -1.0, 1.0),),
                (logits,),
            ),
            build,
        )
        for framework, build in builds.items()
    }
    return Model(name, about, sources, untrained=True)


def fill_pytorch(model: Any, scales: Range = (1.0, 1.0)) -> Any:
    """Give a `torch.nn.Module` its weights, in place; return it in eval mode.

    Parameters
    ----------
    scales : normalisations' scales are drawn uniformly from here.
    """
    import torch

    with torch.no_grad():
        for path, module in model.named_modules():
            for what, tensor, axes in _weights_pytorch(module):
                if tensor is not None:
                    as_keras = tensor.permute(axes)
                    value = _draw(path.replace(".", "_"), what, tuple(as_keras.shape), scales)
                    as_keras.copy_(torch.from_numpy(value))
    return model.eval()


def _weights_pytorch(module: Any) -> list[tuple[str, Any, tuple[int, ...]]]:
    """Return a layer's weights: what each is, the tensor, its axes in Keras' order."""
    from torch import nn

    bias = ("bias", getattr(module, "bias", None), (0,))
    if isinstance(module, nn.Conv2d):
        axes = (2, 3, 0, 1) if module.groups > 1 else (2, 3, 1, 0)
        return [("kernel", module.weight, axes), bias]
    if isinstance(module, nn.Linear):
        return [("kernel", module.weight, (1, 0)), bias]
    if isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
        return [
            ("scale", module.weight, (0,)),
            bias,
            ("mean", getattr(module, "running_mean", None), (0,)),
            ("variance", getattr(module, "running_var", None), (0,)),
        ]
    return [("table", module.weight, (0, 1))] if isinstance(module, nn.Embedding) else []


def fill_keras(model: Any, scales: Range = (1.0, 1.0)) -> Any:
    """Give a `keras.Model` its weights, in place, and return it; see `fill_pytorch`."""
    from keras import layers

    norms = (layers.BatchNormalization, layers.LayerNormalization)
    kernels = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
    for layer in model.layers:
        names: tuple[str, ...] = ("table",)
        if isinstance(layer, layers.MultiHeadAttention):
            layer.set_weights(_attention(layer))
            continue
        if isinstance(layer, norms):
            names = ("scale", "bias", "mean", "variance")
        elif isinstance(layer, kernels):
            names = ("kernel", "bias")
        layer.set_weights(
            [
                _draw(layer.name, what, tuple(weight.shape), scales)
                for what, weight in zip(names, layer.weights, strict=False)
            ]
        )
    return model


def _attention(layer: Any) -> list[Array]:
    """Return the weights of query, key, value and output: each a dense layer over all heads."""
    parts = ("query", "key", "value", "output")
    width = layer.weights[0].shape[0]
    drawn = [
        _draw(f"{layer.name}_{part}", what, shape, (1.0, 1.0))
        for part in parts
        for what, shape in (("kernel", (width, width)), ("bias", (width,)))
    ]
    return [value.reshape(weight.shape) for value, weight in zip(drawn, layer.weights, strict=True)]


def _draw(layer: str, what: str, shape: tuple[int, ...], scales: Range) -> Array:
    rng = np.random.default_rng(zlib.crc32(f"{layer}/{what}".encode()))
    if what in ("scale", "variance"):
        return rng.uniform(*(scales if what == "scale" else _VARIANCE), shape).astype(np.float32)
    deviation = _EMBEDDING if what == "table" else _BIAS
    if what == "kernel":
        # A ReLU behind a convolution halves what the gain of 2 doubles.
        depthwise = len(shape) == 4 and shape[3] == 1
        inputs = math.prod(shape[:2] if depthwise else shape[:-1])
        deviation = math.sqrt((2 if len(shape) == 4 else 1) / inputs)
    return rng.standard_normal(shape, np.float32) * np.float32(deviation)
