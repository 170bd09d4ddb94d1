"""Packed sequences while PyTorch traces a model: all rows, and how long each is.

``torch.nn.utils.rnn.pack_padded_sequence`` sorts rows by length and leaves the padding out, so that
every size depends on the lengths' values. Here the padding stays: the packed values are those of
all steps of all rows, one after the other, and the batch sizes are replaced by the lengths. What
works value by value (a linear layer on ``packed.data``) is right on the rest, and useless on the
padding, which recurrent layers skip and `unpack` overwrites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_MARK = "_shipworthy_packed"


@dataclass(frozen=True)
class Packed:
    """What stands behind a tensor of lengths that plays the part of batch sizes."""

    steps: Any
    batch: Any
    longest: Any

    def rows(self, data: Any) -> Any:
        """Return packed values as steps x batch x features."""
        return data.reshape(self.steps, self.batch, *data.shape[1:])


def packed_as(tensor: Any) -> Packed | None:
    """Return what stands behind a tensor of lengths; None for any other."""
    found: Packed | None = getattr(tensor, _MARK, None)
    return found


def pack(x: Any, lengths: Any, batch_first: bool) -> tuple[Any, Any]:
    """Stand for ``torch._VF._pack_padded_sequence``: return the values and the lengths."""
    import torch

    x = x.transpose(0, 1) if batch_first else x
    lengths = lengths.clone()
    longest = lengths.max().item()
    torch._check(longest >= 1)
    torch._check(longest <= x.shape[0])
    setattr(lengths, _MARK, Packed(x.shape[0], x.shape[1], longest))
    return x.flatten(0, 1), lengths


def unpack(
    data: Any, lengths: Any, batch_first: bool, padding: float, total: Any
) -> tuple[Any, Any]:
    """Stand for ``torch._VF._pad_packed_sequence``: return padded sequences and the lengths."""
    import torch

    packed = packed_as(lengths)
    assert packed is not None
    x = packed.rows(data)
    inside = torch.arange(packed.steps)[:, None] < lengths
    inside = inside.reshape(*inside.shape, *(1,) * (x.dim() - 2))
    x = torch.where(inside, x, padding)
    if isinstance(total, int) and isinstance(packed.steps, int) and total > packed.steps:
        rest = x.new_full((total - packed.steps, *x.shape[1:]), padding)
        x = torch.cat([x, rest])
    elif total is not packed.steps:
        x = x[:total]
    return x.transpose(0, 1) if batch_first else x, lengths.clone()


def question(name: str, args: Sequence[Any]) -> Any:
    """Answer what PyTorch's layers ask of batch sizes; NotImplemented for anything else."""
    packed = packed_as(args[0]) if args else None
    if packed is not None and name == "size" and args[1:] == (0,):
        return packed.longest
    if packed is not None and name == "__getitem__" and args[1:] == (0,):
        return packed.batch
    return NotImplemented
