"""Einstein sums that a converter refuses: an ellipsis, or a letter twice in one operand."""

from __future__ import annotations

import string
from typing import Any

from shipworthy.convert.rewrite.linear import diagonal
from shipworthy.convert.rewrite.table import Node, Tensor, rule


@rule("Einsum")
def einsum(node: Node) -> Any:
    """Name the axes of an ellipsis, take diagonals, and leave the rest to a plain sum."""
    import tensorflow as tf

    equation = node.text("equation").replace(" ", "")
    if "..." in equation:
        expanded = _expand(equation, [x.shape.rank for x in node.inputs])
        if expanded is None:
            return None
        equation = expanded
    left, right = equation.split("->")
    operands = [_without_repeats(*pair) for pair in zip(left.split(","), node.inputs, strict=True)]
    plain = f"{','.join(labels for labels, _ in operands)}->{right}"
    if plain == node.text("equation").replace(" ", ""):
        return None
    tensors = [x for _, x in operands]
    if len(tensors) == 1 and sorted(operands[0][0]) == sorted(right):
        return tf.transpose(tensors[0], [operands[0][0].index(label) for label in right])
    return tf.raw_ops.Einsum(inputs=tensors, equation=plain)


def _expand(equation: str, ranks: list[int | None]) -> str | None:
    """Write letters for every ellipsis; None where operands broadcast over a different number."""
    left = equation.split("->")[0]
    free = [c for c in string.ascii_letters if c not in equation]
    counts = set()
    for labels, rank in zip(left.split(","), ranks, strict=True):
        if "..." in labels:
            if rank is None:
                return None
            counts.add(rank - len(labels.replace("...", "")))
    if len(counts) != 1:
        return None
    letters = "".join(free[: counts.pop()])
    return equation.replace("...", letters)


def _without_repeats(labels: str, x: Tensor) -> tuple[str, Tensor]:
    """Take the diagonal of two axes with the same letter, and let it stand last."""
    import tensorflow as tf

    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            others = [i for i in range(len(labels)) if i not in (first, second)]
            x = diagonal(tf.transpose(x, [*others, first, second]), 0)
            labels = "".join(labels[i] for i in others) + label
    return labels, x
