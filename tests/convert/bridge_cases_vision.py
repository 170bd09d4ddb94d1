"""What models of images, sound and video need. Rows as `test_bridge_ops` reads them."""

from __future__ import annotations

import itertools
from typing import Any

from shipworthy.convert.bridge.lazy import Lazy

torch: Any = Lazy("torch")
nn: Any = Lazy("torch.nn")
F: Any = Lazy("torch.nn.functional")


def f(function: Any) -> Any:
    return lambda: function


def layer(kind: str, *args: Any, **settings: Any) -> Any:
    """A layer of `torch.nn` whose parameters and statistics are not the initial ones."""

    def build() -> Any:
        module = getattr(nn, kind)(*args, **settings)
        with torch.no_grad():
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                if tensor.is_floating_point():
                    tensor.uniform_(0.5 if name == "running_var" else -0.6, 1.4)
        return module

    return build


def resized(mode: str, **settings: Any) -> Any:
    return f(lambda x: F.interpolate(x, mode=mode, **settings))


def after_conv(kind: str, *args: Any, channels: int = 6, **settings: Any) -> Any:
    """The layer behind a convolution, so that its input lies channels-last."""
    return lambda: nn.Sequential(nn.Conv2d(3, channels, 1), layer(kind, *args, **settings)())


def convolutions() -> list[tuple[Any, ...]]:
    op = "convolution.default"
    shapes = {1: "N 4 7", 2: "N 4 5 6", 3: "N 4 4 3 5"}
    rows: list[tuple[Any, ...]] = []
    # kernel, stride, padding, output_padding, dilation, groups
    transposed = (
        (3, 2, 1, 1, 1, 1), (3, 2, 1, 0, 1, 1), (4, 2, 1, 0, 1, 1), (2, 2, 0, 0, 1, 2),
        (5, 3, 2, 2, 1, 1), (3, 1, 1, 0, 1, 1), (3, 2, 1, 1, 1, 4), (3, 3, 0, 2, 1, 1),
        (3, 2, 2, 1, 2, 2), (2, 3, 1, 2, 3, 1), (1, 2, 0, 1, 1, 1), (3, 1, 4, 0, 3, 1),
        (4, 4, 0, 0, 1, 4), (3, 1, 2, 0, 1, 4),
    )  # fmt: skip
    for n, settings in itertools.product((1, 2, 3), transposed):
        kernel, stride, padding, extra, dilation, groups = settings
        if n == 3 and stride == 1:  # as in two
            continue
        given = {"stride": stride, "padding": padding, "output_padding": extra,
                 "dilation": dilation, "groups": groups}  # fmt: skip
        build = layer(f"ConvTranspose{n}d", 4, 8, kernel, **given)
        rows.append((f"transposed {n}d {kernel} {given}", op, build, shapes[n]))
    two = {"stride": (1, 3), "padding": (0, 1), "output_padding": (0, 2), "dilation": (2, 1)}
    three = {"stride": (1, 2, 3), "padding": (1, 0, 1), "output_padding": (0, 1, 0)}
    rows += [
        ("transposed 2d uneven", op, layer("ConvTranspose2d", 4, 6, (2, 3), **two), shapes[2]),
        ("transposed 2d uneven grouped", op,
         layer("ConvTranspose2d", 4, 6, (2, 3), groups=2, **two), shapes[2]),
        ("transposed 2d no bias", op,
         layer("ConvTranspose2d", 4, 3, 3, 2, 1, 1, bias=False), shapes[2]),
        ("transposed 3d uneven", op, layer("ConvTranspose3d", 4, 2, (3, 2, 4), **three), shapes[3]),
        ("transposed 1d any length", op, layer("ConvTranspose1d", 4, 3, 4, 2, 1), "N 4 L"),
        ("transposed 2d any size", op, layer("ConvTranspose2d", 4, 3, 3, 2, 1, 1), "N 4 H W"),
        ("transposed 2d any size uneven", op,
         layer("ConvTranspose2d", 4, 6, (2, 3), groups=2, **two), "N 4 H W"),
        ("transposed 3d any size", op, layer("ConvTranspose3d", 2, 3, 3, 2, 1, 1), "N 2 L H W"),
        ("transposed weight computed", op,
         f(lambda x, w: F.conv_transpose2d(x, w.mean(0), w.mean((0, 1, 3, 4)), 2, 1, 1)),
         "N 4 5 4", "N 4 3 3 3"),
        ("transposed behind conv", op,
         lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(),
                               nn.ConvTranspose2d(4, 3, 3, 2, 1, 1), nn.Tanh()), "N 3 8 8"),
    ]  # fmt: skip
    rows += [
        (f"conv {n}d {kernel} {given}", op, layer(f"Conv{n}d", 4, 8, kernel, **given), shapes[n])
        for n, kernel, given in (
            (1, 3, {"dilation": 2, "groups": 4, "padding": 2}),
            (1, 5, {"stride": 3, "groups": 2, "padding": 4, "padding_mode": "circular"}),
            (1, 3, {"padding": 2, "padding_mode": "reflect"}),
            (2, 3, {"padding": (1, 2), "padding_mode": "replicate", "stride": 2}),
            (2, (1, 5), {"dilation": (1, 2), "groups": 4, "padding": (0, 4)}),
            (2, 3, {"dilation": 2, "groups": 4, "padding": 2, "stride": 2}),
            (2, 3, {"padding": 1, "stride": (1, 2), "groups": 4}),
            (3, 3, {"padding": 1, "groups": 4}),
            (3, 3, {"padding": 1, "groups": 2, "stride": 2}),
            (3, (2, 3, 3), {"padding": (2, 2, 2), "dilation": (2, 2, 2)}),
            (3, (1, 3, 3), {"padding": (0, 1, 1), "stride": (1, 2, 2)}),
            (3, (3, 1, 1), {"padding": (1, 0, 0), "stride": (2, 1, 1)}),
            (3, 1, {}),
        )
    ]  # fmt: skip
    rows += [
        ("conv 3d any size", op, layer("Conv3d", 2, 3, 3, padding=1, stride=(1, 2, 2)),
         "N 2 L H W"),
        ("conv 3d weight computed", op,
         f(lambda x, w: F.conv3d(x, w.mean(0), padding=1)), "N 2 4 4 5", "N 3 2 3 3 3"),
        ("conv 2d zero padded unevenly", op,
         lambda: nn.Sequential(nn.ZeroPad2d((1, 0, 2, 1)), nn.Conv2d(3, 4, 3, 2)), "N 3 8 9"),
        ("conv 1d causal", op,
         lambda: nn.Sequential(nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(3, 4, 3, dilation=2)),
         "N 3 L"),
        ("conv depthwise separable any size", op,
         lambda: nn.Sequential(nn.Conv2d(4, 4, 5, 2, 2, groups=4), nn.Conv2d(4, 6, 1)), "N 4 H W"),
    ]  # fmt: skip
    return rows


