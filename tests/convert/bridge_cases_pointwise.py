"""Element by element: functions, activations, arithmetic, comparison."""

from __future__ import annotations

import math
from typing import Any

from shipworthy.convert.bridge.lazy import Lazy

torch: Any = Lazy("torch")
nn: Any = Lazy("torch.nn")
F: Any = Lazy("torch.nn.functional")


def f(function: Any) -> Any:
    return lambda: function


def core(name: str) -> Any:
    """An overload called as it is, for those that a model's own code rarely leads to."""
    packet, _, overload = name.partition(".")
    return lambda: getattr(getattr(torch.ops.aten, packet), overload)


def unary(name: str) -> tuple[Any, ...]:
    inputs = {
        "acos": "N 5 -1..1", "asin": "N 5 -1..1", "atanh": "N 5 -0.9..0.9", "acosh": "N 5 1..9",
        "tan": "N 5 -1..1",
    }  # fmt: skip
    positive = ("log", "log1p", "log2", "log10", "sqrt", "rsqrt")
    given = inputs.get(name, "N 5 0.1..9" if name in positive else "N 5")
    return name, f"{name}.default", core(f"{name}.default"), given


def both(name: str, first: str = "N 3 4", second: str = "N 1 4", number: Any = 2.5) -> list[Any]:
    """Two tensors that broadcast, and a tensor with a number."""
    scalar = f"{name}.Scalar"
    return [
        (f"{name} tensors", f"{name}.Tensor", core(f"{name}.Tensor"), first, second),
        (f"{name} number", scalar, lambda: lambda x: core(scalar)()(x, number), first),
    ]


CHANNELS_LAST = (
    "channels-last with plain", "add.Tensor",
    lambda: Residual(), "N 3 6 5", "N 4 6 5", "4 1 1", "5",
)  # fmt: skip

