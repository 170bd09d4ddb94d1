"""Times cells of several model folders in one session: fresh processes that take turns."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shipworthy.serve.bench import Subject, schedule
from shipworthy.serve.conditions import Conditions
from shipworthy.serve.experiments.experiment import ExperimentError
from shipworthy.serve.judge import read_validation
from shipworthy.serve.modes import Settings
from shipworthy.serve.steps import Event
from shipworthy.serve.validity import check_conditions


@dataclass(frozen=True)
class Session:
    """What was measured in turns.

    Parameters
    ----------
    latencies_ns : by name and process.
    busy : what else happened on the machine that makes the session unfit; nothing if it is fit.
    """

    latencies_ns: Mapping[str, list[list[int]]]
    busy: list[str]


def take_turns(
    step: str, cells: Mapping[str, tuple[Path, tuple[str, str]]], settings: Settings, timeout: float
) -> Generator[Event, None, Session]:
    """Measure cells that passed, in ABBA order; yield what happens.

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
    latencies_ns: dict[str, list[list[int]]] = {name: [] for name in cells}
    conditions: list[Conditions] = []
    yield Event(step, "started")
    for name in schedule(list(cells), settings.processes, settings.seed):
        proven = subjects[name].measure(settings, timeout)
        latencies_ns[name].append(proven.latencies_ns)
        conditions.append(proven.conditions)
    yield Event(step, "done", f"{settings.processes} processes each")
    return Session(latencies_ns, check_conditions(conditions))


def _subject(out: Path, cell: tuple[str, str]) -> Subject:
    verdict = read_validation(out.joinpath(*cell))
    if verdict is None or not verdict.passed:
        raise ExperimentError(f"{out.joinpath(*cell)} has not passed, so it is not timed")
    return Subject(out, cell, verdict.key)
