"""Shapes, cutting and joining, padding, reductions, look-ups, new tensors."""

from __future__ import annotations

import math
from typing import Any

from shipworthy.convert.bridge.lazy import Lazy

torch: Any = Lazy("torch")
nn: Any = Lazy("torch.nn")
F: Any = Lazy("torch.nn.functional")


def f(function: Any) -> Any:
    return lambda: function


def after_conv(function: Any) -> Any:
    """What follows a convolution begins channels-last: 4 channels, 6 rows, 5 columns."""

    def build() -> Any:
        class After(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv2d(3, 4, 1)

            def forward(self, x: Any) -> Any:
                return function(self.conv(x))

        return After()

    return build


IMAGE = "N 3 6 5"


def scattered(x: Any, y: Any) -> Any:
    x = x.clone()
    x[:, 1:7:2] = y
    return x


def put(x: Any, y: Any) -> Any:
    return torch.ops.aten.select_scatter(x, y, 1, -2)


def shuffled(x: Any) -> Any:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


CASES: list[tuple[Any, ...]] = [
    ("permute", "permute.default", f(lambda x: x.permute(2, 0, 1) * 1), "N 3 4"),
    ("permute twice", "permute.default", f(lambda x: x.permute(2, 0, 1).transpose(0, 1)), "N 3 4"),
    ("view merge", "view.default", f(lambda x: x.view(x.shape[0], -1)), "N 3 4"),
    ("view batch", "view.default", f(lambda x: x.reshape(x.shape[0] * 2, 6)), "N 3 4"),
    ("view batch times", "view.default", f(lambda x: x.reshape(-1, 4)), "N 3 4"),
    ("view two unknown", "view.default",
     f(lambda x: x.reshape(x.shape[0], x.shape[1] * 2, x.shape[2] // 2)), "N H 4"),
    ("unsafe view", "_unsafe_view.default",
     f(lambda x: torch.ops.aten._unsafe_view(x, [-1, 12])), "N 3 4"),
    ("flatten channels-last", "view.default", after_conv(lambda x: x.flatten(1)), IMAGE),
    ("flatten space", "view.default", after_conv(lambda x: x.flatten(2)), IMAGE),
    ("split channels", "view.default", after_conv(lambda x: x.view(-1, 2, 2, 6, 5)), IMAGE),
    ("shuffle channels", "view.default", after_conv(shuffled), IMAGE),
    ("view with units", "view.default", after_conv(lambda x: x.view(-1, 1, 4, 30, 1)), IMAGE),
    ("pixel_shuffle", "pixel_shuffle.default", after_conv(lambda x: F.pixel_shuffle(x, 2)), IMAGE),
    ("expand", "expand.default", f(lambda x: x[:, None].expand(-1, 5, -1) * 1), "N 4"),
    ("expand to more axes", "expand.default", f(lambda x, y: x.expand_as(y) * 1), "4 1", "N 4 5"),
    ("expand channels-last", "expand.default",
     after_conv(lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 3, 2)), IMAGE),
    ("repeat", "repeat.default", f(lambda x: x.repeat(2, 1, 3)), "N 4"),
    ("unsqueeze", "unsqueeze.default", after_conv(lambda x: x.unsqueeze(1).unsqueeze(-1)), IMAGE),
    ("squeeze", "squeeze.dim", after_conv(lambda x: x[:, :1].squeeze(1)), IMAGE),
    ("squeeze two", "squeeze.dims",
     after_conv(lambda x: x.mean((1, 3), True).squeeze((1, 3)) * 2), IMAGE),
    ("squeeze nothing", "squeeze.dims",
     f(lambda x: torch.ops.aten.squeeze.dims(x, [1, 2])), "N 3 1"),
    ("flip", "flip.default", after_conv(lambda x: x.flip(1, -1)), IMAGE),
    ("copy", "copy.default", f(lambda x, y: torch.ops.aten.copy(x, y)), "N 3 4", "int64 4"),
    ("diagonal", "diagonal.default", f(lambda x: torch.diagonal(x, 1, 2, 0) * 1), "4 N 5"),
    ("cat", "cat.default", f(lambda x, y: torch.cat([x, y, x], 1)), "N 3", "N 2"),
    ("cat types", "cat.default", f(lambda x, y: torch.cat([x, y])), "N 3", "int64 N 3"),
    ("cat layouts", "cat.default",
     after_conv(lambda x: torch.cat([x, torch.ones_like(x)], -3)), IMAGE),
    ("stack", "stack.default", f(lambda x, y: torch.stack([x, y], 1)), "N 3", "N 3"),
    ("stack channels-last", "stack.default", after_conv(lambda x: torch.stack([x, -x], 2)), IMAGE),
    ("chunk", "split_with_sizes.default", after_conv(lambda x: x.chunk(2, 1)[1]), IMAGE),
    ("split", "split_with_sizes.default", f(lambda x: x.split([1, 2, 4], 1)[2]), "N 7"),
    ("select", "select.int", after_conv(lambda x: x[:, -1]), IMAGE),
    ("select batch", "select.int", f(lambda x: x[1]), "N 4"),
    ("slice", "slice.Tensor", after_conv(lambda x: x[:, 1:, ::2, -3:-1]), IMAGE),
    ("slice past the end", "slice.Tensor", f(lambda x: x[:, 2:100]), "N 7"),
    ("slice by size", "slice.Tensor", f(lambda x: x[:, 1 : x.shape[1] - 2]), "N L"),
    ("slice_scatter", "slice_scatter.default",
     f(lambda x, y: torch.ops.aten.slice_scatter(x, y, 1, 2, 5)), "N 7", "N 3"),
    ("slice_scatter steps", "slice_scatter.default",
     f(lambda x, y: torch.ops.aten.slice_scatter(x, y, 1, 1, None, 2)), "N 7", "N 3"),
    ("assign a slice", "slice_scatter.default", f(scattered), "N 9", "N 3"),
    ("select_scatter", "select_scatter.default", f(put), "N 4 3", "N 3"),
    ("lift", "clone.default", f(lambda x: x * torch.tensor([1.0, 2.0, 3.0])), "N 3"),
    ("pad", "pad.default", after_conv(lambda x: F.pad(x, (1, 2, 0, 1, 2, 0), value=1.5)), IMAGE),
    ("pad by less than nothing", "pad.default", f(lambda x: F.pad(x, (-1, 2))), "N 7"),
    ("pad reflect", "pad.default", after_conv(lambda x: F.pad(x, (1, 2, 3, 1), "reflect")), IMAGE),
    ("pad replicate", "pad.default",
     after_conv(lambda x: F.pad(x, (1, 2, 3, 1), "replicate")), IMAGE),
    ("pad circular", "pad.default",
     after_conv(lambda x: F.pad(x, (1, 2, 3, 1), "circular")), IMAGE),
    ("pad any size", "pad.default", f(lambda x: F.pad(x, (1, 2), "replicate")), "N 2 L"),
    ("constant_pad_nd", "constant_pad_nd.default",
     f(lambda x: torch.ops.aten.constant_pad_nd(x, [1, 2], 3)), "int64 N 4"),
    *(
        (f"{kind}_pad{n}d", f"{kind}_pad{n}d.default",
         f(lambda x, op=f"{kind}_pad{n}d", n=n: getattr(torch.ops.aten, op)(x, [1, 2] * n)),
         "N 2" + " 4" * n)
        for kind in ("reflection", "replication") for n in (1, 2, 3)
    ),
    ("mean", "mean.dim", after_conv(lambda x: x.mean((1, 3))), IMAGE),
    ("mean keepdim", "mean.dim", after_conv(lambda x: x.mean(-1, keepdim=True)), IMAGE),
    ("mean of all", "mean.default", f(lambda x: x.mean()), "N 9"),
    ("sum", "sum.dim_IntList", after_conv(lambda x: x.sum(1)), IMAGE),
    ("sum of integers", "sum.dim_IntList", f(lambda x: x.sum(1)), "int32 N 9"),
    ("sum of bools", "sum.default", f(lambda x: x.sum()), "bool N 9"),
    ("sum of all", "sum.default", f(lambda x: torch.ops.aten.sum.default(x)), "N 9"),
    ("prod", "prod.dim_int", f(lambda x: x.prod(1)), "N 5"),
    ("prod of all", "prod.default", f(lambda x: x.prod()), "int32 3 2 1..3"),
    ("amax", "amax.default", after_conv(lambda x: x.amax((1, 2))), IMAGE),
    ("amin", "amin.default", f(lambda x: x.amin()), "N 9"),
    ("max", "max.dim", after_conv(lambda x: x.max(1)[0]), IMAGE),
    ("max place", "max.dim", after_conv(lambda x: x.max(1)[1]), IMAGE),
    ("min", "min.dim", f(lambda x: x.min(1, keepdim=True)[0]), "N 9"),
    ("argmax", "argmax.default", after_conv(lambda x: x.argmax(1)), IMAGE),
    ("argmax of all", "argmax.default", after_conv(lambda x: x[:1].argmax()), IMAGE),
    ("argmin", "argmin.default", f(lambda x: x.argmin(-1, keepdim=True)), "N 9"),
    ("any", "any.dim", f(lambda x: x.any(1)), "bool N 2"),
    ("any dims", "any.dims", f(lambda x: torch.ops.aten.any.dims(x, [0, 1], True)), "bool N 2 3"),
    ("any of all", "any.default", f(lambda x: torch.ops.aten.any.default(x)), "int64 N 2 0..1"),
    ("all", "logical_not.default", f(lambda x: x.all(1)), "bool N 2"),
    ("var", "var.correction", after_conv(lambda x: x.var((1, 2))), IMAGE),
    ("std biased", "var.correction", f(lambda x: x.std(0, correction=0)), "N 9"),
    ("norm", "linalg_vector_norm.default", f(lambda x: F.normalize(x)), "N 9"),
    *(
        (f"norm {p}", "linalg_vector_norm.default",
         f(lambda x, p=p: torch.linalg.vector_norm(x, p, 1)), "N 9")
        for p in (0, 1, 3, math.inf, -math.inf)
    ),
    ("cumsum", "cumsum.default", f(lambda x: x.cumsum(1)), "N 9"),
    ("logsumexp", "amax.default", f(lambda x: torch.logsumexp(x, 1)), "N 9"),
    ("embedding", "embedding.default",
     lambda: nn.Embedding(10, 4, padding_idx=0), "int64 N 5 0..9"),
    ("index_select", "index_select.default",
     f(lambda x: torch.index_select(x, 1, torch.tensor([2, 0, 2]))), "N 4 3"),
    ("gather", "gather.default",
     f(lambda x, i: torch.gather(x, 1, i)), "N 4 3", "int64 N 2 3 0..3"),
    ("gather last", "gather.default",
     f(lambda x, i: torch.gather(x, -1, i)), "N 4 3", "int64 N 2 5 0..2"),
    ("full", "full.default", f(lambda x: x + torch.full((x.shape[0], 3), 1.5)), "N 1"),
    ("full_like", "full_like.default",
     f(lambda x: torch.full_like(x, 2, dtype=torch.int64)), "N 3"),
    ("fill", "fill.Scalar", f(lambda x: torch.ops.aten.fill.Scalar(x, 1.5)), "N 3"),
    ("scalar_tensor", "scalar_tensor.default",
     f(lambda x: x + torch.ops.aten.scalar_tensor(1.5, dtype=torch.float32)), "N 3"),
    ("arange", "arange.start_step", f(lambda x: x + torch.arange(2, 8, 2)), "N 3"),
    ("arange of batch", "arange.start_step",
     f(lambda x: x + torch.arange(x.shape[0])[:, None]), "N 3"),
    ("arange of floats", "arange.start_step", f(lambda x: x + torch.arange(0, 1, 0.25)), "N 4"),
    ("numel", "sym_size.int", f(lambda x: x.sum() / x.numel()), "N 4"),
    ("size", "sym_size.int", f(lambda x: x.sum(0) / x.shape[0]), "N 4"),
    ("tied weights", "embedding.default", lambda: Tied(), "int64 N 5 0..9"),
    ("attention", "matmul.default",
     f(lambda x: F.scaled_dot_product_attention(x, x * 2, x + 1)), "N 2 5 4"),
    ("einsum", "bmm.default", f(lambda x, y: torch.einsum("nchw,ncij->nhij", x, y)),
     "N 3 4 2", "N 3 2 5"),
    ("one batch for all", "mean.dim", f(lambda x, y: x.mean(1) + y.mean(1)), "N 3 2", "N 5 2"),
]  # fmt: skip


def Tied() -> Any:
    class Language(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, tokens: Any) -> Any:
            return self.head(self.embedding(tokens))

    return Language()
