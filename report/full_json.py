"""``report.json``: everything that is known of every cell, for machines.

`report.schema.json` describes it. The records are those of ``records.jsonl``, raw latencies
included, so that two reports can be compared without their folders.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from shipworthy.report.records import Record, RecordsError, check_record
from shipworthy.report.scope import Model, Scope
from shipworthy.report.units import plain

SCHEMA = 1
KIND = "shipworthy report"


def make_json(scope: Scope) -> str:
    """Return the report as one line of JSON a record, so that a change of one cell is one line."""
    head = {
        "schema": SCHEMA,
        "kind": KIND,
        "shipworthy": metadata.version("shipworthy"),
        "title": scope.title,
        "ledger": None if scope.ledger is None else list(scope.ledger),
    }
    lines = [f'"{name}": {_dump(value)},' for name, value in head.items()]
    models = ",\n".join(_model(model) for model in scope)
    return "{\n" + "\n".join(lines) + '\n"models": [\n' + models + "\n]\n}\n"


def read_json(path: Path) -> Scope:
    """Read a report again.

    Raises
    ------
    RecordsError : it is not what `make_json` writes.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise RecordsError(f"{path} cannot be read: {e}") from e
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise RecordsError(f"{path} is no report.json; `shipworthy report DIR` writes one")
    if data.get("schema") != SCHEMA:
        raise RecordsError(f"{path} has schema {data.get('schema')!r}; this version reads {SCHEMA}")
    models = []
    for model in data.get("models") or []:
        try:
            records: list[Record] = [check_record(record) for record in model["records"]]
            models.append(Model(plain(model["model"]), records, str(path.parent)))
        except (ValueError, KeyError, TypeError) as e:
            raise RecordsError(f"{path}: a record {e}") from e
    if not models or not all(model.records for model in models):
        raise RecordsError(f"{path} holds no record")
    return Scope(plain(data.get("title")), models, str(path.parent), data.get("ledger"))


def _model(model: Model) -> str:
    records = ",\n".join(_dump(dict(record)) for record in model.records)
    return f'{{"model": {_dump(model.name)}, "records": [\n{records}\n]}}'


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
