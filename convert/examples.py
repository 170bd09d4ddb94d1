"""Real inputs: read, checked, and brought to the dtypes that a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from shipworthy.models.given import GivenError
from shipworthy.models.spec import DTYPES, Array, Arrays, TensorSpec

_NARROWED = {
    "float16": "float32", "bfloat16": "float32", "int8": "int32", "int16": "int32",
    "uint16": "int32",
}  # fmt: skip


def read_npz(path: Path) -> dict[str, dict[str, Array]]:
    """Read cases: one with the inputs' names as keys, or several as ``case/input``.

    Raises
    ------
    GivenError : no such archive, or one with pickled objects.
    """
    found: dict[str, dict[str, Array]] = {}
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            for key in archive.files:
                case, slash, name = key.rpartition("/")
                found.setdefault(case if slash else "real", {})[name] = archive[key]
    except (OSError, ValueError, EOFError, TypeError, AttributeError, BadZipFile) as e:
        raise GivenError(
            f"--inputs {path} cannot be read as an .npz of plain arrays: {e}. Write it with "
            "numpy.savez(FILE, name=array, ...), without object arrays"
        ) from e
    if not found:
        raise GivenError(f"--inputs {path} holds no array")
    return found


def as_array(name: str, value: Any) -> Array:
    """Return an example as an array of an allowed dtype.

    Raises
    ------
    GivenError : another dtype, or no value at all.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            raise GivenError(_refuse(name, "bfloat16"))
        value = value.numpy()
    array = np.asarray(value)
    if array.dtype.name not in DTYPES:
        raise GivenError(_refuse(name, array.dtype.name))
    if not array.size:
        raise GivenError(
            f"input {name!r} has no value: its shape is {list(array.shape)}; give an example with "
            "at least one row"
        )
    return array


def _refuse(name: str, dtype: str) -> str:
    better = _NARROWED.get(dtype)
    dtype = (
        "of strings or objects" if dtype in ("object", "str") or dtype.startswith("str") else dtype
    )
    told = f"input {name!r} is {dtype}; allowed: {', '.join(DTYPES)}"
    return f"{told}; give it as {better}" if better else told


def cast(name: str, array: Array, dtype: str, notes: list[str]) -> Array:
    """Return an array in another dtype, and note that."""
    if dtype == array.dtype.name:
        return array
    notes.append(f"Input {name} was given as {array.dtype.name} and is taken as {dtype}.")
    return array.astype(dtype)


def check_case(
    case: str, arrays: Arrays, specs: Sequence[TensorSpec], notes: list[str]
) -> dict[str, Array]:
    """Check a case's names and dtypes; NumPy's default numbers become what the model takes.

    Raises
    ------
    GivenError : other names, or values that do not fit.
    """
    names = [spec.name for spec in specs]
    if sorted(arrays) != sorted(names):
        raise GivenError(
            f"case {case!r} of --inputs has {', '.join(arrays)}; the model's inputs are "
            f"{', '.join(names)}"
        )
    found = {}
    for spec in specs:
        array = as_array(spec.name, arrays[spec.name])
        wanted = np.dtype(spec.dtype)
        same = array.dtype.kind == wanted.kind or (array.dtype.kind, wanted.kind) == ("i", "u")
        if array.dtype != wanted and not (same and np.allclose(array, array.astype(wanted))):
            raise GivenError(
                f"case {case!r}: input {spec.name!r} is {array.dtype.name}; the model takes "
                f"{spec.dtype}, and its values do not all fit"
            )
        found[spec.name] = cast(spec.name, array, spec.dtype, notes)
    return found
