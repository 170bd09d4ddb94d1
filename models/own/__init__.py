"""A model of the user's own, loaded; one file a kind.

Whatever the kind, the model comes out as `Opened`. Nothing is unpickled without limits and no code
of a file's is run, unless the user says ``--trust``; a ``.py`` file is the user's own code.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipworthy.models.errors import WrongUsageError
from shipworthy.models.given import Given, parse_spec
from shipworthy.models.spec import DTYPES, TensorSpec


class OwnModelError(WrongUsageError):
    """A model of the user's own that cannot be loaded; the message says why and what to do."""


@dataclass(frozen=True)
class Opened:
    """A loaded model.

    Parameters
    ----------
    framework : one of `shipworthy.models.spec.FRAMEWORKS`.
    kind : of the `Source` it becomes: ``"module"``, or the file's own.
    model : a `torch.nn.Module` in eval mode, a `keras.Model`, or an object whose ``call_arrays``
        takes a list of arrays in the order of `specs` and returns arrays in any structure.
    args, kwargs : the example call, arrays or tensors in the structure that the model takes; None
        where the file says nothing of it.
    specs : what the file itself declares of its inputs, dynamic axes included; empty where it
        declares nothing, or only some of them where there is an example call.
    notes : what the user should know, one sentence each.
    files : what holds a model whose kind is not ``"module"``: the file or folder that was given,
        and what lies beside it and belongs to it. A copy of them loads as they do.
    processing : what is declared around the model, see `shipworthy.models.own.processing`.
    """

    framework: str
    kind: str
    model: Any
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    specs: tuple[TensorSpec, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    processing: Mapping[str, Any] = field(default_factory=dict)


# Which file loads a kind, and the framework that a kind is of; a Python file tells when it is run.
_LOADERS = {
    "python": "python_file",
    "keras": "keras_file",
    "saved_model": "saved_model_folder",
    "exported_program": "torch_file",
    "torchscript": "torch_file",
    "huggingface": "huggingface",
    "onnx": "onnx_file",
}


def open_own(given: Given) -> Opened:
    """Load a model.

    Raises
    ------
    OwnModelError : it cannot be loaded.
    """
    module = importlib.import_module(f"{__name__}.{_LOADERS[given.kind]}")
    load: Callable[[Given], Opened] = module.load
    return load(given)


def declare(
    given: Given, name: str, dtype: str, shape: Sequence[int | str | None] | None
) -> TensorSpec:
    """Declare an input as a file does, or as the user says in its place.

    Parameters
    ----------
    dtype : NumPy's name.
    shape : None is a dynamic axis without a name: the first is ``batch``, the others ``dim_1``,
        ``dim_2`` and so on, alike in all inputs. None in place of the shape is an unknown rank.

    Raises
    ------
    OwnModelError : a dtype that cannot be given to the runtimes, or an unknown rank and no
        ``--input`` that says it.
    """
    if dtype not in DTYPES:
        raise OwnModelError(
            f"input {name!r} of {given.path} is {dtype}; what can be given to every runtime is "
            f"{', '.join(DTYPES)}: convert to one of these inside the model"
        )
    if shape is None:
        for spec in map(parse_spec, given.specs):
            if spec.name == name:
                return spec
        raise OwnModelError(
            f"input {name!r} of {given.path} has no declared rank; say it, as in "
            f"--input {name}:{dtype}:batch,8"
        )
    named = [_axis(position, size) for position, size in enumerate(shape)]
    return TensorSpec(name, dtype, tuple(named), *((0.0, 255.0) if dtype == "uint8" else ()))


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Return the names in a file by names of letters, digits and underscores, in order.

    The file may come from anywhere, and names become parts of paths and of programs.
    """
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "tensor"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        while plain in found:
            plain += "_"
        found[plain] = name
    return found


def _axis(position: int, size: int | str | None) -> int | str:
    if isinstance(size, int):
        return size
    if position == 0:
        return "batch"
    plain = re.sub(r"\W+", "_", size or "").strip("_")
    return plain if plain.isidentifier() and plain != "batch" else f"dim_{position}"
