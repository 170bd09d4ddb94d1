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
from shipworthy.models.cache import hash_json, hash_path
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Signature

MANIFEST = "artifact.json"
FAILURE = "failure.json"  # in an artifact's, or a reference's, place: why there is none
# What stands beside the exported content in a cell.
_RECORDS = (MANIFEST, "validation.json", "benchmark.json", "measurements", FAILURE)


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
    sha256 : of all that was exported, see `hash_content`.
    size_bytes : of all files that were exported.
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
    instead_of : key of the optimized artifact that did not pass, where this is the plain one.
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
    instead_of: str | None = None

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
        data.setdefault("instead_of", None)
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
    for fields_, type_ in ((texts, str), (mappings, dict)):
        for name in fields_:
            if not isinstance(getattr(artifact, name), type_):
                raise TypeError(f"{name} is {getattr(artifact, name)!r}")
    signature = artifact.signature
    for kind, specs in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        native: Any = artifact.native_names.get(kind)
        if not isinstance(native, dict) or not {spec.name for spec in specs} <= native.keys():
            raise ValueError(f"native_names has {native!r} for the {kind}")
    if any(not isinstance(size, int) or size < 1 for size in artifact.fixed_axes.values()):
        raise ValueError(f"fixed_axes is {dict(artifact.fixed_axes)}")


def hash_content(folder: Path) -> str:
    """Return the SHA-256 of a cell's exported content.

    That is all but the records beside it, so that weights in files of their own (ONNX external
    data) count. Of a single file it is what ``sha256sum`` says.

    Raises
    ------
    ArtifactError : nothing is there.
    """
    paths = _content(folder)
    if len(paths) == 1:
        return hash_path(paths[0])
    return hash_json([[path.name, hash_path(path)] for path in paths])


def size_bytes(folder: Path) -> int:
    """Return the size of a cell's exported content, all files together."""
    return sum(size_of(path) for path in _content(folder))


def size_of(path: Path) -> int:
    """Return the size of a file, or of all files in a folder, in bytes."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def is_intact(artifact: Artifact) -> bool:
    """Tell whether the content is there and still has the hash in its manifest."""
    return artifact.path.exists() and hash_content(artifact.folder) == artifact.sha256


def _content(folder: Path) -> list[Path]:
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.name not in _RECORDS and not path.name.startswith(".")
    ]
    if not found:
        raise ArtifactError(f"nothing was exported into {folder}, or it was removed; export again")
    return found