def pads() -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    kinds = (("ReflectionPad", (2, 1)), ("ReplicationPad", (3, 1)), ("CircularPad", (1, 2)),
             ("ZeroPad", (1, 0)))  # fmt: skip
    shapes = {1: ("N 3 7", "N 3 L"), 2: ("N 3 5 6", "N 3 H W"), 3: ("N 2 4 4 5", "N 2 L H W")}
    for (kind, pair), n in itertools.product(kinds, (1, 2, 3)):
        for shape in shapes[n]:
            build = layer(f"{kind}{n}d", tuple(p + (i > 1) for i, p in enumerate(pair * n)))
            rows.append((f"{kind}{n}d {shape}", "pad.default", build, shape))
    rows += [
        ("pad 1 value below 0", "pad.default", layer("ConstantPad2d", (1, -1, 0, 2), -1.5),
         "N 3 5 6"),
        ("pad replicate long", "pad.default", layer("ReplicationPad1d", (9, 12)), "N 3 L"),
        ("pad reflect channels-last", "pad.default",
         lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReflectionPad2d(3)), "N 3 H W"),
    ]  # fmt: skip
    return rows


def rearrangements() -> list[tuple[Any, ...]]:
    shuffle, back = "pixel_shuffle.default", "pixel_unshuffle.default"
    unfold, fold = "im2col.default", "col2im.default"
    return [
        ("pixel_shuffle by 2", shuffle, f(lambda x: F.pixel_shuffle(x, 2)), "N 12 3 4"),
        ("pixel_shuffle one channel", shuffle, f(lambda x: F.pixel_shuffle(x, 3)), "N 9 3 4"),
        ("pixel_shuffle any size", shuffle, f(lambda x: F.pixel_shuffle(x, 2)), "N 8 H W"),
        ("pixel_shuffle behind conv", shuffle,
         lambda: nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2), nn.Conv2d(3, 3, 3)),
         "N 3 5 6"),
        ("pixel_unshuffle", back, f(lambda x: F.pixel_unshuffle(x, 2)), "N 3 6 4"),
        ("pixel_unshuffle one channel", back, f(lambda x: F.pixel_unshuffle(x, 3)), "N 1 6 9"),
        ("pixel_unshuffle behind conv", back,
         lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.PixelUnshuffle(2)), "N 3 6 4"),
        ("pixel_unshuffle any size", back,
         f(lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2)), "N 4 H W"),
        ("channel_shuffle", "channel_shuffle.default",
         f(lambda x: F.channel_shuffle(x, 3)), "N 6 5 4"),
        ("channel_shuffle any size", "channel_shuffle.default",
         lambda: nn.Sequential(nn.Conv2d(3, 8, 1), nn.ChannelShuffle(2)), "N 3 H W"),
        ("channel_shuffle 1d", "channel_shuffle.default",
         f(lambda x: torch.channel_shuffle(x, 2)), "N 4 5"),
        *(
            (f"unfold {given}", unfold, layer("Unfold", **given), "N 3 7 9")
            for given in (
                {"kernel_size": 3, "padding": 1}, {"kernel_size": (2, 3), "stride": 2},
                {"kernel_size": 3, "dilation": 2, "padding": (0, 2), "stride": (1, 2)},
            )
        ),
        ("unfold patches", unfold, layer("Unfold", 4, stride=4), "N 3 8 12"),
        ("unfold 3 any size", unfold, layer("Unfold", 3, padding=1), "N 3 H W"),
        ("unfold behind conv", unfold,
         lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Unfold(2, stride=2)), "N 3 6 8"),
        *(
            (f"fold {given}", fold, layer("Fold", (7, 8), **given), shape)
            for shape, given in (
                ("N 18 56", {"kernel_size": 3, "padding": 1}),
                ("N 12 12", {"kernel_size": (2, 3), "stride": 2, "padding": (0, 1)}),
                ("N 18 6", {"kernel_size": 3, "dilation": 2, "stride": 2, "padding": (0, 1)}),
            )
        ),
        ("fold patches", fold, layer("Fold", (8, 12), 4, stride=4), "N 48 6"),
        ("fold of unfold", fold,
         f(lambda x: F.fold(F.unfold(x, 3, padding=1), (6, 5), 3, padding=1)), "N 2 6 5"),
    ]  # fmt: skip


