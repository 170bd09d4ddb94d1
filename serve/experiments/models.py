"""Exports models of the zoo from both frameworks to every format, and proves each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shipworthy.models.subject import Subject
from shipworthy.serve.experiments.experiment import Context, Experiment, Progress, Result, Settings
from shipworthy.serve.experiments.ship import record_link, ship
from shipworthy.serve.records import Record

QUICK = ("mlp", "cnn", "recommender", "gan")
NORMAL = (*QUICK, "mobilenet", "resnet", "lstm", "transformer", "mobilenetv2")
_FIELDS = (
    "framework", "format", "route", "runtime", "runtime_version", "status", "reason",
    "python_free", "size_bytes", "error_ratio",
)  # fmt: skip


def _run(context: Context, settings: Settings) -> Progress:
    found = []
    for model in settings["models"]:
        records = yield from ship(context, Subject(model))
        found.append({"model": model, "cells": [_cell(record) for record in records]})
    links = tuple(record_link(context.out, context.model_folder(m["model"])) for m in found)
    return Result({"models": found}, records=links)


def _cell(record: Record) -> dict[str, Any]:
    return {name: record.get(name) for name in _FIELDS}


_SERVE = Path(__file__).resolve().parent.parent
_ROOMS = (_SERVE.parent / "models", _SERVE.parent / "convert", _SERVE)

EXPERIMENT = Experiment(
    "models",
    "models of the zoo from both frameworks in every format",
    _run,
    settings={
        "quick": {"models": list(QUICK)},
        "normal": {"models": list(NORMAL)},
    },
    sources=(*_ROOMS, Path(__file__)),
    packages=("torch", "tensorflow-cpu", "tensorflow", "keras", "onnxruntime", "ai-edge-litert"),
)
