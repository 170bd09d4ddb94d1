"""A process that imports a framework once and forks a child for each piece of work.

Importing TensorFlow takes longer than most hops. The server imports, runs nothing, and so has a
single thread when it forks; each child is as isolated as a fresh process: its own group, log,
environment and time-out. One server holds one framework. After the first package it serves, and
imports the others while nobody asks.

Started as ``python -m shipworthy.convert.preload torch``; requests and answers are JSON lines on
stdin and stdout.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn

from shipworthy.convert.process import (
    Outcome,
    check_stopped,
    kill_group,
    kill_session,
    run_isolated,
    track_group,
)

_PR_SET_PDEATHSIG = 1  # prctl(2)
_REAP_SECONDS = 5.0  # the server tells within it of a child that was killed


class Preloaded:
    """A server with some packages imported; start it early, use it from any thread.

    Parameters
    ----------
    packages : the first is imported before anything is served.
    env : variables set over the parent's, for the server and all it runs.
    log : what the server prints; thrown away by default.
    """

    def __init__(
        self, packages: Sequence[str], env: Mapping[str, str], log: Path | None = None
    ) -> None:
        check_stopped()
        self._env = dict(env)
        with contextlib.ExitStack() as opened:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, *packages],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=opened.enter_context(log.open("ab")) if log else subprocess.DEVNULL,
                env=os.environ | self._env,
                start_new_session=True,
            )
        self._lock = threading.Lock()
        self._pids: dict[int, Future[int | None]] = {}
        self._codes: dict[int, Future[int | None]] = {}
        self._next = 0
        self._closed = False
        self._tracking = contextlib.ExitStack()
        self._tracking.enter_context(track_group(self._process.pid))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def run(
        self,
        module: str,
        argv: Sequence[str],
        *,
        log: Path,
        timeout: float,
        env: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run ``module.main(argv)`` in a forked child, as `run_isolated` runs a command.

        The time-out includes the wait for the server. If the server is lost, a fresh process does
        the work in the time that is left.

        Raises
        ------
        StoppedError : as `run_isolated`.
        """
        begin = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        request = {"module": module, "argv": list(argv), "log": str(log), "env": dict(env or {})}
        code: int | None
        try:
            code = self._ask(request, begin + timeout)
        except TimeoutError:
            check_stopped()
            return Outcome(-signal.SIGKILL, time.monotonic() - begin, True, timeout)
        if code is None:
            outcome = run_isolated(
                [sys.executable, "-P", "-m", module, *argv],
                log=log,
                timeout=max(0.0, begin + timeout - time.monotonic()),
                env=self._env | dict(env or {}),
            )
            return replace(outcome, seconds=time.monotonic() - begin, timeout=timeout)
        check_stopped()
        return Outcome(code, time.monotonic() - begin, False, timeout)

    def close(self) -> None:
        """End the server and whatever it still runs."""
        self._give_up()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._tracking.close()

    def _ask(self, request: Mapping[str, Any], deadline: float) -> int | None:
        """Return the child's exit code, or None if the server was lost; TimeoutError if late."""
        pid: Future[int | None] = Future()
        code: Future[int | None] = Future()
        with self._lock:
            number, self._next = self._next, self._next + 1
            if self._closed:
                return None
            # Before it is sent: the answer may be here before this thread goes on.
            self._pids[number], self._codes[number] = pid, code
            if not self._send({"id": number, **request}):
                del self._pids[number], self._codes[number]
                return None
        try:
            group = pid.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            self._give_up()  # it hangs in an import
            raise
        if group is None:
            return None
        with track_group(group):
            try:
                ended = code.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                kill_group(group)
                try:
                    code.result(_REAP_SECONDS)
                except TimeoutError:
                    self._give_up()
                raise
            if ended is None:
                kill_group(group)  # it may have outlived its server by a moment
            return ended

    def _give_up(self) -> None:
        with self._lock:
            self._closed = True
        kill_session(self._process.pid)

    def _send(self, request: Mapping[str, Any]) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                answer = json.loads(line)
                waiting = self._pids if "pid" in answer else self._codes
                waiting.pop(answer["id"]).set_result(answer.get("pid", answer.get("code")))
        finally:
            # Whatever ended it: nobody may wait for what will not be heard.
            with self._lock:
                self._closed = True
            for future in [*self._pids.values(), *self._codes.values()]:
                future.set_result(None)


def _serve(packages: Sequence[str]) -> None:
    """Serve until stdin ends; while it imports, it sees neither a request nor an end."""
    # What a package prints on import must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    importlib.import_module(packages[0])
    later = list(packages[1:])
    wake, alarm = os.pipe()
    os.set_blocking(alarm, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(alarm)
    children: dict[int, int] = {}
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [], 0 if later else None)
        if not ready:
            # It is only there to save time; whoever needs it will say why it cannot be imported.
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(later.pop(0))
        if wake in ready:
            os.read(wake, 4096)
            _reap(children, answers)
        if 0 in ready:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                request = json.loads(line)
                pid = _fork(request)
                children[pid] = request["id"]
                print(json.dumps({"id": request["id"], "pid": pid}), file=answers)
    for pid in children:
        kill_group(pid)


def _reap(children: dict[int, int], answers: IO[str]) -> None:
    # Each by its number: an import may have children of its own, and wait for them.
    for pid in tuple(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            kill_group(pid)
            code = os.waitstatus_to_exitcode(status)
            print(json.dumps({"id": children.pop(pid), "code": code}), file=answers)


def _fork(request: Mapping[str, Any]) -> int:
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        _child(request, server)
    # As the child does, so that the group is there for whoever is told of it, whoever is first.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return pid


def _child(request: Mapping[str, Any], server: int) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        _die_with(server)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for descriptor, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, target)
        os.closerange(3, max(log, null) + 1)
        os.environ.update(request["env"])
        sys.argv = [request["module"], *request["argv"]]
        code = importlib.import_module(request["module"]).main(request["argv"]) or 0
    except SystemExit as e:
        code = 0 if e.code is None else e.code if isinstance(e.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        # Whatever happens, the child must not go on as a second server.
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _die_with(server: int) -> None:
    """Have the kernel kill this process when the server, which has one thread, is no more."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)


if __name__ == "__main__":
    _serve(sys.argv[1:])
