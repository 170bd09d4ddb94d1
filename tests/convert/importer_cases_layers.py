"""Convolutions, pooling, normalisations, matrix products, recurrent layers, images.

A row: name, op, inputs, attributes. An input is text for one of the graph (``[dtype] axes
[low..high]``, as in ``test_bridge_ops.py``), an array for a constant, None for one left out.
Attributes with an underscore are not ONNX's: ``_opset``, ``_outputs`` (how many), ``_bridge``
(whether it is also taken to TensorFlow), ``_factor`` (of the bound, with a reason beside it).
"""

from __future__ import annotations

from typing import Any

import numpy as np

RNG = np.random.default_rng(7)


def c(*shape: int, low: float | None = None) -> Any:
    """A float constant; with `low`, uniform between that and 1 above it."""
    if low is not None:
        return RNG.uniform(low, low + 1, shape).astype(np.float32)
    return RNG.standard_normal(shape).astype(np.float32)


def i(*numbers: int) -> Any:
    """Integers, one axis."""
    return np.array(numbers, np.int64)


def floats(*numbers: float) -> Any:
    return np.array(numbers, np.float32)


def row(name: str, op: str, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:
    return name, op, list(inputs), attributes


IMAGE = "N 4 H W"
LSTM_WEIGHTS = (c(1, 20, 4), c(1, 20, 5), c(1, 40))
BOTH_WEIGHTS = (c(2, 20, 4), c(2, 20, 5), c(2, 40))
GRU_WEIGHTS = (c(1, 15, 4), c(1, 15, 5), c(1, 30))
RNN_WEIGHTS = (c(1, 5, 4), c(1, 5, 5), c(1, 10))
SEQUENCE = "L N 4"

CASES = [
    row("conv", "Conv", IMAGE, c(6, 4, 3, 3), c(6), pads=[1, 1, 1, 1]),
    row("conv uneven", "Conv", IMAGE, c(6, 4, 3, 2), pads=[0, 1, 2, 0], strides=[2, 1]),
    row("conv grouped", "Conv", IMAGE, c(8, 2, 3, 3), c(8), group=2, dilations=[1, 2]),
    row("conv same upper", "Conv", IMAGE, c(6, 4, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    row("conv same lower", "Conv", IMAGE, c(6, 4, 4, 2), auto_pad="SAME_LOWER", strides=[2, 1]),
    row("conv same still", "Conv", IMAGE, c(6, 4, 4, 3), auto_pad="SAME_UPPER"),
    row("conv same fixed", "Conv", "N 4 9 8", c(6, 4, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    row("conv valid", "Conv", IMAGE, c(6, 4, 3, 3), auto_pad="VALID"),
    row("conv 1d", "Conv", "N 4 L", c(6, 4, 3), c(6), pads=[2, 0]),
    row("conv 3d", "Conv", "N 2 5 H W", c(3, 2, 2, 3, 3), c(3), pads=[0, 1, 1, 0, 1, 1]),
    row("deconv", "ConvTranspose", IMAGE, c(4, 6, 3, 3), c(6), strides=[2, 2], pads=[1, 1, 1, 1]),
    row("deconv extra", "ConvTranspose", IMAGE, c(4, 6, 3, 3), c(6), strides=[2, 2],
        pads=[1, 1, 1, 1], output_padding=[1, 1]),
    row("deconv uneven", "ConvTranspose", IMAGE, c(4, 6, 3, 3), strides=[2, 2], pads=[0, 1, 1, 0]),
    row("deconv grouped", "ConvTranspose", IMAGE, c(4, 3, 2, 2), group=2, dilations=[2, 1]),
    row("deconv same", "ConvTranspose", IMAGE, c(4, 6, 3, 3), c(6), strides=[2, 2],
        auto_pad="SAME_UPPER"),
    row("deconv same lower", "ConvTranspose", IMAGE, c(4, 6, 4, 3), strides=[2, 2],
        auto_pad="SAME_LOWER"),
    row("deconv shape", "ConvTranspose", "N 4 5 6", c(4, 6, 3, 3), c(6), strides=[2, 2],
        output_shape=[10, 12]),
    row("deconv larger shape", "ConvTranspose", "N 4 5 6", c(4, 6, 2, 2), c(6), strides=[2, 2],
        output_shape=[11, 12]),
    row("deconv 1d", "ConvTranspose", "N 4 L", c(4, 6, 3), strides=[2]),
    row("deconv 3d", "ConvTranspose", "N 2 3 H W", c(2, 3, 2, 2, 2), strides=[1, 2, 2]),
    row("max pool", "MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2]),
    row("max pool padded", "MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2],
        pads=[1, 1, 1, 1]),
    row("max pool uneven", "MaxPool", IMAGE, kernel_shape=[3, 3], pads=[0, 1, 2, 1]),
    row("max pool ceil", "MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    row("max pool same", "MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2],
        auto_pad="SAME_UPPER"),
    row("max pool dilated", "MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 3]),
    row("max pool places", "MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], _outputs=2,
        _bridge=False),
    row("max pool 1d", "MaxPool", "N 4 L", kernel_shape=[3], strides=[2]),
    row("max pool 3d", "MaxPool", "N 2 5 H W", kernel_shape=[2, 2, 2]),
    row("mean pool", "AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    row("mean pool counted", "AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1],
        count_include_pad=1),
    row("mean pool uneven", "AveragePool", IMAGE, kernel_shape=[3, 3], pads=[0, 1, 2, 1]),
    row("mean pool uneven counted", "AveragePool", IMAGE, kernel_shape=[3, 3], pads=[0, 1, 2, 1],
        count_include_pad=1),
    row("mean pool ceil", "AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1,
        _opset=19, _bridge=False),
    row("mean pool ceil fixed", "AveragePool", "N 4 9 8", kernel_shape=[3, 3], strides=[2, 2],
        ceil_mode=1, _opset=19),
    row("mean pool same", "AveragePool", IMAGE, kernel_shape=[2, 2], strides=[2, 2],
        auto_pad="SAME_UPPER"),
    row("mean pool 1d", "AveragePool", "N 4 L", kernel_shape=[3]),
    row("norm pool", "LpPool", IMAGE, kernel_shape=[2, 2], p=2),
    row("global mean", "GlobalAveragePool", IMAGE),
    row("global max", "GlobalMaxPool", IMAGE),
    row("global norm", "GlobalLpPool", IMAGE),
    row("batch norm", "BatchNormalization", IMAGE, c(4), c(4), c(4), c(4, low=0.5), epsilon=1e-3),
    row("batch norm flat", "BatchNormalization", "N 4", c(4), c(4), c(4), c(4, low=0.5)),
    row("instance norm", "InstanceNormalization", IMAGE, c(4), c(4)),
    row("layer norm", "LayerNormalization", "N L 6", c(6), c(6)),
    row("layer norm two axes", "LayerNormalization", "N L 6 3", c(6, 3), axis=-2),
    row("layer norm statistics", "LayerNormalization", "N L 6", c(6), _outputs=3),
    row("group norm", "GroupNormalization", IMAGE, c(4), c(4), num_groups=2, _opset=21),
    row("rms norm", "RMSNormalization", "N L 6", c(6), _opset=23),
    row("local response", "LRN", IMAGE, size=3, alpha=0.1),
    row("local response even", "LRN", "N 3 H W", size=2, alpha=0.1, bias=2.0, _reference=True),
    row("mean variance", "MeanVarianceNormalization", IMAGE),
    row("lp norm", "LpNormalization", "N 6", axis=1),
    row("lp norm 1", "LpNormalization", "N 6", axis=1, p=1),
    row("gemm", "Gemm", "N 6", c(4, 6), c(4), transB=1),
    row("gemm plain", "Gemm", "N 6", c(6, 4), c(1, 4)),
    row("gemm factors", "Gemm", "6 N", c(6, 4), c(4), transA=1, alpha=0.5, beta=2.0),
    row("gemm no bias", "Gemm", "N 6", c(6, 4), alpha=0.5),
    row("matmul", "MatMul", "N L 6", c(6, 4)),
    row("matmul both", "MatMul", "N 2 L 6", "N 2 6 L"),
    row("matmul vector", "MatMul", "N L 6", c(6)),
    row("matmul integer", "MatMulInteger", "uint8 N 6 0..255",
        np.arange(24, dtype=np.uint8).reshape(6, 4), np.uint8(3), np.uint8(5), _bridge=False),
    row("einsum", "Einsum", "N L 6", "N L 6", equation="bid, bjd -> bij"),
    row("einsum constant", "Einsum", "N L 6", c(6, 2, 3), equation="abc,cde->abde"),
    row("det", "Det", "N 3 3", _bridge=False),
    row("depth to space", "DepthToSpace", "N 8 H W", blocksize=2),
    row("depth to space crd", "DepthToSpace", "N 8 H W", blocksize=2, mode="CRD"),
    row("space to depth", "SpaceToDepth", "N 4 6 8", blocksize=2),
    row("grid sample", "GridSample", IMAGE, "N 5 6 2 -1.2..1.2", _opset=20, _bridge=False),
    row("grid sample border", "GridSample", IMAGE, "N 5 6 2 -1.2..1.2", _opset=20,
        mode="nearest", padding_mode="border", align_corners=1, _bridge=False),
    row("grid sample cubic", "GridSample", IMAGE, "N 5 6 2 -1.2..1.2", _opset=20, mode="cubic",
        padding_mode="reflection", _bridge=False, _factor=16),  # the grid's rounding is stretched
    row("affine grid", "AffineGrid", "3 2 3", i(3, 4, 5, 6), _opset=20, _bridge=False),
    row("attention", "Attention", "N 2 L 4", "N 2 L 4", "N 2 L 4", _opset=23, is_causal=1),
    row("attention mask", "Attention", "N 2 L 4", "N 2 L 4", "N 2 L 4", "L L", _opset=23),
    row("attention choice", "Attention", "N 2 L 4", "N 2 L 4", "N 2 L 4",
        np.tri(14, 14, dtype=bool), _opset=23, _bridge=False, _sizes={"L": 14}),
    row("attention flat", "Attention", "N L 8", "N L 4", "N L 4", _opset=23, q_num_heads=4,
        kv_num_heads=2, scale=0.3),
    row("lstm", "LSTM", SEQUENCE, *LSTM_WEIGHTS, hidden_size=5, _outputs=3),
    row("lstm no bias", "LSTM", SEQUENCE, *LSTM_WEIGHTS[:2], hidden_size=5, _outputs=3),
    row("lstm states", "LSTM", SEQUENCE, *LSTM_WEIGHTS, None, "1 N 5", "1 N 5", hidden_size=5,
        _outputs=3),
    row("lstm both", "LSTM", SEQUENCE, *BOTH_WEIGHTS, hidden_size=5, direction="bidirectional",
        _outputs=3),
    row("lstm reverse", "LSTM", SEQUENCE, *LSTM_WEIGHTS, hidden_size=5, direction="reverse",
        _outputs=3),
    row("lstm lengths", "LSTM", SEQUENCE, *LSTM_WEIGHTS, "int32 N 1..8", hidden_size=5,
        _outputs=3),
    row("lstm both lengths", "LSTM", SEQUENCE, *BOTH_WEIGHTS, "int32 N 1..8", hidden_size=5,
        direction="bidirectional", _outputs=3),
    row("lstm weights given", "LSTM", SEQUENCE, "1 20 4", "1 20 5", hidden_size=5, _outputs=3,
        _bridge=False),
    # ONNX Runtime has no kernel for rows first, and ONNX's reference none that is right for two
    # directions.
    row("lstm rows first", "LSTM", "N L 4", *LSTM_WEIGHTS, hidden_size=5, layout=1, _outputs=3,
        _reference=True),
    row("gru", "GRU", SEQUENCE, *GRU_WEIGHTS, hidden_size=5, linear_before_reset=1, _outputs=2),
    row("gru lengths", "GRU", SEQUENCE, *GRU_WEIGHTS, "int32 N 1..8", hidden_size=5,
        linear_before_reset=1, direction="reverse", _outputs=2),
    row("gru reset before", "GRU", SEQUENCE, *GRU_WEIGHTS, hidden_size=5, _outputs=2,
        _bridge=False),
    row("gru reset before lengths", "GRU", SEQUENCE, c(2, 15, 4), c(2, 15, 5), c(2, 30),
        "int32 N 1..8", hidden_size=5, direction="bidirectional", _outputs=2, _bridge=False),
    row("gru reset before no bias", "GRU", SEQUENCE, *GRU_WEIGHTS[:2], hidden_size=5, _outputs=2,
        _bridge=False),
    row("rnn", "RNN", SEQUENCE, *RNN_WEIGHTS, hidden_size=5, _outputs=2),
    row("rnn relu", "RNN", SEQUENCE, *RNN_WEIGHTS, hidden_size=5, activations=["Relu"],
        _outputs=2),
    row("quantise", "QuantizeLinear", "N 4", np.float32(0.1), np.uint8(100), _bridge=False),
    row("quantise by default", "QuantizeLinear", "N 4 0..9", np.float32(0.1), _bridge=False),
    row("dequantise", "DequantizeLinear", "uint8 N 4 3 0..255", c(4, low=0.5),
        np.array([1, 2, 3, 4], np.uint8), axis=1, _opset=13),
    row("quantise dynamically", "DynamicQuantizeLinear", "N 4", _outputs=3, _bridge=False),
]  # fmt: skip
PLACES = (
    "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric",
)  # fmt: skip
for mode in ("nearest", "linear", "cubic"):
    for place in PLACES:
        bridged = mode == "linear" or place in ("half_pixel", "asymmetric")
        CASES.append(
            row(f"resize {mode} {place} factors", "Resize", IMAGE, None, floats(1, 1, 2, 1.5),
                mode=mode, coordinate_transformation_mode=place, _opset=19, _factor=4,
                _bridge=bridged))  # fmt: skip
        CASES.append(
            row(f"resize {mode} {place} sizes", "Resize", "2 3 6 7", None, None, i(2, 3, 9, 5),
                mode=mode, coordinate_transformation_mode=place, _opset=19, _factor=4,
                _bridge=bridged))  # fmt: skip
CASES += [
    row(f"resize {rounding} {place}", "Resize", IMAGE, None, floats(1, 1, 2, 2),
        nearest_mode=rounding, coordinate_transformation_mode=place)
    for rounding in ("round_prefer_ceil", "floor", "ceil")
    for place in ("half_pixel", "asymmetric")
] + [
    row("resize as tensorflow once did", "Resize", IMAGE, floats(), floats(1, 1, 2, 2),
        nearest_mode="floor", coordinate_transformation_mode="tf_half_pixel_for_nn", _opset=11),
    row("resize cubic like tensorflow", "Resize", "N 4 6 7", None, None, i(3, 4, 9, 5),
        mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1, _factor=4, _bridge=False),
    row("resize axes", "Resize", IMAGE, None, None, i(5, 20), mode="linear", axes=[2, 3], _factor=4,
        _opset=18),
    row("resize channels last", "Resize", "N 6 7 3", None, floats(1, 2, 2, 1), mode="linear",
        _factor=4),
    row("resize 1d", "Resize", "N 4 L", None, floats(1, 1, 3), mode="linear", _factor=4),
    row("resize 3d", "Resize", "N 2 3 H W", None, floats(1, 1, 2, 2, 2), mode="linear",
        _factor=4, _bridge=False),
    row("resize by opset 10", "Resize", IMAGE, floats(1, 1, 2, 2), _opset=10),
    row("resize smaller by opset 10", "Resize", "N 4 8 6", floats(1, 1, 0.5, 0.5), mode="linear",
        _opset=10, _factor=4),
    row("resize nearest smaller by opset 10", "Resize", "N 4 8 10", floats(1, 1, 2, 0.6),
        _opset=10),
    row("upsample", "Upsample", IMAGE, floats(1, 1, 2, 3), _opset=9),
    row("upsample linear", "Upsample", IMAGE, floats(1, 1, 2, 2), mode="linear", _opset=9,
        _factor=4),
    row("upsample by attribute", "Upsample", IMAGE, scales=[1.0, 1.0, 2.0, 2.0], _opset=7),
]  # fmt: skip
