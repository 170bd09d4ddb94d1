"""Imports a user's Python file as it would be in the user's repository.

A file of a package is imported by its dotted name. On the path are the folder above the package,
the file's own, the working folder, and the project's: the next one up with ``.git``,
``pyproject.toml`` or ``setup.py``.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from shipworthy.models.own import OwnModelError

_PROJECT = (".git", "pyproject.toml", "setup.py")


def import_file(path: Path) -> ModuleType:
    """Import a file, running it."""
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    wanted = dict.fromkeys(str(p) for p in (root, path.parent, Path.cwd(), *_project(path)))
    sys.path[:] = [*wanted, *(p for p in sys.path if p not in wanted)]
    if len(parts) > 1:
        return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    # Not by its bare name: that may be taken by an installed package.
    spec = importlib.util.spec_from_file_location(f"_own_{path.stem}", path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling look a class' module up
    spec.loader.exec_module(module)
    return module


def _project(path: Path) -> Iterator[Path]:
    for folder in path.parents:
        if any((folder / mark).exists() for mark in _PROJECT):
            yield folder
            return


def resolve(module: ModuleType, name: str, path: Path) -> Any:
    """Return what a dotted name is in a module.

    Raises
    ------
    OwnModelError : there is nothing of that name; the message lists what there is.
    """
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            here = public_names(path)
            raise OwnModelError(
                f"{path.name} has no {name!r}; it has: {', '.join(here) or 'nothing public'}"
            )
        found = getattr(found, part)
    return found


def public_names(path: Path) -> list[str]:
    """Return the public names that a file defines itself, without running it."""
    found: list[str] = []
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        for node in ast.parse(path.read_text(errors="replace")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.append(node.name)
            elif isinstance(node, ast.Assign):
                found += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in dict.fromkeys(found) if not name.startswith("_")]
