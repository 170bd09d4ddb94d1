"""``file.py:NAME``: what a user's own code builds.

NAME is a model, a callable that gives one, or either of these with example inputs: a pair
``(model, example_inputs)``, or a dict ``{"model": ..., "inputs": ..., "preprocess": ...,
"postprocess": ...}`` (see `shipworthy.models.own.processing`).
"""

from __future__ import annotations

import inspect
import random
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.models.errors import first_line
from shipworthy.models.given import Given
from shipworthy.models.own import Opened, OwnModelError
from shipworthy.models.own.call import as_tensors, read_example
from shipworthy.models.own.importing import import_file, resolve
from shipworthy.models.own.weights_file import load_into

_KEYS = ("model", "inputs", "preprocess", "postprocess", "inside")
_FORMS = (
    "a torch.nn.Module, a keras.Model, a pair (model, example_inputs), or a dict "
    '{"model": model, "inputs": example_inputs, ...}'
)


def load(given: Given) -> Opened:
    """Import the file, call the factory, fill in the weights, wrap what is declared around it.

    Random generators are seeded first, so that every process builds the same model.

    Raises
    ------
    OwnModelError : the file cannot be imported, has no such name, or it gives no model.
    """
    path = Path(given.path)
    found = _run(path, given.name)
    declared = _split(found, f"{path.name}:{given.name}")
    model, notes = _unwrap(declared["model"])
    framework = _framework(model)
    assert framework is not None, "_split has looked"
    example = declared.get("inputs")
    args, kwargs = read_example(model, framework, example)
    opened = Opened(
        framework, "module", model, args, kwargs,
        notes=(f"{path.name} is your own code and was run.", *notes),
    )  # fmt: skip
    try:
        # Only a declaration makes an example raw, so that one for the model itself builds it.
        from shipworthy.models.own.processing import process

        return process(opened, declared, lambda one: _ready(one, given, framework))
    except OwnModelError:
        raise
    except (Exception, SystemExit) as e:
        raise OwnModelError(tell(e, path, given.name)) from e


def _ready(opened: Opened, given: Given, framework: str) -> None:
    prepare(opened)
    if given.weights:
        load_into(opened.model, framework, Path(given.weights))


def _run(path: Path, name: str) -> Any:
    """Import the file and call what NAME is, until there is a model or something else."""
    given_argv = sys.argv
    sys.argv = [str(path)]  # what the file's own argparse may read
    try:
        _import_framework(path)
        _seed()
        found = resolve(import_file(path), name, path)
        _seed()
        for _ in range(2):  # a factory, or one that gives a class
            if callable(found) and not _is_model(found) and not hasattr(found, "variables"):
                found = found()
        return found
    except OwnModelError:
        raise
    except (Exception, SystemExit) as e:
        raise OwnModelError(tell(e, path, name)) from e
    finally:
        sys.argv = given_argv


def prepare(opened: Opened) -> None:
    """Bring a model into inference mode; build a Keras model that is not built by one call."""
    model = opened.model
    if opened.framework == "pytorch":
        model.eval()
    elif not model.built:
        if opened.args is None:
            raise OwnModelError(
                f"the Keras model {model.name!r} is not built, so its inputs are unknown; return "
                "(model, example_inputs), or begin it with a keras.Input"
            )
        args, kwargs = as_tensors("tensorflow", opened.args, opened.kwargs or {})
        model(*args, **kwargs)


def _import_framework(path: Path) -> None:
    """Import the framework that a file will, so that it is seeded before the file's first line."""
    text = path.read_text(errors="replace")
    for name in ("torch", "keras"):
        words = "torch" if name == "torch" else "keras|tensorflow"
        if re.search(rf"^\s*(import|from) ({words})\b", text, re.M):
            __import__(name)


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


def _is_model(value: Any) -> bool:
    return _framework(value) is not None


def _split(found: Any, what: str) -> Mapping[str, Any]:
    """Return a factory's answer as a dict with ``model``."""
    if _is_model(found):
        return {"model": found}
    if isinstance(found, tuple | list) and len(found) == 2 and _is_model(found[0]):
        return {"model": found[0], "inputs": found[1]}
    if isinstance(found, Mapping) and _is_model(found.get("model")):
        if unknown := [str(key) for key in found if key not in _KEYS]:
            raise OwnModelError(
                f"{what} gives a dict with {', '.join(map(repr, unknown))}; known keys are "
                f"{', '.join(_KEYS)}"
            )
        return found
    raise OwnModelError(f"{what} gives {_type(found)}; it must be, or give, {_FORMS}")