def resizing() -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    sizes: tuple[dict[str, Any], ...] = (
        {"scale_factor": 2}, {"scale_factor": 3}, {"scale_factor": 0.5}, {"scale_factor": 1.7},
        {"scale_factor": 1.7, "recompute_scale_factor": True}, {"scale_factor": 0.6},
    )  # fmt: skip
    ops = {
        1: {"nearest": "upsample_nearest1d.vec", "nearest-exact": "_upsample_nearest_exact1d.vec",
            "linear": "upsample_linear1d.vec"},
        2: {"nearest": "upsample_nearest2d.vec", "nearest-exact": "_upsample_nearest_exact2d.vec",
            "bilinear": "upsample_bilinear2d.vec", "bicubic": "upsample_bicubic2d.vec"},
        3: {"nearest": "upsample_nearest3d.vec", "nearest-exact": "_upsample_nearest_exact3d.vec",
            "trilinear": "upsample_trilinear3d.vec"},
    }  # fmt: skip
    shapes = {1: ("N 3 7", "N 3 L"), 2: ("N 3 5 6", "N 3 H W"), 3: ("N 2 4 3 5", "N 2 L H W")}
    target = {1: (9,), 2: (8, 4), 3: (5, 6, 3)}
    for n, modes in ops.items():
        # All of them for images; the other numbers of axes share the code.
        factors = sizes if n == 2 else (sizes[0], sizes[3])
        given = (*factors, {"size": target[n]})
        for (mode, op), size in itertools.product(modes.items(), given):
            both = ({}, {"align_corners": True}) if "linear" in mode or "cubic" in mode else ({},)
            for corners, shape in itertools.product(both, shapes[n]):
                build = resized(mode, **size, **corners)
                rows.append((f"{mode} {n}d {size | corners} {shape}", op, build, shape))
    rows += [
        (f"{mode} antialias {size}", f"_upsample_{mode}2d_aa.vec",
         resized(mode, antialias=True, **size), "N 3 9 8")
        for mode in ("bilinear", "bicubic")
        for size in ({"size": (4, 5)}, {"size": (12, 3)}, {"scale_factor": 0.6},
                     {"size": (4, 5), "align_corners": True})
    ]  # fmt: skip
    rows += [
        ("bicubic antialias any size", "_upsample_bicubic2d_aa.vec",
         resized("bicubic", antialias=True, scale_factor=0.6), "N 3 H W"),
        ("bilinear antialias any size", "_upsample_bilinear2d_aa.vec",
         resized("bilinear", antialias=True, size=(4, 20)), "N 3 H W"),
        ("area", "_adaptive_avg_pool2d.default", resized("area", size=(3, 4)), "N 3 7 8"),
        ("area factor", "_adaptive_avg_pool2d.default",
         resized("area", scale_factor=0.5), "N 3 8 6"),
        ("area larger", "_adaptive_avg_pool2d.default", resized("area", size=(9, 11)), "N 3 7 8"),
        ("upsample to another tensor", "upsample_bilinear2d.vec",
         f(lambda x, y: F.interpolate(x, y.shape[2:], mode="bilinear")), "N 3 4 5", "N 2 H W"),
        ("upsample to another tensor nearest", "upsample_nearest2d.vec",
         f(lambda x, y: F.interpolate(x, size=y.shape[2:]) + y), "N 2 4 5", "N 2 H W"),
        ("bilinear to one", "upsample_bilinear2d.vec",
         resized("bilinear", size=1, align_corners=True), "N 3 5 6"),
        ("bilinear behind conv", "upsample_bilinear2d.vec",
         lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2, mode="bilinear")),
         "N 3 8 6"),
    ]  # fmt: skip
    return rows


