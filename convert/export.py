"""Makes references and artifacts: what is unchanged is kept, what is new appears whole.

A failure is kept as well, as ``failure.json`` in place of the artifact, with its reason and the
command that reproduces it.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shipworthy.convert.artifact import (
    FAILURE,
    Artifact,
    ArtifactError,
    is_intact,
    publish,
    read_artifact,
    write_json,
)
from shipworthy.convert.hop import HopRequest
from shipworthy.convert.launch import Launch
from shipworthy.convert.process import Outcome
from shipworthy.convert.read_reference import REFERENCE, BrokenReferenceError, read_reference
from shipworthy.convert.routes import Hop, find_routes
from shipworthy.convert.seal import check_seal, seal
from shipworthy.convert.versions import versions_of
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.models.cache import hash_json, hash_path, hash_sources
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Source

_FRAMEWORK_PACKAGES = {
    "pytorch": ("torch", "safetensors"),
    "tensorflow": ("tensorflow", "keras", "h5py"),
}
_SHARED_PACKAGES = ("numpy", "scikit-learn")  # the latter has the test set
_ROOM = Path(__file__).resolve().parent


class ExportError(ShipworthyError):
    """A reference or an artifact could not be made.

    Parameters
    ----------
    reason : what happened and what can be done, one or a few lines.
    command : reproduces it.
    log : what the process printed, relative to the model's folder.
    """

    def __init__(self, reason: str, command: str = "", log: str = "") -> None:
        super().__init__(reason)
        self.reason, self.command, self.log = reason, command, log


@dataclass(frozen=True)
class Place:
    """Where one model's exports live.

    Parameters
    ----------
    out : the model's folder.
    """

    out: Path

    def cell(self, framework: str, format_: str) -> Path:
        """Folder of one cell."""
        return self.out / framework / format_

    def reference(self, framework: str) -> Path:
        """Folder of a framework's reference."""
        return self.out / framework / "reference"

    def log(self, framework: str, step: str) -> Path:
        """Log of one process."""
        return self.out / "logs" / f"{framework}.{step}.log"

    def log_of(self, source: Source, hop: Hop) -> Path:
        """Log of one hop."""
        return self.log(source.framework, f"{hop.source}-{hop.target}")


@cache
def code_hash() -> str:
    """Return the hash of the rooms that shape an artifact."""
    return hash_sources([_ROOM, _ROOM.parent / "models"])


def make_reference(
    source: Source, weights: Path | None, place: Place, launch: Launch, timeout: float
) -> bool:
    """Run the untouched original; return False if what is there is still right.

    Raises
    ------
    ExportError : the original does not run.
    """
    target = place.reference(source.framework)
    key = hash_json(
        {
            "code": code_hash(),
            "weights": hash_path(weights) if weights else None,
            "tools": versions_of((*_SHARED_PACKAGES, *_FRAMEWORK_PACKAGES[source.framework])),
        }
    )
    if _sealed_key(target) == key:
        return False
    log = place.log(source.framework, "reference")
    argv = ["--model", source.name, "--framework", source.framework]
    argv += ["--weights", str(weights) if weights else "none", "--key", key]
    # Any hop from the framework runs the original first, and shows what it says.
    first = find_routes(source.framework, "onnx")[0].hops[0]
    command = shlex.join(
        ["shipworthy", "hop", source.name, first.source, first.target, "--out", str(place.out)]
    )
    with publish(target) as work:
        outcome = launch(
            source.framework,
            "shipworthy.convert.reference",
            [*argv, "--out", str(work)],
            log=log,
            timeout=timeout,
            env={"KERAS_BACKEND": "tensorflow"},
        )
        if not outcome.ok or not (work / REFERENCE).is_file():
            raise ExportError(
                f"the original does not run: {_why(outcome, work, log)}",
                command,
                str(log.relative_to(place.out)),
            )
        seal(work)
    return True


