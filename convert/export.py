"""Makes references and artifacts: what is unchanged is kept, what is new appears whole.

A failure is kept as well, as ``failure.json`` in place of the artifact, with its reason and the
command that reproduces it.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from shipworthy.convert.artifact import (
    FAILURE,
    MANIFEST,
    Artifact,
    ArtifactError,
    is_intact,
    publish,
    read_artifact,
    size_of,
    write_json,
)
from shipworthy.convert.hop import HopRequest
from shipworthy.convert.launch import Launch
from shipworthy.convert.place import Place
from shipworthy.convert.process import Outcome
from shipworthy.convert.read_reference import REFERENCE, BrokenReferenceError, read_reference
from shipworthy.convert.routes import FORMATS, Format, Hop, find_routes
from shipworthy.convert.seal import check_seal, seal
from shipworthy.convert.versions import versions_of
from shipworthy.models import zoo
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.models.cache import hash_json, hash_path, hash_sources
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Source
from shipworthy.models.subject import Subject

_FRAMEWORK_PACKAGES = {
    "pytorch": ("torch", "safetensors"),
    "tensorflow": ("tensorflow", "keras", "h5py"),
    "onnx": ("onnx", "onnxruntime"),
}
_SHARED_PACKAGES = ("numpy", "scikit-learn")  # the latter has the test set
_ROOM = Path(__file__).resolve().parent
_TOLD = ("reason", "command", "log", "where", "advice")


class ExportError(ShipworthyError):
    """A reference or an artifact could not be made.

    Parameters
    ----------
    reason : what happened and what can be done, one or a few lines.
    command : reproduces it.
    log : what the process printed, relative to the model's folder.
    where : the line of the user's own code that led there, if there is one.
    advice : what else can be tried.
    """

    def __init__(
        self, reason: str, command: str = "", log: str = "", where: str = "", advice: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason, self.command, self.log = reason, command, log
        self.where, self.advice = where, advice


@cache
def code_hash() -> str:
    """Return the hash of the rooms that shape an artifact."""
    return hash_sources([_ROOM, _ROOM.parent / "models"])


def make_reference(
    subject: Subject, framework: str, place: Place, launch: Launch, timeout: float
) -> bool:
    """Run the untouched original; return False if what is there is still right.

    Raises
    ------
    ExportError : the original does not run.
    """
    source = subject.source(framework)
    weights = zoo.weights(source) if subject.given is None else None
    target = place.reference(source.framework)
    key = hash_json(
        {
            "code": code_hash(),
            "identity": source.identity,
            "weights": hash_path(weights) if weights else None,
            "tools": versions_of((*_SHARED_PACKAGES, *_FRAMEWORK_PACKAGES[source.framework])),
        }
    )
    if _sealed_key(target) == key:
        return False
    log = place.log(source.framework, "reference")
    argv = ["--subject", json.dumps(subject.to_json()), "--framework", source.framework]
    argv += ["--weights", str(weights) if weights else "none", "--key", key]
    # Any hop from the framework runs the original first, and shows what it says.
    first = find_routes(framework, "onnx", source.kind)[0].hops[0]
    command = _command(subject, str(first), place)
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
            problem = _read_problem(work, outcome, log)
            problem["reason"] = f"the original does not run: {problem['reason']}"
            raise ExportError(command=command, log=str(log.relative_to(place.out)), **problem)
        seal(work)
    return True


def _command(subject: Subject, route: str, place: Place, *, optimize: bool = True) -> str:
    words = subject.words()
    before, _, target = route.rpartition(">")
    return shlex.join(
        ["shipworthy", "hop", words[0], before, target, *words[1:]]
        + ([] if optimize else ["--no-optimize"])
        + ["--out", str(place.out)]
    )


def make_artifact(
    subject: Subject,
    framework: str,
    hop: Hop,
    route: str,
    place: Place,
    launch: Launch,
    timeout: float,
    *,
    aside: Path | None = None,
    optimize: bool = True,
    instead: bool = False,
) -> tuple[Artifact, bool]:
    """Perform one hop; return the artifact and whether it is new.

    Parameters
    ----------
    route : the hops up to and with this one.
    aside : perform it into this folder, and leave what the route made as it is.
    optimize : see `shipworthy.models.spec.Source`.
    instead : the plain artifact takes the place of the optimized one, which did not pass.

    Raises
    ------
    ExportError : the hop failed; ``failure.json`` stands in the artifact's place.
    """
    source = subject.source(framework)
    target = aside or place.find(route)
    begun = ">".join(route.split(">")[:-1])
    parent = place.find(begun) if ">" in begun else None
    key = _hop_key(source, hop, route, place, parent, optimize and not instead)
    kept = None if aside else _kept(target, key)
    if kept:
        return kept, False
    command = _command(subject, route, place, optimize=optimize and not instead)
    log = place.log_of(route)
    try:
        _refuse_too_large(FORMATS[hop.target], place.reference(framework), command)
        private_folder = tempfile.TemporaryDirectory(dir=place.out, prefix=WORK_PREFIX)
        with private_folder as private, publish(target) as work:
            request = Path(private) / "request.json"
            HopRequest(
                subject=subject.to_json(),
                framework=framework,
                hop=str(hop),
                route=route,
                reference=str(place.reference(framework)),
                parent=str(parent) if parent else None,
                folder=str(work),
                key=key,
                command=command,
                optimize=optimize and not instead,
                instead_of=_hop_key(source, hop, route, place, parent, True) if instead else None,
            ).write(request)
            outcome = launch(
                hop.server or framework,
                "shipworthy.convert.hop",
                [str(request)],
                log=log,
                timeout=timeout,
                env={"KERAS_BACKEND": hop.keras_backend},
            )
            if not outcome.ok or not (work / MANIFEST).is_file():
                problem = _read_problem(work, outcome, log)
                problem["reason"] = f"{hop}: {problem['reason']}"
                raise ExportError(command=command, log=str(log.relative_to(place.out)), **problem)
    except ExportError as e:
        record_failure(target, source.name, route, e)
        raise
    return read_artifact(target), True


def _refuse_too_large(format_: Format, reference: Path, command: str) -> None:
    """Refuse weights that a format cannot hold, before anything is converted."""
    size = size_of(reference / read_reference(reference).weights)
    if format_.max_bytes is not None and size > format_.max_bytes:
        raise ExportError(
            f"the weights are {size / 1e9:.2f} GB and a {format_.title} file holds at most "
            f"{format_.max_bytes / 1e9:.2f} GB; deploy another format, or a smaller model",
            command,
        )


def record_failure(cell: Path, model: str, route: str, error: ExportError) -> None:
    """Put ``failure.json`` in the artifact's place."""
    told = {name: getattr(error, name) for name in _TOLD}
    with publish(cell) as work:
        write_json(work / FAILURE, {"model": model, "route": route, **told})


