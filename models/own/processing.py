"""``preprocess`` and ``postprocess`` that a model declares: inside the export, or beside it.

They are declared as keys of the dict that a factory gives, or as methods or attributes of the model
that its own code does not call. The example inputs are then raw: what ``preprocess`` takes. What is
made of the framework's own operations becomes part of the exported model; what is not (NumPy, PIL)
stays outside, and the model is judged on what the user's own code makes of the raw example.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shipworthy.models.own import Opened, OwnModelError
from shipworthy.models.own.call import (
    Call,
    arrange,
    as_tensors,
    is_array,
    parameters_of,
    read_example,
)
from shipworthy.models.own.whole import holds, make_whole

Function = Callable[..., Any]
_LIBRARIES = ("torch", "keras", "builtins", "tensorflow", "transformers")
GOLDEN = "golden"  # the case made of the raw example


@dataclass(frozen=True)
class _Declared:
    """A function around the model, and whether a dict declared it (else an attribute did)."""

    function: Function
    named: bool


def process(opened: Opened, declared: Mapping[str, Any], ready: Callable[[Opened], None]) -> Opened:
    """Wrap what is declared around a model, or say that it stays outside.

    Parameters
    ----------
    opened : the bare model, with the example taken for its own inputs.
    declared : what the factory gave: ``model``, ``inputs``, ``preprocess``, ``postprocess``, and
        ``inside``, which is False where they are to stay outside.
    ready : builds the bare model and fills in its weights.

    Raises
    ------
    OwnModelError : a declaration that does not fit; the message says how.
    """
    pre, post = (_find(opened.model, declared, name) for name in ("preprocess", "postprocess"))
    wanted = bool(declared.get("inside", True))
    notes: list[str] = []
    call: Call | None = None
    if pre is not None:
        fed, call, note = _feed(opened, pre, declared.get("inputs"))
        notes += [note] if note else []
        opened = fed
    ready(opened)
    facts: dict[str, Any] = {}
    inside: dict[str, Function] = {}
    for name, one in (("preprocess", pre), ("postprocess", post)):
        given = call if name == "preprocess" else _after(opened, one)
        if one is None or given is None:
            continue
        if wanted and holds(opened.framework, one.function, given):
            inside[name] = one.function
        raw = given if name == "preprocess" else None
        facts[name] = _facts(one.function, name in inside, raw)
        notes.append(_note(name, facts[name]))
    opened = replace(opened, notes=(*opened.notes, *notes), processing=facts)
    return _wrap(opened, inside, call) if inside else opened


def _feed(opened: Opened, pre: _Declared, raw: Any) -> tuple[Opened, Call | None, str]:
    """Run preprocess on the raw example.

    Returns
    -------
    The model with what came out for its example, and the call of preprocess; or the model as it
    was, None, and why preprocess is not used.
    """
    unused = "The model's preprocess was not used: "
    if raw is None:
        if pre.named:
            raise OwnModelError(
                'preprocess is declared without "inputs"; give raw example inputs with it'
            )
        return opened, None, f"{unused}there are no raw example inputs."
    call = arrange(pre.function, raw)
    try:
        prepared = _run(opened.framework, pre.function, call)
    except Exception as e:
        if pre.named:
            raise
        return opened, None, f"{unused}it does not take the example ({e})."
    args, kwargs = read_example(opened.model, opened.framework, prepared)
    fed = replace(opened, args=args, kwargs=kwargs)
    if not pre.named and _is_prepared(opened, fed):
        return opened, None, f"{unused}the example is prepared already."
    return fed, call, ""


def _after(opened: Opened, post: _Declared | None) -> Call | None:
    """Return the call of postprocess on what the model answers to its example."""
    if post is None or opened.args is None:
        return None
    return arrange(post.function, _answer(opened))


def _wrap(opened: Opened, inside: Mapping[str, Function], call: Call | None) -> Opened:
    pre, post = inside.get("preprocess"), inside.get("postprocess")
    whole = make_whole(opened.framework, opened.model, pre, post)
    if pre is not None and call is not None:
        opened = replace(opened, args=call[0], kwargs=call[1])
    if opened.framework == "tensorflow":
        args, kwargs = as_tensors("tensorflow", opened.args or (), opened.kwargs or {})
        whole(*args, **kwargs)  # builds it
    return replace(opened, model=whole)


def _find(model: Any, declared: Mapping[str, Any], name: str) -> _Declared | None:
    if declared.get(name) is not None:
        if not callable(declared[name]):
            raise OwnModelError(f'"{name}" is a {type(declared[name]).__name__}; give a callable')
        return _Declared(declared[name], True)
    function = getattr(model, name, None)
    if not callable(function) or _calls_itself(type(model), name):
        return None
    return _Declared(function, False)


def _calls_itself(kind: type, name: str) -> bool:
    """Tell whether the model's own code calls the method, which is then part of it already."""
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in _LIBRARIES:
            continue
        try:
            text = inspect.getsource(base)
        except (OSError, TypeError):
            continue
        if re.search(rf"\bself\.{name}\s*\(", text):
            return True
    return False


