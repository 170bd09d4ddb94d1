"""Looks at a user's own model, in a process of its own: framework, signature, cases, files.

Run as ``python -m shipworthy.convert.inspection GIVEN.json --cases FOLDER --out FOLDER``. Writes
``found.json`` and ``cases/`` into the folder, or ``failure.json`` with the reason.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import FAILURE, write_json
from shipworthy.convert.axes import Answer, find_axes, to_array
from shipworthy.convert.calling import call_keras, call_torch
from shipworthy.convert.inputs import Inputs, find_inputs
from shipworthy.convert.original import first_line
from shipworthy.models.arguments import name_leaves
from shipworthy.models.cache import hash_json, hash_path
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.given import Given, GivenError
from shipworthy.models.own import Opened, open_own
from shipworthy.models.spec import Arrays, Case, Signature
from shipworthy.models.subject import Found, write_cases

FOUND = "found.json"


def inspect_model(given: Given, cases_folder: Path, folder: Path) -> Found:
    """Load and run a model; write what was found into a private folder.

    Parameters
    ----------
    cases_folder : where the cases will lie once the folder is published.

    Raises
    ------
    shipworthy.models.errors.ShipworthyError : it cannot be loaded, or does not run.
    """
    opened = open_own(given)
    inputs = find_inputs(given, opened)
    example = next(iter(inputs.cases.values()), None)
    axes = find_axes(inputs.specs, inputs.arguments, example, _answer(opened, inputs))
    cases = [
        Case(_case_name(name), {spec.name: arrays[spec.name] for spec in inputs.specs})
        for name, arrays in _checked(inputs).items()
    ]
    write_cases(cases, folder / "cases")
    files = own_files(given, opened.files)
    found = Found(
        framework=opened.framework,
        kind=opened.kind,
        signature=axes.signature,
        identity=hash_json([given.to_json(), files]),
        cases=str(cases_folder),
        files=tuple(str(file) for file in opened.files),
        notes=(*opened.notes, *inputs.notes, *axes.notes),
    )
    write_json(folder / FOUND, {"schema": 1, "files": files, "found": found.to_json()})
    return found


def own_files(given: Given, held: Sequence[Path] = ()) -> list[list[str]]:
    """Return every file that shapes the model, with its hash: what was given and what it imported.

    Of the modules loaded, those outside Python's and the packages' folders are the user's.

    Parameters
    ----------
    held : files that belong to the one given, such as an ONNX model's external data.
    """
    places = [Path(p).resolve() for p in {*sysconfig.get_paths().values(), sys.prefix}]
    room = Path(__file__).resolve().parent.parent
    paths = {Path(given.path), *held} | {Path(p) for p in (given.weights, given.inputs) if p}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        ours = module.__name__.partition(".")[0] == "shipworthy" and path.is_relative_to(room)
        if path.is_file() and not ours and not any(path.is_relative_to(p) for p in places):
            paths.add(path)
    return [[str(path), hash_path(path)] for path in sorted(paths)]


def _answer(opened: Opened, inputs: Inputs) -> Answer:
    """Return a function that runs the original and names its outputs by their paths."""
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
        return {name: to_array(value) for name, value in name_leaves(call(given))}

    return answer


def _checked(inputs: Inputs) -> Mapping[str, Arrays]:
    names = [spec.name for spec in inputs.specs]
    for case, arrays in inputs.cases.items():
        if sorted(arrays) != sorted(names):
            raise GivenError(
                f"case {case!r} of --inputs has {', '.join(arrays)}; the model's inputs are "
                f"{', '.join(names)}"
            )
    return inputs.cases


def _case_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip("_.-") or "case"


def main(argv: Sequence[str] | None = None) -> int:
    """Look at the model described in a file; 0 if it was found."""
    parser = argparse.ArgumentParser(prog="python -m shipworthy.convert.inspection")
    parser.add_argument("given", type=Path)
    parser.add_argument("--cases", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args(argv)
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