def pooling() -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    shapes = {1: ("N 3 9", "N 3 L"), 2: ("N 3 8 7", "N 3 H W"), 3: ("N 2 6 5 7", "N 2 L H W")}
    ops = {1: "max_pool2d_with_indices.default", 2: "max_pool2d.default", 3: "max_pool3d.default"}
    for n, shape in ((axes, shape) for axes in (1, 2, 3) for shape in shapes[axes]):
        for given in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1},
                      {"kernel_size": 3, "stride": 2, "ceil_mode": True},
                      {"kernel_size": 2, "stride": 1, "dilation": 2, "padding": 1}):  # fmt: skip
            op = "max_pool2d.default" if "L" in shape and n == 1 else ops[n]
            rows.append((f"max_pool {n}d {given} {shape}", op,
                         layer(f"MaxPool{n}d", **given), shape))  # fmt: skip
        common = {"kernel_size": 3, "stride": 2, "padding": 1}
        rows += [
            (f"avg_pool {n}d {given} {shape}", f"avg_pool{n}d.default",
             layer(f"AvgPool{n}d", **common, **given), shape)
            for given in ({}, {"ceil_mode": True, "count_include_pad": False})
        ]  # fmt: skip
        if n < 3:
            lp = layer(f"LPPool{n}d", 2.0, 3, stride=2)
            rows.append((f"lp_pool {n}d {shape}", f"avg_pool{n}d.default", lp, shape))
        static = {1: (4,), 2: (3, 5), 3: (3, 2, 7)}[n]
        average = "adaptive_avg_pool1d.default" if n == 1 else f"_adaptive_avg_pool{n}d.default"
        rows += [
            (f"adaptive avg {n}d {shape}", average, layer(f"AdaptiveAvgPool{n}d", static), shape),
            (f"adaptive max {n}d {shape}", f"adaptive_max_pool{max(n, 2)}d.default",
             layer(f"AdaptiveMaxPool{n}d", static), shape),
        ]  # fmt: skip
        if n > 1:
            with_indices = f"max_pool{n}d_with_indices.default"
            rows += [
                (f"max_pool {n}d indices {kernel} {stride} {shape}", with_indices,
                 f(lambda x, n=n, kernel=kernel, stride=stride, padding=padding, dilation=dilation:
                   getattr(F, f"max_pool{n}d")(x, kernel, stride, padding, dilation,
                                               return_indices=True)[1]), shape)
                for kernel, stride, padding, dilation in ((2, 2, 0, 1), (3, 2, 1, 1), (2, 1, 1, 2))
            ]  # fmt: skip
        unpool = f"max_unpool{max(n, 2)}d.default"
        rows.append((f"max_unpool {n}d {shape}", unpool, lambda n=n: Unpooled(n), shape))
    rows += [
        ("adaptive avg larger", "_adaptive_avg_pool2d.default",
         layer("AdaptiveAvgPool2d", (7, 7)), "N 3 4 5"),
        ("adaptive avg one axis", "_adaptive_avg_pool2d.default",
         layer("AdaptiveAvgPool2d", (None, 1)), "N 3 8 7"),
        *(
            (f"adaptive avg global of permuted {n}d", "mean.dim",
             f(lambda x, n=n: getattr(F, f"adaptive_avg_pool{n}d")(x.movedim(-1, 1), 1)), shape)
            for n, shape in ((2, "N 5 4 3"), (3, "N 3 5 4 3"))
        ),
        ("adaptive avg to another tensor", "_adaptive_avg_pool2d.default",
         f(lambda x, y: F.adaptive_avg_pool2d(x, y.shape[2:])), "N 3 7 5", "N 2 H W"),
        ("area any size", "_adaptive_avg_pool2d.default",
         resized("area", scale_factor=0.6), "N 3 H W"),
        ("adaptive max global", "adaptive_max_pool2d.default",
         layer("AdaptiveMaxPool2d", 1), "N 3 H W"),
    ]  # fmt: skip
    return rows


