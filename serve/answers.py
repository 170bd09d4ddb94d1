"""Has an artifact answer its cases, in a fresh process of its runner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from shipworthy.convert.artifact import Artifact
from shipworthy.convert.cases import batch_axis, can_split
from shipworthy.convert.read_reference import Reference, ReferenceCase
from shipworthy.models.spec import Array
from shipworthy.serve.runners import CaseFiles, Run, Runner, Timing, run

Answers = dict[str, dict[str, Array]]


def ask(
    artifact: Artifact,
    reference: Reference,
    runner: Runner,
    cases: Sequence[ReferenceCase],
    private: Path,
    threads: int,
    timeout: float,
    timing: Timing | None,
) -> tuple[Run, Answers]:
    """Run the cases; return the process' facts and all outputs, by case and canonical name.

    Parameters
    ----------
    private : an empty folder for the outputs' files.
    timing : what to time after all cases have run, or None.

    Raises
    ------
    RunnerError : the runner failed.
    """
    inputs = {case.name: reference.input_paths(case.name) for case in cases}
    return answer(artifact, inputs, runner, private, threads, timeout, timing)


def answer(
    artifact: Artifact,
    inputs: Mapping[str, Mapping[str, Path]],
    runner: Runner,
    private: Path,
    threads: int,
    timeout: float,
    timing: Timing | None,
) -> tuple[Run, Answers]:
    """Run an artifact on files; as `ask`.

    Parameters
    ----------
    inputs : by case and canonical name.
    """
    native, outputs = artifact.native_names["inputs"], artifact.native_names["outputs"]
    # Numbered, because names come from files that anyone may have written.
    answered = {
        case: {k: private / f"{c}-{o}.npy" for o, k in enumerate(outputs)}
        for c, case in enumerate(inputs)
    }
    files = [
        CaseFiles(
            case,
            {native[k]: path.resolve() for k, path in paths.items()},
            {outputs[k]: path for k, path in answered[case].items()},
        )
        for case, paths in inputs.items()
    ]
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
        case: {k: np.load(path, allow_pickle=False) for k, path in paths.items()}
        for case, paths in answered.items()
    }
    return result, answers


def _rows(artifact: Artifact) -> int | None:
    """Return the batch the artifact is fixed at; cases are fed in slices of it."""
    axis = batch_axis(artifact.signature)
    if not isinstance(axis, str) or not can_split(artifact.signature):
        return None
    return artifact.fixed_axes.get(axis)


def fits(case: ReferenceCase, artifact: Artifact) -> bool:
    """Tell whether a case has the sizes that the artifact is fixed at; a batch can be sliced."""
    batch = batch_axis(artifact.signature) if can_split(artifact.signature) else None
    return all(
        case.sizes[axis] == size if axis != batch else case.sizes[axis] % size == 0
        for axis, size in artifact.fixed_axes.items()
    )