def _run(framework: str, function: Function, call: Call) -> Any:
    """Run a declared function on the raw example, as arrays, else as the framework's tensors."""
    try:
        return function(*call[0], **call[1])
    except Exception:
        args, kwargs = as_tensors(framework, *call)
        return function(*args, **kwargs)


def _is_prepared(bare: Opened, fed: Opened) -> bool:
    """Tell whether the model runs on the example itself, and not on what preprocess makes of it."""
    if bare.framework == "pytorch":
        bare.model.eval()
    try:
        _answer(fed)
    except Exception:
        try:
            _answer(bare)
        except Exception:
            return False
        return True
    return False


def _answer(opened: Opened) -> Any:
    args, kwargs = as_tensors(opened.framework, opened.args or (), opened.kwargs or {})
    if opened.framework == "tensorflow":
        return opened.model(*args, **kwargs, training=False)
    import torch

    with torch.no_grad():
        return opened.model(*args, **kwargs)


def _facts(function: Function, inside: bool, call: Call | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"inside": inside, "source": _source(function)}
    if call is not None:
        named = dict(zip(_names(function), call[0], strict=False)) | call[1]
        facts["raw"] = [{"name": name, **_spec(value)} for name, value in named.items()]
    return facts


def _note(name: str, facts: Mapping[str, Any]) -> str:
    if facts["inside"]:
        return f"{name} ({facts['source']}) is inside the export."
    if name == "preprocess":
        taken = ", ".join(" ".join(str(v) for v in one.values()) for one in facts["raw"])
        return (
            f"{name} ({facts['source']}) stays outside the export: run it before on {taken}; the "
            f"case {GOLDEN!r} is what it makes of the raw example."
        )
    return f"{name} ({facts['source']}) stays outside the export: run it on what comes out."


def _names(function: Function) -> list[str]:
    return [
        p.name
        for p in parameters_of(function).values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


def _spec(value: Any) -> dict[str, Any]:
    if is_array(value):
        dtype = str(getattr(value.dtype, "name", value.dtype)).removeprefix("torch.")
        return {"dtype": dtype, "shape": [int(size) for size in value.shape]}
    return {"type": f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")}


def _source(function: Any) -> str:
    """Return the file and line where a function or a layer's class is written."""
    while isinstance(function, functools.partial):
        function = function.func
    for one in (function, type(function)):
        library = (getattr(one, "__module__", None) or "builtins").partition(".")[0] in _LIBRARIES
        if library:
            name = getattr(one, "__name__", "")
            return str(name if one is function else f"{one.__module__.partition('.')[0]} {name}")
        try:
            file = inspect.getsourcefile(one)
            return f"{Path(file or '?').resolve()}:{inspect.getsourcelines(one)[1]}"
        except (OSError, TypeError):
            continue
    return str(getattr(function, "__name__", type(function).__name__))
