"""Starts the processes of references and hops: forked from a preloaded framework, or fresh."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from shipworthy.convert.preload import Preloaded
from shipworthy.convert.process import Outcome, run_isolated

# Packages to import before the fork. Never two frameworks in one server.
PRELOAD: Mapping[str, tuple[str, ...]] = {
    "pytorch": ("torch", "torch._dynamo", "torch.onnx._internal.exporter._core"),
    "tensorflow": ("tensorflow", "keras"),
    "onnx": ("onnx",),  # importing ONNX Runtime starts threads
}

# Of every process here, forked or fresh, so that both give the same. Native thread pools that start
# on import would make a fork unsafe.
ENVIRONMENT: Mapping[str, str] = {
    "KERAS_BACKEND": "tensorflow",  # whatever the user's keras.json says
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "",
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
        """Return how the process ended; never raises for what happens inside it.

        Parameters
        ----------
        env : variables set over `ENVIRONMENT`.

        Raises
        ------
        StoppedError : the run was told to stop.
        """
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
        [sys.executable, "-P", "-m", module, *argv],
        log=log,
        timeout=timeout,
        env={**ENVIRONMENT, **env},
    )


class LaunchForked:
    """Fork from one preloaded server a framework, started when first needed.

    Use as a context manager; servers end with it.
    """

    def __init__(self) -> None:
        self._servers: dict[str, Preloaded] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> LaunchForked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        for server in self._servers.values():
            server.close()

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
                self._servers[framework] = Preloaded(PRELOAD[framework], ENVIRONMENT)
            server = self._servers[framework]
        return server.run(module, argv, log=log, timeout=timeout, env=env)
