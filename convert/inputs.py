"""The inputs of a user's own model: what they are called, how they are handed over, their ranges.

They come from the model's factory, from ``--inputs``, from ``--input`` declarations, or from what
the model itself says of them, in that order; declarations override what an example shows.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from shipworthy.convert.examples import as_array, cast, check_case, read_npz
from shipworthy.convert.ranges import example_spec, shown
from shipworthy.models.arguments import Arguments, describe, rename
from shipworthy.models.given import Given, GivenError, parse_dynamic, parse_spec
from shipworthy.models.own import Opened
from shipworthy.models.own.call import is_array, is_functional, parameters_of
from shipworthy.models.spec import Array, Arrays, TensorSpec

_UNNAMED = re.compile(r"keras_tensor(_\d+)?|arr_\d+")


@dataclass(frozen=True)
class Inputs:
    """What a model takes.

    Parameters
    ----------
    specs : of every input, in order, with the axes named that the user named.
    arguments : how they are handed over; None is one by one.
    cases : real inputs by case name, each by input name.
    shown : the inputs whose range is wider than what the examples show, with that range.
    notes : what was assumed.
    asked : names of the axes that the user named.
    """

    specs: tuple[TensorSpec, ...]
    arguments: Arguments | None
    cases: Mapping[str, Arrays]
    shown: Mapping[str, TensorSpec] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    asked: tuple[str, ...] = ()


def find_inputs(given: Given, opened: Opened) -> Inputs:
    """Work out what a model takes.

    Raises
    ------
    GivenError : nothing says what the inputs are, or what was said does not fit together.
    """
    declared = [parse_spec(text) for text in given.specs]
    cases: dict[str, dict[str, Array]] = read_npz(Path(given.inputs)) if given.inputs else {}
    notes: list[str] = []
    arguments: Arguments | None = None
    if opened.args is not None:
        arguments, arrays = _describe(opened, notes)
        names = list(arrays)
        cases = _named(cases, names)
        cases = {"golden" if "preprocess" in opened.processing else "example": arrays} | cases
        specs = [TensorSpec(name, array.dtype.name, array.shape) for name, array in arrays.items()]
        specs = [_override(spec, opened.specs or _own_inputs(opened)) for spec in specs]
    elif known := list(opened.specs) or _own_inputs(opened):
        arguments = _nested(opened)
        specs, cases = known, _named(cases, [spec.name for spec in known])
    elif declared or cases:
        cases = _named(cases, [spec.name for spec in declared] or _parameter_names(opened))
        first = next(iter(cases.values()), {})
        specs = declared or [
            TensorSpec(name, as_array(name, value).dtype.name, value.shape)
            for name, value in first.items()
        ]
        arguments = _by_name(opened, [spec.name for spec in specs])
    else:
        raise GivenError(
            "nothing says what the model's inputs are; return (model, example_inputs) from the "
            "factory, or give --input name:dtype:axes (such as --input x:float32:batch,3,32,32), "
            "or real ones by --inputs cases.npz"
        )
    _check_declared([spec.name for spec in specs], [spec.name for spec in declared], "--input")
    specs = [_override(spec, declared) for spec in specs]
    cases = {name: check_case(name, one, specs, notes) for name, one in cases.items()}
    narrow: dict[str, TensorSpec] = {}
    specs = [_ranged(spec, cases, narrow) for spec in specs]
    dynamic = parse_dynamic(given.dynamic) if given.dynamic is not None else {}
    specs = _name_axes(specs, dynamic)
    asked = [name for spec in declared for name in spec.dynamic_axes.values()]
    asked += [name for axes in dynamic.values() for name in axes.values()]
    notes = list(dict.fromkeys(notes))
    return Inputs(tuple(specs), arguments, cases, narrow, notes, tuple(asked))


def _named(cases: dict[str, dict[str, Array]], names: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Name the arrays of a case that `numpy.savez` was given without names, in order."""
    found = {}
    for case, arrays in cases.items():
        unnamed = all(re.fullmatch(r"arr_\d+", name) for name in arrays)
        fits = unnamed and len(arrays) <= len(names) and not set(arrays) <= set(names)
        found[case] = dict(zip(names, arrays.values(), strict=False)) if fits else arrays
    return found


def _describe(opened: Opened, notes: list[str]) -> tuple[Arguments, dict[str, Array]]:
    """Return how the example is handed over, and its arrays by name."""
    assert opened.args is not None, "the caller has looked"
    names = _parameter_names(opened, len(opened.args))
    try:
        arguments, tensors = describe(opened.args, opened.kwargs or {}, names, is_array)
    except TypeError as e:
        raise GivenError(f"the example inputs: {e}") from e
    bundled = isinstance(opened.args[0] if opened.args else None, list | tuple)
    if opened.framework == "tensorflow" and is_functional(opened.model) and bundled:
        own = [spec.name for spec in _own_inputs(opened)]
        if len(own) == len(tensors):
            arguments = rename(arguments, dict(zip(tensors, own, strict=True)))
            tensors = dict(zip(own, tensors.values(), strict=True))
    wanted = {spec.name: spec.dtype for spec in _own_inputs(opened)}
    arrays = {}
    for name, value in tensors.items():
        array = as_array(name, value)
        dtype = wanted.get(name)
        # A float64 array out of NumPy is a slip where the model has no float64 weight; a tensor
        # of the framework's own is meant.
        slip = array.dtype == np.float64 and isinstance(value, np.ndarray | np.generic)
        if dtype is None and slip and not _computes_wide(opened):
            dtype = "float32"
        arrays[name] = cast(name, array, dtype or array.dtype.name, notes)
    return arguments, arrays


