"""Convolution, pooling, products, normalisation, resizing. Rows as `test_bridge_ops` reads them."""

from __future__ import annotations

import itertools
from typing import Any

from shipworthy.convert.bridge.lazy import Lazy

torch: Any = Lazy("torch")
nn: Any = Lazy("torch.nn")
F: Any = Lazy("torch.nn.functional")


def conv(*args: Any, dims: int = 2, transposed: bool = False, **settings: Any) -> Any:
    kind = f"Conv{'Transpose' if transposed else ''}{dims}d"
    return lambda: getattr(nn, kind)(*args, **settings)


def normed(kind: str, *args: Any, **settings: Any) -> Any:
    """A normalisation whose parameters and statistics are not the initial ones."""

    def build() -> Any:
        module = getattr(nn, kind)(*args, **settings)
        with torch.no_grad():
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                if tensor.is_floating_point():
                    low = 0.5 if name in ("weight", "running_var") else -1.0
                    tensor.uniform_(low, 2.0)
        return module

    return build


def functional(name: str, *args: Any, **settings: Any) -> Any:
    return lambda: lambda x: getattr(F, name)(x, *args, **settings)


def fused(activation: str, bias: bool, **settings: Any) -> Any:
    """What TensorFlow's optimiser fuses into one kernel: each pattern has its own code there."""

    def build() -> Any:
        convolution = nn.Conv2d(4, 8, 3, bias=bias, **settings)
        rest = [] if bias else [normed("BatchNorm2d", 8)()]
        return nn.Sequential(convolution, *rest, getattr(nn, activation)())

    return build


