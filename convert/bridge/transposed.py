"""Transposed convolutions, as convolutions.

With stride s, the places of the output that are s apart see the same taps of the kernel. So one
convolution without stride computes all s phases as channels of their own, which then only have to
be laid next to each other (pixel shuffling, as in Shi et al., 2016, "Is the deconvolution layer the
same as a convolutional layer?"). Unlike TensorFlow's and TFLite's transposed convolutions this
knows every padding, dilation and grouping, needs no output size, so that dynamic axes cost nothing,
and runs in the kernels that are fastest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shipworthy.convert.bridge.convolve import convolved, rewritten
from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.spatial import all_sizes, cropped, on_planes, padded
from shipworthy.convert.bridge.value import Tensor, Value, reshape


@dataclass(frozen=True)
class Phases:
    """How one axis of a transposed convolution becomes a plain one.

    Parameters
    ----------
    taps : (span, stride): which tap of the kernel stands there; the kernel's size means none does.
    pads : before and after; a negative amount cuts off.
    cuts : how many places of the result are too many, at its front and at its end.
    """

    taps: Any
    pads: tuple[int, int]
    cuts: tuple[int, int]


def phases(kernel: int, stride: int, padding: int, dilation: int, extra: int) -> Phases:
    """Plan one axis.

    Output place ``o = b s + r - shift`` of phase `r` takes tap `k` with input place
    ``b + (r - shift + padding - k dilation) / s`` where that is whole. The shift is free; the one
    that needs the shortest kernel is taken.
    """
    # Output size = (input size - 1) * stride + reach (PyTorch, torch.nn.ConvTranspose2d).
    reach = (kernel - 1) * dilation + 1 + extra - 2 * padding
    plans = []
    for shift in range(stride):
        places = {
            (r, k): (r - shift + padding - k * dilation) // stride
            for r in range(stride)
            for k in range(kernel)
            if (r - shift + padding - k * dilation) % stride == 0
        }
        low, high = min(places.values()), max(places.values())
        more = -(-(reach + shift) // stride) - 1  # places of a phase, beyond the input's
        taps = np.full((high - low + 1, stride), kernel)
        for (r, k), place in places.items():
            taps[place - low, r] = k
        surplus = stride * (more + 1) - shift - reach
        plans.append(Phases(taps, (-low, more + high), (shift, surplus)))
    return min(plans, key=lambda plan: (len(plan.taps), sum(plan.cuts)))


def transposed(
    x: Tensor,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    extra: Sequence[int],
    groups: int,
) -> Tensor:
    """Return the transposed convolution of a channels-last tensor.

    Parameters
    ----------
    weight : (channels in, channels out / groups, *kernel), as PyTorch keeps it.
    extra : PyTorch's ``output_padding``.
    """
    kernel = [int(k or 0) for k in weight.shape[2:]]
    settings = zip(kernel, stride, padding, dilation, extra, strict=True)
    plans = [phases(*setting) for setting in settings]
    filters = rewritten("phases", _regrouped(plans, groups), weight)
    n = len(plans)
    y = convolved(
        padded(x, [plan.pads for plan in plans]), filters, [1] * n, [(0, 0)] * n, [1] * n, groups
    )
    if bias is not None:
        count = math.prod(stride)

        def repeated(xp: Any, array: Any) -> Any:
            return xp.reshape(xp.tile(xp.reshape(array, (groups, 1, -1)), (1, count, 1)), (-1,))

        y = tf.nn.bias_add(y, rewritten("phases", repeated, bias).tensor)
    return cropped(_interleaved(y, stride, groups), [plan.cuts for plan in plans])


def _regrouped(plans: Sequence[Phases], groups: int) -> Any:
    """Return the function from PyTorch's weight to that of the plain convolution.

    Its output channels are ordered (group, phase of every axis, channel).
    """

    def function(xp: Any, array: Any) -> Any:
        n = len(plans)
        rows, columns = int(array.shape[0]), int(array.shape[1])
        shape = [groups, rows // groups, columns]
        for i, plan in enumerate(plans):
            none = [(0, int(axis == i + 2)) for axis in range(n + 2)]
            array = xp.take(xp.pad(array, none, "constant"), plan.taps.reshape(-1), axis=i + 2)
            shape += plan.taps.shape
        spans, strides = [3 + 2 * i for i in range(n)], [4 + 2 * i for i in range(n)]
        array = xp.transpose(xp.reshape(array, shape), (0, *strides, 2, 1, *spans))
        rest = [len(plan.taps) for plan in plans]
        return xp.reshape(array, (-1, rows // groups, *rest))

    return function


def _interleaved(y: Tensor, stride: Sequence[int], groups: int) -> Tensor:
    """Lay phases, which are channels (group, *phases, channel), next to each other."""
    if all(s == 1 for s in stride):
        return y
    if len(stride) == 1:
        return tf.squeeze(_interleaved_image(tf.expand_dims(y, 1), 1, stride[0], groups), 1)
    if len(stride) == 2:
        return _interleaved_image(y, stride[0], stride[1], groups)
    first, *rest = stride
    y = on_planes(y, lambda planes: _interleaved(planes, rest, groups * first))
    if first == 1:
        return y
    batch, depth, height, width, channels = all_sizes(y)
    count = channels // (groups * first)
    # As (batch depth, height width, groups, phases, channels) the phases move behind the depth.
    y = reshape(y, [batch * depth, height * width, groups, first, count])
    y = tf.transpose(y, [0, 3, 1, 2, 4])
    return reshape(y, [batch, depth * first, height, width, groups * count])


def _interleaved_image(y: Tensor, rows: int, columns: int, groups: int) -> Tensor:
    batch, height, width, channels = all_sizes(y)
    count = channels // (groups * rows * columns)
    if groups == 1 and rows == columns:
        return tf.nn.depth_to_space(y, rows)
    if groups == 1 and rows == 1:
        return reshape(y, [batch, height, width * columns, count])
    y = reshape(y, [batch * height, width, groups, rows, columns, count])
    y = tf.transpose(y, [0, 3, 1, 4, 2, 5])
    return reshape(y, [batch, height * rows, width * columns, groups * count])
