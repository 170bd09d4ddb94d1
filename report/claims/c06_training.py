"""Claim 6: PyTorch is faster, which is why researchers use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.report.claims.claim import (
    COMBINED,
    NO_ANSWER,
    UNFIT,
    Claim,
    Evidence,
    Finding,
    Part,
    above,
    combine,
    pool_fit,
    tell_busy,
)

MARGIN = 0.10
_FIGURES = {
    "throughput": "PyTorch trains more rows a second",
    "quality": "PyTorch reaches the same quality sooner",
}


def _decide(evidence: Evidence) -> Finding:
    models = evidence["training"]["models"]
    parts = [_part(models, figure, title) for figure, title in _FIGURES.items()]
    told = "why people choose a framework is not in any measurement of it"
    parts.append(Part("That is why researchers use it", "NOT TESTABLE", told))
    unit = "TensorFlow's time to the same quality over PyTorch's, models pooled"
    effect, _ = pool_fit(_sessions(models, "quality"), unit)
    return Finding(
        combine(parts),
        _meaning(combine(parts)),
        effect,
        tuple(parts),
        (*evidence["training"]["unavailable"], *tell_busy(models)),
    )


def _part(models: Sequence[Mapping[str, Any]], figure: str, title: str) -> Part:
    effect, left_out = pool_fit(_sessions(models, figure), "ratio")
    names = ", ".join(model["model"] for model in models) or "none"
    told = "; ".join(filter(None, (f"pooled {effect}" if effect else "no answer", left_out)))
    return Part(title, above(effect, MARGIN), f"{told} (models: {names})")


def _sessions(models: Sequence[Mapping[str, Any]], figure: str) -> list[dict[str, Any]]:
    return [{"ratio": model[figure], "fit": model["fit"]} for model in models]


def _meaning(verdict: str) -> str:
    if verdict == "SUPPORTED":
        return (
            "Small models train faster in PyTorch on a CPU; what ships is the export, and is not "
            "touched by this."
        )
    if verdict == "REFUTED":
        return "Training speed on a CPU is no reason to prefer PyTorch."
    if verdict == "MIXED":
        return "Training speed depends on what counts: see the parts, and measure your own model."
    return NO_ANSWER


CLAIM = Claim(
    number=6,
    slug="training",
    claim="PyTorch is the faster framework, and that is why researchers use it.",
    measurable=(
        "The same architecture is trained in both from the same batches in the same order with "
        "the same optimiser and schedule, as models/ has it (PyTorch eagerly, TensorFlow one "
        "graph a step), in fresh processes that take turns, with other seeds each: seconds to the "
        "quality that the recipe requires, and rows a second. The ratio is above 1 where PyTorch "
        "is faster."
    ),
    rule=(
        "PyTorch is faster if the whole interval (99 %, bootstrap over processes; models pooled "
        f"by their geometric mean) lies above 1 + {MARGIN:g}; not faster if it lies below; "
        f"INCONCLUSIVE otherwise. A control is unfit if it excludes 1 by more than {MARGIN:.0%}. "
        f"{UNFIT} The motive is NOT TESTABLE. {COMBINED}"
    ),
    needs=("training",),
    decide=_decide,
)
