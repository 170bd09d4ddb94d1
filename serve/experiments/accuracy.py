"""Holds every artifact against its original on its model's whole test set, row by row."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.read_reference import read_reference, task_case
from shipworthy.convert.routes import FORMATS
from shipworthy.models import zoo
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.models.spec import Array, Source
from shipworthy.models.training import Lesson, Training, accuracy
from shipworthy.serve.answers import ask
from shipworthy.serve.experiments.experiment import Context, Experiment, Progress, Result, Settings
from shipworthy.serve.experiments.ship import record_link
from shipworthy.serve.runners import find
from shipworthy.serve.steps import Event


def _run(context: Context, settings: Settings) -> Progress:
    del settings
    cells: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    left_out: list[str] = []
    models = context.data("models")["models"]
    for model in models:
        name = model["model"]
        for cell in model["cells"]:
            where = f"{name} {cell['framework']}>{cell['format']}"
            if cell["status"] != "passed":
                left_out.append(f"{where} did not pass")
                continue
            source = zoo.source(name, cell["framework"])
            if source.task is None:
                continue
            yield Event(f"accuracy of {where}", "started")
            original, artifact = answers(
                context.model_folder(name), (cell["framework"], cell["format"]), context.timeout
            )
            known = {"model": name, "framework": cell["framework"], "format": cell["format"]}
            labels = labels_of(source)
            if labels is None:
                others.append(known | _measure(source, original, artifact))
                yield Event(f"accuracy of {where}", "done", source.task.metric)
                continue
            (output,) = original
            counts = count(original[output], artifact[output], labels)
            cells.append(known | counts)
            told = f"{counts['changed']} of {counts['rows']} answers changed"
            yield Event(f"accuracy of {where}", "done", told)
    links = tuple(record_link(context.out, context.model_folder(m["model"])) for m in models)
    return Result({"cells": cells, "others": others, "left_out": left_out}, records=links)


def answers(
    out: Path, cell: tuple[str, str], timeout: float
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return what the original and an artifact answer to the test set, by canonical output.

    Raises
    ------
    shipworthy.models.errors.ShipworthyError : no artifact or reference there, or the runner failed.
    """
    artifact = read_artifact(out.joinpath(*cell))
    reference = read_reference(out / cell[0] / "reference")
    case = task_case(reference)
    assert case is not None, "the source has a task"
    with tempfile.TemporaryDirectory(dir=artifact.folder, prefix=WORK_PREFIX) as private:
        _, found = ask(
            artifact,
            reference,
            find(FORMATS[artifact.format].runtime),
            [case],
            Path(private),
            1,
            timeout,
            None,
        )
    return dict(reference.expected(case.name).expected32), found[case.name]


def labels_of(source: Source) -> Array | None:
    """Return the right classes of a classifier's test set, int64 (n,); None of another model."""
    training = source.train
    if not isinstance(training, Training) or not isinstance(training.teach, Lesson):
        return None
    lesson = training.teach
    return lesson.test()[-1] if lesson.kind == "classes" and lesson.score is accuracy else None


def count(original: Array, artifact: Array, labels: Array) -> dict[str, int]:
    """Count rows: all, rightly named by each and by one alone, and named otherwise than before.

    Parameters
    ----------
    original, artifact : logits of shape (n, classes); a row with a NaN names no class.
    labels : the right classes, (n,).

    Raises
    ------
    ValueError : shapes that do not fit.
    """
    if original.shape != artifact.shape or labels.shape != original.shape[:1]:
        raise ValueError(
            f"logits of shape {original.shape} and {artifact.shape} and labels of shape "
            f"{labels.shape} are not of the same rows"
        )
    named = [_classes(original), _classes(artifact)]
    right = [one == labels for one in named]
    return {
        "rows": len(labels),
        "right_original": int(right[0].sum()),
        "right_artifact": int(right[1].sum()),
        "only_original": int((right[0] & ~right[1]).sum()),
        "only_artifact": int((right[1] & ~right[0]).sum()),
        "changed": int((named[0] != named[1]).sum()),
    }


def _classes(logits: Array) -> Array:
    return np.where(np.isnan(logits).any(axis=1), -1, np.argmax(logits, axis=1))


def _measure(
    source: Source, original: dict[str, Array], artifact: dict[str, Array]
) -> dict[str, Any]:
    assert source.task is not None
    return {
        "metric": source.task.metric,
        "original": float(source.task.score(original)),
        "artifact": float(source.task.score(artifact)),
    }


EXPERIMENT = Experiment(
    "accuracy",
    "every artifact against its original on the test set",
    _run,
    sources=(Path(__file__),),
    needs=("models",),
)
