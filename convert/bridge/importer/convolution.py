"""Convolutions, plain and transposed."""

from __future__ import annotations

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Tensor, fixed_shape, is_plain, torch
from shipworthy.convert.bridge.importer.table import onnx_op
from shipworthy.convert.bridge.importer.windows import padded, window


@onnx_op("Conv", since=1)
def conv(node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Convolve over one, two or three axes."""
    rank = w.dim() - 2
    if rank not in (1, 2, 3):
        node.refuse(f"it convolves over {rank} axes; supported: 1, 2, 3")
    one = window(node, x, fixed_shape(w)[2:])
    pads = one.before
    if not one.even:
        x, pads = padded(x, one), (0,) * rank
    function = getattr(torch, f"conv{rank}d")
    return function(x, w, b, one.strides, pads, one.dilations, node.get("group", 1))


@onnx_op("ConvTranspose", since=1)
def conv_transpose(node: Node, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Spread every input over a window of the output.

    PyTorch cuts both sides of the result alike; what ONNX cuts beyond that is cut off afterwards,
    and what it adds (``output_padding``, ``output_shape``) is computed with it.
    """
    rank = w.dim() - 2
    if rank not in (1, 2, 3):
        node.refuse(f"it convolves over {rank} axes; supported: 1, 2, 3")
    strides = node.get("strides") or [1] * rank
    dilations = node.get("dilations") or [1] * rank
    cuts, extra = _cuts(node, x, fixed_shape(w)[2:], strides, dilations)
    even = [max(0, min(cut)) for cut in cuts]
    # More is computed where less than nothing is cut off.
    more = [
        e + max(0, -before) + max(0, -after) for e, (before, after) in zip(extra, cuts, strict=True)
    ]
    if any(before < 0 for before, _ in cuts):
        node.refuse(f"output_shape={node.get('output_shape')} asks for rows in front of the result")
    limits = [max(s, d) for s, d in zip(strides, dilations, strict=True)]
    beyond = [max(0, m - limit + 1) for m, limit in zip(more, limits, strict=True)]
    function = getattr(torch, f"conv_transpose{rank}d")
    within = [m - n for m, n in zip(more, beyond, strict=True)]
    y = function(x, w, None if any(beyond) else b, strides, even, within,
                 node.get("group", 1), dilations)  # fmt: skip
    for axis, (cut, kept) in enumerate(zip(cuts, even, strict=True), start=2):
        before, after = cut[0] - kept, max(cut[1], 0) - kept
        if before or after:
            y = torch.ops.aten.slice.Tensor(y, axis, before, -after if after else 2**63 - 1)
    if any(beyond):
        y = torch.nn.functional.pad(y, [n for m in reversed(beyond) for n in (0, m)])
        y = y if b is None else y + b.reshape([-1] + [1] * rank)
    return y


def _cuts(
    node: Node, x: Tensor, kernel: tuple[int, ...], strides: list[int], dilations: list[int]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return how much of each axis is cut off in front and behind, and what is added first.

    As ``onnx.ai/onnx/operators/onnx__ConvTranspose.html`` says.
    """
    rank = len(kernel)
    extra = list(node.get("output_padding") or [0] * rank)
    shape = node.get("output_shape")
    mode = node.refuse_unless("auto_pad", ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), "NOTSET")
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    if shape is None and not mode.startswith("SAME"):
        pads = (node.get("pads") if mode == "NOTSET" else None) or [0] * 2 * rank
        return list(zip(pads[:rank], pads[rank:], strict=True)), extra
    if shape is None:
        # The result is `stride` times the input: (in - 1) stride + extra + reach - in stride.
        totals = [e + r - s for e, r, s in zip(extra, reach, strides, strict=True)]
    else:
        sizes = node.shape(0, x)[2:]
        if not all(is_plain(size) for size in sizes):
            node.refuse("output_shape with an input of dynamic size; export it without")
        totals = [
            (n - 1) * s + e + r - out
            for n, s, e, r, out in zip(sizes, strides, extra, reach, shape[-rank:], strict=True)
        ]
    cuts = []
    for i, total in enumerate(totals):
        if total < 0:
            extra[i] -= total
            total = 0
        half = total // 2
        cuts.append((half, total - half) if mode == "SAME_UPPER" else (total - half, half))
    return cuts, extra
