"""One isolated process for one piece of work: own group, time-out, captured log.

A process that crashes, hangs or is killed is told by its `Outcome`; nothing here raises for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_live: set[int] = set()
_stopping = threading.Event()


class StoppedError(Exception):
    """The whole run was told to stop; how this process ended says nothing about its work."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Parameters
    ----------
    code : exit code, negative for a signal (as `subprocess` has it).
    seconds : wall time.
    timed_out : whether it was ended because its time was up.
    timeout : the time it had, seconds.
    """

    code: int
    seconds: float
    timed_out: bool
    timeout: float

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.code == 0 and not self.timed_out

    @property
    def reason(self) -> str:
        """Why it failed, in words; empty if it did not."""
        if self.ok:
            return ""
        if self.timed_out:
            return f"no result within {self.timeout:g} s; the process was ended"
        if self.code == -signal.SIGKILL:
            return "killed by SIGKILL, which is how the kernel ends a process when memory runs out"
        if self.code < 0:
            return f"crashed with {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"


def run_isolated(
    argv: Sequence[str], *, log: Path, timeout: float, env: Mapping[str, str] | None = None
) -> Outcome:
    """Run a command in its own process group, its output going to `log`.

    Parameters
    ----------
    env : variables set over the parent's.
    timeout : seconds; the whole group is killed after it.

    Raises
    ------
    StoppedError : `stop_all` was called meanwhile.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(env or {}),
            start_new_session=True,
        )
        timed_out = False
        with track_group(process.pid):
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                timed_out = True
            finally:
                kill_group(process.pid)
                process.wait()
    check_stopped()
    return Outcome(process.returncode, time.monotonic() - started, timed_out, timeout)


def check_stopped() -> None:
    """Raise `StoppedError` once `stop_all` was called."""
    if _stopping.is_set():
        raise StoppedError


@contextlib.contextmanager
def track_group(group: int) -> Iterator[None]:
    """Have `stop_all` end this process group too, for as long as the block runs."""
    _live.add(group)
    if _stopping.is_set():
        kill_group(group)
    try:
        yield
    finally:
        _live.discard(group)


def kill_group(group: int) -> None:
    """Kill a process group, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def stop_all() -> None:
    """Kill every process group that is tracked, and those that are started from now on."""
    _stopping.set()
    for group in tuple(_live):
        kill_group(group)