def _unwrap(model: Any) -> tuple[Any, tuple[str, ...]]:
    """Take a module out of what only runs it: torch.compile, DataParallel."""
    notes: list[str] = []
    for kind, attribute in (
        ("OptimizedModule", "_orig_mod"), ("DataParallel", "module"),
        ("DistributedDataParallel", "module"),
    ):  # fmt: skip
        if type(model).__name__ == kind:
            model = getattr(model, attribute)
            notes.append(f"The module inside {kind} was taken.")
    return model, tuple(notes)


def _framework(model: Any) -> str | None:
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    # A Keras model under the torch backend is both.
    if keras is not None and hasattr(keras, "Model") and isinstance(model, keras.Model):
        return "tensorflow"
    if torch is not None and hasattr(torch, "nn") and isinstance(model, torch.nn.Module):
        if isinstance(model, torch.jit.ScriptModule):
            raise OwnModelError(
                "the model is TorchScript already; give the nn.Module it was made from, or save it "
                "with torch.jit.save and give that file"
            )
        # A keras.Layer under the torch backend is no model in the others.
        return None if keras is not None and isinstance(model, keras.Layer) else "pytorch"
    return None


def _type(value: Any) -> str:
    if value is None:
        return "None (does it return the model?)"
    if inspect.iscoroutine(value) or inspect.isgenerator(value):
        return f"a {type(value).__name__}, which was not run"
    bases = {f"{b.__module__.partition('.')[0]}.{b.__name__}" for b in type(value).__mro__}
    if "keras.Layer" in bases:
        name = type(value).__name__
        return f"the layer {name} (wrap it: keras.Sequential([keras.Input(...), it]))"
    if "tensorflow.AutoTrackable" in bases:
        return (
            f"the TensorFlow module {type(value).__name__} (save it with tf.saved_model.save and "
            "give that folder)"
        )
    if isinstance(value, Mapping) and value and all(hasattr(v, "shape") for v in value.values()):
        return "weights alone (return the model, and give them by --weights)"
    if isinstance(value, list | tuple):
        if len(value) == 2 and hasattr(value[0], "variables"):
            return _type(value[0])
        kinds = ", ".join(type(one).__name__ for one in value[:4])
        return f"a {type(value).__name__} of {len(value)} ({kinds}{', ...' * (len(value) > 4)})"
    return f"a {type(value).__module__}.{type(value).__name__}"


def tell(error: BaseException, path: Path, name: str) -> str:
    """Say what the user's code raised, on which line of theirs, and what may help."""
    room = str(Path(__file__).resolve().parent)
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(room)
    ]
    own = [f for f in frames if "site-packages" not in f.filename and "<frozen" not in f.filename]
    own = [f for f in own if Path(f.filename).is_relative_to(path.parent)] or own
    what = first_line(error)
    at = f" at {own[-1].filename}:{own[-1].lineno}: {own[-1].line}" if own else ""
    return f"{path.name}:{name} raised {what}{at}{_hint(error, bool(own))}"


def _hint(error: BaseException, inside: bool) -> str:
    """Return what helps with the commonest slips."""
    said = str(error)
    if isinstance(error, TypeError) and not inside and "required" in said:
        return ". It is called without arguments; give its parameters defaults, or write a factory"
    if isinstance(error, FileNotFoundError):
        return f". Relative paths count from the working folder, {Path.cwd()}"
    if isinstance(error, SystemExit):
        return ". It ends the process in place of giving a model; it is run without arguments"
    if isinstance(error, EOFError):
        return ". It waits for input that nobody gives here"
    if "no known parent package" in said:
        return ". Put an __init__.py into the folders of its package"
    if isinstance(error, ModuleNotFoundError):
        return (
            ". Imports are looked up from the file's folder, its package's, its project's (with "
            f".git or pyproject.toml) and the working folder, {Path.cwd()}"
        )
    return ""
