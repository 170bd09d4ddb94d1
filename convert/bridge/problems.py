"""Messages for models that the bridge cannot take: what, where in the user's code, what then."""

from __future__ import annotations

import difflib
import functools
import linecache
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipworthy.convert.bridge.table import table

PAGE = "docs/coverage.md"
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.*)')


@dataclass(frozen=True)
class Problem:
    """One op that cannot be translated.

    Parameters
    ----------
    op : its full name, such as ``aten.cdist.default``.
    where : line of the user's model.
    reason : empty where the table lacks the op; else which use of it is not covered.
    """

    op: str
    where: str
    reason: str = ""


def op_name(target: Any) -> str:
    """Return an op's name as PyTorch prints it."""
    if hasattr(target, "_schema") or hasattr(target, "namespace"):
        return str(target)
    return f"{getattr(target, '__module__', '?')}.{getattr(target, '__name__', target)}"


def where(node: Any) -> str:
    """Return the line of the user's model that a node comes from, and the module it is in.

    Frames inside PyTorch and inside this package are skipped, unless there is no other.
    """
    frames = [match.groupdict() for match in _FRAME.finditer(node.meta.get("stack_trace") or "")]
    files = [(Path(f["file"]), f) for f in frames]
    own = [f for file, f in files if file.is_absolute() and not is_inside(file)] or frames
    places = []
    if own:
        file, line = own[-1]["file"], int(own[-1]["line"])
        code = linecache.getline(file, line).strip()
        places.append(f"{file}:{line}" + (f": {code}" if code else ""))
    modules = list((node.meta.get("nn_module_stack") or {}).values())
    if modules and not modules[-1][0].startswith("_empty"):
        path, kind = modules[-1]
        path = path.removeprefix("original").removeprefix(".")
        kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__name__}"
        places.append(f"module {path!r} ({kind})" if path else f"module {kind}")
    return ", in ".join(places) or "unknown line"


def is_inside(file: Path) -> bool:
    """Tell whether a file is PyTorch's or belongs to this package, so not the user's."""
    return any(file.is_relative_to(folder) for folder in _folders())


@functools.cache
def _folders() -> tuple[Path, ...]:
    import torch

    return Path(torch.__file__).parent, Path(__file__).resolve().parent.parent


def message(problems: Sequence[Problem]) -> str:
    """Return the text for all problems of one model."""
    lacking = list(dict.fromkeys(p.op for p in problems if not p.reason))
    lines = [
        f"the bridge from PyTorch to TensorFlow cannot translate {len(problems)} "
        + ("place in this model:" if len(problems) == 1 else "places in this model:")
    ]
    lines += [f"  {p.op} at {p.where}" + (f": {p.reason}" if p.reason else "") for p in problems]
    names = sorted(table())
    for op in lacking:
        near = difflib.get_close_matches(op.removeprefix("aten."), names, n=5, cutoff=0.5)
        if near:
            lines.append(f"nearest to {op} that it has: " + ", ".join(f"aten.{n}" for n in near))
    if lacking:
        lines.append(
            f"supported are {len(names)} ops ({PAGE} tells where each is written): "
            + ", ".join(name.removesuffix(".default") for name in names)
        )
    lines.append(
        "write the line with supported ops, add a function to convert/bridge/, or choose another "
        "format: `shipworthy routes` lists them"
    )
    return "\n".join(lines)
