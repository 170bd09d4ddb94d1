"""How a model takes its inputs: plain JSON that names every tensor.

A *node* is ``{"tensor": name}``, ``{"value": constant}``, ``{"list": [node, ...]}``,
``{"tuple": [...]}`` or ``{"dict": {key: node}}``. `Arguments` are ``{"args": [node, ...],
"kwargs": {name: node}}``. With them a dict, a nested list or a keyword argument is called in every
process as its author calls it, while all else sees a flat list of tensors.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Arguments = Mapping[str, Any]
# What a model may return beside tensors: it says the same at every call, or is no result.
_PLAIN = (bool, int, float, str, bytes)
_SYMBOLS = ("SymInt", "SymFloat", "SymBool")  # what torch.export has in place of numbers


def describe(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    names: Sequence[str],
    is_tensor: Callable[[Any], bool],
) -> tuple[Arguments, dict[str, Any]]:
    """Name every tensor in a call; return the arguments and the tensors by name.

    Parameters
    ----------
    names : of the positional arguments, as the model's author calls them.
    is_tensor : what counts as one; all else must be a container or a constant.

    Raises
    ------
    TypeError : an argument that is neither a tensor, a constant, nor a list, tuple or dict of them.
    """
    tensors: dict[str, Any] = {}

    def node(value: Any, name: str) -> dict[str, Any]:
        if is_tensor(value):
            name = _plain(name, "input")
            while name in tensors:
                name += "_"
            tensors[name] = value
            return {"tensor": name}
        if value is None or isinstance(value, bool | int | float | str):
            return {"value": value}
        if isinstance(value, Mapping):
            if odd := [key for key in value if not isinstance(key, str)]:
                raise TypeError(f"argument {name!r} is a dict with the key {odd[0]!r}; use strings")
            return {"dict": {str(k): node(v, _join(name, k)) for k, v in value.items()}}
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [node(v, _join(name, i)) for i, v in enumerate(value)]}
        raise TypeError(
            f"argument {name!r} is a {type(value).__module__}.{type(value).__name__}; give arrays "
            "or tensors, numbers, or lists, tuples and dicts of them"
        )

    arguments = {
        "args": [
            node(value, "" if _is_bundle(value, len(args)) else name)
            for name, value in zip(names, args, strict=True)
        ],
        "kwargs": {name: node(value, name) for name, value in kwargs.items()},
    }
    return arguments, tensors


def _is_bundle(value: Any, count: int) -> bool:
    """Tell whether an argument is all there is, and its keys need no prefix."""
    return count == 1 and isinstance(value, Mapping)


def _join(name: str, part: Any) -> str:
    return f"{name}_{part}" if name else str(part)


def fill(arguments: Arguments, tensors: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the call's positional and keyword arguments, with these tensors in their places."""

    def build(node: Mapping[str, Any]) -> Any:
        ((kind, content),) = node.items()
        if kind == "tensor":
            return tensors[content]
        if kind == "dict":
            return {key: build(value) for key, value in content.items()}
        if kind == "list":
            return [build(value) for value in content]
        if kind == "tuple":
            return tuple(build(value) for value in content)
        return content

    return (
        [build(node) for node in arguments["args"]],
        {name: build(node) for name, node in arguments["kwargs"].items()},
    )


def rename(arguments: Arguments, names: Mapping[str, str]) -> Arguments:
    """Return the arguments with other names for some tensors."""

    def build(node: Mapping[str, Any]) -> dict[str, Any]:
        ((kind, content),) = node.items()
        if kind == "tensor":
            return {kind: names.get(content, content)}
        if kind == "dict":
            return {kind: {key: build(value) for key, value in content.items()}}
        if kind in ("list", "tuple"):
            return {kind: [build(value) for value in content]}
        return {kind: content}

    return {
        "args": [build(node) for node in arguments["args"]],
        "kwargs": {name: build(node) for name, node in arguments["kwargs"].items()},
    }


def show(arguments: Arguments, shown: Mapping[str, str]) -> str:
    """Write a call's arguments as in Python.

    Parameters
    ----------
    shown : what stands for each tensor, such as ``float32[2, 4]``.
    """

    def text(node: Mapping[str, Any]) -> str:
        ((kind, content),) = node.items()
        if kind == "tensor":
            return shown[content]
        if kind == "dict":
            return "{" + ", ".join(f"{k!r}: {text(v)}" for k, v in content.items()) + "}"
        if kind in ("list", "tuple"):
            inside = ", ".join(text(value) for value in content)
            return f"[{inside}]" if kind == "list" else f"({inside})"
        return repr(content)

    words = [text(node) for node in arguments["args"]]
    words += [f"{name}={text(node)}" for name, node in arguments["kwargs"].items()]
    return ", ".join(words)


def name_leaves(outputs: Any, name: str = "output") -> Iterator[tuple[str, Any]]:
    """Yield every tensor of a model's answer with a name made of its path.

    A single tensor is ``output``, those of a list or tuple ``output_0``, ``output_1``; in a dict,
    a named tuple or a dataclass the keys are the names, with letters, digits and underscores for
    what they have else. None, numbers and strings are no tensors and are left out.
    """
    taken: set[str] = set()
    for path, leaf in _leaves(outputs, name):
        if type(leaf) not in _PLAIN and type(leaf).__name__ not in _SYMBOLS:
            found = _plain(path, name)
            while found in taken:
                found += "_"
            taken.add(found)
            yield found, leaf


def name_constants(outputs: Any) -> list[str]:
    """Return, as ``path = value``, what `name_leaves` leaves out of a model's answer."""
    return [f"{p} = {v!r}" for p, v in _leaves(outputs, "output") if type(v) in _PLAIN]


def _leaves(outputs: Any, name: str) -> Iterator[tuple[str, Any]]:
    if outputs is None:
        return
    fields = getattr(outputs, "_fields", None)
    if isinstance(outputs, tuple) and fields:
        outputs = dict(zip(fields, outputs, strict=True))
    elif dataclasses.is_dataclass(outputs) and not isinstance(outputs, Mapping | type):
        outputs = {f.name: getattr(outputs, f.name) for f in dataclasses.fields(outputs)}
    if isinstance(outputs, Mapping):
        for key, value in outputs.items():
            yield from _leaves(value, str(key) if name == "output" else f"{name}_{key}")
    elif isinstance(outputs, list | tuple):
        for i, value in enumerate(outputs):
            yield from _leaves(value, f"{name}_{i}")
    else:
        yield name, outputs


def _plain(name: str, prefix: str) -> str:
    """Return a name of ASCII letters, digits and underscores that begins with a letter."""
    found = re.sub(r"\W", "_", name, flags=re.ASCII)
    return found if found[:1].isalpha() else f"{prefix}_{found}".rstrip("_")
