"""What a report is of: one model, or all models of a folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shipworthy.report.records import Record, format_title
from shipworthy.report.units import plain

Claim = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """One model's records.

    Parameters
    ----------
    folder : as a command names it.
    page : relative address of the model's own page; empty if this is it.
    """

    name: str
    records: Sequence[Record]
    folder: str
    page: str = ""


@dataclass(frozen=True)
class Scope:
    """What a report is of.

    Parameters
    ----------
    title : the model's name, or the zoo's.
    models : at least one.
    folder : where the report lies, as a command names it.
    ledger : the claims and their verdicts; None if none were made.
    whole : a page of several models, with less detail of each.
    """

    title: str
    models: Sequence[Model]
    folder: str
    ledger: Sequence[Claim] | None = None
    whole: bool = False

    @property
    def records(self) -> list[Record]:
        """The records of all models."""
        return [record for model in self.models for record in model.records]

    def command(self, words: str, model: Model) -> str:
        """Return a command on a model's folder, such as ``bench`` with ``--also threads``."""
        verb, _, rest = words.partition(" ")
        return " ".join(filter(None, ("shipworthy", verb, shlex.quote(model.folder), rest)))

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)


def of_one(records: Sequence[Record], folder: str, ledger: Sequence[Claim] | None = None) -> Scope:
    """Return the scope of one model's records."""
    name = plain(records[0]["model"])
    return Scope(name, [Model(name, records, folder)], folder, ledger)


def cell_label(record: Record) -> str:
    """Return a cell's name in a figure or table, such as ``pytorch ONNX``."""
    return plain(f"{record['framework']} {format_title(record['format'])}")
