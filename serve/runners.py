"""Finds the Python-free runners and runs them.

``python -m shipworthy.serve.runners`` builds them all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from shipworthy.serve.build import (
    FACTS,
    RUNTIMES,
    binary_name,
    build_missing,
    folder_of,
)
from shipworthy.serve.process import RunnerError as RunnerError
from shipworthy.serve.process import call
from shipworthy.serve.toolchain import BuildError


@dataclass(frozen=True)
class Runner:
    """A runner's binary and what it says of itself.

    Parameters
    ----------
    runtime, version, format : what it runs, such as ``onnxruntime``, ``1.32.0``, ``onnx``.
    path : the binary.
    build : compiler, flags and standard it was built with.
    """

    runtime: str
    path: Path
    version: str
    format: str
    build: Mapping[str, str]


@dataclass(frozen=True)
class CaseFiles:
    """One case: ``.npy`` files to read and to write, by the tensors' names in the artifact."""

    name: str
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]


@dataclass(frozen=True)
class Timing:
    """What to time and for how long.

    The timed loop ends after at least `min_runs` queries and `min_ns` nanoseconds, or as soon as it
    has had `max_runs` queries or `max_ns` nanoseconds.

    Parameters
    ----------
    case : what the first worker infers.
    scenario : ``single_stream``, ``multi_stream``, ``offline`` or ``server``; see
        ``runner/scenario.h``.
    others : the cases of further workers, one each.
    inputs : a query, under ``multi_stream``.
    gap_ns : mean time between arrivals, under ``server``.
    seed : of the arrivals.
    keep : the most latencies that are kept; beyond it every second, fourth, ... query's.
    """

    case: str
    warmup: int
    min_runs: int
    max_runs: int
    min_ns: int
    max_ns: int
    scenario: str = "single_stream"
    others: tuple[str, ...] = ()
    inputs: int = 1
    gap_ns: int | None = None
    seed: int = 0
    keep: int = 1_000_000

    def words(self) -> list[str]:
        """Return the runner's arguments."""
        words = ["--scenario", self.scenario]
        for case in (self.case, *self.others):
            words += ["--bench", case]
        for option in _TIMING_OPTIONS:
            words += [f"--{option.replace('_', '-')}", str(getattr(self, option))]
        return words if self.gap_ns is None else [*words, "--gap-ns", str(self.gap_ns)]


