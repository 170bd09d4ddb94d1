"""Times PyTorch against TensorFlow, eager against eager and graph against graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from shipworthy.serve import contrast
from shipworthy.serve.experiments import timing
from shipworthy.serve.experiments.experiment import Context, Experiment, Progress, Result, Settings
from shipworthy.serve.experiments.worker import TIMED_BY, WAYS, Told, busy, in_turns, unfit
from shipworthy.serve.steps import Event

KINDS = {
    "eager": ("PyTorch, eager", "TensorFlow, eager"),
    "graph": ("PyTorch, torch.compile", "TensorFlow, tf.function"),
}
CONTROL = ("PyTorch, eager", "PyTorch, eager, again")


def _run(context: Context, settings: Settings) -> Progress:
    comparisons: list[dict[str, Any]] = []
    unavailable: list[str] = []
    for model, work, batch in settings["cases"]:
        case = {"model": model, "work": work, "batch": batch}
        step = f"{model}, {work.replace('_', ' ')}, batch {batch}"
        yield Event(step, "started")
        options = {**case, "seconds": settings["seconds"]}
        found = context.session(step, partial(_session, options, settings, context.timeout))
        comparisons += [{**case, **one} for one in found["comparisons"]]
        unavailable += [f"{step}: {reason}" for reason in found["lost"]]
        yield Event(step, "done", f"{settings['processes']} processes a way")
    told = {"comparisons": comparisons, "unavailable": unavailable}
    return Result(told, (*unfit(comparisons), *unavailable))


def _session(options: Settings, settings: Settings, timeout: float) -> dict[str, Any]:
    told, lost = in_turns(tuple(WAYS), options, settings["processes"], timeout)
    comparisons = list(compare(told))
    fit = bool(comparisons) and not lost and all(one["fit"] for one in comparisons)
    return {"comparisons": comparisons, "lost": list(lost.values()), "fit": fit}


def compare(told: Mapping[str, list[Told]]) -> Iterator[dict[str, Any]]:
    """Yield eager against eager and graph against graph, TensorFlow's time over PyTorch's.

    Parameters
    ----------
    told : what the processes of each way told; a way that failed is not in it.
    """
    latencies = {way: [one["latencies_ns"] for one in runs] for way, runs in told.items()}
    if not all(way in latencies for way in CONTROL):
        return
    control = contrast.control(*(latencies[way] for way in CONTROL))
    others = busy(told)
    for kind, (first, second) in KINDS.items():
        if first not in latencies or second not in latencies:
            continue
        ratio = contrast.ratio_interval(latencies[first], latencies[second])
        if ratio.value is None:
            continue
        yield {
            "kind": kind,
            "ratio": ratio.to_json(),
            "processor": contrast.ratio_of_values(
                *map(_processor_ns, (told[first], told[second]))
            ).to_json(),
            "fit": control.fit and not others,
            "busy": others,
            "control": control.to_json(),
            "ways": {
                way: {
                    "latencies_ns": latencies[way],
                    "first_ns": [one["first_ns"] for one in told[way]],
                    "versions": told[way][0]["versions"],
                }
                for way in (first, second)
            },
        }


def _processor_ns(runs: Sequence[Told]) -> list[float]:
    """Return the processor time of a typical run in each process, which waiting does not touch."""
    return [one["cpu_ns"] / len(one["latencies_ns"]) for one in runs]


_QUICK = (
    ("mlp", "inference", 1),
    ("cnn", "inference", 32),
    ("cnn", "train_step", 32),
)
_NORMAL = (
    *(
        (model, work, batch)
        for model in ("mlp", "cnn", "resnet", "lstm", "transformer")
        for work, batch in (("inference", 1), ("inference", 32), ("train_step", 32))
    ),
    ("mobilenetv2", "inference", 1),
)

_CODE = Path(__file__).parent

EXPERIMENT = Experiment(
    "eager",
    "PyTorch against TensorFlow in Python, eagerly and as graphs",
    _run,
    settings={
        "quick": {"cases": [list(case) for case in _QUICK], "processes": 4, "seconds": 0.5},
        "normal": {"cases": [list(case) for case in _NORMAL], "processes": 6, "seconds": 1.0},
    },
    sources=(
        Path(__file__), _CODE / "worker.py", Path(timing.__file__), _CODE / "learners.py",
        Path(contrast.__file__), *TIMED_BY, _CODE.parent.parent / "models",
    ),
    packages=("torch", "tensorflow-cpu", "tensorflow", "keras", "numpy"),
)  # fmt: skip
