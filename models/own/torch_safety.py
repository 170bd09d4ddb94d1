"""Looks into PyTorch's files before PyTorch does, for what would run code when they are loaded.

`torch.export.load` falls back to an unrestricted pickle, evaluates the expressions of symbolic
sizes as Python, resolves the names of operators to any function below ``torch``, and loads native
code. A file that PyTorch wrote needs none of it, but for custom classes.
"""

from __future__ import annotations

import ast
import json
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from shipworthy.models.own import OwnModelError

_TARGET = re.compile(
    r"torch\.ops\.(?!_)\w+\.(?!_*load|_*save|from_file)\w+(\.\w+)?"
    r"|_operator\.\w+|math\.\w+|torch\.sym_\w+|torch\._sym_\w+|getitem"
)
_NAME = re.compile(r"[\w.]*")
# What the conditions on sizes are written with.
_READ = {"size", "shape", "stride", "storage_offset", "dim", "ndim", "numel", "dtype", "device"}
_SYMBOLIC = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp,
    ast.Compare, ast.BoolOp, ast.Subscript, ast.Attribute, ast.Tuple, ast.operator, ast.unaryop,
    ast.cmpop, ast.boolop,
)  # fmt: skip
_SIZE_NAME = re.compile(r"[A-Za-z]\w*")
# TorchScript that writes or reads files of the machine's.
_FILE_CALL = re.compile(r"\b(?:torch|ops\.aten)\.(save|from_file|load)\(")


def members(path: Path) -> list[str]:
    """Return the names in a zip archive, without its top folder.

    Raises
    ------
    OwnModelError : a damaged archive.
    """
    return [name.partition("/")[2] or name for name, _ in _records(path, "")]


def check_program(path: Path) -> None:
    """Raise for an exported program that would run code of the file's when it is loaded.

    Raises
    ------
    OwnModelError : what it is, and the switch that allows it.
    """
    for name in members(path):
        if name.startswith("data/aotinductor/"):
            refuse(path, "native code (AOTInductor)")
        if name.rpartition("/")[2].startswith(("opaque_obj_", "custom_obj_")):
            refuse(path, "objects of custom classes")
    for name, content in _records(path, ".json"):
        _check_json(path, name, content)


def check_script(path: Path) -> None:
    """Raise for TorchScript that reads or writes files of the machine it runs on.

    Raises
    ------
    OwnModelError : which call it is, and the switch that allows it.
    """
    for _, content in _records(path, ".py"):
        found = _FILE_CALL.search(content.decode(errors="replace"))
        if found:
            refuse(path, f"a call of torch.{found[1]}, which touches files,")


def _records(path: Path, ending: str) -> Iterator[tuple[str, bytes]]:
    """Yield what Python's reader of zip archives sees, and what PyTorch's own does.

    They need not see the same in a file that is made to deceive. Contents are read where an
    `ending` of names is given.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(ending):
                    yield name, archive.read(name) if ending else b""
        reader = torch._C.PyTorchFileReader(str(path))
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as e:
        told = str(e).strip().splitlines()
        raise OwnModelError(
            f"{path} is a zip archive, but no whole one of PyTorch's: "
            f"{told[0] if told else type(e).__name__}; copy or save it again"
        ) from e
    top = reader.archive_name() + "/" if hasattr(reader, "archive_name") else "/"
    for name in reader.get_all_records():
        if name.endswith(ending):
            yield f"{top}{name}", reader.get_record(name) if ending else b""


@contextmanager
def plain_pickles() -> Iterator[None]:
    """Let `torch.load` read tensors and plain values alone, whoever calls it."""
    switches = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    usual = {name: os.environ.pop(name, None) for name in switches}
    os.environ[switches[0]] = "1"
    try:
        yield
    finally:
        for name, value in usual.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def refuse(path: Path, what: str) -> NoReturn:
    """Raise for what runs code of the file's; see `check_program`."""
    raise OwnModelError(
        f"{path} holds {what} and is not loaded, for that would run code of the file's. If you "
        "trust where it comes from, say --trust; better, give the code that builds the model: "
        "file.py:NAME"
    )


def _check_json(path: Path, name: str, content: bytes) -> None:
    try:
        data = json.loads(content)
    except ValueError as e:
        raise OwnModelError(f"{path}: {name} is damaged: {e}; copy or save it again") from e
    if not isinstance(data, dict):
        return
    for text in (*(data.get("guards_code") or ()), *(data.get("range_constraints") or ())):
        _check_expression(path, text)
    for key, value in _walk(data):
        if key == "expr_str":
            _check_expression(path, value)
        elif key == "target" and not _TARGET.fullmatch(value):
            refuse(path, f"a call of {value!r}, which is no operator,")
        elif key == "name" and not _NAME.fullmatch(value):
            refuse(path, f"the name {value!r}, which is none,")


def _walk(data: Any) -> Iterator[tuple[str, str]]:
    """Yield every text in a JSON value with its key."""
    left = [data]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield from ((key, item) for key, item in value.items() if isinstance(item, str))
            left += value.values()
        elif isinstance(value, list):
            left += value


def _check_expression(path: Path, text: Any) -> None:
    try:
        plain = all(map(_is_symbolic, ast.walk(ast.parse(str(text).strip(), mode="eval"))))
    except (SyntaxError, ValueError, RecursionError):
        plain = False
    if not plain:
        refuse(path, f"the expression {str(text)[:80]!r}, which is more than arithmetic on sizes,")


def _is_symbolic(node: ast.AST) -> bool:
    """Tell whether a part of an expression is arithmetic, or a call of a SymPy class."""
    if isinstance(node, ast.Call):
        # SymPy's classes are capitalised; its few lower-case functions are of numbers.
        called = node.func
        return isinstance(called, ast.Attribute) or (
            isinstance(called, ast.Name)
            and (called.id[:1].isupper() or called.id in {"floor", "ceiling", "sqrt", "abs", "int"})
        )
    if isinstance(node, ast.Attribute):
        return node.attr in _READ
    if isinstance(node, ast.Name):
        return not node.id.startswith("__")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return bool(_SIZE_NAME.fullmatch(node.value))
    return isinstance(node, _SYMBOLIC)
