"""One snapshot of the original's weights, which every later process loads.

An unseeded factory gives every process another model; the snapshot makes them one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from shipworthy.models.cache import hash_path
from shipworthy.models.spec import Source
from shipworthy.models.weights import FILENAMES, load_weights, save_weights

ORIGINAL = "original"  # folder with a copy of a model that is a file of its own


class SnapshotError(Exception):
    """A snapshot that is missing or is not the one that was taken."""


def build_original(source: Source) -> Any:
    """Build the model, in inference mode.

    The Keras backend is the one ``KERAS_BACKEND`` names before Keras is first imported.

    Raises
    ------
    TypeError : the source builds something that is not a model of its framework.
    """
    model = source.build()
    if source.framework == "pytorch":
        import torch

        _check_type(source, model, torch.nn.Module, "torch.nn.Module")
        return model.eval()
    import keras

    _check_type(source, model, keras.Model, "keras.Model")
    return model


def take_snapshot(source: Source, weights: Path | None, folder: Path) -> tuple[Any, Path]:
    """Build and load the original; return it with the snapshot written into the folder.

    Parameters
    ----------
    weights : the trained weights, copied as they are; None takes those that `source.build` gives.
    """
    if source.load is not None:
        snapshot = _copy(source, folder / ORIGINAL)
        return source.load(snapshot / source.files[0].name), snapshot
    model = build_original(source)
    snapshot = folder / FILENAMES[source.framework]
    if weights is None:
        save_weights(model, source.framework, snapshot)
        return model, snapshot
    load_weights(model, source.framework, weights)
    shutil.copyfile(weights, snapshot)
    return model, snapshot


def _copy(source: Source, folder: Path) -> Path:
    """Copy the files that hold a model, so that every process loads the same ones.

    What belongs to the first file keeps its place relative to it.
    """
    beside = source.files[0].parent
    for file in source.files:
        target = folder / file.relative_to(beside)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            shutil.copytree(file, target)
        else:
            shutil.copyfile(file, target)
    return folder


def load_snapshot(source: Source, snapshot: Path) -> Any:
    """Build the model again and fill it with the snapshot."""
    if source.load is not None:
        return source.load(snapshot / source.files[0].name)
    model = build_original(source)
    load_weights(model, source.framework, snapshot)
    return model


def load_original(source: Source, reference_folder: Path) -> Any:
    """Return the model exactly as the reference process ran it; every hop starts here.

    Parameters
    ----------
    reference_folder : where the reference process wrote ``reference.json`` and the weights.

    Raises
    ------
    SnapshotError : no reference there, or weights whose hash is not the recorded one.
    """
    path = reference_folder / "reference.json"
    try:
        data = json.loads(path.read_text())
        name, recorded = data["weights"], data["weights_sha256"]
    except FileNotFoundError as e:
        raise SnapshotError(f"{path} does not exist; run the reference first") from e
    except (ValueError, KeyError, TypeError) as e:
        raise SnapshotError(f"{path} is not a reference shipworthy wrote: {e!r}") from e
    expected = FILENAMES[source.framework] if source.load is None else ORIGINAL
    if name != expected:
        raise SnapshotError(
            f"{path} names the weights {name!r}; a {source.framework} snapshot is {expected!r}"
        )
    snapshot = reference_folder / name
    if not snapshot.exists():
        raise SnapshotError(f"{snapshot} does not exist; run the reference again")
    found = hash_path(snapshot)
    if found != recorded:
        raise SnapshotError(
            f"{snapshot} has changed: its SHA-256 is {found}, the reference recorded {recorded}; "
            "run the reference again"
        )
    model = load_snapshot(source, snapshot)
    if source.kind == "exported_program":
        from shipworthy.convert.traceable import drop_checks

        drop_checks(model)
    return model


def choose_keras_backend(backend: str) -> None:
    """Set the Keras backend of this process.

    Raises
    ------
    RuntimeError : Keras is imported already, under another one.
    """
    import sys

    os.environ["KERAS_BACKEND"] = backend
    if "keras" in sys.modules:
        import keras

        if keras.backend.backend() != backend:
            raise RuntimeError(
                f"Keras is imported under the {keras.backend.backend()} backend; this process "
                f"needs {backend}: set KERAS_BACKEND={backend} before Keras is imported"
            )


def _check_type(source: Source, model: Any, expected: type, name: str) -> None:
    if not isinstance(model, expected):
        raise TypeError(
            f"{source.name} builds a {type(model).__module__}.{type(model).__name__}; "
            f"a {source.framework} source builds a {name}"
        )
