"""Padding: constant, reflected, replicated, circular."""

from __future__ import annotations

from collections.abc import Sequence

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import aten
from shipworthy.convert.bridge.value import Size, Tensor, Value


@aten("pad.default")
def pad(
    x: Value, amounts: Sequence[Size], mode: str = "constant", fill: float | None = None
) -> Value:
    """Pad the last axes by a mode of `torch.nn.functional.pad`."""
    if mode == "constant":
        return constant_pad(x, amounts, fill or 0)
    if mode == "reflect":
        return reflect(x, amounts)
    return replicate(x, amounts) if mode == "replicate" else _gathered(x, amounts, circular=True)


@aten("constant_pad_nd.default")
def constant_pad(x: Value, amounts: Sequence[Size], fill: float = 0) -> Value:
    """Pad with a value; a negative amount cuts off."""
    pairs = _pairs(x, amounts)
    cuts = [
        slice(-a if _negative(a) else None, b if _negative(b) else None) for a, b in pairs
    ]  # fmt: skip
    t = x.tensor[tuple(cuts)] if any(cut != slice(None) for cut in cuts) else x.tensor
    grown = [tuple(0 if _negative(p) else p for p in pair) for pair in pairs]
    return x.like(tf.pad(t, grown, constant_values=tf.cast(fill, x.dtype)))


@aten("reflection_pad1d.default", "reflection_pad2d.default", "reflection_pad3d.default")
def reflect(x: Value, amounts: Sequence[Size]) -> Value:
    """Pad with the mirror image, without its edge."""
    return x.like(tf.pad(x.tensor, _pairs(x, amounts), mode="REFLECT"))


@aten("replication_pad1d.default", "replication_pad2d.default", "replication_pad3d.default")
def replicate(x: Value, amounts: Sequence[Size]) -> Value:
    """Pad with the edge."""
    return _gathered(x, amounts, circular=False)


def _gathered(x: Value, amounts: Sequence[Size], circular: bool) -> Value:
    t = x.tensor
    for axis, (before, after) in enumerate(_pairs(x, amounts)):
        if isinstance(before, int) and isinstance(after, int):
            t = _joined(t, axis, before, after, circular)
            continue
        size = x.size(x.order[axis])
        places = tf.range(-before, size + after)
        inside = places % size if circular else tf.clip_by_value(places, 0, size - 1)
        t = tf.gather(t, inside, axis=axis)
    return x.like(t)


def _joined(t: Tensor, axis: int, before: int, after: int, circular: bool) -> Tensor:
    """Pad an axis with its own ends, which is faster than to look every place up."""
    cut = [slice(None)] * axis
    ends = []
    for amount, single, several in (
        (before, slice(0, 1), slice(-before, None)),
        (after, slice(-1, None), slice(0, after)),
    ):
        if amount > 0:
            end = t[(*cut, several if circular else single)]
            repeats = [1] * axis + [amount] + [1] * (t.shape.rank - axis - 1)
            ends.append([end if circular or amount == 1 else tf.tile(end, repeats)])
        else:
            ends.append([])
    # A negative amount cuts off.
    kept = slice(max(-before, 0) or None, min(after, 0) or None)
    t = t if kept == slice(None) else t[(*cut, kept)]
    parts = [*ends[0], t, *ends[1]]
    return tf.concat(parts, axis) if len(parts) > 1 else t


def _pairs(x: Value, amounts: Sequence[Size]) -> list[tuple[Size, Size]]:
    """Return before and after of every physical axis; PyTorch names the last axis first."""
    logical: dict[int, tuple[Size, Size]] = {
        x.rank - 1 - i: (amounts[2 * i], amounts[2 * i + 1]) for i in range(len(amounts) // 2)
    }
    return [logical.get(dim, (0, 0)) for dim in x.order]


def _negative(amount: Size | Tensor) -> bool:
    return isinstance(amount, int) and amount < 0
