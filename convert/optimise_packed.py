"""A convolution's weight as TorchScript holds it: stored plainly, packed when it is loaded."""

from __future__ import annotations

from functools import cache
from typing import Any


def packed_weight(
    weight: Any,
    padding: list[int],
    stride: list[int],
    dilation: list[int],
    groups: int,
    sizes: list[int],
) -> Any:
    """Return a scripted module whose attribute ``weight`` is one convolution's.

    Parameters
    ----------
    weight : float32, (channels out, channels in / groups, height, width), row-major. It is plain
        until the module has been saved and loaded, and packed from then on.
    padding, stride, dilation : two numbers each.
    groups : of the convolution.
    sizes : of an input it was traced with; packing is best for that size and right for any.
    """
    import torch

    return torch.jit.script(_kind()(weight, padding, stride, dilation, groups, sizes).eval())


@cache
def _kind() -> Any:
    """Make the class, which TorchScript compiles from its source; one class, one type."""
    import torch
    from torch import Tensor

    class PackedWeight(torch.nn.Module):  # type: ignore[misc]
        def __init__(
            self,
            weight: Tensor,
            padding: list[int],
            stride: list[int],
            dilation: list[int],
            groups: int,
            sizes: list[int],
        ) -> None:
            super().__init__()
            self.weight = weight
            self.padding = padding
            self.stride = stride
            self.dilation = dilation
            self.groups = groups
            self.sizes = sizes

        @torch.jit.export  # type: ignore[untyped-decorator]
        def __getstate__(
            self,
        ) -> tuple[Tensor, list[int], list[int], list[int], int, list[int], bool]:
            weight = self.weight
            if weight.is_mkldnn:
                weight = weight.to_dense()
            return (
                weight, self.padding, self.stride, self.dilation, self.groups, self.sizes,
                self.training,
            )  # fmt: skip

        @torch.jit.export  # type: ignore[untyped-decorator]
        def __setstate__(
            self,
            state: tuple[Tensor, list[int], list[int], list[int], int, list[int], bool],
        ) -> None:
            self.padding = state[1]
            self.stride = state[2]
            self.dilation = state[3]
            self.groups = state[4]
            self.sizes = state[5]
            self.training = state[6]
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(
                state[0], state[1], state[2], state[3], state[4], state[5]
            )

    return PackedWeight
