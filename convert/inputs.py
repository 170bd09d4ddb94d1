"""The inputs of a user's own model: what they are called, how they are handed over, their ranges.

They come from the model's factory, from ``--inputs``, from ``--input`` declarations, or from what
the model itself says of them, in that order; declarations override what an example shows.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.models.arguments import Arguments, describe
from shipworthy.models.given import Given, GivenError, parse_dynamic, parse_spec
from shipworthy.models.own import Opened
from shipworthy.models.spec import DTYPES, Array, TensorSpec

_PLAIN_RANGE = 6.0  # beyond it, floats are not drawn from a standard normal
_NARROWED = {"float16": "float32", "int8": "int32", "int16": "int32", "uint16": "int32"}


@dataclass(frozen=True)
class Inputs:
    """What a model takes.

    Parameters
    ----------
    specs : of every input, in order, with the axes named that the user named.
    arguments : how they are handed over; None is one by one.
    cases : real inputs by case name, each by input name.
    notes : what was assumed.
    """

    specs: tuple[TensorSpec, ...]
    arguments: Arguments | None
    cases: Mapping[str, Mapping[str, Array]]
    notes: tuple[str, ...] = ()


def find_inputs(given: Given, opened: Opened) -> Inputs:
    """Work out what a model takes.

    Raises
    ------
    GivenError : nothing says what the inputs are, or what was said does not fit together.
    """
    declared = [parse_spec(text) for text in given.specs]
    cases = read_npz(Path(given.inputs)) if given.inputs else {}
    notes: list[str] = []
    arguments: Arguments | None
    if opened.args is not None:
        arguments, tensors = _describe(opened)
        arrays = {name: as_array(name, value) for name, value in tensors.items()}
        arrays = _narrow(opened, arrays, tensors, notes)
        specs = [example_spec(name, value) for name, value in arrays.items()]
        specs = [_override(spec, opened.specs) for spec in specs]
        cases = {"example": arrays} | cases
    elif opened.specs:
        specs, arguments = [_ranged(spec, cases) for spec in opened.specs], None
    elif declared or cases:
        specs = declared or [example_spec(n, v) for n, v in next(iter(cases.values())).items()]
        arguments = _by_name(opened, [spec.name for spec in specs])
    else:
        specs, arguments = _own_inputs(opened), None
    specs = [_override(spec, declared) for spec in specs]
    _check_declared([spec.name for spec in specs], [spec.name for spec in declared], "--input")
    if given.dynamic is not None:
        specs = _name_axes(specs, parse_dynamic(given.dynamic))
    return Inputs(tuple(specs), arguments, cases, tuple(notes))


def read_npz(path: Path) -> dict[str, dict[str, Array]]:
    """Read cases: one with the inputs' names as keys, or several as ``case/input``.

    Raises
    ------
    GivenError : no such archive, or one with pickled objects.
    """
    found: dict[str, dict[str, Array]] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                case, slash, name = key.rpartition("/")
                found.setdefault(case if slash else "real", {})[name] = archive[key]
    except (OSError, ValueError) as e:
        raise GivenError(f"--inputs {path} cannot be read as an .npz of plain arrays: {e}") from e
    if not found:
        raise GivenError(f"--inputs {path} holds no array")
    return found


def as_array(name: str, value: Any) -> Array:
    """Return an example as an array of an allowed dtype.

    Raises
    ------
    GivenError : another dtype.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.name not in DTYPES:
        raise GivenError(
            f"input {name!r} is {array.dtype.name}; allowed: {', '.join(DTYPES)}"
            + (f"; give it as {_NARROWED[array.dtype.name]}"
               if array.dtype.name in _NARROWED else "")
        )  # fmt: skip
    return array


def example_spec(name: str, array: Array) -> TensorSpec:
    """Declare an input like an example: its dtype and shape, and the range of its values."""
    low: float | None = None
    high: float | None = None
    if array.dtype.kind in "iu":
        low, high = float(min(0, array.min(initial=0))), float(array.max(initial=0))
        high = 255.0 if array.dtype == np.uint8 else max(high, low + 1)
    elif array.dtype.kind == "f" and array.size:
        smallest, largest = float(array.min()), float(array.max())
        if smallest >= 0 or max(-smallest, largest) > _PLAIN_RANGE:
            low, high = smallest, max(largest, smallest + 1e-3)
    return TensorSpec(name, array.dtype.name, array.shape, low, high)


def _describe(opened: Opened) -> tuple[Arguments, dict[str, Any]]:
    assert opened.args is not None, "the caller has looked"
    names = parameter_names(opened, len(opened.args))
    try:
        return describe(opened.args, opened.kwargs or {}, names, _is_array)
    except TypeError as e:
        raise GivenError(f"the example inputs: {e}") from e


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def parameter_names(opened: Opened, count: int) -> list[str]:
    """Return what the model's author calls its first positional arguments."""
    model = opened.model
    if opened.framework == "tensorflow" and getattr(model, "inputs", None) and count == 1:
        names = [_plain(tensor.name) for tensor in model.inputs]
        return [names[0] if len(names) == 1 else "input"]
    call = getattr(model, "forward", None) or getattr(model, "call", None)
    names = []
    for p in inspect.signature(call).parameters.values() if call else ():
        if p.kind == p.VAR_POSITIONAL:
            names += [f"{p.name}_{i}" for i in range(count - len(names))]
        elif p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
    if len(names) < count:
        raise GivenError(
            f"there are {count} example inputs; the model takes {len(names)}: {', '.join(names)}"
        )
    return names[:count]