def read_failure(cell: Path) -> Mapping[str, str] | None:
    """Return the route and the fields of the `ExportError` that `record_failure` wrote, or None."""
    try:
        data = json.loads((cell / FAILURE).read_text())
        return {name: str(data[name]) for name in ("route", *_TOLD)}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        told = f"{FAILURE} is damaged; export again"
        return dict.fromkeys(("route", *_TOLD), "") | {"reason": told}


def _hop_key(
    source: Source, hop: Hop, route: str, place: Place, parent: Path | None, optimize: bool
) -> str:
    reference = read_reference(place.reference(source.framework))
    return hash_json(
        {
            "model": source.name,
            "framework": source.framework,
            "identity": source.identity,
            "route": route,
            "optimize": optimize,
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
    return artifact if key in (artifact.key, artifact.instead_of) and is_intact(artifact) else None


def _sealed_key(folder: Path) -> str | None:
    """Return the key of a reference of which nothing is missing or changed, or None."""
    try:
        check_seal(folder)
        return read_reference(folder).key
    except BrokenReferenceError:
        return None


def _read_problem(work: Path, outcome: Outcome, log: Path) -> dict[str, str]:
    """Say why a process gave nothing: its own words, else the system's with the log's last line."""
    told: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        data = json.loads((work / FAILURE).read_text())
        told = {name: str(data.get(name, "")) for name in ("reason", "where", "advice")}
    if told.get("reason") and not outcome.timed_out:
        return told
    reason = outcome.reason or "it wrote no result"
    text = log.read_text(errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return {"reason": f"{reason}; last words: {lines[-1].strip()}" if lines else reason}