_TIMING_OPTIONS = (
    "warmup", "min_runs", "max_runs", "min_ns", "max_ns", "inputs", "seed", "keep"
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What one runner process found out; the runner's JSON, field by field.

    Parameters
    ----------
    threads : ``{"requested", "effective"}``; effective is None where it cannot be read back.
    settings : what else shapes the latency, in the runtime's own words.
    inputs, outputs : name, dtype and shape as the artifact declares them; -1 is a dynamic axis,
        None what the format does not store.
    cases : name, number of runs, and outputs with their true dtypes and shapes.
    process_ns, load_ns, first_ns : from the start of the process to ``main``, loading the model,
        the first inference.
    cold_start_ns : from the start of the process to the first output.
    bench : None, or ``{"scenario", "case", "cases", "inputs_per_query", "warmup", "queries",
        "unserved", "stride", "latencies_ns", "wall_ns", "cpu_ns"}`` and under ``server``
        ``{"gap_ns", "seed", "arrivals_ns"}``. `queries` is how many were done; of every `stride`-th
        the latency is kept. `unserved` ones were still queued at the end.
    peak_rss_bytes : ``VmHWM`` at the end.
    empty_rss_bytes, loaded_rss_bytes : ``VmRSS`` in ``main``, with the libraries mapped and no
        model, and after loading it.
    os_threads : threads of the process at the end.
    timer : ``{"resolution_ns", "overhead_ns"}`` of the clock, measured in the process.
    python_free : no Python interpreter was among the mapped files.
    libraries : ``{"name", "bytes", "program", "system"}`` of the program and every shared object:
        size of the file, and whether it is the program itself or part of the system's C library.
    """

    schema: int
    runtime: str
    version: str
    format: str
    build: Mapping[str, str]
    threads: Mapping[str, int | None]
    settings: Mapping[str, str]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    process_ns: int | None
    load_ns: int
    first_ns: int | None
    cold_start_ns: int | None
    bench: dict[str, Any] | None
    peak_rss_bytes: int
    empty_rss_bytes: int
    loaded_rss_bytes: int
    os_threads: int
    timer: Mapping[str, int]
    python_free: bool
    mapped_libraries: list[str]
    libraries: list[dict[str, Any]]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Run:
        """Read a runner's JSON.

        Raises
        ------
        RunnerError : another schema, or a field is missing.
        """
        missing = [f.name for f in fields(cls) if f.name not in data]
        if missing or data["schema"] != 1:
            raise RunnerError(
                f"the runner's JSON has schema {data.get('schema')} and lacks {missing}; "
                "wanted is schema 1: build the runners again with `make setup`"
            )
        return cls(**{f.name: data[f.name] for f in fields(cls)})


def build(
    runtimes: Sequence[str] | None = None, log: Callable[[str], None] | None = None
) -> dict[str, str | None]:
    """Build the runners that are missing or out of date.

    Parameters
    ----------
    runtimes : some of `RUNTIMES`; all by default.
    log : is told of the progress, line by line.

    Returns
    -------
    The reason each could not be built, None where it is there.
    """
    return build_missing(runtimes or RUNTIMES, log or (lambda _: None))


def is_built(runtime: str) -> bool:
    """Tell whether a runner is there and up to date.

    Raises
    ------
    BuildError : it cannot be built; the message says what is missing.
    """
    return (folder_of(runtime) / FACTS).exists()


def find(runtime: str) -> Runner:
    """Return a runner, built if it has to be.

    Raises
    ------
    RunnerError : an unknown runtime, or it cannot be built; the message says what to do.
    """
    if runtime not in RUNTIMES:
        raise RunnerError(f"unknown runtime {runtime!r}; known: {', '.join(RUNTIMES)}")
    reason = build([runtime])[runtime]
    if reason is not None:
        raise RunnerError(f"the runner for {runtime} cannot be built: {reason}")
    try:
        folder = folder_of(runtime)
        facts = json.loads((folder / FACTS).read_text())
        return Runner(
            runtime,
            folder / binary_name(runtime),
            facts["version"],
            facts["format"],
            facts["build"],
        )
    except (BuildError, OSError, ValueError, KeyError) as e:
        raise RunnerError(
            f"the runner for {runtime} is damaged ({e}); remove its folder and run `make setup`"
        ) from e


def run(
    runner: Runner,
    model: Path,
    cases: Sequence[CaseFiles],
    *,
    threads: int = 1,
    settings: Mapping[str, str] | None = None,
    rows: int | None = None,
    timing: Timing | None = None,
    timeout: float = 120.0,
) -> Run:
    """Run an artifact's cases in a fresh process, and time one of them.

    Parameters
    ----------
    model : the artifact's file or folder.
    cases : each is run once; its outputs are written where it says.
    threads : given to the runtime.
    settings : the runtime's own switches, such as ``{"onednn_fusion": "1"}``; it knows their names.
    rows : feed every case in slices of so many rows, for artifacts with a fixed batch.
    timing : the case to time after all have run; its outputs are then those of the last timed run.
    timeout : seconds, for the whole process.

    Raises
    ------
    RunnerError : the process failed, died or did not end in time.
    """
    arguments = ["--model", str(model), "--threads", str(threads)]
    for name, value in (settings or {}).items():
        arguments += ["--setting", f"{name}={value}"]
    if rows is not None:
        arguments += ["--rows", str(rows)]
    for case in cases:
        arguments += ["--case", case.name]
        arguments += _bindings("--input", case.inputs) + _bindings("--output", case.outputs)
    if timing is not None:
        arguments += timing.words()
    return Run.from_json(call(runner.path, arguments, timeout))


def _bindings(option: str, files: Mapping[str, Path]) -> list[str]:
    words: list[str] = []
    for name, path in files.items():
        escaped = name.replace("%", "%25").replace("=", "%3D").replace("\n", "%0A")
        words += [option, f"{escaped}={path}"]
    return words


def main() -> int:
    """Build all runners, with progress on stderr; 1 if one could not be built."""
    reasons = build(log=lambda line: print(line, file=sys.stderr))
    failed = {name: reason for name, reason in reasons.items() if reason is not None}
    for name, reason in failed.items():
        print(f"runner {name} cannot be built: {reason}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
