"""Looks at a user's own model, in a process of its own: framework, signature, cases, files.

Run as ``python -m shipworthy.convert.inspection GIVEN.json --cases FOLDER --out FOLDER``. Writes
``found.json`` and ``cases/`` into the folder, or ``failure.json`` with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import itertools
import json
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.artifact import FAILURE, write_json
from shipworthy.convert.axes import find_axes
from shipworthy.convert.calling import call_keras, call_torch
from shipworthy.convert.cases import SignatureError, bind
from shipworthy.convert.inputs import Inputs, find_inputs
from shipworthy.convert.original import first_line
from shipworthy.convert.probe import Answer, to_array
from shipworthy.models.arguments import name_constants, name_leaves
from shipworthy.models.cache import hash_json, hash_path
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.given import Given, GivenError
from shipworthy.models.own import Opened, open_own
from shipworthy.models.own.call import parameters_of
from shipworthy.models.spec import Arrays, Case, Signature
from shipworthy.models.subject import Found, write_cases

FOUND = "found.json"
_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/lib", "/usr/lib", "/usr/share", "/usr/include")


def inspect_model(given: Given, cases_folder: Path, folder: Path) -> Found:
    """Load and run a model; write what was found into a private folder.

    Parameters
    ----------
    cases_folder : where the cases will lie once the folder is published.

    Raises
    ------
    shipworthy.models.errors.ShipworthyError : it cannot be loaded, or does not run.
    """
    with read_files() as read:
        opened = open_own(given)
    inputs = find_inputs(given, opened)
    example = next(iter(inputs.cases.values()), None)
    constants: list[str] = []
    axes = find_axes(
        inputs.specs,
        inputs.arguments,
        example,
        _answer(opened, inputs, constants),
        shown=inputs.shown,
        asked=inputs.asked,
        takes=_takes(opened),
    )
    write_cases(_cases(inputs, axes.signature), folder / "cases")
    if constants:
        told = ", ".join(dict.fromkeys(constants))
        inputs.notes.append(f"Left out of the outputs, being no tensors: {told}.")
    files = own_files(given, (*opened.files, *read))
    found = Found(
        framework=opened.framework,
        kind=opened.kind,
        signature=axes.signature,
        identity=hash_json([given.to_json(), files, _hash_weights(opened)]),
        cases=str(cases_folder),
        files=tuple(str(file) for file in opened.files),
        notes=(*opened.notes, *inputs.notes, *axes.notes),
        processing=opened.processing,
    )
    write_json(folder / FOUND, {"schema": 1, "files": files, "found": found.to_json()})
    return found


def _hash_weights(opened: Opened) -> str:
    """Return the hash of what a factory gave its model; libraries may read files unseen.

    Such as HDF5's and safetensors', which are no Python code.
    """
    if opened.kind != "module":
        return ""  # the files are all there is
    digest = hashlib.sha256()
    if opened.framework == "pytorch":
        values = {k: v for k, v in opened.model.state_dict().items() if hasattr(v, "numpy")}
        # NumPy has no bfloat16.
        narrow = {k: v.float() if "bfloat16" in str(v.dtype) else v for k, v in values.items()}
        arrays = {name: value.detach().cpu().numpy() for name, value in narrow.items()}
    else:
        arrays = {f"{i}": np.array(v) for i, v in enumerate(opened.model.weights)}
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data if array.size else b"")
    return digest.hexdigest()


@contextlib.contextmanager
def read_files() -> Iterator[set[Path]]:
    """Note the files that are opened for reading meanwhile, such as a factory's own checkpoint."""
    found: set[Path] = set()
    watching = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(args[0], str) and args[1] in ("r", "rb"):
            found.add(Path(args[0]).absolute())

    sys.addaudithook(hook)  # for good: Python has no way to take one back
    try:
        yield found
    finally:
        watching = False


