"""The untouched original, ready to run: one small class a framework.

What a framework cannot do in float64 is told by `Float64RefusedError`, never worked around.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shipworthy.convert.calling import flatten
from shipworthy.convert.cases import SignatureError
from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.errors import first_line as first_line
from shipworthy.models.spec import Array, Arrays, Signature, Source

# How TorchScript begins a traceback of its own; what happened is in the last line.
_INTERPRETER = "The following operation failed in the TorchScript interpreter"


class Float64RefusedError(Exception):
    """The original does not run wholly in float64; the message says why."""


class Original(Protocol):
    """A loaded model behind plain arrays."""

    model: Any

    def run(self, inputs: Arrays, *, threads: int = 1) -> dict[str, Array]:
        """Return the outputs, in inference mode, by canonical name."""
        ...

    def nudge_weights(self, nudge: Callable[[Array], Array]) -> Callable[[], None]:
        """Replace every float weight by `nudge` of it; return what puts them back."""
        ...


def open_original(source: Source, model: Any) -> Original:
    """Wrap a loaded model of the source's framework and kind."""
    if source.framework == "pytorch":
        from shipworthy.convert.original_torch import TorchOriginal

        return TorchOriginal(model, source.signature)
    if source.kind == "onnx":
        from shipworthy.convert.original_onnx import OnnxOriginal

        return OnnxOriginal(model.path, source.signature, model.inputs, model.outputs)
    if source.kind == "saved_model":
        from shipworthy.convert.original_saved_model import SavedModelOriginal

        return SavedModelOriginal(model, source.signature)
    from shipworthy.convert.original_keras import KerasOriginal

    return KerasOriginal(model, source.signature)


def run_float64(
    source: Source, snapshot: Path, inputs: Sequence[Arrays], check: Callable[[Original], None]
) -> list[dict[str, Array]]:
    """Run a second instance with the snapshot's weights, every operation of it in float64.

    Parameters
    ----------
    inputs : of each case.
    check : is shown the second instance before it is widened, where the framework allows that.

    Raises
    ------
    Float64RefusedError : something in it stays in a narrower float, or it does not run so.
    """
    if source.framework == "pytorch":
        from shipworthy.convert.original_torch import run_float64 as run
    elif source.kind == "onnx":
        from shipworthy.convert.original_onnx import run_float64 as run
    elif source.kind == "saved_model":
        from shipworthy.convert.original_saved_model import run_float64 as run
    else:
        from shipworthy.convert.original_keras import run_float64 as run
    return run(source, snapshot, inputs, check)


def name_outputs(
    result: Any, signature: Signature, to_array: Callable[[Any], Array]
) -> dict[str, Array]:
    """Give a model's answer its canonical names, as every hop does.

    Raises
    ------
    SignatureError : another number of outputs than the signature has.
    """
    try:
        flat = flatten(result, signature)
    except UnsupportedModelError as e:
        raise SignatureError(str(e)) from e
    return {spec.name: to_array(value) for spec, value in zip(signature.outputs, flat, strict=True)}


def widen(inputs: Arrays) -> Arrays:
    """Return the inputs with every float in float64."""
    return {
        name: value.astype(np.float64) if value.dtype.kind == "f" else value
        for name, value in inputs.items()
    }


def first_of(reasons: Sequence[str]) -> str:
    """Return the first reason, and how many there are beside it."""
    return reasons[0] + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
