"""The small programs that experiments run, and the one way in which they are run."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from shipworthy.convert.process import started
from shipworthy.serve.experiments.experiment import ExperimentError

PROGRAMS = Path(__file__).resolve().parent / "programs"


def run_program(
    words: Sequence[str],
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command in a process of its own; return what it prints on stdout.

    Parameters
    ----------
    env : variables set over this process'.

    Raises
    ------
    ExperimentError : it cannot be started, fails, or does not end in time.
    shipworthy.convert.process.StoppedError : the run was told to stop.
    """
    name = Path(words[0]).name
    pipe = subprocess.PIPE
    try:
        with started(
            words, env=env, stdout=pipe, stderr=pipe, text=True, errors="replace", cwd=cwd
        ) as process:
            stdout, stderr = process.communicate(timeout=timeout)
    except OSError as e:
        raise ExperimentError(f"{name} cannot be started: {e.strerror}") from e
    except subprocess.TimeoutExpired:
        raise ExperimentError(f"{name} did not end within {timeout:g} s") from None
    if process.returncode == 0:
        return str(stdout)
    lines = (stderr.strip() or stdout.strip()).splitlines()
    errors = [line for line in lines if "error" in line.lower()] or lines[-1:]
    how = (
        f"died of {signal.Signals(-process.returncode).name}"
        if process.returncode < 0
        else f"ended with exit code {process.returncode}"
    )
    script = next((Path(word).name for word in words[1:] if os.sep in word), "")
    told = f": {errors[0].strip()}" if errors else ", silently"
    raise ExperimentError(f"{name} {script} {how}{told}".replace("  ", " "))
