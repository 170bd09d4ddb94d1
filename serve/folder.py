"""A model's folder: who may work in it, which cells it was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shipworthy.convert.artifact import MANIFEST, read_artifact, write_json
from shipworthy.convert.place import ROUTES
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
        made = [part / format_ for part in parts for format_ in FORMATS]
        aside = [folder for part in parts for folder in (part / ROUTES).glob("*")]
        sweep(out, *parts, *(part / ROUTES for part in parts), *made, *aside)
        yield


@dataclass(frozen=True)
class Asked:
    """What a folder was asked for.

    Parameters
    ----------
    model : its name.
    cells : in the order of the report.
    threads : of the runtimes, when last judged or timed.
    origin : where the model comes from: ``"zoo"``, or what a user's own was given as.
    """

    model: str
    cells: list[Cell]
    threads: int = 1
    origin: str | None = None


def ask_for(
    out: Path,
    model: str,
    cells: Sequence[Cell],
    threads: int | None = None,
    origin: str | None = None,
) -> None:
    """Note that these cells are wanted, beside those asked for earlier.

    Parameters
    ----------
    threads : of the runtimes from now on; None leaves them as they are.
    origin : where the model comes from, which tells two of one name apart; None does not say.

    Raises
    ------
    FolderError : the folder is another model's.
    """
    before = check_owner(out, model, origin)
    wanted = _in_order({*before.cells, *cells})
    data = {
        "model": model, "cells": wanted, "threads": threads or before.threads,
        "origin": origin or before.origin,
    }  # fmt: skip
    write_json(out / CELLS, {"schema": 1, **data})


def check_owner(out: Path, model: str, origin: str | None = None) -> Asked:
    """Return what a model's folder was asked for so far.

    Raises
    ------
    FolderError : the folder is another model's.
    """
    before = asked(out) if (out / CELLS).exists() else Asked(model, [])
    other = origin is not None and before.origin is not None and origin != before.origin
    if before.model != model or other:
        whose = repr(before.model) + (f" of {before.origin}" if other else "")
        raise FolderError(f"{out} holds the exports of {whose}; export {model!r} to another --out")
    return before


def asked(out: Path) -> Asked:
    """Return what the folder was asked for.

    Raises
    ------
    FolderError : no export was ever asked for here; the message says what to do.
    """
    try:
        data = json.loads((out / CELLS).read_text())
        wanted = {(str(framework), str(format_)) for framework, format_ in data["cells"]}
        origin = data.get("origin")
        threads = int(data.get("threads", 1))
        return Asked(str(data["model"]), _in_order(wanted), threads, origin and str(origin))
    except FileNotFoundError as e:
        raise FolderError(
            f"{out} holds no export (no {CELLS}); make one with `shipworthy export MODEL --out DIR`"
        ) from e
    except (ValueError, KeyError, TypeError) as e:
        raise FolderError(
            f"{out / CELLS} is not what shipworthy wrote ({e!r}); remove it and export again"
        ) from e


def adopt(out: Path) -> Asked:
    """Return what the folder was asked for; by the artifacts in it if nobody noted it.

    Raises
    ------
    FolderError : nothing was ever exported here.
    """
    found = cells_with_artifacts(out)
    if (out / CELLS).exists() or not found:
        return asked(out)
    return Asked(read_artifact(out.joinpath(*found[0])).model, found)


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
    return has_manifest(out.joinpath(*cell))


def has_manifest(folder: Path) -> bool:
    """Tell whether an artifact's manifest lies in a folder."""
    return (folder / MANIFEST).exists()


def _in_order(cells: set[Cell]) -> list[Cell]:
    return [cell for f in FRAMEWORKS for t in FORMATS if (cell := (f, t)) in cells]
