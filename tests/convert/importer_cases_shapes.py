"""Shapes, cutting and joining, look-ups, new tensors. Rows as in ``importer_cases_layers.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

RNG = np.random.default_rng(9)


def c(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def i(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def row(name: str, op: str, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:
    return name, op, list(inputs), attributes


PAIRS = np.array([[0, 1], [2, -1], [1, 0]], np.int64)

CASES = [
    row("shape", "Shape", "N 3 L"),
    row("shape part", "Shape", "N 3 L", start=-2, end=3, _opset=15),
    row("size", "Size", "N 3 L"),
    row("reshape", "Reshape", "N 3 4", i(0, -1)),
    row("reshape rest", "Reshape", "N 3 4", i(-1, 6)),
    row("reshape nothing", "Reshape", "N 3 4", i(0, 0, 2, -1)),
    row("flatten", "Flatten", "N 3 4"),
    row("flatten more", "Flatten", "N 3 4 L", axis=-2),
    row("flatten all", "Flatten", "N 3", axis=0),
    row("flatten none", "Flatten", "N 3", axis=2),
    row("transpose", "Transpose", "N 3 L", perm=[2, 0, 1]),
    row("transpose back", "Transpose", "N 3 L"),
    row("squeeze", "Squeeze", "N 1 L 1", i(1, -1)),
    row("squeeze all", "Squeeze", "1 3 1"),
    row("squeeze attribute", "Squeeze", "N 1 L", axes=[1], _opset=11),
    row("unsqueeze", "Unsqueeze", "N L", i(0, -1)),
    row("unsqueeze attribute", "Unsqueeze", "N L", axes=[1], _opset=11),
    row("expand", "Expand", "N 1 4", i(1, 3, 1)),
    row("expand more", "Expand", "3 1", i(2, 1, 5)),
    row("tile", "Tile", "N 3", i(2, 3)),
    row("concat", "Concat", "N 3", "N 2", axis=-1),
    row("split", "Split", "N 7", i(1, 2, 4), axis=1, _outputs=3),
    row("split evenly", "Split", "N 6", axis=1, _outputs=3, _opset=13),
    row("split a rest", "Split", "N 7", axis=1, num_outputs=3, _outputs=3, _opset=18),
    row("split dynamic", "Split", "H 3", axis=0, num_outputs=2, _outputs=2, _opset=18),
    row("split attribute", "Split", "N 7", axis=1, split=[3, 4], _outputs=2, _opset=11),
    row("slice", "Slice", "N L 7", i(1, 2), i(-1, 100), i(1, 2), i(1, 2)),
    row("slice no axes", "Slice", "N L", i(0, 3), i(2, 2**63 - 1)),
    row("slice backwards", "Slice", "N 7", i(-1), i(-(2**31)), i(1), i(-1)),
    row("slice backwards part", "Slice", "N 7", i(5), i(1), i(1), i(-2)),
    row("slice backwards dynamic", "Slice", "N L", i(-1), i(-(2**63)), i(1), i(-1)),
    row("slice backwards dynamic part", "Slice", "N L", i(-1), i(-6), i(1), i(-2)),
    row("slice backwards dynamic front", "Slice", "N L", i(2**62), i(2), i(1), i(-1)),
    row("slice attribute", "Slice", "N L", starts=[1], ends=[-1], axes=[1], _opset=9),
    row("compress", "Compress", "N 4", np.array([True, False, True, True]), axis=1, _bridge=False),
    row("pad", "Pad", "N 3 4", i(0, 1, 2, 0, 0, 1), np.float32(1.5)),
    row("pad axes", "Pad", "N 3 4", i(1, 2), None, i(-1), _opset=18),
    row("pad less", "Pad", "N 3 7", i(0, 0, -1, 0, 0, -2)),
    row("pad integers", "Pad", "int64 N 3", i(0, 1, 0, 1), np.int64(7)),
    row("pad attribute", "Pad", "N 3", pads=[0, 1, 0, 1], value=2.0, _opset=10),
    row("pad reflect", "Pad", "N 3 H W", i(0, 0, 1, 2, 0, 0, 3, 1), mode="reflect"),
    row("pad edge", "Pad", "N 3 H W", i(0, 0, 1, 2, 0, 0, 3, 1), mode="edge"),
    row("pad wrap", "Pad", "N 3 H W", i(0, 0, 1, 2, 0, 0, 3, 1), mode="wrap", _opset=19),
    row("pad reflect rows", "Pad", "N 7", i(0, 2, 0, 3), mode="reflect"),
    row("pad edge rows", "Pad", "N L", i(1, 2, 0, 3), mode="edge"),
    row("pad wrap channels", "Pad", "N 3 L", i(0, 1, 0, 0, 1, 0), mode="wrap", _opset=19),
    row("gather", "Gather", "N L 4", i(0, 3, 1), axis=2),
    row("gather one", "Gather", "N L 4", np.int64(-1), axis=1),
    row("gather from behind", "Gather", "N L", i(0, -1), axis=1),
    row("gather table", "Gather", c(9, 5), "int64 N L -9..8"),
    row("gather table 3d", "Gather", c(9, 5, 2), "int64 N L 0..8"),
    row("gather single", "Gather", "9 4", "int64 N 0..8"),
    row("gather along", "Gather", "N 9 4", "int32 3 2 0..8", axis=1),
    row("gather elements", "GatherElements", "N 9", "int64 N 4 -9..8", axis=1),
    row("gather nd", "GatherND", "3 4 5", PAIRS),
    row("gather nd rows", "GatherND", "N 4 5", "int64 N 3 1 -4..3", batch_dims=1, _bridge=False),
    row("scatter elements", "ScatterElements", "N 9", np.array([[1, -2], [0, 3]], np.int64),
        c(2, 2), axis=1, _bridge=False),
    *(row(f"scatter elements {how}", "ScatterElements", "3 5",
          np.array([[1, 2, 1], [0, 0, 4], [3, -1, 2]], np.int64), c(3, 3), axis=1, reduction=how,
          _opset=18, _bridge=False) for how in ("add", "mul", "max", "min")),
    row("scatter once", "Scatter", "3 5", np.array([[1], [2]], np.int64), c(2, 1), axis=1,
        _opset=10, _bridge=False),
    row("scatter nd", "ScatterND", "3 4", PAIRS, c(3), _bridge=False),
    *(row(f"scatter nd {how}", "ScatterND", "3 4 2", PAIRS, c(3, 2), reduction=how, _opset=18,
          _bridge=False) for how in ("add", "mul", "max", "min")),
    row("nonzero", "NonZero", "bool 4 5", _bridge=False),
    row("unique", "Unique", "int64 20 0..6", _outputs=4, _bridge=False),
    row("reverse sequence", "ReverseSequence", "L N 3", "int64 N 1..8", time_axis=0, batch_axis=1),
    row("reverse sequence rows", "ReverseSequence", "N L", "int64 N 1..8", time_axis=1,
        batch_axis=0),
    row("constant", "Constant", value_floats=[1.0, 2.5]),
    row("constant integers", "Constant", value_ints=[1, 2]),
    row("constant of shape", "ConstantOfShape", i(2, 3)),
    row("range", "Range", np.int64(2), np.int64(11), np.int64(3)),
    row("range of floats", "Range", np.float32(0), np.float32(1), np.float32(0.25)),
    row("eye", "EyeLike", "N L", k=1, dtype=7),
    row("upper", "Trilu", "N L", np.int64(1)),
    row("lower", "Trilu", "N L", upper=0),
    row("one hot", "OneHot", "int64 N L -5..6", np.int64(5), np.array([0.0, 2.0], np.float32)),
    row("one hot first", "OneHot", "int64 N L", i(5), np.array([0, 1], np.int64), axis=0),
]  # fmt: skip
