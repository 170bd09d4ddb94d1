"""Trains the same models in both frameworks until they are as good as they must be."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from shipworthy.serve import contrast
from shipworthy.serve.experiments import timing
from shipworthy.serve.experiments.experiment import Context, Experiment, Progress, Result, Settings
from shipworthy.serve.experiments.worker import TIMED_BY, Told, busy, in_turns, unfit
from shipworthy.serve.steps import Event

# Each as its recipe has it: PyTorch eagerly, TensorFlow one graph a step.
PYTORCH, AGAIN, TENSORFLOW = "PyTorch, eager", "PyTorch, eager, again", "TensorFlow, tf.function"
CONTROL_MARGIN = 0.10


def _run(context: Context, settings: Settings) -> Progress:
    models: list[dict[str, Any]] = []
    unavailable: list[str] = []
    for model in settings["models"]:
        step = f"training {model} to its quality"
        yield Event(step, "started")
        found = context.session(model, partial(_session, model, settings, context.timeout))
        unavailable += [f"{model}: {reason}" for reason in found["lost"]]
        models += [{"model": model, **one} for one in found["models"]]
        yield Event(step, "done", "; ".join(found["lost"]) or f"{settings['processes']} each")
    told = {"models": models, "unavailable": unavailable}
    return Result(told, (*unfit(models), *unavailable))


def _session(model: str, settings: Settings, timeout: float) -> dict[str, Any]:
    """Train one model in turns; if a way fails, what its processes told is no answer."""
    ways = (PYTORCH, AGAIN, TENSORFLOW)
    told, lost = in_turns(ways, {"model": model, "work": "train"}, settings["processes"], timeout)
    models = [] if lost else [compare(told)]
    fit = bool(models) and all(one["fit"] for one in models)
    return {"models": models, "lost": list(lost.values()), "fit": fit}


def compare(told: Mapping[str, list[Told]]) -> dict[str, Any]:
    """Return by what ratio PyTorch is faster, to the quality and in rows a second.

    A ratio above 1 means that PyTorch is faster, in either figure.
    """
    seconds = {way: [one["seconds_to_quality"] for one in runs] for way, runs in told.items()}
    rows = {way: [one["rows_per_s"] for one in runs] for way, runs in told.items()}
    control = contrast.ratio_of_values(rows[PYTORCH], rows[AGAIN])
    verdict = contrast.decide(control, margin=CONTROL_MARGIN)
    others = busy(told)
    return {
        "quality": contrast.ratio_of_values(seconds[PYTORCH], seconds[TENSORFLOW]).to_json(),
        "throughput": contrast.ratio_of_values(rows[TENSORFLOW], rows[PYTORCH]).to_json(),
        "control": control.to_json(),
        "fit": control.known and verdict not in ("faster", "slower") and not others,
        "busy": others,
        "ways": {
            way: [
                {name: one[name] for name in
                 ("seconds_to_quality", "rows_per_s", "quality", "epochs", "versions")}
                for one in runs
            ]
            for way, runs in told.items()
        },
    }  # fmt: skip


_CODE = Path(__file__).parent

EXPERIMENT = Experiment(
    "training",
    "the same models trained to the same quality in both frameworks",
    _run,
    settings={
        "quick": {"models": ["mlp", "cnn"], "processes": 4},
        "normal": {
            "models": ["mlp", "cnn", "recommender", "resnet", "lstm", "transformer"],
            "processes": 6,
        },
    },
    sources=(
        Path(__file__), _CODE / "worker.py", Path(timing.__file__), _CODE / "learners.py",
        _CODE / "quality.py", Path(contrast.__file__), *TIMED_BY, _CODE.parent.parent / "models",
    ),
    packages=("torch", "tensorflow-cpu", "tensorflow", "keras", "numpy"),
)  # fmt: skip
