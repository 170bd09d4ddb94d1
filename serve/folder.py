"""A model's folder: who may work in it, which cells it was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shipworthy.convert.artifact import MANIFEST, write_json
from shipworthy.convert.routes import FORMATS
from shipworthy.models.atomic import lock, sweep
from shipworthy.models.errors import WrongUsageError
from shipworthy.models.spec import FRAMEWORKS

CELLS = "cells.json"

Cell = tuple[str, str]


class FolderError(WrongUsageError):
    """The folder is of another model, busy, or holds no export."""


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """Keep other runs out of a model's folder, and sweep what a killed one left half-done.

    Raises
    ------
    FolderError : another run holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    busy = f"another shipworthy is at work in {out}; wait for it, or use another --out"
    with lock(out / ".lock", FolderError(busy)):
        parts = [out / framework for framework in FRAMEWORKS]
        sweep(out, *parts, *(part / format_ for part in parts for format_ in FORMATS))
        yield


def ask_for(out: Path, model: str, cells: Sequence[Cell]) -> None:
    """Note that these cells are wanted, beside those asked for earlier.

    Raises
    ------
    FolderError : the folder is another model's.
    """
    known: list[Cell] = []
    if (out / CELLS).exists():
        owner, known = _read(out)
        if owner != model:
            raise FolderError(
                f"{out} holds the exports of {owner!r}; export {model!r} to another --out"
            )
    write_json(out / CELLS, {"schema": 1, "model": model, "cells": _in_order({*known, *cells})})


def asked_cells(out: Path) -> list[Cell]:
    """Return the cells that the folder was asked for, in the order of the report.

    Raises
    ------
    FolderError : no export was ever asked for here; the message says what to do.
    """
    return _read(out)[1]


def model_of(out: Path) -> str:
    """Return the name of the model that the folder is of.

    Raises
    ------
    FolderError : no export was ever asked for here.
    """
    return _read(out)[0]


def cells_with_artifacts(out: Path) -> list[Cell]:
    """Return every cell in which an artifact lies, asked for or made on the way to another."""
    return [
        (framework, format_)
        for framework in FRAMEWORKS
        for format_ in FORMATS
        if has_artifact(out, (framework, format_))
    ]


def has_artifact(out: Path, cell: Cell) -> bool:
    """Tell whether an artifact's manifest lies in a cell."""
    return (out.joinpath(*cell) / MANIFEST).exists()


def _read(out: Path) -> tuple[str, list[Cell]]:
    try:
        data = json.loads((out / CELLS).read_text())
        wanted = {(str(framework), str(format_)) for framework, format_ in data["cells"]}
        return str(data["model"]), _in_order(wanted)
    except FileNotFoundError as e:
        raise FolderError(
            f"{out} holds no export (no {CELLS}); make one with `shipworthy export MODEL --out DIR`"
        ) from e
    except (ValueError, KeyError, TypeError) as e:
        raise FolderError(
            f"{out / CELLS} is not what shipworthy wrote ({e!r}); remove it and export again"
        ) from e


def _in_order(cells: set[Cell]) -> list[Cell]:
    return [cell for f in FRAMEWORKS for t in FORMATS if (cell := (f, t)) in cells]
