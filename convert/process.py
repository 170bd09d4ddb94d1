"""The one way a process is started here: in a group of its own that ends with what started it.

`stop_all` ends every process at once; if this process is killed, its guard does. How a process
ended is told by its `Outcome`; a crash, a hang or a kill raises nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipworthy.convert import guard
from shipworthy.convert.guard import SIGNALS
from shipworthy.convert.guard import kill_group as kill_group
from shipworthy.convert.guard import kill_session as kill_session

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


@contextlib.contextmanager
def started(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a command for as long as the block runs; whatever is left of it then is killed.

    Parameters
    ----------
    env : variables set over the parent's.
    options : more for `subprocess.Popen`.

    Raises
    ------
    StoppedError : `stop_all` was called, before or meanwhile.
    OSError : it cannot be started.
    """
    check_stopped()
    try:
        with contextlib.ExitStack() as stack:
            with _undisturbed():
                process = stack.enter_context(
                    subprocess.Popen(
                        list(argv),
                        stdin=subprocess.DEVNULL,
                        env=None if env is None else os.environ | dict(env),
                        start_new_session=True,
                        **options,
                    )
                )
                stack.enter_context(track_group(process.pid))
                stack.callback(_end, process)
            yield process
    except Exception:
        check_stopped()  # else being stopped would pass for a failure
        raise
    check_stopped()


def _end(process: subprocess.Popen[Any]) -> None:
    end = kill_session if process.poll() is None else kill_group
    end(process.pid)
    process.wait()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put signals off for as long as the block runs.

    An exception out of a handler, Ctrl-C's above all, could otherwise come between the fork and
    the moment somebody knows of the child. Python runs handlers in the main thread alone.
    """
    pending: list[int] = []
    usual: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        usual = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in usual:
        signal.signal(number, lambda number, _: pending.append(number))
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        for number in pending:
            usual[number](number, None)


def run_isolated(
    argv: Sequence[str], *, log: Path, timeout: float, env: Mapping[str, str] | None = None
) -> Outcome:
    """Run a command, its output going to `log`.

    Parameters
    ----------
    env : variables set over the parent's.
    timeout : seconds; the process and all it started are killed after it.

    Raises
    ------
    StoppedError : `stop_all` was called meanwhile.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    timed_out = False
    with (
        log.open("wb") as stream,
        started(argv, env=env, stdout=stream, stderr=subprocess.STDOUT) as process,
    ):
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
    return Outcome(process.returncode, time.monotonic() - begin, timed_out, timeout)


def capture(argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a command and return its exit code and all it prints.

    Raises
    ------
    subprocess.TimeoutExpired : it did not end within `timeout` seconds; it was killed.
    StoppedError : `stop_all` was called meanwhile.
    OSError : it cannot be started.
    """
    pipe = subprocess.PIPE
    with started(argv, stdout=pipe, stderr=pipe, text=True, errors="replace") as process:
        stdout, stderr = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(list(argv), process.returncode, stdout, stderr)


def check_stopped() -> None:
    """Raise `StoppedError` once `stop_all` was called."""
    if _stopping.is_set():
        raise StoppedError


@contextlib.contextmanager
def track_group(group: int) -> Iterator[None]:
    """Have `stop_all`, and the guard, end this process group for as long as the block runs."""
    _live.add(group)
    _guard.tell(f"+{group}")
    if _stopping.is_set():
        kill_session(group)
    try:
        yield
    finally:
        _live.discard(group)
        _guard.tell(f"-{group}")


def stop_all() -> None:
    """Kill every process group that is tracked, and those that are started from now on."""
    _stopping.set()
    for group in tuple(_live):
        kill_session(group)


class _Guard:
    """The other end of `shipworthy.convert.guard`, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, line: str) -> None:
        # Without a guard all goes well, unless this process is killed.
        with contextlib.suppress(OSError):
            os.write(self._pipe(), f"{line}\n".encode())

    def _pipe(self) -> int:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", guard.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                atexit.register(self._dismiss)
            assert self._process.stdin is not None
            return self._process.stdin.fileno()

    def _dismiss(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


_guard = _Guard()