CONVOLUTION = "convolution.default"
CASES: list[tuple[Any, ...]] = [
    ("conv 3x3", CONVOLUTION, conv(3, 5, 3, padding=1), "N 3 8 8"),
    ("conv no bias", CONVOLUTION, conv(3, 5, 3, bias=False), "N 3 8 8"),
    ("conv 1x1", CONVOLUTION, conv(3, 5, 1), "N 3 8 8"),
    ("conv one channel", CONVOLUTION, conv(1, 5, 3, padding=1), "N 1 8 8"),
    ("conv asymmetric", CONVOLUTION,
     conv(3, 5, (3, 5), stride=(2, 1), padding=(1, 2)), "N 3 9 8"),
    ("conv stride odd", CONVOLUTION, conv(3, 5, 3, stride=2, padding=1), "N 3 9 9"),
    ("conv stride even", CONVOLUTION, conv(3, 5, 3, stride=2, padding=1), "N 3 8 8"),
    ("conv stride wide", CONVOLUTION, conv(3, 5, 2, stride=3), "N 3 11 9"),
    ("conv padding beyond same", CONVOLUTION, conv(3, 5, 3, padding=2), "N 3 8 8"),
    ("conv dilated", CONVOLUTION, conv(3, 5, 3, dilation=(2, 3), padding=(2, 0)), "N 3 9 9"),
    ("conv dilated strided", CONVOLUTION,
     conv(3, 5, 3, dilation=2, stride=2, padding=1), "N 3 9 9"),
    ("conv grouped", CONVOLUTION, conv(6, 8, 3, groups=2, padding=1), "N 6 8 8"),
    ("conv grouped strided", CONVOLUTION, conv(6, 9, 3, groups=3, stride=2, padding=1), "N 6 8 8"),
    ("conv grouped dilated", CONVOLUTION, conv(6, 8, 3, groups=2, dilation=2), "N 6 8 8"),
    ("depthwise", CONVOLUTION, conv(4, 4, 3, groups=4, padding=1), "N 4 8 8"),
    ("depthwise multiplier", CONVOLUTION, conv(4, 12, 3, groups=4, stride=2, padding=1), "N 4 8 8"),
    ("depthwise stride asymmetric", CONVOLUTION, conv(4, 8, 3, groups=4, stride=(1, 2)), "N 4 8 8"),
    ("depthwise dilated", CONVOLUTION, conv(4, 8, 3, groups=4, dilation=2, padding=2), "N 4 8 8"),
    ("conv any size", CONVOLUTION, conv(3, 5, 3, stride=2, padding=1), "N 3 H W"),
    ("conv1d", CONVOLUTION, conv(3, 5, 3, dims=1, stride=2, padding=1), "N 3 9"),
    ("conv1d depthwise", CONVOLUTION, conv(4, 8, 3, dims=1, groups=4, padding=1), "N 4 9"),
    ("conv1d any length", CONVOLUTION, conv(3, 5, 3, dims=1, dilation=2), "N 3 L"),
    ("conv3d", CONVOLUTION, conv(2, 3, 3, dims=3, stride=(1, 2, 1), padding=1), "N 2 5 6 5"),
    ("conv3d grouped", CONVOLUTION, conv(4, 6, 2, dims=3, groups=2), "N 4 4 4 4"),
    ("conv weight computed", CONVOLUTION,
     lambda: lambda x, w: F.conv2d(x, w.mean(0), padding=1), "N 3 6 6", "N 5 3 3 3"),
    ("conv2d same", "conv2d.padding", conv(3, 5, (2, 3), padding="same"), "N 3 8 7"),
    ("conv2d same dilated", "conv2d.padding", conv(3, 5, 4, padding="same", dilation=2), "N 3 9 9"),
    ("conv2d valid", "conv2d.padding", conv(3, 5, 3, padding="valid", stride=2), "N 3 9 9"),
    ("conv1d same", "conv1d.padding", conv(3, 5, 4, dims=1, padding="same"), "N 3 9"),
    ("conv3d same", "conv3d.padding", conv(2, 3, 2, dims=3, padding="same"), "N 2 4 5 4"),
    ("conv transposed", CONVOLUTION, conv(3, 5, 2, stride=2, transposed=True), "N 3 5 5"),
    ("conv transposed 3 2 1", CONVOLUTION,
     conv(3, 5, 3, stride=2, padding=1, output_padding=1, transposed=True), "N 3 5 4"),
    ("conv transposed asymmetric", CONVOLUTION,
     conv(3, 5, (3, 4), stride=(1, 2), padding=(0, 1), transposed=True), "N 3 5 4"),
    ("conv transposed grouped", CONVOLUTION,
     conv(4, 6, 3, stride=2, groups=2, transposed=True), "N 4 5 5"),
    ("conv transposed 1d", CONVOLUTION,
     conv(3, 5, 4, dims=1, stride=2, padding=1, transposed=True), "N 3 7"),
    ("max_pool dilated", "max_pool2d.default", functional("max_pool2d", 2, 2, 1, 2), "N 3 9 9"),
    ("max_pool any size", "max_pool2d.default",
     functional("max_pool2d", 3, 2, 1, ceil_mode=True), "N 3 H W"),
    ("max_pool3d", "max_pool3d.default", functional("max_pool3d", 2, 2, 1), "N 2 5 4 5"),
    ("max_pool with indices", "max_pool2d_with_indices.default",
     lambda: lambda x: F.max_pool2d_with_indices(x, 2)[0], "N 3 8 8"),
    ("max_pool3d with indices", "max_pool3d_with_indices.default",
     lambda: lambda x: F.max_pool3d_with_indices(x, 2)[0], "N 2 4 4 4"),
    ("max_pool1d", "max_pool2d_with_indices.default", functional("max_pool1d", 3, 2), "N 3 9"),
    ("max_pool integers", "max_pool2d.default",
     lambda: lambda x: torch.ops.aten.max_pool2d(x, [2, 2]), "int64 N 3 8 8"),
    ("avg_pool1d", "avg_pool1d.default", functional("avg_pool1d", 3, 2, 1), "N 3 9"),
    ("avg_pool divisor", "avg_pool2d.default",
     functional("avg_pool2d", 3, 2, 1, divisor_override=5), "N 3 8 8"),
    ("avg_pool any size", "avg_pool2d.default",
     functional("avg_pool2d", 3, 2, 1, count_include_pad=False, ceil_mode=True), "N 3 H W"),
    ("avg_pool3d", "avg_pool3d.default",
     functional("avg_pool3d", 2, 2, 1, count_include_pad=False), "N 2 5 4 5"),
    ("adaptive global", "mean.dim", functional("adaptive_avg_pool2d", 1), "N 3 H W"),
    ("adaptive divisible", "_adaptive_avg_pool2d.default",
     functional("adaptive_avg_pool2d", (4, 1)), "N 3 8 7"),
    ("adaptive overlapping", "_adaptive_avg_pool2d.default",
     functional("adaptive_avg_pool2d", (3, 5)), "N 3 8 7"),
    ("adaptive 1d", "adaptive_avg_pool1d.default", functional("adaptive_avg_pool1d", 3), "N 3 8"),
    ("adaptive 3d", "_adaptive_avg_pool3d.default",
     functional("adaptive_avg_pool3d", (2, 3, 1)), "N 2 4 5 3"),
    ("adaptive max", "adaptive_max_pool2d.default",
     functional("adaptive_max_pool2d", (3, 2)), "N 3 8 7"),
    ("adaptive max 3d", "adaptive_max_pool3d.default",
     functional("adaptive_max_pool3d", (2, 3, 1)), "N 2 4 5 3"),
    ("linear", "linear.default", lambda: nn.Linear(7, 5), "N 7"),
    ("linear no bias", "linear.default", lambda: nn.Linear(7, 5, bias=False), "N 7"),
    ("linear rank 4", "linear.default", lambda: nn.Linear(7, 5), "N 2 3 7"),
    ("linear on permuted", "linear.default",
     lambda: nn.Sequential(nn.Conv2d(3, 4, 1), Permuted(0, 2, 3, 1), nn.Linear(4, 5)), "N 3 6 5"),
    ("mm", "mm.default", lambda: lambda x, y: torch.mm(x, y.t()), "N 4", "N 4"),
    ("bmm", "bmm.default", lambda: lambda x, y: torch.bmm(x, y.transpose(1, 2)), "N 3 4", "N 5 4"),
    ("matmul broadcast", "matmul.default", lambda: torch.matmul, "N 2 3 4", "N 1 4 5"),
    ("matmul vector", "matmul.default", lambda: lambda x, y: x @ y[0], "N 3 4", "N 4"),
    ("matmul two matrices", "matmul.default", lambda: lambda x, y: x @ y.t(), "N 4", "3 4"),
    ("addmm", "addmm.default",
     lambda: lambda c, x, y: torch.addmm(c, x, y, beta=0.5, alpha=2), "5", "N 4", "4 5"),
    ("addmm one bias", "addmm.default", lambda: torch.addmm, "1", "N 4", "4 5"),
    ("baddbmm", "baddbmm.default", lambda: torch.baddbmm, "N 3 5", "N 3 4", "N 4 5"),
    ("batch_norm", "_native_batch_norm_legit_no_training.default",
     lambda: nn.Sequential(nn.Conv2d(3, 4, 3), normed("BatchNorm2d", 4)()), "N 3 8 8"),
    ("batch_norm plain", "_native_batch_norm_legit_no_training.default",
     normed("BatchNorm2d", 3, eps=1e-3), "N 3 8 8"),
    ("batch_norm 1d", "_native_batch_norm_legit_no_training.default",
     normed("BatchNorm1d", 3), "N 3"),
    ("batch_norm length", "_native_batch_norm_legit_no_training.default",
     normed("BatchNorm1d", 3), "N 3 7"),
    ("batch_norm 3d not affine", "_native_batch_norm_legit_no_training.default",
     normed("BatchNorm3d", 3, affine=False), "N 3 3 4 3"),
    ("batch_norm computed", "_native_batch_norm_legit_no_training.default",
     lambda: lambda x, v: F.batch_norm(x, v[0], v[1] ** 2, v[0], v[1]), "N 3 4", "2 3"),
    ("batch_norm own statistics", "_native_batch_norm_legit.no_stats",
     normed("BatchNorm2d", 3, track_running_stats=False), "N 3 5 5"),
    ("instance_norm", "instance_norm.default",
     lambda: nn.Sequential(nn.Conv2d(3, 4, 3), normed("InstanceNorm2d", 4, affine=True)()),
     "N 3 8 8"),
    ("instance_norm stored", "instance_norm.default",
     normed("InstanceNorm1d", 3, affine=True, track_running_stats=True), "N 3 8"),
    ("layer_norm", "native_layer_norm.default", normed("LayerNorm", 7), "N 3 7"),
    ("layer_norm bare", "native_layer_norm.default",
     normed("LayerNorm", (3, 7), elementwise_affine=False), "N 3 7"),
    ("layer_norm on channels-last", "native_layer_norm.default",
     lambda: nn.Sequential(nn.Conv2d(3, 4, 3), normed("LayerNorm", (4, 6, 5))()), "N 3 8 7"),
    ("layer_norm on permuted", "native_layer_norm.default",
     lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Permuted(0, 2, 3, 1), normed("LayerNorm", 4)()),
     "N 3 8 7"),
    ("group_norm", "native_group_norm.default", normed("GroupNorm", 2, 6), "N 6 5 5"),
    ("group_norm on channels-last", "native_group_norm.default",
     lambda: nn.Sequential(nn.Conv2d(3, 6, 3), normed("GroupNorm", 3, 6)()), "N 3 7 6"),
    ("nearest", "upsample_nearest2d.vec", functional("interpolate", scale_factor=2), "N 3 5 4"),
    ("nearest any size", "upsample_nearest2d.vec",
     functional("interpolate", scale_factor=3), "N 3 H W"),
    ("nearest fraction", "upsample_nearest2d.vec",
     functional("interpolate", scale_factor=1.7), "N 3 7 5"),
    ("nearest size", "upsample_nearest2d.vec", functional("interpolate", (7, 3)), "N 3 5 5"),
    ("nearest 1d", "upsample_nearest1d.vec", functional("interpolate", 9), "N 3 5"),
    ("nearest 3d", "upsample_nearest3d.vec",
     functional("interpolate", scale_factor=2), "N 2 3 3 3"),
    *(
        (f"bilinear {settings}", "upsample_bilinear2d.vec",
         functional("interpolate", mode="bilinear", **settings), "N 3 5 6")
        for settings in (
            {"scale_factor": 2}, {"scale_factor": 1.7}, {"size": (3, 11)},
            {"size": (9, 4), "align_corners": True}, {"size": (1, 1), "align_corners": True},
        )
    ),
]  # fmt: skip

