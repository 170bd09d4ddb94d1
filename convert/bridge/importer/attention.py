"""Attention as one op (opset 23)."""

from __future__ import annotations

import math
from typing import Any

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Tensor, is_plain, sizes, torch
from shipworthy.convert.bridge.importer.table import onnx_op


def _heads(x: Tensor, count: int) -> Tensor:
    """Turn (batch, length, heads width) into (batch, heads, length, width)."""
    batch, length, width = sizes(x)
    return x.reshape(batch, length, count, width // count).transpose(1, 2)


@onnx_op("Attention", since=23)
def attention(
    node: Node, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *past: Any
) -> Any:
    """Mix values by how queries and keys agree."""
    if any(one is not None for one in past) or any(map(node.wants, (1, 2, 3))):
        node.refuse("a cache of keys and values, or outputs beyond the first")
    if node.get("softcap", 0.0):
        node.refuse("softcap")
    flat = q.dim() == 3
    width = node.shape(0, q)[-1]
    if flat:
        heads = node.get("q_num_heads"), node.get("kv_num_heads")
        width = width // heads[0]
        q, k, v = _heads(q, heads[0]), _heads(k, heads[1]), _heads(v, heads[1])
    else:
        heads = node.shape(0, q)[1], node.shape(1, k)[1]
    if not all(is_plain(n) for n in (width, *heads)):
        node.refuse("a dynamic number of heads, or a dynamic width")
    if heads[0] != heads[1]:
        k, v = (one.repeat_interleave(heads[0] // heads[1], 1) for one in (k, v))
    scale = node.get("scale") or 1 / math.sqrt(width)
    scores = torch.matmul(q, k.transpose(-1, -2)) * scale
    if node.get("is_causal", 0):
        rows, columns = torch.arange(q.shape[2]), torch.arange(k.shape[2])
        scores = scores.masked_fill(columns > rows.unsqueeze(1), -math.inf)
    if mask is not None:
        if mask.dtype == torch.bool:
            scores = scores.masked_fill(torch.logical_not(mask), -math.inf)
        else:
            scores = scores + mask
    y = torch.matmul(torch.softmax(scores, -1), v)
    return y.transpose(1, 2).flatten(2) if flat else y
