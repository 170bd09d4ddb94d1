"""What the installations bring of TensorBoard, and whether it reads what both frameworks write."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shipworthy.convert.launch import ENVIRONMENT
from shipworthy.serve.experiments.experiment import (
    Context,
    Experiment,
    ExperimentError,
    Progress,
    Result,
    Settings,
)
from shipworthy.serve.experiments.programs_folder import PROGRAMS, run_program
from shipworthy.serve.steps import Event

PACKAGES = {"pytorch": ("torch",), "tensorflow": ("tensorflow-cpu", "tensorflow")}
PROGRAM = PROGRAMS / "write_events.py"


def _run(context: Context, settings: Settings) -> Progress:
    del settings
    installs = {framework: describe_install(names) for framework, names in PACKAGES.items()}
    files: dict[str, Any] = {}
    for framework in PACKAGES:
        files[framework] = {}
        for way in ("beside", "alone"):
            step = f"event files from {framework}, TensorBoard {_WAYS[way]}"
            yield Event(step, "started")
            with TemporaryDirectory(prefix="shipworthy-events-") as folder:
                words = [sys.executable, "-P", str(PROGRAM), framework, way, folder]
                files[framework][way] = json.loads(
                    run_program(words, context.timeout, ENVIRONMENT).splitlines()[-1]
                )
            yield Event(step, "done", files[framework][way]["detail"])
    return Result({"installs": installs, "files": files})


_WAYS = {"beside": "importable", "alone": "hidden"}


def describe_install(names: tuple[str, ...]) -> dict[str, Any]:
    """Return what the first of these distributions that is installed requires, to the end.

    Raises
    ------
    ExperimentError : none is installed.
    """
    for name in names:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found = closure(name)
        return {
            "package": name,
            "version": version,
            "closure": found,
            "brings": "tensorboard" in found,
        }
    raise ExperimentError(f"none of {', '.join(names)} is installed")


def closure(name: str) -> list[str]:
    """Return the distributions that one requires, directly or not, without extras; sorted.

    One that is required and not installed counts, but what it requires is not known.
    """
    found: set[str] = set()
    waiting = [name]
    while waiting:
        try:
            requirements = metadata.requires(waiting.pop()) or []
        except metadata.PackageNotFoundError:
            continue
        for line in requirements:
            requirement = Requirement(line)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            needed = canonicalize_name(requirement.name)
            if needed not in found:
                found.add(needed)
                waiting.append(needed)
    return sorted(found)


EXPERIMENT = Experiment(
    "tensorboard",
    "TensorBoard: what installs bring, event files of both frameworks",
    _run,
    sources=(Path(__file__), PROGRAM),
    packages=("torch", "tensorflow-cpu", "tensorflow", "tensorboard"),
)
