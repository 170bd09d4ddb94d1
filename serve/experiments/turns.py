"""Times cells of several model folders in one session: fresh processes that take turns."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

from shipworthy.serve.bench import Subject, schedule
from shipworthy.serve.experiments.experiment import ExperimentError
from shipworthy.serve.judge import read_validation
from shipworthy.serve.modes import Settings
from shipworthy.serve.steps import Event

Runs = dict[str, list[list[int]]]


def take_turns(
    step: str, cells: Mapping[str, tuple[Path, tuple[str, str]]], settings: Settings, timeout: float
) -> Generator[Event, None, Runs]:
    """Measure cells that passed, in ABBA order; return latencies (ns) by name and process.

    Parameters
    ----------
    step : what the user sees.
    cells : name -> model folder and cell. The same cell under two names is a control.

    Raises
    ------
    ExperimentError : a cell was not judged.
    shipworthy.models.errors.ShipworthyError : a process failed, or its outputs are wrong.
    """
    subjects = {name: _subject(*place) for name, place in cells.items()}
    runs: Runs = {name: [] for name in cells}
    yield Event(step, "started")
    for name in schedule(list(cells), settings.processes, settings.seed):
        runs[name].append(subjects[name].measure(settings, timeout).latencies_ns)
    yield Event(step, "done", f"{settings.processes} processes each")
    return runs


def _subject(out: Path, cell: tuple[str, str]) -> Subject:
    verdict = read_validation(out.joinpath(*cell))
    if verdict is None or not verdict.passed:
        raise ExperimentError(f"{out.joinpath(*cell)} has not passed, so it is not timed")
    return Subject(out, cell, verdict.key)
