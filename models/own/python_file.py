"""``file.py:NAME``: what a user's own code builds.

NAME is a model, a callable that gives one, or either of these with example inputs: a pair
``(model, example_inputs)``. The file is imported as it would be in the user's repository: a file of
a package by its dotted name, with the folder above the package, the file's own folder and the
working folder on the path.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import random
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from shipworthy.models.given import Given
from shipworthy.models.own import Opened, OwnModelError
from shipworthy.models.own.weights_file import load_into


def load(given: Given) -> Opened:
    """Import the file, call the factory, fill in the weights.

    Random generators are seeded first, so that every process builds the same model.

    Raises
    ------
    OwnModelError : the file cannot be imported, has no such name, or it gives no model.
    """
    path = Path(given.path)
    try:
        found = _resolve(_import(path), given.name, path)
        _seed()
        if not _is_model(found) and callable(found):
            found = found()
    except OwnModelError:
        raise
    except (Exception, SystemExit) as e:
        raise OwnModelError(_where(e, path, given.name)) from e
    model, example = _split(found)
    framework = _framework(model)
    if framework is None:
        raise OwnModelError(
            f"{path.name}:{given.name} gives a {_type(model)}; it must be, or give, a "
            "torch.nn.Module, a keras.Model, or a pair (model, example_inputs)"
        )
    args, kwargs = _example(model, framework, example)
    opened = Opened(
        framework, "module", model, args, kwargs,
        notes=(f"{path.name} is your own code and was run.",),
    )  # fmt: skip
    prepare(opened)
    if given.weights:
        load_into(opened.model, framework, Path(given.weights))
    return opened


def prepare(opened: Opened) -> None:
    """Bring a model into inference mode; build a Keras model that is not built by one call."""
    model = opened.model
    if opened.framework == "pytorch":
        model.eval()
    elif not model.built or not getattr(model, "weights", None):
        if opened.args is None:
            raise OwnModelError(
                f"the Keras model {model.name!r} is not built, so its inputs are unknown; return "
                "(model, example_inputs), or call it once before you return it"
            )
        import keras

        as_tensors = keras.tree.map_structure(
            lambda value: keras.ops.convert_to_tensor(value) if _is_array(value) else value,
            (list(opened.args), dict(opened.kwargs or {})),
        )
        model(*as_tensors[0], **as_tensors[1])


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _import(path: Path) -> ModuleType:
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    for folder in dict.fromkeys((str(Path.cwd()), str(path.parent), str(root))):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    if len(parts) > 1:
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        return importlib.import_module(name)
    # Not by its bare name: that may be taken by an installed package.
    spec = importlib.util.spec_from_file_location(f"_own_{path.stem}", path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling look a class' module up
    spec.loader.exec_module(module)
    return module


def _resolve(module: ModuleType, name: str, path: Path) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            raise OwnModelError(
                f"{path.name} has no {name!r}; it has: {', '.join(public) or 'nothing callable'}"
            )
        found = getattr(found, part)
    return found


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


def _is_model(value: Any) -> bool:
    return _framework(_split(value)[0]) is not None


def _split(found: Any) -> tuple[Any, Any]:
    if isinstance(found, tuple) and len(found) == 2 and _framework(found[0]) is not None:
        return found
    return found, None


def _framework(model: Any) -> str | None:
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    # A Keras model under the torch backend is both.
    if keras is not None and hasattr(keras, "Model") and isinstance(model, keras.Model):
        return "tensorflow"
    if torch is not None and hasattr(torch, "nn") and isinstance(model, torch.nn.Module):
        return "pytorch"
    return None


def _example(
    model: Any, framework: str, example: Any
) -> tuple[tuple[Any, ...] | None, dict[str, Any] | None]:
    """Read example inputs: a dict by keyword where the model has such parameters, else as it is."""
    if example is None:
        return None, None
    call = model.forward if framework == "pytorch" else model.call
    accepted = inspect.signature(call).parameters
    functional = framework == "tensorflow" and _is_functional(model)
    if isinstance(example, Mapping):
        if not functional and all(name in accepted for name in example):
            return (), dict(example)
        return (dict(example),), {}
    if isinstance(example, list | tuple):
        if functional and len(example) > 1:
            return (list(example),), {}
        takes = [
            p for p in accepted.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name != "training"
        ]  # fmt: skip
        star = any(p.kind == p.VAR_POSITIONAL for p in accepted.values())
        if framework == "tensorflow" and len(example) > len(takes) and not star:
            return (list(example),), {}
        return tuple(example), {}
    return (example,), {}


def _is_functional(model: Any) -> bool:
    try:
        return bool(model.inputs)
    except (AttributeError, ValueError):
        return False


def _type(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


def _where(error: BaseException, path: Path, name: str) -> str:
    """Say what the user's code raised, and on which line of theirs."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    own = [f for f in frames if "site-packages" not in f.filename and "<frozen" not in f.filename]
    own = [f for f in own if Path(f.filename).is_relative_to(path.parent)] or own
    lines = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
    at = f" at {own[-1].filename}:{own[-1].lineno}: {own[-1].line}" if own else ""
    return f"{path.name}:{name} raised {what}{at}"
