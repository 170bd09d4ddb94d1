"""A model of the user's own, loaded; one file a kind.

Whatever the kind, the model comes out as `Opened`. Nothing is unpickled without limits and no code
of a file's is run, unless the user says ``--trust``; a ``.py`` file is the user's own code.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipworthy.models.errors import WrongUsageError
from shipworthy.models.given import Given


class OwnModelError(WrongUsageError):
    """A model of the user's own that cannot be loaded; the message says why and what to do."""


@dataclass(frozen=True)
class Opened:
    """A loaded model.

    Parameters
    ----------
    framework : one of `shipworthy.models.spec.FRAMEWORKS`.
    kind : of the `Source` it becomes: ``"module"``, or the file's own.
    model : a `torch.nn.Module` in eval mode, a `keras.Model`, or what the kind gives.
    args, kwargs : the example call, arrays or tensors in the structure that the model takes; None
        where the file says nothing of it.
    notes : what the user should know, one sentence each.
    files : what holds a model whose kind is not ``"module"``: the file or folder that was given,
        and what lies beside it and belongs to it. A copy of them loads as they do.
    """

    framework: str
    kind: str
    model: Any
    args: tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


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
