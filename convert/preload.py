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
from pathlib import Path
from typing import IO, Any

from shipworthy.convert.process import (
    Outcome,
    check_stopped,
    kill_group,
    run_isolated,
    track_group,
)

# Native thread pools that start on import would make a fork unsafe.
_QUIET = {
    "KERAS_BACKEND": "tensorflow",  # whatever the user's keras.json says
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "",
}
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Preloaded:
    """A server with some packages imported; start it early, use it from any thread."""

    def __init__(self, packages: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *packages],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=os.environ | _QUIET,
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._pids: dict[int, Future[int]] = {}
        self._codes: dict[int, Future[int]] = {}
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
        """Run ``module.main(argv)`` in a forked child, as `run_isolated` runs a command."""
        started = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            number, self._next = self._next, self._next + 1
            pid: Future[int] = Future()
            code: Future[int] = Future()
            self._pids[number], self._codes[number] = pid, code
            lost = self._closed or not self._send(
                {"id": number, "module": module, "argv": list(argv), "log": str(log),
                 "env": dict(env or {})}
            )  # fmt: skip
        if lost or (group := pid.result()) < 0:
            # The server itself is gone: the work is still worth doing.
            return run_isolated(
                [sys.executable, "-P", "-m", module, *argv], log=log, timeout=timeout, env=env
            )
        timed_out = False
        with track_group(group):
            try:
                code.result(timeout)
            except TimeoutError:
                timed_out = True
                kill_group(group)
        check_stopped()
        return Outcome(code.result(), time.monotonic() - started, timed_out, timeout)

    def close(self) -> None:
        """End the server and whatever it still runs."""
        with self._lock:
            self._closed = True
        kill_group(self._process.pid)
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._tracking.close()
        self._log.close()

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
        for line in self._process.stdout:
            answer = json.loads(line)
            waiting = self._pids if "pid" in answer else self._codes
            waiting.pop(answer["id"]).set_result(answer.get("pid", answer.get("code")))
        with self._lock:
            self._closed = True
        for future in [*self._pids.values(), *self._codes.values()]:
            future.set_result(-signal.SIGKILL)


def _serve(packages: Sequence[str]) -> None:
    # What a package prints on import must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    _die_with_parent()
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
            with contextlib.suppress(ImportError):
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
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    _child(request)
                children[pid] = request["id"]
                print(json.dumps({"id": request["id"], "pid": pid}), file=answers)
    for pid in children:
        kill_group(pid)


def _reap(children: dict[int, int], answers: IO[str]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        kill_group(pid)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"id": children.pop(pid), "code": code}), file=answers)


def _child(request: Mapping[str, Any]) -> None:
    code = 1
    try:
        os.setsid()
        _die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for descriptor, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, target)
        os.closerange(3, max(log, null) + 1)
        os.environ.update(request["env"])
        sys.argv = [request["module"], *request["argv"]]
        code = importlib.import_module(request["module"]).main(request["argv"])
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def _die_with_parent() -> None:
    # prctl(2): a killed parent must not leave work running.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    _serve(sys.argv[1:])
