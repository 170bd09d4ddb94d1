"""Says of a conversion that failed: what, where in the user's code, and what can be done."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from shipworthy.convert.routes import UnsupportedModelError

_ROOM = Path(__file__).resolve().parent.parent
_PACKAGES = tuple(
    Path(path).resolve() for path in set(sysconfig.get_paths().values()) if "python" in path
)
# What PyTorch and TensorFlow put into messages: a frame of the traced code.
_TOLD_FRAME = re.compile(r'File "([^"]+\.py)", line (\d+)(?:, in \w+)?')


def explain(error: BaseException) -> dict[str, str]:
    """Return the kind, the reason, the user's own line and advice, for ``failure.json``."""
    return {
        "kind": type(error).__name__,
        "reason": _reason(error),
        "where": _where(error),
        "advice": _advice(error),
    }


def _reason(error: BaseException) -> str:
    if isinstance(error, UnsupportedModelError):
        return str(error)
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip() if lines else 'no message'}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _where(error: BaseException) -> str:
    """Return the innermost line of the user's own code that led to an error."""
    for one in _chain(error):
        frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(one.__traceback__)]
        frames += [(file, int(line)) for file, line in _TOLD_FRAME.findall(str(one))]
        for file, number in reversed(frames):
            path = Path(file)
            if _is_own(path):
                return f"{path}:{number}: {_line(path, number)}"
    return ""


def _is_own(path: Path) -> bool:
    if not path.is_file():
        return False
    path = path.resolve()
    inside = path.is_relative_to(_ROOM) and "tests" not in path.parts
    return not inside and not any(path.is_relative_to(place) for place in _PACKAGES)


def _line(path: Path, number: int) -> str:
    lines = path.read_text(errors="replace").splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _advice(error: BaseException) -> str:
    if isinstance(error, UnsupportedModelError):
        return ""  # its message says what to do
    return (
        "if the operation at that line is unusual, write it with plainer ones; if an axis that is "
        "called dynamic is fixed in the model, leave it out of --dynamic or give its size by "
        "--input; the log has the whole story"
    )
