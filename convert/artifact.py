"""An exported file or folder and its manifest, ``artifact.json``.

A cell's folder appears by rename, whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from shipworthy.models.atomic import WORK_PREFIX as WORK_PREFIX
from shipworthy.models.atomic import publish as publish
from shipworthy.models.atomic import write_json as write_json
from shipworthy.models.atomic import write_text as write_text
from shipworthy.models.cache import hash_path
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Signature

MANIFEST = "artifact.json"


class ArtifactError(ShipworthyError):
    """A manifest that is missing, unreadable or points outside its folder."""


@dataclass(frozen=True)
class Artifact:
    """What was exported, from what, by what.

    Parameters
    ----------
    model, framework : the source.
    route : such as ``"tensorflow>saved_model>tflite"``; its last hop wrote this file.
    format : one of `shipworthy.convert.routes.FORMATS`.
    file : name of the file or folder beside the manifest.
    sha256 : of the file, or of the folder's names and contents.
    size_bytes : of the file, or of all files in the folder.
    signature : the source's.
    native_names : ``{"inputs": {canonical: native}, "outputs": {canonical: native}}``.
    dynamic_axes : names of the axes that stay dynamic.
    fixed_axes : axes of the source that the file does not keep, with the size they have.
    weights_sha256 : the snapshot of the weights that went in.
    key : what the file was made from; an equal key needs no new export.
    tools : versions of the packages that shaped the file.
    options, notes, warnings : what the hop set, what the user should know, what the tools said.
    parent : the parent artifact's key, where the hop starts from a format.
    command : reproduces the hop.
    seconds : wall time of the hop's process.
    """

    model: str
    framework: str
    route: str
    format: str
    file: str
    sha256: str
    size_bytes: int
    signature: Signature
    native_names: Mapping[str, Mapping[str, str]]
    dynamic_axes: tuple[str, ...]
    fixed_axes: Mapping[str, int]
    weights_sha256: str
    key: str
    tools: Mapping[str, str]
    options: Mapping[str, Any]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    parent: str | None
    command: str
    seconds: float
    folder: Path

    @property
    def path(self) -> Path:
        """The exported file or folder."""
        return self.folder / self.file

    def write(self) -> None:
        """Write the manifest into the artifact's folder."""
        data = asdict(self) | {"signature": self.signature.to_json(), "schema": 1}
        del data["folder"]
        write_json(self.folder / MANIFEST, data)


def read_artifact(folder: Path) -> Artifact:
    """Read a manifest.

    Raises
    ------
    ArtifactError : no manifest, not JSON, a field missing, or a file outside the folder.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_text())
        data["signature"] = Signature.from_json(data["signature"])
        for name in ("dynamic_axes", "notes", "warnings"):
            data[name] = tuple(data[name])
        names = {f.name for f in fields(Artifact)} - {"folder"}
        artifact = Artifact(**{name: data[name] for name in names}, folder=folder)
        _check_types(artifact)
    except FileNotFoundError as e:
        raise ArtifactError(f"{path} does not exist; export the model first") from e
    except (ValueError, KeyError, TypeError) as e:
        raise ArtifactError(f"{path} is not a manifest shipworthy wrote: {e!r}") from e
    if Path(artifact.file).name != artifact.file or artifact.file in ("", ".", ".."):
        raise ArtifactError(f"{path} names {artifact.file!r}; it must be a name inside its folder")
    return artifact


def _check_types(artifact: Artifact) -> None:
    texts = ("model", "framework", "route", "format", "file", "sha256", "weights_sha256", "key")
    mappings = ("native_names", "fixed_axes", "tools", "options")
    for names, kind in ((texts, str), (mappings, dict)):
        for name in names:
            if not isinstance(getattr(artifact, name), kind):
                raise TypeError(f"{name} is {getattr(artifact, name)!r}")


def size_bytes(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def is_intact(artifact: Artifact) -> bool:
    """Tell whether the file is there and still has the hash in its manifest."""
    return artifact.path.exists() and hash_path(artifact.path) == artifact.sha256
