"""The models' folders inside a folder, and the claims made there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shipworthy.models.errors import ShipworthyError, WrongUsageError
from shipworthy.report.full_json import read_json
from shipworthy.report.records import RECORDS, Record, RecordsError, read_records
from shipworthy.report.scope import Claim, Model, Scope, of_one
from shipworthy.report.units import plain
from shipworthy.serve.folder import CELLS

_LEDGERS = ("claims.json", "claims/claims.json")


class LedgerError(ShipworthyError):
    """A ledger that is not what `shipworthy claims` writes; the message names the file."""


def is_zoo(folder: Path) -> bool:
    """Whether a folder holds models' folders and is none itself."""
    return not (folder / CELLS).exists() and bool(find_models(folder))


def find_models(folder: Path) -> list[Path]:
    """Return the models' folders directly inside a folder, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{CELLS}"))


def read_model(folder: Path, records: Sequence[Record] | None = None) -> Scope:
    """Return the scope of one model's folder.

    Parameters
    ----------
    records : its records, where they have been read already.

    Raises
    ------
    RecordsError, LedgerError : what lies there is not what shipworthy writes.
    """
    ledger = read_ledger(folder)
    return of_one(
        read_records(folder / RECORDS) if records is None else records,
        str(folder),
        read_ledger(folder.parent) if ledger is None else ledger,
    )


def read_zoo(folder: Path) -> Scope:
    """Return the scope of all models inside a folder.

    Raises
    ------
    WrongUsageError : it holds no model.
    RecordsError, LedgerError : what lies there is not what shipworthy writes.
    """
    title = "The zoo" if folder.resolve().name == "out" else plain(folder.resolve().name)
    models = _read_models(folder)
    return Scope(title, models, str(folder), read_ledger(folder), whole=True)


def read_any(path: Path) -> Scope:
    """Return the scope of a model's folder, of a folder of such, or of a ``report.json``.

    The claims beside it are not read.

    Raises
    ------
    WrongUsageError : it is none of these, or its records are not what shipworthy writes.
    """
    try:
        if path.is_file():
            return read_json(path)
        if (path / RECORDS).exists() or (path / CELLS).exists():
            return of_one(read_records(path / RECORDS), str(path))
        if find_models(path):
            return Scope(plain(path.name), _read_models(path), str(path), whole=True)
        if (path / "report.json").exists():
            return read_json(path / "report.json")
    except RecordsError as e:
        raise WrongUsageError(str(e)) from e
    raise WrongUsageError(
        f"{path} is neither a model's folder nor one that holds models' folders nor a report.json; "
        "`shipworthy export MODEL` and `shipworthy report DIR` make them"
    )


def _read_models(folder: Path) -> list[Model]:
    models = [
        Model(plain(records[0]["model"]), records, str(path), f"{path.name}/report.html")
        for path in find_models(folder)
        for records in [read_records(path / RECORDS)]
    ]
    if not models:
        raise WrongUsageError(
            f"{folder} holds no model's folder; make one with `shipworthy export MODEL --out "
            f"{folder}/MODEL`"
        )
    return models


def read_ledger(folder: Path) -> Sequence[Claim] | None:
    """Return the claims with their verdicts that lie in or below a folder; None if none do.

    Raises
    ------
    LedgerError : a file that is no ledger.
    """
    for name in _LEDGERS:
        path = folder / name
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as e:
            raise LedgerError(f"{path} cannot be read: {e}") from e
        claims = data.get("claims") if isinstance(data, dict) else data
        if not isinstance(claims, list) or not all(map(_is_claim, claims)):
            raise LedgerError(
                f"{path} is no ledger; `shipworthy claims --out {path.parent}` writes one"
            )
        return claims
    return None


def _is_claim(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("claim"), str)
        and (isinstance(value.get("verdict"), str))
    )