def _parameter_names(opened: Opened, count: int | None = None) -> list[str]:
    """Return what the model's author calls its first positional arguments; None is all.

    Raises
    ------
    GivenError : the model takes fewer.
    """
    model = opened.model
    if opened.framework == "tensorflow" and is_functional(model) and count == 1:
        own = _own_inputs(opened)
        return [own[0].name if len(own) == 1 else "input"]
    call = getattr(model, "forward", None) or getattr(model, "call", None)
    names: list[str] = []
    for p in parameters_of(model).values() if call else ():
        if p.kind == p.VAR_POSITIONAL:
            names += [f"{p.name}_{i}" for i in range((count or 0) - len(names))]
        elif p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
    if count is not None and len(names) < count:
        raise GivenError(
            f"there are {count} example inputs; the model takes {len(names)}: {', '.join(names)}"
        )
    return names if count is None else names[:count]


def _computes_wide(opened: Opened) -> bool:
    if opened.framework == "pytorch":
        return any("float64" in str(p.dtype) for p in opened.model.parameters())
    return any("float64" in str(v.dtype) for v in getattr(opened.model, "weights", ()))


def _by_name(opened: Opened, names: Sequence[str]) -> Arguments | None:
    """Hand inputs over by keyword where the model knows the names; else as a dict, or in order.

    Raises
    ------
    GivenError : a PyTorch model takes several arguments, of other names.
    """
    if opened.framework != "pytorch" or opened.kind != "module":
        return None
    accepted = parameters_of(opened.model)
    kinds = {p.kind for p in accepted.values()}
    nodes = {name: {"tensor": name} for name in names}
    if all(name in accepted for name in names) or inspect.Parameter.VAR_KEYWORD in kinds:
        return {"args": [], "kwargs": nodes}
    if len(names) == 1 or inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    if len(accepted) == 1:
        return {"args": [{"dict": nodes}], "kwargs": {}}
    raise GivenError(
        f"the inputs are called {', '.join(names)}; the model's forward takes "
        f"{', '.join(accepted)}. Use the same names"
    )


def _own_inputs(opened: Opened) -> list[TensorSpec]:
    """Return what a Keras model with declared inputs says of them; nothing for any other."""
    if opened.framework != "tensorflow" or opened.kind != "module":
        return []
    if not is_functional(opened.model):
        return []
    tensors = list(opened.model.inputs)
    found = []
    for number, tensor in enumerate(tensors):
        shape = [
            ("batch" if i == 0 else f"dim_{i}") if size is None else int(size)
            for i, size in enumerate(tensor.shape)
        ]
        name = tensor.name.split(":")[0].split("/")[-1]
        if _UNNAMED.fullmatch(name):  # Keras' own counter, which differs between processes
            name = "input" if len(tensors) == 1 else f"input_{number}"
        high = 255.0 if str(tensor.dtype) == "uint8" else None
        low = None if high is None else 0.0
        found.append(TensorSpec(name, str(tensor.dtype), tuple(shape), low, high))
    return found


def _nested(opened: Opened) -> Arguments | None:
    """Return how a Keras model is called whose declared inputs are nested; None for any other."""
    struct = getattr(opened.model, "input", None) if _own_inputs(opened) else None
    if not isinstance(struct, Mapping | list | tuple):
        return None
    if all(is_array(part) for part in (struct.values() if isinstance(struct, Mapping) else struct)):
        return None
    arguments, tensors = describe((struct,), {}, ["input"], is_array)
    own = zip(opened.model.inputs, _own_inputs(opened), strict=True)
    names = {id(tensor): spec.name for tensor, spec in own}
    return rename(arguments, {name: names[id(tensor)] for name, tensor in tensors.items()})


def _ranged(
    spec: TensorSpec, cases: Mapping[str, Arrays], narrow: dict[str, TensorSpec]
) -> TensorSpec:
    """Give an input the range of its real values, unless one is declared."""
    seen = [arrays[spec.name] for arrays in cases.values()]
    if spec.low is not None or spec.high is not None or not seen:
        return spec
    wide = example_spec(spec.name, seen)
    exact = shown(spec, seen)
    if (exact.low, exact.high) != (wide.low, wide.high):
        narrow[spec.name] = exact
    return replace(spec, low=wide.low, high=wide.high)


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