def Unpooled(n: int) -> Any:
    class Both(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.down = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)
            self.up = getattr(nn, f"MaxUnpool{n}d")(2)

        def forward(self, x: Any) -> Any:
            y, indices = self.down(x)
            return self.up(y * 2, indices, output_size=x.shape)

    return Both()


def normalisation() -> list[tuple[Any, ...]]:
    group, batch = "native_group_norm.default", "_native_batch_norm_legit_no_training.default"
    rms = "rms_norm.default"
    rows: list[tuple[Any, ...]] = [
        (f"{kind} {args} {shape}", op, layer(kind, *args, **given), shape)
        for kind, args, given, op, shape in (
            ("GroupNorm", (2, 6), {}, group, "N 6 4 5"),
            ("GroupNorm", (1, 6), {}, group, "N 6 H W"),
            ("GroupNorm", (6, 6), {}, group, "N 6 H W"),
            ("GroupNorm", (3, 6), {}, group, "N 6 L"),
            ("GroupNorm", (2, 4), {"affine": False}, group, "N 4 3 4 3"),
            ("GroupNorm", (2, 4), {}, group, "N 4"),
            ("InstanceNorm1d", (4,), {"affine": True}, "instance_norm.default", "N 4 L"),
            ("InstanceNorm2d", (4,), {}, "instance_norm.default", "N 4 H W"),
            ("InstanceNorm3d", (4,), {"affine": True}, "instance_norm.default", "N 4 3 4 5"),
            ("BatchNorm1d", (4,), {}, batch, "N 4 L"),
            ("BatchNorm2d", (4,), {}, batch, "N 4 H W"),
            ("BatchNorm3d", (4,), {}, batch, "N 4 3 4 5"),
            ("LayerNorm", ((4, 5),), {}, "native_layer_norm.default", "N 3 4 5"),
            ("LayerNorm", (6,), {"bias": False}, "native_layer_norm.default", "N L 6"),
            ("RMSNorm", (6,), {}, rms, "N L 6"),
            ("RMSNorm", ((5, 6),), {"eps": 1e-3}, rms, "N 5 6"),
            ("LocalResponseNorm", (3,), {"alpha": 0.5, "k": 2.0}, "avg_pool2d.default", "N 4 L"),
            ("LocalResponseNorm", (2,), {"alpha": 0.3}, "avg_pool3d.default", "N 4 6 5"),
        )
    ]
    rows += [
        ("GroupNorm behind conv", group, after_conv("GroupNorm", 3, 6), "N 3 H W"),
        ("GroupNorm large mean", group,
         lambda: Shifted(layer("GroupNorm", 2, 6)()), "N 6 8 8"),
        ("InstanceNorm behind conv", "instance_norm.default",
         after_conv("InstanceNorm2d", 6, affine=True), "N 3 5 4"),
        ("LocalResponseNorm behind conv", "avg_pool3d.default",
         after_conv("LocalResponseNorm", 3, alpha=0.5), "N 3 5 4"),
        ("BatchNorm3d behind conv", batch,
         lambda: nn.Sequential(nn.Conv3d(2, 4, 1), layer("BatchNorm3d", 4)()), "N 2 3 4 5"),
        ("weight_norm", "convolution.default",
         lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), "N 3 5 5"),
        ("weight_norm linear", "linear.default",
         lambda: nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), "N 5"),
        ("spectral_norm", "convolution.default",
         lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3)).eval(), "N 3 5 5"),
        ("spectral_norm transposed", "convolution.default",
         lambda: nn.utils.parametrizations.spectral_norm(nn.ConvTranspose2d(3, 4, 3, 2)).eval(),
         "N 3 5 5"),
        *(
            (f"normalize {p} {dim}", "linalg_vector_norm.default",
             f(lambda x, p=p, dim=dim: F.normalize(x, p=p, dim=dim)), "N 4 5 6")
            for p, dim in ((2.0, 1), (1.0, -1), (3.0, (2, 3)), (float("inf"), 1))
        ),
        ("cosine_similarity", "sum.dim_IntList",
         f(lambda x, y: F.cosine_similarity(x, y)), "N 5", "N 5"),
        ("pairwise_distance", "linalg_vector_norm.default",
         f(lambda x, y: F.pairwise_distance(x, y)), "N 5", "N 5"),
    ]  # fmt: skip
    return rows


