"""The timed loop of a Python process, by the rules of the runners' own, and what surrounds it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO

from shipworthy.serve.runners import Timing

# What may not meet in one timed process. Keras runs on TensorFlow here, and belongs to it.
FRAMEWORKS: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "onnxruntime": ("onnxruntime",),
    "ai_edge_litert": ("ai-edge-litert",),
    "jax": ("jax",),
}

# Of every timed Python process, before a framework is imported.
_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",  # whatever the user's keras.json says
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # else a pool of processes stays beside the timed one
}


def prepare(threads: int, *, scratch: str | None = None) -> None:
    """Set this process' environment; before a framework is imported.

    TensorFlow imports JAX wherever it is installed, to convert its models; nobody does here.

    Parameters
    ----------
    threads : of OpenMP and MKL, where a framework does not set them itself.
    scratch : folder in which ``torch.compile`` keeps what it compiled; else its usual one.
    """
    if scratch is not None:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{scratch}/compiled"
    sys.modules["jax"] = None  # type: ignore[assignment]  # importing it is an ImportError
    os.environ |= _ENVIRONMENT | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}


@contextmanager
def only_json() -> Iterator[IO[str]]:
    """Keep standard output for the one JSON object; what else is printed goes to stderr."""
    sys.stdout.flush()
    with os.fdopen(os.dup(1), "w") as answer:
        os.dup2(2, 1)
        yield answer


@dataclass(frozen=True)
class Loop:
    """A timed loop: every latency, and what all of it took of the clock and of the processor."""

    latencies_ns: list[int]
    wall_ns: int
    cpu_ns: int


def time_runs(run: Callable[[], object], timing: Timing) -> Loop:
    """Warm up and run.

    The garbage collector stays on: it is part of what Python costs.

    Parameters
    ----------
    timing : its case is not looked at; the rest is as for a runner.
    """
    for _ in range(timing.warmup):
        run()
    latencies: list[int] = []
    clock = time.perf_counter_ns
    begin_cpu, begin = time.process_time_ns(), clock()
    while True:
        start = clock()
        run()
        end = clock()
        latencies.append(end - start)
        runs, spent = len(latencies), end - begin
        enough = runs >= timing.min_runs and spent >= timing.min_ns
        if enough or runs >= timing.max_runs or spent >= timing.max_ns:
            return Loop(latencies, spent, time.process_time_ns() - begin_cpu)


def peak_rss_bytes() -> int:
    """Return the most memory this process has had resident (``VmHWM``, Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def loaded_frameworks() -> list[str]:
    """Return which of `FRAMEWORKS` this process has imported."""
    return [name for name in FRAMEWORKS if sys.modules.get(name) is not None]


def version_of(framework: str) -> str:
    """Return the distribution and version of one of `FRAMEWORKS`, such as ``torch 2.13.0``."""
    for distribution in FRAMEWORKS[framework]:
        try:
            return f"{distribution} {metadata.version(distribution)}"
        except metadata.PackageNotFoundError:
            continue
    return f"{framework} (not installed)"
