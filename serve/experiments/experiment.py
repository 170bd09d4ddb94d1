"""What an experiment is, and what it works with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipworthy.convert.launch import Launch
from shipworthy.models.atomic import write_json
from shipworthy.models.errors import ShipworthyError
from shipworthy.serve.experiments.evidence import Evidence, read_evidence
from shipworthy.serve.steps import Event

MODES = ("quick", "normal")
MODELS = "models"

Settings = Mapping[str, Any]


class ExperimentError(ShipworthyError):
    """An experiment that could not be made; the message says why."""


@dataclass(frozen=True)
class Context:
    """What an experiment works with.

    Parameters
    ----------
    out : the ledger's folder.
    mode : one of `MODES`.
    executor, launch : as `shipworthy.serve.pipeline.export` takes them.
    timeout : seconds that one process may take.
    parts : where the sessions of an experiment are kept until it is finished.
    """

    out: Path
    mode: str
    executor: Executor
    launch: Launch
    timeout: float = 600.0
    parts: Path | None = None

    def session(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what one session of an experiment gives, kept until the experiment is finished.

        An interrupted experiment goes on with the first session that it has not, or that was not
        fit.

        Parameters
        ----------
        name : unique in the experiment.
        measure : makes it; what it returns is written as JSON, if its ``fit`` is true.
        """
        path = (
            None if self.parts is None else self.parts / f"{re.sub(r'[^a-z0-9]+', '-', name)}.json"
        )
        if path is None:
            return measure()
        try:
            return dict(json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            found = measure()
            if found["fit"]:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, found)
            return found

    def model_folder(self, model: str) -> Path:
        """Return the folder of a model that an experiment exports."""
        return self.out / MODELS / model

    def evidence(self, name: str) -> Evidence:
        """Return the evidence of an experiment that this one needs.

        Raises
        ------
        ExperimentError : there is none.
        """
        found = read_evidence(self.out, name)
        if found is None or found.data is None:
            raise ExperimentError(f"it needs the experiment {name!r}, which has no result")
        return found

    def data(self, name: str) -> Mapping[str, Any]:
        """Return the data of an experiment that this one needs; raises as `evidence`."""
        data = self.evidence(name).data
        assert data is not None, "evidence() refuses it"
        return data


@dataclass(frozen=True)
class Result:
    """What an experiment returns.

    Parameters
    ----------
    data : JSON-ready.
    unfit : why parts of it may not be relied on, such as a busy machine; they are told, and the
        experiment is made again the next time.
    records : see `shipworthy.serve.experiments.evidence.Evidence`.
    """

    data: Mapping[str, Any]
    unfit: tuple[str, ...] = ()
    records: tuple[tuple[str, str], ...] = ()


Progress = Generator[Event, None, Result]


@dataclass(frozen=True)
class Experiment:
    """Runs what answers one question.

    Parameters
    ----------
    name, title : short name and what it does, in a few words.
    run : does it, yields what happens, returns what it found. Each process that it starts has a
        time-out.
    settings : mode -> what `run` is given; all that shapes the result stands in it.
    sources : the files and folders whose change makes the result old.
    packages : distributions whose version does.
    needs : experiments whose evidence this one reads.
    """

    name: str
    title: str
    run: Callable[[Context, Settings], Progress]
    settings: Mapping[str, Settings] = field(default_factory=lambda: {mode: {} for mode in MODES})
    sources: tuple[Path, ...] = ()
    packages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
