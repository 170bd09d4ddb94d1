"""Turns what the user gave into a `Subject`; what is unchanged since it was looked at is kept."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from shipworthy.convert.artifact import FAILURE, publish, write_json
from shipworthy.convert.explain import first_own, last_own
from shipworthy.convert.export import code_hash
from shipworthy.convert.inspection import FOUND
from shipworthy.convert.launch import Launch
from shipworthy.convert.process import Outcome
from shipworthy.convert.versions import versions_of
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.models.cache import hash_json, hash_path
from shipworthy.models.given import Given
from shipworthy.models.own import OwnModelError
from shipworthy.models.subject import Found, Subject

SUBJECT = "subject"  # folder, in the model's own
_PACKAGES = ("numpy", "torch", "tensorflow", "keras", "onnxruntime", "transformers")
_FRAMEWORK_OF = {
    "keras": "tensorflow", "saved_model": "tensorflow", "exported_program": "pytorch",
    "torchscript": "pytorch", "huggingface": "pytorch", "onnx": "onnx",
}  # fmt: skip


def identify(given: Given, out: Path, launch: Launch, timeout: float) -> Subject:
    """Look at a user's own model in a process of its own.

    Parameters
    ----------
    out : the model's folder, where what was found is kept under ``subject/``.

    Raises
    ------
    OwnModelError : it cannot be loaded or does not run; the message says why.
    """
    place = out / SUBJECT
    key = hash_json([given.to_json(), code_hash(), versions_of(_PACKAGES)])
    # What a factory gives can change where no file of ours to watch does; so it is always asked.
    kept = None if given.kind == "python" else _kept(place, key)
    if kept is not None:
        return Subject(given.title, given, kept)
    log = out / "logs" / "inspection.log"
    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=out, prefix=WORK_PREFIX) as private,
        publish(place) as work,
    ):
        request = Path(private) / "given.json"
        write_json(request, given.to_json())
        outcome = launch(
            _guess_framework(given),
            "shipworthy.convert.inspection",
            [str(request), *_options(place, work), "--timeout", str(timeout)],
            log=log,
            timeout=timeout,
            env={"KERAS_BACKEND": "tensorflow"},
        )
        if not outcome.ok or not (work / FOUND).is_file():
            raise OwnModelError(_why(outcome, work, log))
        data = json.loads((work / FOUND).read_text())
        write_json(work / FOUND, data | {"key": key, "words": given.words()})
    return Subject(given.title, given, Found.from_json(data["found"]))


def _kept(place: Path, key: str) -> Found | None:
    try:
        data = json.loads((place / FOUND).read_text())
        same = all(hash_path(Path(path)) == sha for path, sha in data["files"])
        found = Found.from_json(data["found"])
        kept = same and data["key"] == key and (place / "cases").is_dir()
        return replace(found, cases=str(place.resolve() / "cases")) if kept else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _guess_framework(given: Given) -> str:
    """Return which framework's server is likely to serve; any would do, but more slowly."""
    if given.kind != "python":
        return _FRAMEWORK_OF[given.kind]
    text = Path(given.path).read_text(errors="replace")
    return "tensorflow" if re.search(r"^\s*(import|from) (keras|tensorflow)", text, re.M) else (
        "pytorch"
    )  # fmt: skip


def _options(place: Path, work: Path) -> list[str]:
    return ["--cases", str(place.resolve() / "cases"), "--out", str(work)]


def read_notes(out: Path) -> tuple[str, ...]:
    """Return what was found when a user's own model was looked at; nothing for one of the zoo."""
    try:
        return tuple(json.loads((out / SUBJECT / FOUND).read_text())["found"]["notes"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def read_words(out: Path) -> list[str] | None:
    """Return the command-line words that give a user's own model again; None for the zoo's."""
    try:
        return [str(word) for word in json.loads((out / SUBJECT / FOUND).read_text())["words"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _why(outcome: Outcome, work: Path, log: Path) -> str:
    try:
        return str(json.loads((work / FAILURE).read_text())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    told = log.read_text(errors="replace") if log.exists() else ""
    # The dump of a hanging process has the innermost frame first.
    dumped = outcome.timed_out or outcome.code < 0
    where = first_own(told) if dumped else last_own(told)
    at = f" at {where}" if where else ""
    more = "; give it more with --timeout" if outcome.timed_out else ""
    reason = outcome.reason or "the process ended without a result, as os._exit lets it"
    return f"the model could not be looked at: {reason}{at}{more}; see {log}"
