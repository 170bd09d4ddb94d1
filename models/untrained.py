"""Weights for models of real size that nobody trains: drawn, the same in every process.

What a layer gets depends on its name and shapes alone, so that two frameworks' models whose layers
have the same names (a dot in PyTorch's is an underscore in Keras') compute the same function. The
scales are such that activations stay of a size through the depth, as trained ones do.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    from torch import nn

    kinds = {nn.Conv2d: _Kernel, nn.Linear: _Kernel, nn.BatchNorm2d: _Norm, nn.LayerNorm: _Norm,
             nn.Embedding: _Table}  # fmt: skip
    with torch.no_grad():
        for path, module in model.named_modules():
            if type(module) not in kinds:
                continue
            drawn = kinds[type(module)](path.replace(".", "_"), scales)
            values = {"weight": module.weight, "bias": getattr(module, "bias", None)}
            if isinstance(module, nn.BatchNorm2d):
                values |= {"mean": module.running_mean, "variance": module.running_var}
            for what, tensor in values.items():
                if tensor is not None:
                    shape = _keras_shape(tuple(tensor.shape), what)
                    tensor.copy_(torch.from_numpy(_to_pytorch(drawn.draw(what, shape))))
    return model.eval()


def fill_keras(model: Any, scales: Range = (1.0, 1.0)) -> Any:
    """Give a `keras.Model` its weights, in place, and return it; see `fill_pytorch`."""
    from keras import layers

    norms = (layers.BatchNormalization, layers.LayerNormalization)
    kernels = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
    for layer in model.layers:
        if isinstance(layer, layers.MultiHeadAttention):
            layer.set_weights(list(_attention(layer)))
        elif layer.weights:
            kind = _Norm if isinstance(layer, norms) else _Kernel
            kind = kind if isinstance(layer, (*norms, *kernels)) else _Table
            drawn = kind(layer.name, scales)
            names = ("weight", "bias", "mean", "variance")
            layer.set_weights(
                [
                    drawn.draw(what, tuple(weight.shape))
                    for what, weight in zip(names, layer.weights, strict=False)
                ]
            )
    return model


def _attention(layer: Any) -> Iterator[Array]:
    """Yield the weights of query, key, value and output, each a dense layer over all heads."""
    shapes = [tuple(weight.shape) for weight in layer.weights]
    width = shapes[0][0]
    for part, kernel, bias in zip(
        ("query", "key", "value", "output"), shapes[::2], shapes[1::2], strict=True
    ):
        drawn = _Kernel(f"{layer.name}_{part}", (1.0, 1.0))
        yield drawn.draw("weight", (width, width)).reshape(kernel)
        yield drawn.draw("bias", (width,)).reshape(bias)


class _Drawn:
    """The weights of one layer, in Keras' shapes."""

    def __init__(self, name: str, scales: Range) -> None:
        self.name, self.scales = name, scales

    def draw(self, what: str, shape: Sequence[int]) -> Array:
        rng = np.random.default_rng(zlib.crc32(f"{self.name}/{what}".encode()))
        if what in ("bias", "mean"):
            return self._normal(rng, shape, _BIAS)
        if what == "variance":
            return rng.uniform(*_VARIANCE, shape).astype(np.float32)
        return self._weight(rng, shape)

    @staticmethod
    def _normal(rng: np.random.Generator, shape: Sequence[int], deviation: float) -> Array:
        return rng.standard_normal(tuple(shape), np.float32) * np.float32(deviation)

    def _weight(self, rng: np.random.Generator, shape: Sequence[int]) -> Array:
        raise NotImplementedError


class _Kernel(_Drawn):
    """Of a convolution or a dense layer; a ReLU behind it halves what the gain of 2 doubles."""

    def _weight(self, rng: np.random.Generator, shape: Sequence[int]) -> Array:
        depthwise = len(shape) == 4 and shape[3] == 1
        inputs = math.prod(shape[:2] if depthwise else shape[:-1])
        return self._normal(rng, shape, math.sqrt((2 if len(shape) == 4 else 1) / inputs))


class _Norm(_Drawn):
    def _weight(self, rng: np.random.Generator, shape: Sequence[int]) -> Array:
        return rng.uniform(*self.scales, tuple(shape)).astype(np.float32)


class _Table(_Drawn):
    def _weight(self, rng: np.random.Generator, shape: Sequence[int]) -> Array:
        return self._normal(rng, shape, _EMBEDDING)


def _keras_shape(shape: tuple[int, ...], what: str) -> tuple[int, ...]: ...