def Shifted(module: Any) -> Any:
    class Shift(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: Any) -> Any:
            return self.module(x + 20)

    return Shift()


def activations() -> list[tuple[Any, ...]]:
    wide = "N 3 40 -9..9"
    rows: list[tuple[Any, ...]] = [
        (f"{kind} {args} layer", op, layer(kind, *args), wide)
        for kind, args, op in (
            ("GELU", (), "gelu.default"), ("GELU", ("tanh",), "gelu.default"),
            ("Mish", (), "mish.default"), ("SiLU", (), "silu.default"),
            ("PReLU", (), "prelu.default"), ("PReLU", (3,), "prelu.default"),
            ("Hardswish", (), "hardswish.default"), ("Hardsigmoid", (), "hardsigmoid.default"),
            ("ELU", (), "elu.default"), ("ELU", (0.7,), "elu.default"),
            ("SELU", (), "selu.default"),
            ("CELU", (0.7,), "celu.default"), ("Softplus", (), "softplus.default"),
            ("Softplus", (2, 5), "softplus.default"), ("GLU", (-1,), "glu.default"),
            ("LeakyReLU", (0.2,), "leaky_relu.default"), ("Hardtanh", (-2, 3), "hardtanh.default"),
            ("Threshold", (0.5, -2.0), "where.self"),
            ("Hardshrink", (0.6,), "where.self"),
            ("Softshrink", (0.6,), "where.self"), ("Tanhshrink", (), "tanh.default"),
            ("LogSigmoid", (), "log1p.default"), ("Softsign", (), "div.Tensor"),
            ("Softmin", (1,), "_softmax.default"), ("LogSoftmax", (1,), "_log_softmax.default"),
            ("RReLU", (), "rrelu_with_noise_functional.default"),
            ("Sigmoid", (), "sigmoid.default"),
        )
    ]  # fmt: skip
    rows += [
        ("GELU behind conv", "gelu.default", after_conv("GELU"), "N 3 H W"),
        ("PReLU behind conv", "prelu.default", after_conv("PReLU", 6), "N 3 H W"),
        ("GLU behind conv", "glu.default", after_conv("GLU", 1), "N 3 H W"),
        ("Softmax2d behind conv", "_softmax.default", after_conv("Softmax2d"), "N 3 H W"),
        ("Hardswish behind conv", "hardswish.default", after_conv("Hardswish"), "N 3 H W"),
        ("expm1 by itself", "expm1.default", f(lambda x: torch.expm1(x)), "N 99 -3..1"),
        ("log1p by itself", "log1p.default", f(lambda x: torch.log1p(x)), "N 99 -0.5..3"),
    ]  # fmt: skip
    return rows


