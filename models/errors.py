"""What the user is told in one message, without a traceback."""

from __future__ import annotations


class ShipworthyError(Exception):
    """Something failed, and the message says what, and what to do next. Exit code 1."""

    exit_code = 1


class WrongUsageError(ShipworthyError):
    """The request cannot be met as it was put. Exit code 2."""

    exit_code = 2
