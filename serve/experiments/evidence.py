"""What an experiment found, as a file: ``evidence/<experiment>.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipworthy.models.atomic import write_json

FOLDER = "evidence"
SCHEMA = 1


@dataclass(frozen=True)
class Evidence:
    """The outcome of one experiment.

    Parameters
    ----------
    experiment, title : its name and what it does.
    mode : ``"quick"`` or ``"normal"``.
    key : hash of the code, the settings, the machine and the evidence it was made from.
    started_at : ISO 8601, UTC.
    seconds : it took.
    data : what was found; None if the experiment failed.
    reasons : why it failed, or why it is not valid.
    links : title and path of further records, relative to the folder of the ledger.
    """

    experiment: str
    title: str
    mode: str
    key: str
    started_at: str
    seconds: float
    machine: Mapping[str, Any]
    data: Mapping[str, Any] | None
    reasons: tuple[str, ...] = ()
    records: tuple[tuple[str, str], ...] = ()

    @property
    def valid(self) -> bool:
        """Whether it need not be made again: there is a result, and all of it was fit."""
        return self.data is not None and not self.reasons

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """The evidence itself, then what it was made from."""
        return ((self.title, f"{FOLDER}/{self.experiment}.json"), *self.records)


def path_of(out: Path, experiment: str) -> Path:
    """Return where the evidence of an experiment lies below the ledger's folder."""
    return out / FOLDER / f"{experiment}.json"


def write_evidence(out: Path, found: Evidence) -> None:
    """Write evidence by rename; numbers that JSON has not are refused.

    Raises
    ------
    ValueError : NaN or infinity in the data.
    """
    path = path_of(out, found.experiment)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "schema": SCHEMA,
            "experiment": found.experiment,
            "title": found.title,
            "mode": found.mode,
            "key": found.key,
            "started_at": found.started_at,
            "seconds": found.seconds,
            "machine": dict(found.machine),
            "valid": found.valid,
            "reasons": list(found.reasons),
            "records": [{"title": title, "path": path} for title, path in found.records],
            "data": found.data,
        },
    )


def read_evidence(out: Path, experiment: str) -> Evidence | None:
    """Return what `write_evidence` wrote; None if there is none, or none that can be read."""
    try:
        data = json.loads(path_of(out, experiment).read_text())
        if data["schema"] != SCHEMA or data["experiment"] != experiment:
            return None
        return Evidence(
            experiment,
            str(data["title"]),
            str(data["mode"]),
            str(data["key"]),
            str(data["started_at"]),
            float(data["seconds"]),
            dict(data["machine"]),
            data["data"] if data["data"] is None else dict(data["data"]),
            tuple(map(str, data["reasons"])),
            tuple((str(link["title"]), str(link["path"])) for link in data["records"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