def own_files(given: Given, held: Sequence[Path] = ()) -> list[list[str]]:
    """Return every file that shapes the model, with its hash: what was given and what it imported.

    Of the modules loaded and the files read, those outside Python's and the packages' folders, and
    the system's, are the user's.

    Parameters
    ----------
    held : files that belong to the one given, such as an ONNX model's external data, or were read.
    """
    places = [Path(p).resolve() for p in {*sysconfig.get_paths().values(), sys.prefix, *_SYSTEM}]
    room = Path(__file__).resolve().parent.parent
    rooms = [room / name for name in ("models", "convert", "serve", "report", "cli", "build")]
    paths = {Path(given.path)} | {Path(p) for p in (given.weights, given.inputs) if p}
    for path in held:
        mine = not any(path.resolve().is_relative_to(place) for place in places)
        our = any(path.is_relative_to(place) for place in rooms)
        if path.exists() and mine and path.suffix != ".pyc" and not our:
            paths.add(path)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        ours = module.__name__.partition(".")[0] == "shipworthy" and path.is_relative_to(room)
        if path.is_file() and not ours and not any(path.is_relative_to(p) for p in places):
            paths.add(path)
    return [[str(path), hash_path(path)] for path in sorted(paths)]


def _takes(opened: Opened) -> str:
    """Return how the model's author declares its arguments."""
    if opened.kind != "module":
        return ""
    name = "forward" if opened.framework == "pytorch" else "call"
    taken = parameters_of(opened.model).values()
    shown = ", ".join(str(p.replace(annotation=p.empty)) for p in taken)
    return f"{name}({shown})" if len(shown) < 300 else ""


def _answer(opened: Opened, inputs: Inputs, constants: list[str]) -> Answer:
    """Return a function that runs the original and names its outputs by their paths.

    Parameters
    ----------
    constants : is added what is left out of the outputs.
    """
    signature = Signature(inputs.specs, (), inputs.arguments)
    call: Callable[[list[Any]], Any]
    if opened.framework == "pytorch":
        import torch

        def call(tensors: list[Any]) -> Any:
            with torch.no_grad():
                return call_torch(opened.model, [torch.tensor(t) for t in tensors], signature)

    elif opened.framework == "tensorflow" and opened.kind == "module":
        import tensorflow as tf

        def call(tensors: list[Any]) -> Any:
            return call_keras(opened.model, [tf.constant(t) for t in tensors], signature)

    else:
        call = opened.model.call_arrays

    def answer(arrays: Arrays) -> dict[str, Any]:
        given = [arrays[spec.name] for spec in signature.inputs]
        outputs = call(given)
        constants[:] = name_constants(outputs)
        # No format has one name for an input and an output.
        return {
            f"{name}_out" if name in arrays else name: to_array(value)
            for name, value in name_leaves(outputs)
        }

    return answer


def _cases(inputs: Inputs, signature: Signature) -> list[Case]:
    """Return the real cases; each has to fit the signature.

    Raises
    ------
    GivenError : one has other shapes.
    """
    found: list[Case] = []
    for name, arrays in inputs.cases.items():
        try:
            bind(signature.inputs, arrays, f"case {name!r}, input")
        except SignatureError as e:
            raise GivenError(
                f"{e}. Name an axis that changes from case to case: --dynamic INPUT:AXIS=NAME"
            ) from e
        ordered = {spec.name: arrays[spec.name] for spec in signature.inputs}
        found.append(Case(_case_name(name, {case.name for case in found}), ordered))
    return found


def _case_name(name: str, taken: Collection[str]) -> str:
    """Return a file name for a case that no other has, the synthesised ones included."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip("_.-") or "case"
    if re.fullmatch(r"random_b?\d+|task", plain):
        plain = f"given_{plain}"
    names = itertools.chain([plain], (f"{plain}_{i}" for i in itertools.count(2)))
    return next(one for one in names if one not in taken)


def main(argv: Sequence[str] | None = None) -> int:
    """Look at the model described in a file; 0 if it was found."""
    parser = argparse.ArgumentParser(prog="python -m shipworthy.convert.inspection")
    parser.add_argument("given", type=Path)
    parser.add_argument("--cases", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--timeout", type=float, default=0.0, help="seconds until it is ended")
    args = parser.parse_args(argv)
    faulthandler.enable()
    if args.timeout:  # before that, so that the log says where it hangs
        faulthandler.dump_traceback_later(max(0.5 * args.timeout, args.timeout - 20))
    try:
        given = Given.from_json(json.loads(args.given.read_text()))
        inspect_model(given, args.cases, args.out)
    except ShipworthyError as e:
        traceback.print_exc()
        write_json(args.out / FAILURE, {"kind": type(e).__name__, "reason": str(e)})
        return 1
    except Exception as e:
        traceback.print_exc()
        write_json(args.out / FAILURE, {"kind": type(e).__name__, "reason": first_line(e)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