def sampling() -> list[tuple[Any, ...]]:
    grid, affine = "grid_sampler_2d.default", "affine_grid_generator.default"
    rows: list[tuple[Any, ...]] = [
        (f"grid_sample {mode} {padding} {corners}", grid,
         f(lambda x, g, mode=mode, padding=padding, corners=corners:
           F.grid_sample(x, g, mode, padding, corners)), "N 3 5 6", "N 4 7 2 -1.6..1.6")
        for mode, padding, corners in itertools.product(
            ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (False, True))
    ]  # fmt: skip
    rows += [
        (f"grid_sample 3d {mode} {padding}", "grid_sampler_3d.default",
         f(lambda x, g, mode=mode, padding=padding: F.grid_sample(x, g, mode, padding, False)),
         "N 2 4 3 5", "N 2 3 4 3 -1.3..1.3")
        for mode, padding in (("bilinear", "zeros"), ("nearest", "border"))
    ]  # fmt: skip
    rows += [
        ("grid_sample any size", grid,
         f(lambda x, g: F.grid_sample(x, g, align_corners=False)), "N 3 H W", "N H 7 2 -1.2..1.2"),
        ("affine_grid", affine,
         f(lambda t: F.affine_grid(t, [t.shape[0], 3, 5, 6], align_corners=False)), "N 2 3"),
        ("affine_grid corners", affine,
         f(lambda t, x: F.affine_grid(t, x.shape, align_corners=True)), "N 2 3", "N 3 5 6"),
        ("affine_grid 3d", affine,
         f(lambda t, x: F.affine_grid(t, x.shape, align_corners=False)), "N 3 4", "N 2 4 5 3"),
        ("spatial transformer", grid,
         f(lambda x, t: F.grid_sample(x, F.affine_grid(t, x.shape, align_corners=False),
                                      align_corners=False)), "N 3 7 8", "N 2 3"),
    ]  # fmt: skip
    return rows


CASES: list[tuple[Any, ...]] = [
    *convolutions(), *pads(), *rearrangements(), *resizing(), *pooling(), *normalisation(),
    *activations(), *sampling(),
]  # fmt: skip
