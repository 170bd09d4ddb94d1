"""Element by element, activations, reductions. Rows are as in ``importer_cases_layers.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

RNG = np.random.default_rng(8)
SMALL = "N 3 4"


def c(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def i(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def row(name: str, op: str, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:
    return name, op, list(inputs), attributes


CASES = [
    *(row(op.lower(), op, SMALL) for op in (
        "Abs", "Asinh", "Atan", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Neg", "Round",
        "Sign", "Sin", "Sinh", "Tan", "Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "IsNaN",
        "Elu", "Celu", "Selu", "LeakyRelu", "HardSigmoid", "HardSwish", "Mish", "ThresholdedRelu",
        "Shrink", "Identity",
    )),
    *(row(op.lower(), op, "N 3 4 -0.9..0.9") for op in ("Acos", "Asin", "Atanh")),
    *(row(op.lower(), op, "N 3 4 1.1..4") for op in ("Acosh", "Log", "Sqrt", "Reciprocal")),
    row("elu steep", "Elu", SMALL, alpha=1.7),
    row("celu steep", "Celu", SMALL, alpha=1.7),
    row("selu other", "Selu", SMALL, alpha=1.2, gamma=2.0),
    row("hard sigmoid sixth", "HardSigmoid", SMALL, alpha=1 / 6),
    row("gelu", "Gelu", SMALL, _opset=20),
    row("gelu tanh", "Gelu", SMALL, approximate="tanh", _opset=20, _factor=4),
    row("swish", "Swish", SMALL, alpha=1.3, _opset=24, _bridge=False),
    row("prelu", "PRelu", SMALL, c(3, 1)),
    row("prelu one", "PRelu", SMALL, c(1)),
    row("prelu each", "PRelu", SMALL, c(3, 4)),
    row("not", "Not", "bool N 3"),
    row("bitwise not", "BitwiseNot", "int32 N 3 0..99"),
    *(row(op.lower(), op, SMALL, "N 3 4") for op in (
        "Add", "Sub", "Mul", "Div", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
    )),
    row("add broadcast", "Add", SMALL, c(3, 1)),
    row("mul scalar", "Mul", SMALL, np.float32(2.5)),
    row("add integers", "Add", "int64 N 3", "int64 N 3"),
    row("divide integers", "Div", "int64 N 3 -9..9", i(2, -3, 4)),
    row("equal", "Equal", "int64 N 3", "int64 N 3"),
    *(row(op.lower(), op, "bool N 3", "bool N 3") for op in ("And", "Or", "Xor")),
    *(row(op.lower(), op, "int32 N 3 0..99", "int32 N 3 0..99")
      for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")),
    row("shift left", "BitShift", "uint8 N 3 0..9", np.array([1, 2, 3], np.uint8),
        direction="LEFT", _bridge=False),
    row("shift right", "BitShift", "uint8 N 3 0..99", np.array([1, 2, 3], np.uint8),
        direction="RIGHT", _bridge=False),
    row("mod", "Mod", "int64 N 3 -9..9", i(2, -3, 4)),
    row("fmod", "Mod", SMALL, np.float32(0.7), fmod=1),
    row("pow", "Pow", "N 3 4 0..2", np.float32(2.5)),
    row("pow each", "Pow", "N 3 4 0.1..2", "N 3 4"),
    row("pow integer exponent", "Pow", SMALL, i(3)),
    row("pow integers", "Pow", "int64 N 3 0..4", i(3)),
    row("max", "Max", SMALL, "3 4", np.float32(0.1)),
    row("min", "Min", SMALL, "3 4"),
    row("sum", "Sum", SMALL, "3 4", SMALL),
    row("mean", "Mean", SMALL, "3 4", SMALL),
    row("where", "Where", "bool N 3 4", SMALL, np.float32(-1)),
    row("clip", "Clip", SMALL, np.float32(-0.5), np.float32(0.5)),
    row("clip above", "Clip", SMALL, None, np.float32(0.5)),
    row("clip by tensor", "Clip", SMALL, None, np.float32(0.5), _opset=13),
    row("clip by attribute", "Clip", SMALL, min=-0.5, max=0.3, _opset=10),
    row("clip integers", "Clip", "int64 N 3", np.int64(2), np.int64(4)),
    row("clip by inputs", "Clip", SMALL, "", "", _opset=13, _scalars=(-0.4, 0.2), _bridge=False),
    row("cast", "Cast", SMALL, to=6),
    row("cast bool", "Cast", "int64 N 3 0..1", to=9),
    row("cast to float", "Cast", "bool N 3", to=1),
    row("cast like", "CastLike", SMALL, i(1), _opset=19),
    row("is infinite", "IsInf", "N 3", detect_negative=0),
    row("is infinite below", "IsInf", "N 3", detect_positive=0),
    row("dropout", "Dropout", SMALL, np.float32(0.4)),
    row("dropout mask", "Dropout", SMALL, np.float32(0.4), _outputs=2),
    *(row(f"{op} by axes", op, "N 3 4 0.1..2", i(1), keepdims=keep, _opset=18)
      for keep, op in enumerate(("ReduceMax", "ReduceMin"), start=0)),
    *(row(op, op, "N 3 4 0.1..2", i(-1), keepdims=0, _opset=18) for op in (
        "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceSum",
    )),
    row("reduce attribute", "ReduceMean", SMALL, axes=[1, 2], _opset=13),
    row("reduce two", "ReduceProd", SMALL, i(1, 2), _opset=18),
    row("reduce all", "ReduceSum", SMALL, keepdims=0, _factor=16),  # the sum nearly cancels
    row("reduce integers", "ReduceSum", "int32 N 3", i(1), keepdims=0),
    row("reduce mean integers", "ReduceMean", "int32 N 3 0..9", keepdims=0, axes=[1], _opset=13,
        _bridge=False),
    row("reduce nothing", "ReduceSum", SMALL, i(), noop_with_empty_axes=1),
    row("argmax", "ArgMax", SMALL, axis=1),
    row("argmax last", "ArgMax", "int32 N 9 0..2", axis=1, select_last_index=1, keepdims=0),
    row("argmin", "ArgMin", SMALL, axis=-1, keepdims=0),
    row("top k", "TopK", "N 9", i(3), _outputs=2),
    row("top k smallest", "TopK", "9 N", i(3), axis=0, largest=0, _outputs=2),
    row("top k equal", "TopK", "int64 N 9 0..3", i(4), _outputs=2, _bridge=False),
    row("top k attribute", "TopK", "N 9", k=2, _outputs=2, _opset=1),
    row("cumsum", "CumSum", "N L", np.int64(1)),
    row("cumsum exclusive", "CumSum", "N L", np.int64(1), exclusive=1),
    row("cumsum reverse", "CumSum", "N L", np.int64(-1), reverse=1),
    row("cumsum both", "CumSum", "int64 N L", np.int64(1), reverse=1, exclusive=1),
    row("softmax", "Softmax", SMALL),
    row("softmax axis", "Softmax", SMALL, axis=1),
    row("softmax once", "Softmax", SMALL, axis=1, _opset=11),
    row("softmax once last", "Softmax", SMALL, axis=2, _opset=11),
    row("log softmax", "LogSoftmax", SMALL),
    row("log softmax once", "LogSoftmax", SMALL, _opset=11),
    row("hardmax", "Hardmax", SMALL, axis=1, _bridge=False),
    row("hardmax once", "Hardmax", SMALL, _opset=11, _bridge=False),
]  # fmt: skip
