"""``--weights FILE``: trained values for what a Python file builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shipworthy.models.own import OwnModelError
from shipworthy.models.weights import load_weights

# Where frameworks' training loops put a model's values inside a checkpoint.
_INSIDE = ("state_dict", "model_state_dict", "model")


def load_into(model: Any, framework: str, path: Path) -> None:
    """Fill a model with a file's values; every weight must be there and fit.

    Parameters
    ----------
    path : ``.safetensors`` or a ``.pt``/``.pth`` state dict for PyTorch (read with
        ``weights_only=True``: tensors and plain values, no code), ``.weights.h5`` for Keras.

    Raises
    ------
    OwnModelError : another kind of file, or one that cannot be read safely.
    shipworthy.models.weights.WeightsError : names or shapes that do not fit the model.
    """
    if framework == "tensorflow":
        if not path.name.endswith(".weights.h5"):
            raise OwnModelError(f"--weights {path}: a Keras model takes a .weights.h5 file")
        load_weights(model, framework, path)
    elif path.suffix == ".safetensors":
        load_weights(model, framework, path)
    elif path.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        _load_state(model, path)
    else:
        raise OwnModelError(
            f"--weights {path}: a PyTorch model takes .safetensors, or a .pt or .pth state dict"
        )


def _load_state(model: Any, path: Path) -> None:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        raise OwnModelError(
            f"--weights {path} holds more than tensors and plain values, or is damaged "
            f"({str(e).strip().splitlines()[0]}). It is not unpickled without limits; write the "
            "values alone: torch.save(model.state_dict(), FILE), or a .safetensors file"
        ) from e
    for key in _INSIDE:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    try:
        model.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, AttributeError) as e:
        told = " ".join(str(e).split())
        raise OwnModelError(f"--weights {path} does not fit {type(model).__name__}: {told}") from e
