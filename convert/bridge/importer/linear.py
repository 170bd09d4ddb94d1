"""Matrix products."""

from __future__ import annotations

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Tensor, torch
from shipworthy.convert.bridge.importer.table import onnx_op


@onnx_op("Gemm", since=7)
def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """``alpha A B + beta C``, either matrix transposed."""
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if node.get("transA", 0):
        a = a.t()
    plain = alpha == 1 and (c is None or beta == 1)
    if node.get("transB", 0):
        if plain and (c is None or c.dim() == 1):
            return torch.nn.functional.linear(a, b, c)
        b = b.t()
    if c is not None and a.is_floating_point():
        return torch.addmm(c, a, b, beta=beta, alpha=alpha)
    y = torch.mm(a, b)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


@onnx_op("MatMul", since=1)
def matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Product of stacks of matrices."""
    return torch.matmul(a, b)


@onnx_op("MatMulInteger", since=10)
def matmul_integer(
    node: Node, a: Tensor, b: Tensor, at: Tensor | None = None, bt: Tensor | None = None
) -> Tensor:
    """Product of integers of 8 bits, less their zero points."""
    if at is not None and at.dim() == 1 and at.numel() > 1:
        at = at.unsqueeze(-1)
    wide = []
    for one, zero in ((a, at), (b, bt)):
        one = one.to(torch.int32)
        wide.append(one if zero is None else one - zero.to(torch.int32))
    return torch.matmul(*wide)


@onnx_op("Einsum", since=12)
def einsum(node: Node, *tensors: Tensor) -> Tensor:
    """Sum of products over named axes."""
    return torch.einsum(node.get("equation").replace(" ", ""), *tensors)


@onnx_op("Det", since=11)
def det(node: Node, x: Tensor) -> Tensor:
    """Compute determinants."""
    return torch.linalg.det(x)
