"""Judges an artifact: its runner answers every case, and every answer is compared.

The runner is the process that ships: same threads, same optimisation level as when it is timed.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import (
    Artifact,
    ArtifactError,
    hash_content,
    read_artifact,
    size_bytes,
    write_json,
)
from shipworthy.convert.process import StoppedError
from shipworthy.convert.read_reference import Reference, read_reference, task_case
from shipworthy.convert.routes import FORMATS
from shipworthy.convert.seal import check_seal
from shipworthy.models import zoo
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.models.cache import hash_json, hash_path, hash_sources
from shipworthy.models.errors import ShipworthyError
from shipworthy.serve.answers import Answers, ask, fits
from shipworthy.serve.compare import Comparison, Validation, compare
from shipworthy.serve.readback import check_signature
from shipworthy.serve.runners import Runner, RunnerError, find

VALIDATION = "validation.json"


@dataclass(frozen=True)
class Verdict:
    """What was found about one artifact.

    Parameters
    ----------
    key : what was judged, by what; an equal key needs no new judgement.
    validation : every comparison.
    problems : what else is wrong: the runner failed, the signature differs, Python is in the
        process. Any of them fails the artifact.
    notes : what decides nothing, such as a changed hash.
    task : ``{"name", "original", "artifact"}``, the task's score, or None.
    facts : sha256 and size_bytes of the file; key of the reference; threads, runtime_version,
        runner_build and python_free of the process that answered.
    """

    key: str
    validation: Validation
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    task: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether something was compared, all of it passed, and nothing else is wrong."""
        return self.validation.passed and not self.problems

    @property
    def reason(self) -> str:
        """Why it failed, most telling first; empty if it passed."""
        if self.passed:
            return ""
        worst = self.validation.worst
        told = list(self.problems)
        if worst is None:
            told.append("nothing was compared")
        elif not worst.passed:
            where = "all cases" if worst.case == "*" else f"case {worst.case}"
            told.append(f"output {worst.output} of {where}: {worst.detail}")
        return "; ".join(told)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "schema": 1,
            "key": self.key,
            "problems": list(self.problems),
            "notes": list(self.notes),
            "task": self.task,
            "facts": dict(self.facts),
            **self.validation.to_json(),
            "passed": self.passed,
            "reason": self.reason,
        }


def judge_cell(
    out: Path,
    framework: str,
    format_: str,
    *,
    threads: int,
    timeout: float,
    again: bool = False,
    folder: Path | None = None,
) -> Verdict:
    """Judge the artifact in a cell and write ``validation.json`` beside it.

    Whatever goes wrong is a verdict, which fails: an earlier pass never stays.

    Parameters
    ----------
    out : the model's folder.
    again : judge it even if nothing has changed since it passed.
    folder : the artifact's, if it is not in its cell.
    """
    folder = folder or out / framework / format_
    try:
        verdict = _judge_or_keep(out, (framework, format_), folder, threads, timeout, again)
    except StoppedError:
        raise
    except ShipworthyError as e:
        verdict = Verdict("", Validation(()), (str(e),))
    except Exception as e:
        verdict = Verdict("", Validation(()), (f"{type(e).__name__}: {e}",))
    write_json(folder / VALIDATION, verdict.to_json())
    return verdict


def _judge_or_keep(
    out: Path, cell: tuple[str, str], folder: Path, threads: int, timeout: float, again: bool
) -> Verdict:
    artifact = read_artifact(folder)
    check_seal(out / cell[0] / "reference")
    reference = read_reference(out / cell[0] / "reference")
    check_place(artifact, reference, cell)
    runner = find(FORMATS[artifact.format].runtime)
    sha256 = hash_content(folder)
    key = _key(sha256, artifact, reference, runner, threads)
    kept = None if again else read_validation(folder)
    if kept and kept.key == key and kept.passed:
        return kept
    verdict = _judge(artifact, reference, runner, key, threads, timeout)
    facts = {
        "sha256": sha256, "size_bytes": size_bytes(folder), "threads": threads,
        "reference": reference.key,
    }  # fmt: skip
    verdict = replace(verdict, facts={**verdict.facts, **facts})
    if sha256 != artifact.sha256:
        note = f"the file has changed since it was exported: its SHA-256 is now {sha256}"
        verdict = replace(verdict, notes=(*verdict.notes, note))
    return verdict


