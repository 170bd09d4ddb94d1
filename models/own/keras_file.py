"""``model.keras`` and ``model.h5``: a Keras model with its weights, Keras 3's or older.

Keras' ``safe_mode`` is on: code that is stored in the file (a Lambda layer's) does not run unless
the user says ``--trust``.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

from shipworthy.models.given import Given
from shipworthy.models.own import Opened, OwnModelError


def load(given: Given) -> Opened:
    """Load a Keras model, without its optimiser and losses.

    Raises
    ------
    OwnModelError : a damaged file, one of weights alone, one that needs code of the user's or
        holds code of its own.
    """
    path = Path(given.path)
    _check_file(path)
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=not given.trust)
    except Exception as e:  # of many kinds, each about the file
        raise OwnModelError(_why(path, str(e), type(e).__name__)) from e
    if not isinstance(model, keras.Model):
        raise OwnModelError(
            f"{path} holds a {type(model).__name__}; only a whole keras.Model can be exported"
        )
    if keras.config.floatx() == "float64":
        model = _widened(model, trust=given.trust)
    notes = ("Code that is stored in the file may have been run (--trust).",) if given.trust else ()
    return Opened("tensorflow", "module", model, notes=notes)


def _widened(model: Any, *, trust: bool) -> Any:
    """Build a model again in float64: a file keeps the dtype that every layer was saved with.

    Its weights are new; the caller puts them in.
    """
    import keras

    config = keras.saving.serialize_keras_object(model)
    left = [config]
    while left:
        value = left.pop()
        if isinstance(value, list | tuple):
            left += value
        elif isinstance(value, dict):
            if value.get("class_name") == "DTypePolicy" and value["config"]["name"] == "float32":
                value["config"]["name"] = "float64"
            elif value.get("dtype") == "float32":
                value["dtype"] = "float64"
            left += value.values()
    return keras.saving.deserialize_keras_object(config, safe_mode=not trust)


def _check_file(path: Path) -> None:
    """Tell what the file is by its first bytes, before Keras reads it."""
    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise OwnModelError(
                f"{path} is no Keras file: it is not a whole zip archive; copy or save it again "
                "with model.save(...)"
            )
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if "config.json" not in names:
            raise OwnModelError(
                f"{path} is a zip archive without the config.json of a Keras model; it has "
                f"{', '.join(names[:5]) or 'nothing'}"
            )
        return
    import h5py

    try:
        with h5py.File(path) as file:
            whole = "model_config" in file.attrs
    except OSError as e:
        raise OwnModelError(
            f"{path} is no HDF5 file, or is damaged: {_first(str(e))}; copy or save it again"
        ) from e
    if not whole:
        raise OwnModelError(
            f"{path} holds weights alone, without the model they belong to; give the code that "
            f"builds it: file.py:NAME --weights FILE.weights.h5"
        )


def _why(path: Path, told: str, kind: str) -> str:
    """Say what Keras refused, and which switch or what code would help."""
    if "Lambda" in told and ("unsafe" in told or "safe_mode" in told):
        return (
            f"{path} has a Lambda layer, that is Python code stored in the file, which is not run. "
            "If you trust where the file comes from, say --trust; better, write the layer as a "
            "class and give file.py:NAME"
        )
    custom = _custom_name(told)
    if custom:
        return (
            f"{path} uses the class or function {custom!r}, which is your own code and is not in "
            f"the file; give the code: file.py:NAME, where file.py defines {custom} and NAME is a "
            f"function such as `def model(): return keras.models.load_model({path.name!r})`"
        )
    return f"Keras cannot load {path}: {kind}: {_first(told)}"


def _custom_name(told: str) -> str | None:
    """Return the class or function that Keras did not find, out of its message."""
    for pattern in (
        r"Could not locate (?:class|function) '([^']+)'",
        r"Unknown (?:layer|object|\w+): '([^']+)'",
        r"Could not deserialize '([^']+)'",
    ):
        found = re.search(pattern, told)
        if found:
            return found[1]
    return None


def _first(told: Any) -> str:
    lines = [line.strip() for line in str(told).splitlines() if line.strip()]
    return lines[0] if lines else "no message"
