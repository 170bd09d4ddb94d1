"""What the workers of a timed run are fed, and the proof of what they answered.

Any batch size is made of the rows of one case of the reference: worker k's row i is the case's row
``k * batch + i``, counted round. The answers, joined in that order, are the case's whole answer
over and over, and each time it is compared as the case itself is, by the same bounds. So several
workers have different inputs wherever the case has rows enough, and one that gets another's answer
fails. Where even the smallest case has more rows than all workers together, the rows that are left
over are inferred too, and not timed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shipworthy.convert.artifact import Artifact
from shipworthy.convert.cases import TASK, batch_axis, can_split
from shipworthy.convert.read_reference import Reference, ReferenceCase
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Array, Arrays
from shipworthy.serve.answers import Answers, fits
from shipworthy.serve.compare import Comparison, compare_case


class BenchError(ShipworthyError):
    """A cell could not be measured; the message says why."""


@dataclass(frozen=True)
class Feed:
    """The inputs of some workers.

    Parameters
    ----------
    case : name of the reference's case that the rows come from.
    rows : of that case; None where every worker is fed the whole case.
    batch : rows of each input.
    inputs : name -> canonical name -> file.
    workers : the names that are timed, one a worker; they come first.
    """

    case: str
    rows: int | None
    batch: int
    inputs: Mapping[str, Mapping[str, Path]]
    workers: tuple[str, ...]


def bench_case(reference: Reference, artifact: Artifact, batch: int) -> str:
    """Return the first case of that batch size that the artifact can run.

    Any such case where the model has no batch axis.

    Raises
    ------
    BenchError : no case has that size.
    """
    axis = batch_axis(reference.signature)
    cases = [case for case in reference.cases if fits(case, artifact)]
    for case in cases:
        if not isinstance(axis, str) or case.sizes[axis] == batch:
            return case.name
    sizes = sorted({case.sizes[axis] for case in cases}) if isinstance(axis, str) else []
    raise BenchError(f"no case has batch {batch}; there are {', '.join(map(str, sizes)) or 'none'}")


def fixed_batch(reference: Reference, artifact: Artifact) -> str:
    """Return why an artifact runs at one batch size only; empty if it takes any."""
    axis = batch_axis(reference.signature)
    if not isinstance(axis, str):
        return f"the model's batch is {'fixed at ' + str(axis) if axis else 'no axis'}"
    if not can_split(reference.signature):
        return f"{axis!r} is not the first axis of every input and output"
    if axis in artifact.fixed_axes:
        return f"the artifact is fixed at {axis} {artifact.fixed_axes[axis]}"
    return ""


def make_feed(
    reference: Reference,
    artifact: Artifact,
    batch: int,
    workers: int,
    private: Path,
    *,
    like: str | None = None,
) -> Feed:
    """Return inputs of `batch` rows for each of some workers; files go into `private`.

    Parameters
    ----------
    like : a case whose other sizes (of a sequence, say) the inputs are to have; those of the case
        of that batch size by default.

    Raises
    ------
    BenchError : the artifact's batch is fixed at another size, or no case has rows to make it of.
    """
    whole = None if like else _whole(reference, artifact, batch)
    if whole is not None and (workers == 1 or fixed_batch(reference, artifact)):
        # The case as it lies there; each of several workers has it.
        paths = reference.input_paths(whole)
        names = [whole, *(f"{whole}#{worker}" for worker in range(1, workers))]
        return Feed(whole, None, batch, dict.fromkeys(names, paths), tuple(names))
    why = fixed_batch(reference, artifact)
    if why:
        raise BenchError(f"no input of batch {batch} can be made: {why}")
    case = _source(reference, artifact, batch * workers, like or whole)
    arrays = {k: np.load(path) for k, path in reference.input_paths(case.name).items()}
    inputs = {}
    for number in range(max(workers, math.ceil(case.rows / batch))):
        index = (number * batch + np.arange(batch)) % case.rows
        inputs[f"{case.name}#{number}"] = {
            k: _save(private / f"in-{number}-{i}.npy", array[index])
            for i, (k, array) in enumerate(arrays.items())
        }
    return Feed(case.name, case.rows, batch, inputs, tuple(inputs)[:workers])


def prove(feed: Feed, reference: Reference, answers: Answers) -> list[Comparison]:
    """Compare what was answered, by the workers in their last timed run; never of nothing.

    Raises
    ------
    BenchError : an answer has another number of rows than its input.
    """
    return [
        comparison
        for whole in _wholes(feed, [answers[name] for name in feed.inputs])
        for comparison in compare_case(
            reference.signature,
            reference.expected(feed.case),
            whole,
            reference.noise,
            reference.yardstick,
        )
    ]


def _wholes(feed: Feed, answers: Sequence[Arrays]) -> list[Arrays]:
    """Return the case's answer as often as the workers have given it."""
    if feed.rows is None:
        return list(answers)
    for name, array in (pair for one in answers for pair in one.items()):
        if array.shape[:1] != (feed.batch,):
            raise BenchError(f"output {name} is {list(array.shape)} for {feed.batch} rows")
    joined = {k: np.concatenate([one[k] for one in answers]) for k in answers[0]}
    total = feed.batch * len(answers)
    # The last may begin in the middle of the case; then its rows are brought back into order.
    starts = {*range(0, total - feed.rows + 1, feed.rows), total - feed.rows}
    return [
        {k: np.roll(array[start : start + feed.rows], start % feed.rows, axis=0)
         for k, array in joined.items()}
        for start in sorted(starts)
    ]  # fmt: skip


def _whole(reference: Reference, artifact: Artifact, batch: int) -> str | None:
    try:
        return bench_case(reference, artifact, batch)
    except BenchError:
        return None


def traced_case(reference: Reference, artifact: Artifact) -> str | None:
    """Return a case of the traced sizes, if there are others than the batch; inputs are alike it.

    So that what is compared at several batch sizes has the same length of a sequence, say.
    """
    for case in reference.cases:
        if case.traced and fits(case, artifact) and _others(reference, case):
            return case.name
    return None


def _source(
    reference: Reference, artifact: Artifact, total: int, like: str | None
) -> ReferenceCase:
    """Return the case with the most rows of those used up at least once; else the smallest."""
    like = like or traced_case(reference, artifact)
    wanted = _others(reference, reference.case(like)) if like else {}
    alike = [
        case for case in reference.cases
        if fits(case, artifact) and case.name != TASK and _others(reference, case) == wanted
    ]  # fmt: skip
    if not alike:
        told = ", ".join(f"{name} {size}" for name, size in wanted.items()) or "no other size"
        raise BenchError(f"there is no case with {told} to make an input of")
    found = [case for case in alike if case.rows <= total]
    if not found:
        return min(alike, key=lambda case: case.rows)
    return max(found, key=lambda case: case.rows)


def _others(reference: Reference, case: ReferenceCase) -> dict[str, int]:
    axis = batch_axis(reference.signature)
    return {name: size for name, size in case.sizes.items() if name != axis}


def _save(path: Path, array: Array) -> Path:
    np.save(path, np.ascontiguousarray(array))
    return path
