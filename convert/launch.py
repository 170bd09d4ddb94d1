"""Starts the processes of references and hops: forked from a preloaded framework, or fresh."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from shipworthy.convert.preload import Preloaded
from shipworthy.convert.process import Outcome, run_isolated

# Packages to import before the fork. Never two frameworks in one server.
_PRELOAD: Mapping[str, tuple[str, ...]] = {
    "pytorch": ("torch", "torch._dynamo", "torch.onnx._internal.exporter._core"),
    "tensorflow": ("tensorflow", "keras"),
}


class Launch(Protocol):
    """Runs ``module.main(argv)`` in an isolated process of a framework."""

    def __call__(
        self,
        framework: str,
        module: str,
        argv: Sequence[str],
        *,
        log: Path,
        timeout: float,
        env: Mapping[str, str],
    ) -> Outcome:
        """Return how the process ended; never raises for what happens inside it."""
        ...


def launch_fresh(
    framework: str,
    module: str,
    argv: Sequence[str],
    *,
    log: Path,
    timeout: float,
    env: Mapping[str, str],
) -> Outcome:
    """Start a fresh interpreter."""
    del framework
    return run_isolated(
        [sys.executable, "-P", "-m", module, *argv], log=log, timeout=timeout, env=env
    )


class LaunchForked:
    """Fork from one preloaded server a framework, started when first needed.

    Use as a context manager; servers end with it.
    """

    def __init__(self) -> None:
        self._servers: dict[str, Preloaded] = {}
        self._lock = threading.Lock()
        self._private = tempfile.TemporaryDirectory(prefix="shipworthy-")

    def __enter__(self) -> LaunchForked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.close()
        self._private.cleanup()

    def __call__(
        self,
        framework: str,
        module: str,
        argv: Sequence[str],
        *,
        log: Path,
        timeout: float,
        env: Mapping[str, str],
    ) -> Outcome:
        """Fork a child of the framework's server."""
        with self._lock:
            if framework not in self._servers:
                self._servers[framework] = Preloaded(
                    _PRELOAD[framework], Path(self._private.name) / f"{framework}.log"
                )
            server = self._servers[framework]
        return server.run(module, argv, log=log, timeout=timeout, env=env)
