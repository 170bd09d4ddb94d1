"""Reads what the reference process wrote. NumPy only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from shipworthy.convert.cases import TASK
from shipworthy.convert.yardstick import YARDSTICKS, Expected, distance
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Array, Signature

REFERENCE = "reference.json"


class BrokenReferenceError(ShipworthyError):
    """A reference that is missing, unreadable or incomplete."""


@dataclass(frozen=True)
class ReferenceCase:
    """One case, as paths relative to the reference's folder, by canonical name.

    Parameters
    ----------
    sizes : size of every dynamic axis.
    rows : how many rows it adds to the pool.
    traced : whether exports are traced at these sizes.
    expected64, error : one of them is empty, depending on the yardstick.
    unstable, seen, filler : see `shipworthy.convert.yardstick.Expected`.
    """

    name: str
    sizes: Mapping[str, int]
    rows: int
    traced: bool
    inputs: Mapping[str, str]
    expected32: Mapping[str, str]
    expected64: Mapping[str, str]
    error: Mapping[str, str]
    unstable: Mapping[str, str]
    seen: Mapping[str, str]
    filler: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """What the untouched original answered; arrays are loaded by function.

    Parameters
    ----------
    folder : where it lies.
    weights, weights_sha256 : the snapshot's file name and hash.
    yardstick, yardstick_reason : ``"float64"``, or ``"jitter"`` and why.
    noise : ratios of the noise runs, see `shipworthy.convert.weigh.noise_ratios`.
    noise_runs, notes : what was changed in each, and what was left out.
    task : ``{"metric", "case", "original"}`` or None.
    """

    folder: Path
    model: str
    framework: str
    signature: Signature
    weights: str
    weights_sha256: str
    yardstick: str
    yardstick_reason: str
    tools: Mapping[str, str]
    key: str
    cases: tuple[ReferenceCase, ...]
    noise: Mapping[str, Any]
    noise_runs: tuple[str, ...]
    notes: tuple[str, ...]
    task: Mapping[str, Any] | None
    seconds: float

    def case(self, name: str) -> ReferenceCase:
        """Return a case by name.

        Raises
        ------
        BrokenReferenceError : no such case; the message lists the known ones.
        """
        for case in self.cases:
            if case.name == name:
                return case
        known = ", ".join(case.name for case in self.cases)
        raise BrokenReferenceError(f"{self.folder} has no case {name!r}; it has {known}")

    def input_paths(self, name: str) -> dict[str, Path]:
        """Return the files of a case's inputs by canonical name."""
        return {k: self.folder / path for k, path in self.case(name).inputs.items()}

    def expected(self, name: str) -> Expected:
        """Load what is expected of one case.

        Raises
        ------
        BrokenReferenceError : no such case, or a file that is missing or broken.
        """
        case = self.case(name)
        expected32 = self._load(case.expected32)
        if self.yardstick == "float64":
            centre = self._load(case.expected64)
            error = {k: distance(expected32[k], value) for k, value in centre.items()}
        else:
            error = self._load(case.error)
            centre = {k: np.asarray(expected32[k], np.float64) for k in error}
        return Expected(
            case=name,
            rows=case.rows,
            expected32=expected32,
            centre=centre,
            error=error,
            unstable=self._load(case.unstable),
            seen=self._load(case.seen),
            filler=case.filler,
        )

    def _load(self, paths: Mapping[str, str]) -> dict[str, Array]:
        return {name: self._load_one(self.folder / path) for name, path in paths.items()}

    def _load_one(self, path: Path) -> Array:
        try:
            array: Array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as e:
            raise BrokenReferenceError(
                f"{path} cannot be read ({e}); run the reference again"
            ) from e
        return array


def read_reference(folder: Path) -> Reference:
    """Read ``reference.json``; arrays stay on disk.

    Raises
    ------
    BrokenReferenceError : no reference there, not JSON, or a field missing or unknown.
    """
    path = folder / REFERENCE
    try:
        data = dict(json.loads(path.read_text()))
        schema = data.pop("schema")
        data["signature"] = Signature.from_json(data["signature"])
        data["cases"] = tuple(ReferenceCase(**case) for case in data["cases"])
        _check_paths(data["cases"])
        for name in ("noise_runs", "notes"):
            data[name] = tuple(data[name])
        found = Reference(folder=folder, **data)
    except FileNotFoundError as e:
        raise BrokenReferenceError(f"{path} does not exist; run the reference first") from e
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise BrokenReferenceError(f"{path} is not a reference shipworthy wrote: {e!r}") from e
    if schema != 1 or found.yardstick not in YARDSTICKS:
        raise BrokenReferenceError(
            f"{path} has schema {schema}, yardstick {found.yardstick!r}; this version reads "
            f"schema 1, yardsticks {', '.join(YARDSTICKS)}"
        )
    return found


def _check_paths(cases: Iterable[ReferenceCase]) -> None:
    """Refuse a reference that points outside its folder."""
    for case in cases:
        for paths in (case.inputs, case.expected32, case.expected64, case.error, case.unstable,
                      case.seen):  # fmt: skip
            for path in map(PurePosixPath, paths.values()):
                if path.is_absolute() or ".." in path.parts:
                    raise ValueError(f"{str(path)!r} is not inside the reference's folder")


def task_case(found: Reference) -> ReferenceCase | None:
    """Return the case with the task's whole test set, if there is one."""
    return found.case(TASK) if found.task else None
