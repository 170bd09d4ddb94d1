"""One runner process: started, watched, read."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shipworthy.convert.process import capture
from shipworthy.models.errors import ShipworthyError

# Longer command lines go through a file: one argument may not exceed 128 KiB, all of them 2 MiB.
_MOST_COMMAND_CHARACTERS = 100_000


class RunnerError(ShipworthyError):
    """A runner is not there or failed; the message is one line that says what happened."""


def call(binary: Path, arguments: Sequence[str], timeout: float) -> dict[str, Any]:
    """Run a binary with ``--start-ns`` and return the JSON it prints.

    Raises
    ------
    RunnerError : it failed, died of a signal, printed no JSON, or did not end in time; then the
        whole process group was killed.
    StoppedError : the run was told to stop; this says nothing about the binary.
    """
    with _shortened(arguments) as words:
        code, stdout, stderr = _communicate([str(binary), *words], timeout)
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        raise RunnerError(f"{binary.name} died of {name}{hint}{_last_line('; it said: ', stderr)}")
    if code != 0:
        raise RunnerError(_last_line("", stderr) or f"{binary.name} ended with {code}, silently")
    try:
        data = json.loads(stdout)
    except ValueError as e:
        raise RunnerError(f"{binary.name} printed no JSON: {e}") from e
    if not isinstance(data, dict):
        raise RunnerError(f"{binary.name} printed JSON that is no object")
    return data


@contextmanager
def _shortened(arguments: Sequence[str]) -> Iterator[list[str]]:
    if sum(map(len, arguments)) < _MOST_COMMAND_CHARACTERS:
        yield list(arguments)
        return
    with tempfile.NamedTemporaryFile("w", prefix="shipworthy-", suffix=".arguments") as stream:
        stream.write("\n".join(arguments))
        stream.flush()
        yield [f"@{stream.name}"]


def _communicate(command: list[str], timeout: float) -> tuple[int, str, str]:
    try:
        done = capture([*command, "--start-ns", str(time.monotonic_ns())], timeout)
    except OSError as e:
        raise RunnerError(f"{command[0]} cannot be started: {e.strerror}") from e
    except subprocess.TimeoutExpired:
        raise RunnerError(
            f"{Path(command[0]).name} did not end within {timeout:g} s; it was stopped. "
            f"Command: {shlex.join(command)}"
        ) from None
    return done.returncode, done.stdout, done.stderr


def _last_line(prefix: str, text: str) -> str:
    lines = text.strip().splitlines()
    return prefix + lines[-1] if lines else ""
