"""Says of a conversion that failed: what, where in the user's code, and what can be done."""

from __future__ import annotations

import functools
import linecache
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from warnings import WarningMessage

from shipworthy.convert.advice import advise
from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.errors import first_line
from shipworthy.models.spec import Signature

_ROOM = Path(__file__).resolve().parent.parent
_LONGEST = 600  # characters of a reason
# How tools write a frame of the traced code: torch.export and TensorFlow as Python does, the bridge
# as compilers do, torch.jit with the line in brackets.
_FRAMES = re.compile(r'File "([^"\n]+\.py)", line (\d+)|(/[^\s:"()]+\.py)(?::(\d+)|\((\d+)\))')
# Lines of PyTorch's messages that tell nobody anything here.
_NOISE = (
    "For more information, run with", "For extended logs", "If you suspect", "For more debugging",
    "For C++ stack trace", "The following call raised", "The error above occurred", "Caused by:",
    "consider using data-dependent", "User stack", "supported are ", "Set TORCH", "from user code",
    "(Refer to the full stack",
)  # fmt: skip


def explain(error: BaseException) -> dict[str, str]:
    """Return the kind, the reason, the user's own line and advice, for ``failure.json``."""
    where = _where(error)
    return {
        "kind": type(error).__name__,
        "reason": _reason(error),
        "where": where,
        "advice": advise("\n".join(f"{type(e).__name__}: {e}" for e in _chain(error))),
    }


def _reason(error: BaseException) -> str:
    if not isinstance(error, UnsupportedModelError):
        return first_line(error)
    kept: list[str] = []
    for line in str(error).splitlines():
        frame = _FRAMES.search(line)
        if frame and line.strip().startswith("File "):
            kept.append("")  # the line of code after it is told by `where`
        elif kept and not kept[-1]:
            kept.pop()
        elif line.strip() and not line.strip().startswith(_NOISE):
            kept.append(line.rstrip())
    told = "\n".join(line for line in kept if line)
    return told if len(told) <= _LONGEST else told[: _LONGEST - 4].rsplit(" ", 1)[0] + " ..."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _where(error: BaseException) -> str:
    """Return the innermost line of the user's own code that led to an error."""
    told: list[str] = []
    for one in _chain(error):
        frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(one.__traceback__)]
        for file, number in reversed(frames):
            if is_own(file):
                told.append(quote(file, number))
                break
        # What the message quotes is nearer to the cause than the frames it was raised from.
        if quoted := last_own(str(one)):
            return quoted
    return told[-1] if told else ""


def last_own(text: str) -> str:
    """Return the last line of the user's own code that a message, or a dump of frames, names."""
    return next((quote(*frame) for frame in reversed(_told(text)) if is_own(frame[0])), "")


def first_own(text: str) -> str:
    """Return the first such line."""
    return next((quote(*frame) for frame in _told(text) if is_own(frame[0])), "")


def _told(text: str) -> list[tuple[str, int]]:
    found = []
    for match in _FRAMES.finditer(text):
        file = match.group(1) or match.group(3)
        number = match.group(2) or match.group(4) or match.group(5)
        found.append((file, int(number)))
    return found


def is_own(file: str) -> bool:
    """Tell whether a file is the user's: not Python's, a package's, or this project's."""
    path = Path(file)
    if "__autograph_generated" in path.name or not path.is_file():
        return False
    path = path.resolve()
    if path.parent == _ROOM / "models":  # a model of the zoo, or what serves it
        return any(line.startswith("MODEL") for line in path.read_text().splitlines())
    inside = [_ROOM / room for room in ("convert", "serve", "report", "cli", "models")]
    return not any(path.is_relative_to(place) for place in (*inside, *_places()))


@functools.cache
def _places() -> tuple[Path, ...]:
    paths = [*sysconfig.get_paths().values(), sys.prefix + "/lib"]
    return tuple(Path(path).resolve() for path in paths if "python" in path or "lib" in path)


def quote(file: str, number: int) -> str:
    """Return ``file:line: code``."""
    code = linecache.getline(file, number).strip()
    return f"{file}:{number}" + (f": {code}" if code else "")


def trace_notes(caught: Sequence[WarningMessage], signature: Signature) -> tuple[str, ...]:
    """Say which lines of the user's own were decided while tracing, and what that means here."""
    axes = ", ".join(signature.axes)
    checked = (
        f"the dynamic axes ({axes}) are judged off their traced sizes; all others are static"
        if axes
        else "every axis is static here, so it cannot differ"
    )
    found = []
    for warning in caught:
        if warning.category.__name__ == "TracerWarning" and is_own(warning.filename):
            line = quote(warning.filename, warning.lineno)
            found.append(f"What {line!r} decides was fixed when tracing: {checked}.")
    return tuple(dict.fromkeys(found))