CASES: list[tuple[Any, ...]] = [
    *map(unary, (
        "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf",
        "exp", "expm1", "floor", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round",
        "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc",
    )),
    ("abs of integers", "abs.default", core("abs.default"), "int64 N 5 -9..9"),
    ("exp of integers", "exp.default", core("exp.default"), "int64 N 5"),
    ("floor of integers", "floor.default", f(lambda x: torch.floor(x)), "int32 N 5 -9..9"),
    ("round to even", "round.default", f(lambda x: torch.round(x / 2)), "int64 N 9 -9..9"),
    ("isnan", "isnan.default", f(lambda x: torch.isnan(torch.log(x))), "N 5"),
    ("isinf", "isinf.default", f(lambda x: torch.isinf(1 / torch.relu(x))), "N 5"),
    ("logical_not", "logical_not.default", core("logical_not.default"), "int64 N 5 0..1"),
    ("bitwise_not", "bitwise_not.default", core("bitwise_not.default"), "int32 N 5"),
    ("bitwise_not bool", "bitwise_not.default", core("bitwise_not.default"), "bool N 5"),
    ("to integers", "_to_copy.default", f(lambda x: (x * 3).to(torch.int64)), "N 9"),
    ("to bool", "_to_copy.default", f(lambda x: x.to(torch.bool)), "int64 N 9 0..2"),
    ("to double and back", "_to_copy.default", f(lambda x: x.int().double()), "N 5"),
    ("clone", "clone.default", f(lambda x: x.clone() + 1), "N 5"),
    ("detach", "alias.default", f(lambda x: torch.ops.aten.alias.default(x) * 2), "N 5"),
    ("clamp", "clamp.default", f(lambda x: x.clamp(-0.5, 0.8)), "N 9"),
    ("clamp below", "clamp.default", f(lambda x: torch.clamp_min(x, 0.1)), "N 9"),
    ("clamp integers", "clamp.default", f(lambda x: x.clamp(2, 5)), "int64 N 9"),
    ("clamp tensors", "clamp.Tensor", f(lambda x, y: torch.clamp(x, max=y)), "N 9", "N 9"),
    ("relu", "relu.default", f(lambda x: x.relu_()), "N 9"),
    ("relu6", "relu6.default", core("relu6.default"), "N 9 -9..9"),
    ("hardtanh", "hardtanh.default", lambda: nn.Hardtanh(-0.3, 0.7), "N 9"),
    ("hardtanh 0 6", "hardtanh.default", lambda: nn.Hardtanh(0, 6), "N 9 -9..9"),
    ("leaky_relu", "leaky_relu.default", lambda: nn.LeakyReLU(0.13), "N 9"),
    ("prelu one", "prelu.default", lambda: nn.PReLU(), "N 3 5"),
    ("prelu channels", "prelu.default",
     lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.PReLU(4, init=0.3)), "N 3 5 4"),
    ("elu", "elu.default", lambda: nn.ELU(0.7), "N 9"),
    ("celu", "celu.default", lambda: nn.CELU(0.7), "N 9"),
    ("selu", "selu.default", lambda: nn.SELU(), "N 9"),
    ("gelu", "gelu.default", lambda: nn.GELU(), "N 99 -9..9"),
    ("gelu tanh", "gelu.default", lambda: nn.GELU("tanh"), "N 99 -9..9"),
    ("sigmoid", "sigmoid.default", f(lambda x: torch.sigmoid(x)), "N 99 -20..20"),
    ("hardsigmoid", "hardsigmoid.default", lambda: nn.Hardsigmoid(), "N 9 -9..9"),
    ("hardswish", "hardswish.default", lambda: nn.Hardswish(), "N 9 -9..9"),
    ("silu", "silu.default", lambda: nn.SiLU(inplace=True), "N 9"),
    ("softplus", "softplus.default", lambda: nn.Softplus(), "N 99 -30..30"),
    ("softplus beta", "softplus.default", lambda: nn.Softplus(2, 5), "N 99 -30..30"),
    ("mish", "mish.default", lambda: nn.Mish(), "N 9"),
    ("glu", "glu.default", lambda: nn.GLU(1), "N 6 4"),
    ("softmax", "_softmax.default", f(lambda x: F.softmax(x, 1)), "N 9 4"),
    ("softmax channels", "_softmax.default",
     lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Softmax(1)), "N 3 5 4"),
    ("safe softmax", "_safe_softmax.default",
     f(lambda x, m: torch.ops.aten._safe_softmax(x.masked_fill(m, -math.inf), -1)),
     "N 3 2", "bool N 3 2"),
    ("log_softmax", "_log_softmax.default", f(lambda x: F.log_softmax(x, -1)), "N 9"),
    ("dropout in eval", "native_dropout.default",
     f(lambda x: torch.ops.aten.native_dropout(x, 0.5, False)[0] * 2), "N 9"),
    *both("add"), *both("sub"), *both("mul"), *both("div"), *both("remainder"), *both("fmod"),
    ("add alpha", "add.Tensor", f(lambda x, y: torch.add(x, y, alpha=3)), "N 3", "N 3"),
    ("sub alpha", "sub.Tensor", f(lambda x, y: torch.sub(x, y, alpha=0.3)), "N 3", "N 3"),
    ("rsub", "sub.Tensor", f(lambda x: 1 - x), "N 3"),
    ("add bools", "add.Tensor", f(lambda x, y: x + y), "bool N 9", "bool N 9"),
    ("mul bools", "mul.Tensor", f(lambda x, y: x * y), "bool N 9", "bool N 9"),
    ("integers with float", "add.Tensor", f(lambda x, y: x + y), "int64 N 3", "N 3"),
    ("integers with number", "mul.Tensor", f(lambda x: x * 0.3), "int64 N 3"),
    ("uint8 with int32", "add.Tensor", f(lambda x, y: x + y), "uint8 N 3", "int32 N 3"),
    ("divide by batch", "div.Tensor", f(lambda x: x / x.shape[0]), "N 3"),
    ("divide integers", "div.Tensor", f(lambda x, y: x / y), "int64 N 9 1..9", "int32 N 9 1..9"),
    *(
        (f"div {mode} {kind}", "div.Tensor_mode",
         f(lambda x, y, mode=mode: torch.div(x, y, rounding_mode=mode)),
         f"{kind} N 99 -99..99", f"{kind} N 99 1..7")
        for mode in ("floor", "trunc") for kind in ("float32", "int64")
    ),
    ("div floor of exact", "div.Tensor_mode",
     f(lambda x: torch.div(x * 0.1, 0.1, rounding_mode="floor")),
     "N 9 1..2"),
    ("div number mode", "div.Scalar_mode",
     f(lambda x: torch.ops.aten.div.Scalar_mode(x, 3, rounding_mode="trunc")), "N 9 -9..9"),
    ("div number no mode", "div.Scalar_mode",
     f(lambda x: torch.ops.aten.div.Scalar_mode(x, 3, rounding_mode=None)), "N 9 -9..9"),
    ("remainder signs", "remainder.Tensor",
     core("remainder.Tensor"), "int64 N 9 -9..9", "int64 N 9 1..4"),
    ("fmod signs", "fmod.Tensor", core("fmod.Tensor"), "int64 N 9 -9..9", "int64 N 9 1..4"),
    *(
        (f"pow {p}", "pow.Tensor_Scalar", f(lambda x, p=p: x**p), "N 9 0.1..4")
        for p in (0.5, -0.5, 2, 3, 1.7)
    ),
    ("pow integers", "pow.Tensor_Scalar", f(lambda x: x**3), "int64 N 9"),
    ("pow tensors", "pow.Tensor_Tensor", f(lambda x, y: x**y), "N 9 0.1..4", "N 9"),
    ("pow of number", "pow.Scalar", f(lambda x: 1.3**x), "N 9"),
    ("maximum", "maximum.default", f(lambda x, y: torch.maximum(x, y)), "N 3 4", "N 1 4"),
    ("minimum", "minimum.default", f(lambda x, y: torch.minimum(x, y)), "N 3 4", "int64 N 1 4"),
    ("atan2", "atan2.default", f(lambda x, y: torch.atan2(x, y)), "N 9", "N 9"),
    *(
        row
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
        for row in both(name, "int64 N 9 0..3", "int32 N 9 0..3", 2)
    ),
    ("compare integers with number", "gt.Scalar", f(lambda x: x > 2.5), "int64 N 9"),
    *(
        (name, f"{name}.default", core(f"{name}.default"), "int64 N 9 0..1", "N 9")
        for name in ("logical_and", "logical_or", "logical_xor")
    ),
    *(
        row
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
        for row in both(name, "int32 N 9", "int64 N 9", 5)
    ),
    ("bitwise_and bool", "bitwise_and.Tensor", f(lambda x, y: x & y), "bool N 9", "bool N 9"),
    ("where", "where.self",
     f(lambda m, x, y: torch.where(m, x, y)), "bool N 3 4", "N 1 4", "N 3 1"),
    ("where numbers", "where.self", f(lambda m: torch.where(m, 1.5, -2.0)), "bool N 9"),
    ("masked_fill", "where.self", f(lambda x, m: x.masked_fill(m, -1.0)), "N 9", "bool N 9"),
    CHANNELS_LAST,
]  # fmt: skip


def Residual() -> Any:
    class Mixed(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Any, plain: Any, channel: Any, column: Any) -> Any:
            return (self.conv(x) + plain) * channel - column

    return Mixed()
