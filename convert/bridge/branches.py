"""Finds where a model chose its path by a size while it was traced."""

from __future__ import annotations

import ast
import functools
import linecache
from pathlib import Path
from typing import Any

from shipworthy.convert.bridge.problems import is_inside


def branches(program: Any) -> list[str]:
    """Return the lines of the user's model that branch on dynamic sizes.

    PyTorch records every comparison of sizes that tracing relied on. Those of its own code say
    that the sizes fit the ops (the formats' runtimes find that too); those of the user's code chose
    a path. A check whose other path only raises (``assert t <= self.block_size``) leaves no choice,
    and is not among them.

    Parameters
    ----------
    program : a `torch.export.ExportedProgram`, as traced.
    """
    for node in program.graph.nodes:
        mode = getattr(node.meta.get("val"), "fake_mode", None)
        if mode is not None and mode.shape_env is not None:
            frames = [guard.sloc.framework_loc for guard in mode.shape_env.guards]
            own = [f for f in frames if hasattr(f, "filename") and not is_inside(Path(f.filename))]
            chosen = [f for f in own if not _is_check(f.filename, f.lineno)]
            return list(dict.fromkeys(f"{f.filename}:{f.lineno}: {f.line}" for f in chosen))
    return []


def _is_check(file: str, line: int) -> bool:
    """Tell whether the statement at a line does nothing but raise where a condition fails."""
    found: ast.stmt | None = None
    for statement in _statements(file):
        end = statement.end_lineno or statement.lineno
        if statement.lineno <= line <= end and (found is None or statement.lineno >= found.lineno):
            found = statement
    if isinstance(found, ast.If):
        return not found.orelse and isinstance(found.body[-1], ast.Raise)
    if isinstance(found, ast.Expr) and isinstance(found.value, ast.Call):
        return "_check" in ast.unparse(found.value.func)
    return isinstance(found, ast.Assert)


@functools.cache
def _statements(file: str) -> list[ast.stmt]:
    """Return every statement of a file, an outer one before those in it; none if unreadable."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
