"""Judges an artifact: its runner answers every case, and every answer is compared.

The runner is the process that ships: same threads, same optimisation level as when it is timed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.artifact import Artifact, read_artifact, write_json
from shipworthy.convert.cases import batch_axis
from shipworthy.convert.read_reference import Reference, ReferenceCase, read_reference, task_case
from shipworthy.convert.routes import FORMATS
from shipworthy.models import zoo
from shipworthy.models.cache import hash_json, hash_path, hash_sources
from shipworthy.models.spec import Array
from shipworthy.serve.compare import Comparison, Validation, compare, compare_case
from shipworthy.serve.readback import check_signature
from shipworthy.serve.runners import CaseFiles, Run, Runner, RunnerError, Timing, find, run

VALIDATION = "validation.json"

Answers = dict[str, dict[str, Array]]


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
    facts : threads, runtime_version, runner_build and python_free of the process that answered.
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


def judge_cell(
    out: Path, framework: str, format_: str, *, threads: int, timeout: float, again: bool = False
) -> Verdict:
    """Judge the artifact in a cell and write ``validation.json`` beside it.

    Parameters
    ----------
    out : the model's folder.
    again : judge it even if nothing has changed since it passed.

    Raises
    ------
    ArtifactError, BrokenReferenceError : nothing there that could be judged.
    """
    folder = out / framework / format_
    artifact = read_artifact(folder)
    reference = read_reference(out / framework / "reference")
    try:
        runner = find(FORMATS[artifact.format].runtime)
        sha256 = hash_path(artifact.path)
    except (RunnerError, OSError) as e:
        return _keep(folder, Verdict("", Validation(()), (str(e),)))
    key = _key(sha256, reference, runner, threads)
    kept = None if again else read_validation(folder)
    if kept and kept.key == key and kept.passed:
        return kept
    verdict = _judge(artifact, reference, runner, key, threads, timeout)
    if sha256 != artifact.sha256:
        note = f"the file has changed since it was exported: its SHA-256 is now {sha256}"
        verdict = replace(verdict, notes=(*verdict.notes, note))
    return _keep(folder, verdict)


def judge_case(
    artifact: Artifact,
    reference: Reference,
    runner: Runner,
    case: str,
    private: Path,
    *,
    threads: int,
    timing: Timing,
    timeout: float,
) -> tuple[Run, list[Comparison]]:
    """Run and time one case, and compare the outputs of the last timed run.

    Raises
    ------
    RunnerError : the runner failed.
    """
    cases = [reference.case(case)]
    result, answers = _ask(artifact, reference, runner, cases, private, threads, timeout, timing)
    comparisons = compare_case(
        reference.signature,
        reference.expected(case),
        answers[case],
        reference.noise,
        reference.yardstick,
    )
    return result, comparisons


def read_validation(cell: Path) -> Verdict | None:
    """Return what `judge_cell` wrote, or None."""
    try:
        data = json.loads((cell / VALIDATION).read_text())
        return Verdict(
            data["key"],
            Validation.from_json(data),
            tuple(data["problems"]),
            tuple(data["notes"]),
            data["task"],
            data["facts"],
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
    cases = [case for case in reference.cases if _fits(case, artifact)]
    with tempfile.TemporaryDirectory(prefix="shipworthy-") as private:
        try:
            result, answers = _ask(
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
    left = len(reference.cases) - len(cases)
    notes = (f"{left} cases of other sizes than the artifact has were not run",) if left else ()
    return Verdict(
        key,
        Validation(tuple(comparisons)),
        tuple(problems),
        notes,
        _score(reference, answers),
        {
            "threads": threads,
            "runtime_version": result.version,
            "runner_build": dict(result.build),
            "python_free": result.python_free,
        },
    )


def _ask(
    artifact: Artifact,
    reference: Reference,
    runner: Runner,
    cases: Sequence[ReferenceCase],
    private: Path,
    threads: int,
    timeout: float,
    timing: Timing | None,
) -> tuple[Run, Answers]:
    """Run the cases in a fresh process of the runner; return its facts and all outputs."""
    inputs, outputs = artifact.native_names["inputs"], artifact.native_names["outputs"]
    files = [
        CaseFiles(
            case.name,
            {inputs[k]: path.resolve() for k, path in reference.input_paths(case.name).items()},
            {native: private / case.name / f"{k}.npy" for k, native in outputs.items()},
        )
        for case in cases
    ]
    for case in cases:
        (private / case.name).mkdir()
    result = run(
        runner,
        artifact.path.resolve(),
        files,
        threads=threads,
        rows=_rows(artifact),
        timing=timing,
        timeout=timeout,
    )
    answers = {
        case.name: {k: np.load(private / case.name / f"{k}.npy") for k in outputs} for case in cases
    }
    return result, answers


def _rows(artifact: Artifact) -> int | None:
    """Return the batch the artifact is fixed at; cases are fed in slices of it."""
    axis = batch_axis(artifact.signature)
    return artifact.fixed_axes.get(axis) if isinstance(axis, str) else None


def _fits(case: ReferenceCase, artifact: Artifact) -> bool:
    """Tell whether a case has the sizes that the artifact is fixed at; a batch can be sliced."""
    batch = batch_axis(artifact.signature)
    return all(
        case.sizes[axis] == size if axis != batch else case.sizes[axis] % size == 0
        for axis, size in artifact.fixed_axes.items()
    )


def _score(reference: Reference, answers: Answers) -> Mapping[str, Any] | None:
    case = task_case(reference)
    if case is None or reference.task is None or case.name not in answers:
        return None
    task = zoo.get(reference.model).sources[reference.framework].task
    assert task is not None, "the reference was scored by it"
    return {
        "name": reference.task["metric"],
        "original": reference.task["original"],
        "artifact": float(task.score(answers[case.name])),
    }


@cache
def _judging_code() -> str:
    room = Path(__file__).resolve().parent
    return hash_sources([room, room.parent / "convert"])


def _key(sha256: str, reference: Reference, runner: Runner, threads: int) -> str:
    return hash_json(
        {
            "artifact": sha256,
            "reference": reference.key,
            "runner": [str(runner.path), runner.version],
            "threads": threads,
            "code": _judging_code(),
        }
    )


def _keep(folder: Path, verdict: Verdict) -> Verdict:
    write_json(
        folder / VALIDATION,
        {
            "schema": 1,
            "key": verdict.key,
            "problems": list(verdict.problems),
            "notes": list(verdict.notes),
            "task": verdict.task,
            "facts": dict(verdict.facts),
            **verdict.validation.to_json(),
            "passed": verdict.passed,
            "reason": verdict.reason,
        },
    )
    return verdict
