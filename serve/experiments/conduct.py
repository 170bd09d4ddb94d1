"""Finds the experiments, runs those that are wanted, and keeps what is finished.

A finished experiment is kept until its code, its settings, the machine or what it was made from
changes; one that failed, or was made while the machine was busy, is run again. An interrupted run
goes on with the first that is not finished, and within it with the first session that it has not.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import shipworthy.serve.experiments
from shipworthy.convert.process import StoppedError
from shipworthy.models.cache import hash_json, hash_path
from shipworthy.models.errors import ShipworthyError, WrongUsageError
from shipworthy.serve.experiments.evidence import FOLDER, Evidence, read_evidence, write_evidence
from shipworthy.serve.experiments.experiment import MODES, Context, Experiment, Result
from shipworthy.serve.machine import describe_machine
from shipworthy.serve.steps import Event

PARTS = "parts"  # folder beside the evidence: sessions of what is not finished


class UnknownExperimentError(WrongUsageError):
    """A name that no experiment has."""


@cache
def experiments() -> dict[str, Experiment]:
    """Return every experiment of this folder by name."""
    found = {}
    for info in pkgutil.iter_modules(shipworthy.serve.experiments.__path__):
        if info.ispkg:
            continue
        module = importlib.import_module(f"shipworthy.serve.experiments.{info.name}")
        experiment = getattr(module, "EXPERIMENT", None)
        if isinstance(experiment, Experiment):
            found[experiment.name] = experiment
    return found


def order(names: Iterable[str]) -> list[Experiment]:
    """Return these experiments and what they need, each after what it needs.

    Raises
    ------
    UnknownExperimentError : a name that no experiment has.
    """
    known = experiments()
    found: dict[str, Experiment] = {}

    def add(name: str) -> None:
        if name not in known:
            raise UnknownExperimentError(
                f"there is no experiment {name!r}; known: {', '.join(sorted(known))}"
            )
        for need in known[name].needs:
            add(need)
        found.setdefault(name, known[name])

    for name in names:
        add(name)
    return list(found.values())


def conduct(context: Context, wanted: Sequence[Experiment]) -> Iterator[Event]:
    """Run experiments, in this order, that are not finished; yield what happens.

    One that fails leaves its reason as evidence; the others go on.
    """
    for experiment in wanted:
        yield Event(experiment.name, "started")
        if is_finished(context, experiment):
            yield Event(experiment.name, "done", "unchanged")
            continue
        found = yield from _run(context, experiment)
        write_evidence(context.out, found)
        if found.data is None:
            yield Event(experiment.name, "failed", found.reasons[0], found.seconds)
            continue
        if not found.valid:
            yield Event(experiment.name, "done", f"not fit: {found.reasons[0]}", found.seconds)
            continue
        for done in (context.out / FOLDER / PARTS).glob(f"{experiment.name}-*"):
            shutil.rmtree(done)
        yield Event(experiment.name, "done", f"{found.seconds:.0f} s", found.seconds)


def _run(context: Context, experiment: Experiment) -> Generator[Event, None, Evidence]:
    begin, started = time.monotonic(), datetime.now(UTC)
    key = key_of(context.out, experiment, context.mode)
    parts = context.out / FOLDER / PARTS / f"{experiment.name}-{key[:16]}"
    result = None
    try:
        settings = experiment.settings[context.mode]
        result = yield from experiment.run(replace(context, parts=parts), settings)
        json.dumps(result.data, allow_nan=False)  # what is no number is no result
        why = ""
    except StoppedError:
        raise
    except Exception as e:
        why = str(e) if isinstance(e, ShipworthyError) else f"{type(e).__name__}: {e}"
    if result is None or why:
        result = Result({}, (why,))
    return Evidence(
        experiment.name,
        experiment.title,
        context.mode,
        key,
        started.isoformat(timespec="seconds"),
        round(time.monotonic() - begin, 1),
        describe_machine(),
        None if why else result.data,
        result.unfit,
        result.records,
    )


def is_finished(context: Context, experiment: Experiment) -> bool:
    """Tell whether evidence of this code, machine and mode, or of a longer mode, is there."""
    found = read_evidence(context.out, experiment.name)
    if found is None or not found.valid:
        return False
    enough = MODES[MODES.index(context.mode) :]
    return found.mode in enough and found.key == key_of(context.out, experiment, found.mode)


def is_current(out: Path, found: Evidence) -> bool:
    """Tell whether evidence is of the code, the versions, the settings and the machine of now."""
    experiment = experiments().get(found.experiment)
    if experiment is None or found.mode not in experiment.settings:
        return False
    return found.key == key_of(out, experiment, found.mode)


def key_of(out: Path, experiment: Experiment, mode: str) -> str:
    """Return the hash of all that shapes an experiment's result in a mode."""
    machine = describe_machine()
    needed = [read_evidence(out, need) for need in experiment.needs]
    return hash_json(
        {
            "settings": experiment.settings[mode],
            "sources": [[path.name, _hash(path)] for path in experiment.sources],
            "packages": {name: _version(name) for name in experiment.packages},
            "machine": {name: machine[name] for name in ("cpu", "cores", "memory_bytes", "kernel")},
            "needs": [None if one is None else [one.key, one.started_at] for one in needed],
        }
    )


def _hash(path: Path) -> str:
    if path.is_file():
        return hash_path(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and _counts(file))
    return hash_json([[file.relative_to(path).as_posix(), hash_path(file)] for file in files])


def _counts(file: Path) -> bool:
    return "__pycache__" not in file.parts and "experiments" not in file.parts


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
