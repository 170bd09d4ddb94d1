"""What the user is told in one message, without a traceback."""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_IN_USER_CODE = "in user code:"  # TensorFlow, before frames; what happened comes last
_NAMED = re.compile(r"[A-Za-z_.]*(Error|Exception): ")
_WRAPPED = "Exception encountered when calling"  # Keras says so, and then what happened


class ShipworthyError(Exception):
    """Something failed, and the message says what, and what to do next. Exit code 1."""

    exit_code = 1


class WrongUsageError(ShipworthyError):
    """The request cannot be met as it was put. Exit code 2."""

    exit_code = 2


def first_line(error: BaseException) -> str:
    """Return an exception as one line: its type and the first line of its message that tells."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    wrapped = [i for i, line in enumerate(lines) if _WRAPPED in line]
    if wrapped:
        lines = lines[wrapped[-1] + 1 :]
    elif lines and lines[0] == _IN_USER_CODE:
        lines = [line for line in lines if _NAMED.match(line)][-1:] or lines
        if _NAMED.match(lines[0]):
            return lines[0]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
