"""Weights to a file and back: safetensors for PyTorch, ``.weights.h5`` for Keras.

Neither format runs code when it is read. Both store values only; the model comes from its source.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shipworthy.models.errors import ShipworthyError

# How each framework's weights are called on disk.
FILENAMES = {"pytorch": "weights.safetensors", "tensorflow": "weights.weights.h5"}


class WeightsError(ShipworthyError):
    """A weights file that is missing, broken, or of another model."""


def save_weights(model: Any, framework: str, path: Path) -> None:
    """Write a model's weights and buffers.

    Parameters
    ----------
    model : `torch.nn.Module` or `keras.Model`. Tensors that share storage are stored once.
    framework : ``"pytorch"`` or ``"tensorflow"``.
    path : a file; for Keras its name must end in ``.weights.h5``.

    Raises
    ------
    ValueError : an unknown framework, or a file name that Keras refuses.
    """
    _check(framework, path)
    if framework == "tensorflow":
        with _without_optimiser(model):
            model.save_weights(str(path))
    else:
        from safetensors.torch import save_model

        save_model(model, str(path))
    path.chmod(0o644)  # safetensors leaves a file that only its owner can read


def load_weights(model: Any, framework: str, path: Path) -> None:
    """Fill a model, in place, with what `save_weights` wrote.

    Every weight of the model must be in the file and the other way round. Values are cast to the
    model's dtype, so a float64 model takes float32 weights without loss.

    Parameters
    ----------
    model : `torch.nn.Module`, or a built `keras.Model` under any Keras backend and dtype policy.
    framework : ``"pytorch"`` or ``"tensorflow"``.

    Raises
    ------
    ValueError : an unknown framework, or a file name that Keras refuses.
    WeightsError : no such file, not a weights file, or names or shapes that do not fit the model.
    """
    _check(framework, path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; train the model first, or correct the path")
    try:
        if framework == "tensorflow":
            _load_keras(model, path)
        else:
            _load_torch(model, path)
    except (OSError, RuntimeError, ValueError, KeyError, UserWarning) as e:
        raise WeightsError(
            f"{path} does not fit the {framework} model {type(model).__name__}: {e}"
        ) from e


def _check(framework: str, path: Path) -> None:
    if framework not in FILENAMES:
        raise ValueError(f"unknown framework {framework!r}; known: {', '.join(FILENAMES)}")
    if framework == "tensorflow" and not path.name.endswith(".weights.h5"):
        raise ValueError(f"{path.name!r} must end in '.weights.h5', or Keras will not take it")


def _load_torch(model: Any, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(model, str(path), strict=True)
    except SafetensorError as e:
        raise ValueError(f"not a safetensors file ({e})") from e


def _load_keras(model: Any, path: Path) -> None:
    if not model.built:
        raise ValueError("the model is not built, so it has no weights to fill yet; call it once")
    # Keras only warns where it leaves a layer as it was initialised.
    with _without_optimiser(model), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.load_weights(str(path))
        # It says nothing at all where the file holds more than the model; what the model would
        # write itself is the one complete list of its variables.
        with tempfile.TemporaryDirectory() as folder:
            again = Path(folder) / FILENAMES["tensorflow"]
            model.save_weights(str(again))
            extra = sorted(_variables(path) - _variables(again))
    if extra:
        raise ValueError(f"the file holds variables that the model has not: {', '.join(extra)}")


def _variables(path: Path) -> set[str]:
    """Return the paths of all variables in a ``.weights.h5`` file, but an optimiser's."""
    import h5py

    found: set[str] = set()
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.add(name) if isinstance(item, h5py.Dataset) else None
        )
    return {name for name in found if not name.startswith("optimizer/")}


@contextmanager
def _without_optimiser(model: Any) -> Iterator[None]:
    """Hide a compiled Keras model's optimiser, whose state Keras takes for weights."""
    optimiser = getattr(model, "optimizer", None)
    if optimiser is None:
        yield
        return
    model.optimizer = None
    try:
        yield
    finally:
        model.optimizer = optimiser