def check_place(artifact: Artifact, reference: Reference, cell: tuple[str, str]) -> None:
    """Check that an artifact is the cell's, and the reference's model.

    Raises
    ------
    ArtifactError : it is another's; the message says whose.
    """
    found = (artifact.model, artifact.framework, artifact.format)
    if found != (reference.model, *cell) or reference.framework != cell[0]:
        raise ArtifactError(
            f"{artifact.folder} holds {' > '.join(found[1:])} of {artifact.model!r}, which does "
            f"not belong to the reference of {reference.model!r} in {reference.framework}; "
            "export again"
        )


def read_validation(cell: Path) -> Verdict | None:
    """Return what `judge_cell` wrote, or None."""
    try:
        data = json.loads((cell / VALIDATION).read_text())
        return Verdict(
            data["key"],
            Validation.from_json(data),
            tuple(map(str, data["problems"])),
            tuple(map(str, data["notes"])),
            data["task"],
            dict(data["facts"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _judge(
    artifact: Artifact,
    reference: Reference,
    runner: Runner,
    key: str,
    threads: int,
    timeout: float,
) -> Verdict:
    cases = [case for case in reference.cases if fits(case, artifact)]
    with tempfile.TemporaryDirectory(dir=artifact.folder, prefix=WORK_PREFIX) as private:
        try:
            result, answers = ask(
                artifact, reference, runner, cases, Path(private), threads, timeout, None
            )
        except RunnerError as e:
            return Verdict(key, Validation(()), (str(e),))
    expected = [reference.expected(case.name) for case in cases]
    comparisons = compare(
        reference.signature, expected, answers, reference.noise, reference.yardstick
    )
    problems = check_signature(artifact, result)
    if not result.python_free:
        problems.append(f"{runner.path.name} has a Python interpreter in its process")
    effective = result.threads["effective"]
    if effective not in (None, threads):
        problems.append(f"{artifact.format} runs with {effective} threads, not {threads}")
    if reference.task and reference.task["case"] not in answers:
        problems.append("the test set does not fit the artifact's fixed sizes, and was not run")
    task, wrong = _score(reference, answers, comparisons)
    problems += wrong
    left = len(reference.cases) - len(cases)
    notes = (f"{left} cases of other sizes than the artifact has were not run",) if left else ()
    return Verdict(
        key,
        Validation(tuple(comparisons)),
        tuple(problems),
        notes,
        task,
        {
            "runtime_version": result.version,
            "runner_build": dict(result.build),
            "python_free": result.python_free,
        },
    )


def _score(
    reference: Reference, answers: Answers, comparisons: Sequence[Comparison]
) -> tuple[Mapping[str, Any] | None, list[str]]:
    """Return the task's score of the artifact, and what is wrong with it."""
    case = task_case(reference)
    if case is None or reference.task is None or case.name not in answers:
        return None, []
    if any(c.case == case.name and not c.passed and c.error_ratio is None for c in comparisons):
        return None, []  # It is not even of the right form, and has failed.
    task = zoo.source(reference.model, reference.framework).task
    assert task is not None, "the reference was scored by it"
    score = float(task.score(answers[case.name]))
    told = {
        "name": reference.task["metric"],
        "original": reference.task["original"],
        "artifact": score if math.isfinite(score) else None,
    }
    return told, [] if math.isfinite(score) else [f"its {told['name']} is {score}"]


# What decides about a verdict in this room; the rest only times, or reads what was timed.
_JUDGES = (
    "answers", "compare", "comparison", "judge", "mismatch", "process", "readback", "runners",
)  # fmt: skip


@cache
def _judging_code() -> str:
    room = Path(__file__).resolve().parent
    own = [hash_path(room / f"{name}.py") for name in _JUDGES]
    return hash_json([own, hash_sources([room.parent / "convert"])])


def _key(
    sha256: str, artifact: Artifact, reference: Reference, runner: Runner, threads: int
) -> str:
    return hash_json(
        {
            "artifact": sha256,
            "names": {kind: dict(names) for kind, names in artifact.native_names.items()},
            "fixed_axes": dict(artifact.fixed_axes),
            "reference": reference.key,
            "runner": [str(runner.path), runner.version],
            "threads": threads,
            "code": _judging_code(),
        }
    )
