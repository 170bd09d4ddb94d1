"""Images: blocks to channels and back, and looking up by coordinates."""

from __future__ import annotations

from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Numbers, Tensor, torch
from shipworthy.convert.bridge.importer.table import onnx_op


@onnx_op("DepthToSpace", since=1)
def depth_to_space(node: Node, x: Tensor) -> Tensor:
    """Lay channels out as blocks; ``DCR`` counts through the blocks before the channels."""
    b = node.get("blocksize")
    if node.get("mode", "DCR") == "CRD":
        return torch.nn.functional.pixel_shuffle(x, b)
    n, c, h, w = node.shape(0, x)
    y = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // (b * b), h * b, w * b)


@onnx_op("SpaceToDepth", since=1)
def space_to_depth(node: Node, x: Tensor) -> Tensor:
    """Lay blocks out as channels."""
    b = node.get("blocksize")
    n, c, h, w = node.shape(0, x)
    y = x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * b * b, h // b, w // b)


@onnx_op("GridSample", since=16)
def grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    """Elements at coordinates between -1 and 1."""
    names = {"linear": "bilinear", "cubic": "bicubic"}
    mode = node.get("mode", "linear")
    return torch.nn.functional.grid_sample(
        x,
        grid,
        names.get(mode, mode),
        node.get("padding_mode", "zeros"),
        bool(node.get("align_corners", 0)),
    )


@onnx_op("AffineGrid", since=20, numbers=(1,))
def affine_grid(node: Node, theta: Tensor, size: Numbers) -> Tensor:
    """Coordinates that an affine map gives."""
    wanted = node.integers(size, "sizes")
    return torch.affine_grid_generator(theta, wanted, bool(node.get("align_corners", 0)))
