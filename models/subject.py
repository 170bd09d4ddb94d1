"""Which model is exported, in words that cross a process border."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.models import zoo
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.given import Given
from shipworthy.models.spec import Case, Signature, Source


class SubjectError(ShipworthyError):
    """A model of the user's own that is not what it was when it was looked at."""


@dataclass(frozen=True)
class Found:
    """What was found when a user's own model was looked at.

    Parameters
    ----------
    framework, kind : as in `shipworthy.models.own.Opened`.
    signature : names, dtypes, dynamic axes, how the inputs are handed over.
    identity : hash of what was given and of every file of the user's that shapes it.
    cases : folder with a folder a case, a ``.npy`` an input.
    files : what holds a model whose kind is not ``"module"``.
    notes : what the user should know.
    processing : what the model declares around itself, as in `shipworthy.models.own.Opened`.
    """

    framework: str
    kind: str
    signature: Signature
    identity: str
    cases: str
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    processing: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "framework": self.framework,
            "kind": self.kind,
            "signature": self.signature.to_json(),
            "identity": self.identity,
            "cases": self.cases,
            "files": list(self.files),
            "notes": list(self.notes),
            "processing": dict(self.processing),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Found:
        """Read what `to_json` wrote."""
        signature = Signature.from_json(data["signature"])
        lists = {name: tuple(data[name]) for name in ("files", "notes")}
        return cls(**{**data, "signature": signature, **lists})


@dataclass(frozen=True)
class Subject:
    """A model of the zoo, by name, or one of the user's own.

    Parameters
    ----------
    name : the model's name.
    given, found : None for a model of the zoo.
    """

    name: str
    given: Given | None = None
    found: Found | None = None

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The frameworks it is written in."""
        if self.found is not None:
            return (self.found.framework,)
        return tuple(zoo.get(self.name).sources)

    @property
    def origin(self) -> str:
        """Where it comes from, which tells two of one name apart."""
        return origin_of(self.given)

    def words(self) -> list[str]:
        """Return the command-line words that name it."""
        return self.given.words() if self.given else [self.name]

    def source(self, framework: str) -> Source:
        """Return the model as its author wrote it.

        Raises
        ------
        shipworthy.models.zoo.ZooError : no such model, or it is not written in that framework.
        """
        if self.given is None or self.found is None:
            return zoo.source(self.name, framework)
        if framework != self.found.framework:
            raise zoo.ZooError(
                f"{self.given.path} is a {self.found.framework} model; it has no {framework} source"
            )
        given, found = self.given, self.found
        return Source(
            name=self.name,
            framework=framework,
            signature=found.signature,
            build=lambda: _build(given, found),
            cases=lambda: read_cases(Path(found.cases)),
            kind=found.kind,
            files=tuple(Path(file) for file in found.files),
            load=None if found.kind == "module" else lambda path: _build(given, found, path),
            identity=found.identity,
            processing=found.processing,
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "name": self.name,
            "given": self.given.to_json() if self.given else None,
            "found": self.found.to_json() if self.found else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Subject:
        """Read what `to_json` wrote."""
        return cls(
            data["name"],
            Given.from_json(data["given"]) if data["given"] else None,
            Found.from_json(data["found"]) if data["found"] else None,
        )


def origin_of(given: Given | None) -> str:
    """Return ``"zoo"``, or what a user's own model was given as."""
    return given.words()[0] if given else "zoo"


def _build(given: Given, found: Found, path: Path | None = None) -> Any:
    from shipworthy.models.own import open_own

    opened = open_own(replace(given, path=str(path)) if path else given)
    if (opened.framework, opened.kind) != (found.framework, found.kind):
        raise SubjectError(
            f"{given.path} now gives a {opened.framework} {opened.kind}, and gave a "
            f"{found.framework} {found.kind} when it was looked at; export again"
        )
    if opened.processing != found.processing:
        raise SubjectError(
            f"what {given.name} declares around its model was {_where(found.processing)} when it "
            f"was looked at, and is {_where(opened.processing)} here: its preprocess or "
            "postprocess is not made of operations that every Keras backend has"
        )
    return opened.model


def _where(processing: Mapping[str, Any]) -> str:
    told = [f"{n} {'inside' if f['inside'] else 'outside'}" for n, f in processing.items()]
    return ", ".join(told) or "nothing"


def write_cases(cases: list[Case], folder: Path) -> None:
    """Write cases as ``<folder>/<case>/<number>.npy`` beside ``names.json``."""
    for case in cases:
        place = folder / case.name
        place.mkdir(parents=True)
        for i, value in enumerate(case.inputs.values()):
            np.save(place / f"{i}.npy", value)
        (place / "names.json").write_text(json.dumps(list(case.inputs)))


def read_cases(folder: Path) -> list[Case]:
    """Read what `write_cases` wrote."""
    found = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        names = json.loads((place / "names.json").read_text())
        arrays = {
            name: np.load(place / f"{i}.npy", allow_pickle=False) for i, name in enumerate(names)
        }
        found.append(Case(place.name, arrays))
    return found