def make_artifact(
    source: Source,
    hop: Hop,
    route: str,
    place: Place,
    launch: Launch,
    timeout: float,
    *,
    again: bool = False,
) -> tuple[Artifact, bool]:
    """Perform one hop; return the artifact and whether it is new.

    Parameters
    ----------
    route : the hops up to and with this one.
    again : perform it even if nothing has changed.

    Raises
    ------
    ExportError : the hop failed; ``failure.json`` stands in the artifact's place.
    """
    target = place.cell(source.framework, hop.target)
    parent = place.cell(source.framework, hop.source) if hop.source != source.framework else None
    key = _hop_key(source, hop, route, place, parent)
    kept = None if again else _kept(target, key)
    if kept:
        return kept, False
    command = shlex.join(
        ["shipworthy", "hop", source.name, hop.source, hop.target]
        + ([] if parent is None else ["--framework", source.framework])
        + ["--out", str(place.out)]
    )
    log = place.log_of(source, hop)
    try:
        private_folder = tempfile.TemporaryDirectory(dir=place.out, prefix=WORK_PREFIX)
        with private_folder as private, publish(target) as work:
            request = Path(private) / "request.json"
            reference = place.reference(source.framework)
            HopRequest(
                model=source.name,
                framework=source.framework,
                hop=str(hop),
                route=route,
                reference=str(reference),
                parent=str(parent) if parent else None,
                folder=str(work),
                key=key,
                command=command,
            ).write(request)
            outcome = launch(
                "pytorch" if hop.keras_backend == "torch" else source.framework,
                "shipworthy.convert.hop",
                [str(request)],
                log=log,
                timeout=timeout,
                env={"KERAS_BACKEND": hop.keras_backend},
            )
            if not outcome.ok or not (work / "artifact.json").is_file():
                reason = f"{hop}: {_why(outcome, work, log)}"
                raise ExportError(reason, command, str(log.relative_to(place.out)))
    except ExportError as e:
        record_failure(target, source.name, route, e)
        raise
    return read_artifact(target), True


def record_failure(cell: Path, model: str, route: str, error: ExportError) -> None:
    """Put ``failure.json`` in the artifact's place."""
    with publish(cell) as work:
        write_json(
            work / FAILURE,
            {
                "model": model,
                "route": route,
                "reason": error.reason,
                "command": error.command,
                "log": error.log,
            },
        )


def read_failure(cell: Path) -> Mapping[str, str] | None:
    """Return the route, reason, command and log that `record_failure` wrote, or None."""
    try:
        data = json.loads((cell / FAILURE).read_text())
        return {name: str(data[name]) for name in ("route", "reason", "command", "log")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        told = f"{FAILURE} is damaged; export again"
        return {"route": "", "reason": told, "command": "", "log": ""}


def _hop_key(source: Source, hop: Hop, route: str, place: Place, parent: Path | None) -> str:
    reference = read_reference(place.reference(source.framework))
    return hash_json(
        {
            "model": source.name,
            "framework": source.framework,
            "route": route,
            "code": code_hash(),
            "weights": reference.weights_sha256,
            "signature": source.signature.to_json(),
            "tools": versions_of(hop.packages),
            "parent": read_artifact(parent).key if parent else None,
        }
    )


def _kept(target: Path, key: str) -> Artifact | None:
    try:
        artifact = read_artifact(target)
    except ArtifactError:
        return None
    return artifact if artifact.key == key and is_intact(artifact) else None


def _sealed_key(folder: Path) -> str | None:
    """Return the key of a reference of which nothing is missing or changed, or None."""
    try:
        check_seal(folder)
        return read_reference(folder).key
    except BrokenReferenceError:
        return None


def _why(outcome: Outcome, work: Path, log: Path) -> str:
    """Say why a process gave nothing: its own words, else the system's with the log's last line."""
    try:
        told = str(json.loads((work / FAILURE).read_text())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        told = ""
    if told and not outcome.timed_out:
        return told
    reason = outcome.reason or "it wrote no result"
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return f"{reason}; last words: {lines[-1].strip()}" if lines else reason
