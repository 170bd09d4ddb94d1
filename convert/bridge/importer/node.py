"""One node of an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from shipworthy.convert.bridge.importer.number import Number, Numbers, Tensor, is_plain, sizes
from shipworthy.convert.bridge.importer.table import Entry
from shipworthy.convert.routes import UnsupportedModelError

StaticShape = tuple[int | None, ...]


@dataclass
class Node:
    """What an op's function may ask of the node it computes.

    Parameters
    ----------
    op, name : as they stand in the file; the name may be made up where there is none.
    opset : version of ONNX that the file is written in.
    inputs, outputs : names of values; empty for one that is left out.
    attributes : by name; text as `str`, tensors as `torch.Tensor`, graphs as `Plan`.
    entry : row of the table.
    shapes : of each input, as far as ONNX's own shape inference knows it; None is not at all.
    prepared : whether `Entry.prepare` has changed constants to another form.
    """

    op: str
    name: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    entry: Entry
    shapes: tuple[StaticShape | None, ...]
    prepared: bool = False
    releases: tuple[str, ...] = field(default=())

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or what ONNX takes where it is left out."""
        return self.attributes.get(name, default)

    def wants(self, output: int) -> bool:
        """Tell whether an output is used."""
        return output < len(self.outputs) and self.outputs[output] != ""

    def shape(self, place: int, x: Tensor) -> list[Number]:
        """Return the sizes of an input: numbers where the file fixes them."""
        known = self.shapes[place] if place < len(self.shapes) else None
        found = sizes(x)
        if known is None or len(known) != len(found):
            return found
        return [size if fixed is None else fixed for fixed, size in zip(known, found, strict=True)]

    def integers(self, numbers: Numbers | None, what: str) -> list[int]:
        """Return numbers that PyTorch has to know before the model runs.

        Raises
        ------
        UnsupportedModelError : they depend on the model's inputs.
        """
        items = [] if numbers is None else numbers.items
        if not all(is_plain(item) for item in items):
            self.refuse(f"its {what} are computed from the model's inputs, and have to be constant")
        return [int(item) for item in items]

    def axes(self, numbers: Numbers | None, rank: int) -> list[int] | None:
        """Return the axes of the attribute, or of the input, counted from the front."""
        given = self.integers(numbers, "axes") if numbers is not None else self.get("axes")
        return None if given is None else [axis % rank if rank else 0 for axis in given]

    def refuse(self, reason: str) -> NoReturn:
        """Stop the import.

        Raises
        ------
        UnsupportedModelError : always.
        """
        raise UnsupportedModelError(
            f"the importer from ONNX to PyTorch cannot take {self}: {reason}"
        )

    def refuse_unless(self, name: str, allowed: Sequence[Any], default: Any) -> Any:
        """Return an attribute that has to be one of some values."""
        value = self.get(name, default)
        if value not in allowed:
            told = ", ".join(map(repr, allowed))
            self.refuse(f"{name}={value!r} is not supported; supported: {told}")
        return value

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op}, opset {self.opset})"
