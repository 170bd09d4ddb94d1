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


def process(
    opened: Opened, declared: Mapping[str, Any], ready: Callable[[Opened], None]
) -> Opened:
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
    raw = declared.get("inputs")
    facts: dict[str, Any] = {}
    notes: list[str] = []
    call: Call | None = None
    if pre is not None and raw is None:
        if pre.named:
            raise OwnModelError(
                'preprocess is declared without "inputs"; give raw example inputs with it'
            )
        notes.append("The model's preprocess was not used: there are no raw example inputs.")
        pre = None
    if pre is not None:
        call = arrange(pre.function, raw)
        try:
            prepared = _run(opened.framework, pre.function, call)
        except Exception as e:
            if pre.named:
                raise
            notes.append(f"The model's preprocess was not used: it does not take the example ({e}).")
            pre = None
        else:
            args, kwargs = read_example(opened.model, opened.framework, prepared)
            fed = replace(opened, args=args, kwargs=kwargs)
            if not pre.named and _is_prepared(opened, fed):
                notes.append("The model's preprocess was not used: the example is prepared already.")
                pre = None
            else:
                opened = fed
    ready(opened)
    inside_pre = inside_post = None
    if pre is not None and call is not None:
        if wanted and holds(opened.framework, pre.function, call):
            inside_pre = pre.function
        facts["preprocess"] = _facts(pre.function, inside_pre, call)
        notes.append(_note("preprocess", facts["preprocess"]))
    if post is not None and opened.args is not None:
        answer = _answer(opened)
        if wanted and holds(opened.framework, post.function, arrange(post.function, answer)):
            inside_post = post.function
        facts["postprocess"] = _facts(post.function, inside_post, None)
        notes.append(_note("postprocess", facts["postprocess"]))
    opened = replace(opened, notes=(*opened.notes, *notes), processing=facts)
    if inside_pre is None and inside_post is None:
        return opened
    whole = make_whole(opened.framework, opened.model, inside_pre, inside_post)
    if inside_pre is not None and call is not None:
        opened = replace(opened, args=call[0], kwargs=call[1])
    opened = replace(opened, model=whole)
    if opened.framework == "tensorflow":
        args, kwargs = as_tensors("tensorflow", opened.args or (), opened.kwargs or {})
        whole(*args, **kwargs)
    return opened


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


def _facts(function: Function, inside: Function | None, call: Call | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"inside": inside is not None, "source": _source(function)}
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