def _plain(name: str) -> str:
    return name.split(":")[0].split("/")[-1]


def _narrow(
    opened: Opened, arrays: dict[str, Array], tensors: Mapping[str, Any], notes: list[str]
) -> dict[str, Array]:
    """Take NumPy's default floats and ints for what the model computes in.

    A float64 array out of NumPy is a slip where the model has no float64 weight; a tensor of the
    framework's own is meant.
    """
    wanted = _declared_dtypes(opened)
    found = {}
    for name, array in arrays.items():
        dtype = wanted.get(name)
        if dtype is None and array.dtype == np.float64 and isinstance(tensors[name], np.ndarray):
            dtype = None if _computes_wide(opened) else "float32"
        if dtype is not None and dtype != array.dtype.name:
            notes.append(f"Input {name} was given as {array.dtype.name} and is taken as {dtype}.")
            array = array.astype(dtype)
        found[name] = array
    return found


def _declared_dtypes(opened: Opened) -> dict[str, str]:
    """Return the dtypes that a functional Keras model declares."""
    if opened.framework != "tensorflow":
        return {}
    try:
        tensors = list(opened.model.inputs or ())
    except (AttributeError, ValueError, TypeError):
        return {}
    return {_plain(t.name): str(t.dtype) for t in tensors if str(t.dtype) in DTYPES}


def _computes_wide(opened: Opened) -> bool:
    if opened.framework == "pytorch":
        return any("float64" in str(p.dtype) for p in opened.model.parameters())
    return any("float64" in str(v.dtype) for v in getattr(opened.model, "weights", ()))


def _by_name(opened: Opened, names: Sequence[str]) -> Arguments | None:
    """Hand declared inputs over by keyword where the model knows the names, else in order."""
    if opened.framework != "pytorch" or opened.kind != "module":
        return None
    accepted = inspect.signature(opened.model.forward).parameters
    if all(name in accepted for name in names):
        return {"args": [], "kwargs": {name: {"tensor": name} for name in names}}
    return None


def _own_inputs(opened: Opened) -> list[TensorSpec]:
    """Return what a built Keras model says of its inputs.

    Raises
    ------
    GivenError : the model says nothing.
    """
    tensors: list[Any] = []
    if opened.framework == "tensorflow" and opened.kind == "module":
        tensors = list(getattr(opened.model, "inputs", None) or ())
    if not tensors:
        raise GivenError(
            "nothing says what the model's inputs are; return (model, example_inputs) from the "
            "factory, or give --input name:dtype:axes (such as --input x:float32:batch,3,32,32), "
            "or real ones by --inputs cases.npz"
        )
    found = []
    for tensor in tensors:
        shape = [
            ("batch" if i == 0 else f"dim_{i}") if size is None else int(size)
            for i, size in enumerate(tensor.shape)
        ]
        high = 255.0 if str(tensor.dtype) == "uint8" else None
        low = None if high is None else 0.0
        found.append(TensorSpec(_plain(tensor.name), str(tensor.dtype), tuple(shape), low, high))
    return found


def _ranged(spec: TensorSpec, cases: Mapping[str, Mapping[str, Array]]) -> TensorSpec:
    """Give a declared input the range of its real values, where there are any."""
    for arrays in cases.values():
        if spec.name in arrays and spec.low is None and spec.high is None:
            seen = example_spec(spec.name, arrays[spec.name])
            return replace(spec, low=seen.low, high=seen.high)
    return spec


def _override(spec: TensorSpec, declared: Sequence[TensorSpec]) -> TensorSpec:
    for one in declared:
        if one.name == spec.name:
            low = spec.low if one.low is None else one.low
            high = spec.high if one.high is None else one.high
            return replace(one, low=low, high=high)
    return spec


def _check_declared(names: Sequence[str], said: Sequence[str], option: str) -> None:
    unknown = [name for name in said if name not in names]
    if unknown:
        raise GivenError(
            f"{option} names {', '.join(map(repr, unknown))}; the model's inputs are "
            f"{', '.join(names)}"
        )


def _name_axes(
    specs: Sequence[TensorSpec], dynamic: Mapping[str, Mapping[int, str]]
) -> list[TensorSpec]:
    _check_declared([spec.name for spec in specs], list(dynamic), "--dynamic")
    found = []
    for spec in specs:
        shape = list(spec.shape)
        for axis, name in dynamic.get(spec.name, {}).items():
            if axis >= len(shape):
                raise GivenError(
                    f"--dynamic names axis {axis} of {spec.name!r}, which has {len(shape)} axes: "
                    f"{list(spec.shape)}"
                )
            shape[axis] = name
        found.append(replace(spec, shape=tuple(shape)))
    return found
