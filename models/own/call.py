"""How example inputs become a call: by keyword, in order, or as the one argument they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Call = tuple[tuple[Any, ...], dict[str, Any]]


def read_example(
    model: Any, framework: str, example: Any
) -> tuple[tuple[Any, ...] | None, dict[str, Any] | None]:
    """Return the positional and keyword arguments that example inputs stand for; None for none.

    A dict goes by keyword where the model has such parameters, else whole. A pair of a tuple and a
    dict of such parameters is both. A list or tuple goes in order where the model takes as many,
    else whole.
    """
    if example is None:
        return None, None
    if framework == "tensorflow":
        return _keras_call(model, example)
    return arrange(model.forward, example)


def arrange(function: Callable[..., Any], example: Any) -> Call:
    """Return the call of a function that example inputs stand for."""
    accepted = parameters_of(function)
    if isinstance(example, Mapping):
        return ((), dict(example)) if _are_keywords(example, accepted) else ((example,), {})
    if not isinstance(example, list | tuple) or hasattr(example, "_fields"):
        return (example,), {}
    if len(example) == 2 and isinstance(example[0], tuple) and isinstance(example[1], Mapping):
        rest = dict(list(accepted.items())[len(example[0]) :])
        if example[1] and _are_keywords(example[1], rest):
            return tuple(example[0]), dict(example[1])
    kinds = [p.kind for p in accepted.values()]
    positional = [k for k in kinds if k.name in ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")]
    star = inspect.Parameter.VAR_POSITIONAL in kinds
    if len(positional) == 1 and len(example) > 1 and not star:
        return (example,), {}
    return tuple(example), {}


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function, a module or a layer, without its own switches."""
    written = getattr(function, "forward", None) or getattr(function, "call", None) or function
    try:
        found = inspect.signature(written).parameters
    except (TypeError, ValueError):  # a builtin, such as torch.sigmoid
        return {"x": inspect.Parameter("x", inspect.Parameter.POSITIONAL_ONLY)}
    keras = written is not function and hasattr(function, "call")
    # Of Keras' own models a mask is no input; of a class of the user's it may be.
    own = type(function).__module__.startswith("keras.")
    switches = ("training", "mask") if own else ("training",)
    return {n: p for n, p in found.items() if not (keras and n in switches)}


def _are_keywords(names: Mapping[str, Any], accepted: Mapping[str, Any]) -> bool:
    if any(p.kind == p.VAR_KEYWORD for p in accepted.values()):
        return True
    return all(name in accepted for name in names)


def _keras_call(model: Any, example: Any) -> Call:
    if is_functional(model):
        if isinstance(example, tuple | list):
            return ((list(example),) if len(example) > 1 else tuple(example)), {}
        return (example,), {}

    args, kwargs = arrange(model, example)
    # Keras takes several inputs in one argument as a list.
    return tuple(list(a) if a is example and isinstance(a, tuple) else a for a in args), kwargs


def is_functional(model: Any) -> bool:
    """Tell whether a Keras model declares its inputs."""
    try:
        return bool(model.inputs)
    except (AttributeError, ValueError):
        return False


def is_array(value: Any) -> bool:
    """Tell whether a value is an array or a framework's tensor."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def as_tensors(framework: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """Return a call's arguments with the framework's tensors for all arrays."""
    if framework == "pytorch":
        import torch
        from torch.utils._pytree import tree_map

        def convert(value: Any) -> Any:
            if isinstance(value, torch.Tensor) or not is_array(value):
                return value
            return torch.as_tensor(value)

    else:
        import keras

        tree_map = keras.tree.map_structure

        def convert(value: Any) -> Any:
            return keras.ops.convert_to_tensor(value) if is_array(value) else value

    found = tree_map(convert, (list(args), dict(kwargs)))
    return tuple(found[0]), found[1]