# Every way in which windows may stand over an axis.
for size, window, stride, ceil in itertools.product((7, 8), (2, 3), (1, 2, 3), (False, True)):
    for padding in range(window // 2 + 1):
        label = f"{size} window {window} stride {stride} padding {padding} ceil {ceil}"
        CASES.append(
            (f"max_pool {label}", "max_pool2d.default",
             functional("max_pool2d", window, stride, padding, ceil_mode=ceil), f"N 2 {size} 6")
        )  # fmt: skip
        for include in (False, True):
            pool = functional("avg_pool2d", window, stride, padding, ceil, include)
            name = f"avg_pool {label} include {include}"
            CASES.append((name, "avg_pool2d.default", pool, f"N 2 {size} 6"))


def Permuted(*dims: int) -> Any:
    class Permute(nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x.permute(*dims)

    return Permute()


for bias, activation in itertools.product((True, False), ("ReLU", "ReLU6", "ELU", "Hardswish")):
    for settings in (
        {"padding": 1}, {"stride": 2, "padding": 1}, {"padding": 2, "groups": 2},
        {"stride": 2, "padding": 1, "groups": 4}, {"dilation": 2, "padding": 1, "groups": 4},
    ):  # fmt: skip
        name = f"fused {activation} bias {bias} {settings}"
        CASES.append((name, CONVOLUTION, fused(activation, bias, **settings), "N 4 8 8"))
