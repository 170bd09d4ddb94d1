"""Claim 7: PyTorch has no prebuilt fit and forces subclassing; Keras has both ready."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from shipworthy.report.claims.claim import (
    COMBINED,
    UNFIT,
    Claim,
    Effect,
    Evidence,
    Finding,
    Part,
    above,
    combine,
    pool_fit,
    tell_busy,
)

CODE_MARGIN = 0.10
SIZE_MARGIN = 0.05
LATENCY_MARGIN = 0.05


def _decide(evidence: Evidence) -> Finding:
    code, exports = evidence["code"], evidence["sequential"]
    definitions = _mean_ratio(code["models"], "statements")
    parts = (
        _fit(code["fit"]),
        _subclassing(code["models"]),
        _defining(code["models"]),
        _training(code["programs"]),
        _sequential(exports),
        Part(
            "Keras is the easier one to use, PyTorch gives more control",
            "NOT TESTABLE",
            "ease and control are in the eye of who writes; statements are not a measure of them",
        ),
    )
    loops = code["loops"]
    told = (
        f"the hand-written training loops of models/learner.py have {loops['pytorch']} statements "
        f"in PyTorch and {loops['tensorflow']} in Keras: without fit the two are alike"
    )
    return Finding(
        combine(parts), _meaning(parts), definitions, parts, (told, *tell_busy(exports["formats"]))
    )


def _mean_ratio(models: list[Mapping[str, Any]], counted: str) -> Effect:
    ratios = [model["pytorch"][counted] / model["tensorflow"][counted] for model in models]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return Effect(mean, mean, mean, f"{counted} to define a model, PyTorch over Keras (counted)")


def _defining(models: list[Mapping[str, Any]]) -> Part:
    title = "Keras needs less code to define the same model"
    ratios = {counted: _mean_ratio(models, counted) for counted in ("statements", "lines")}
    less = [above(ratio, CODE_MARGIN) for ratio in ratios.values()]
    told = ", ".join(f"{counted} {ratio}" for counted, ratio in ratios.items())
    told = (
        f"PyTorch over Keras in {len(models)} models, geometric mean: {told}; what PyTorch needs "
        "to begin with Keras' initial weights is in it"
    )
    return Part(title, less[0] if len(set(less)) == 1 else "MIXED", told)


def _fit(fit: Mapping[str, bool]) -> Part:
    title = "PyTorch brings no ready-made training, Keras does"
    told = ", ".join(
        f"{name} has {'a' if fit[key] else 'no'} fit"
        for key, name in (("pytorch", "torch.nn.Module"), ("tensorflow", "keras.Model"))
    )
    right = fit["tensorflow"] and not fit["pytorch"]
    return Part(title, "SUPPORTED" if right else "REFUTED", told)


def _subclassing(models: list[Mapping[str, Any]]) -> Part:
    title = "PyTorch forces one to write a subclass"
    count = {f: sum(m[f]["classes"] > 0 for m in models) for f in ("pytorch", "tensorflow")}
    told = (
        f"{count['pytorch']} of {len(models)} models define a class in PyTorch, "
        f"{count['tensorflow']} in Keras"
    )
    return Part(title, "SUPPORTED" if count["pytorch"] == len(models) else "REFUTED", told)


def _training(programs: Mapping[str, Mapping[str, Any]]) -> Part:
    title = "Keras needs less code to train it"
    short = [name for name, one in programs.items() if one["quality"] < one["required"]]
    if short:
        return Part(title, "INCONCLUSIVE", f"the program for {', '.join(short)} did not learn")
    ratio = programs["pytorch"]["statements"] / programs["tensorflow"]["statements"]
    effect = Effect(ratio, ratio, ratio, "ratio")
    told = ", ".join(
        f"{one['statements']} statements in {name} ({one['quality']:.3f} reached)"
        for name, one in (("PyTorch", programs["pytorch"]), ("Keras", programs["tensorflow"]))
    )
    return Part(title, above(effect, CODE_MARGIN), f"{told}: {effect}")


def _sequential(data: Mapping[str, Any]) -> Part:
    """Judge the hypothesis that nn.Sequential exports worse than a subclass."""
    title = "nn.Sequential exports worse than a subclass"
    formats = data["formats"]
    if not formats:
        return Part(title, "INCONCLUSIVE", "neither was exported")
    lost = [f["format"] for f in formats if f["subclass"] and not f["sequential"]]
    if lost:
        return Part(title, "SUPPORTED", f"it does not pass in {', '.join(lost)}, the subclass does")
    both = [f for f in formats if f["sequential"] and f["subclass"]]
    sizes = [f["size"] for f in both]
    latency, left_out = pool_fit([{"ratio": f["latency"], "fit": f["fit"]} for f in both], "ratio")
    if not both:
        return Part(title, "INCONCLUSIVE", "neither passes in any format")
    told = "; ".join(
        filter(
            None,
            (
                f"both pass in {len(both)} of {len(formats)} formats",
                f"sequential over subclass: size {min(sizes):.3f} to {max(sizes):.3f}",
                f"latency {latency or 'without answer'}",
                left_out,
            ),
        )
    )
    if max(sizes) > 1 + SIZE_MARGIN:
        return Part(title, "SUPPORTED", told)
    return Part(title, above(latency, LATENCY_MARGIN), told)


def _meaning(parts: tuple[Part, ...]) -> str:
    export = parts[4].verdict
    if export == "REFUTED":
        return (
            "For what ships it does not matter how the model was written: nn.Sequential and a "
            "subclass of the same layers export alike; fit saves lines of training only."
        )
    if export == "SUPPORTED":
        return "Write a PyTorch model that is to ship as a subclass: nn.Sequential exports worse."
    return (
        "fit saves lines of training; whether the style of the model shows in its export is open."
    )


CLAIM = Claim(
    number=7,
    slug="code",
    claim=(
        "PyTorch has no ready-made fit and makes people write subclasses, which Keras with fit, "
        "Sequential and the Functional API spares them."
    ),
    measurable=(
        "Counted in models/: of every model's definition in both frameworks the statements (AST "
        "nodes that are statements; docstrings, imports and comments left out) and the lines they "
        "stand on, and which of them define a class. Run and counted: one program a framework "
        "that trains the same perceptron to the same quality, by fit and by a loop. Exported: the "
        "same layers with the same weights as nn.Sequential and as a subclass, to every format, "
        "timed in turns."
    ),
    rule=(
        "Fit: SUPPORTED if keras.Model has it and torch.nn.Module has not. Subclassing is forced: "
        "SUPPORTED if every PyTorch model of the zoo defines a class, REFUTED if one does "
        f"without. Less code: SUPPORTED if PyTorch takes over {CODE_MARGIN:.0%} more, else "
        "REFUTED; to define models, of statements and of lines, MIXED if they disagree; to train, "
        "of statements. Sequential exports worse: SUPPORTED if it fails where the subclass "
        f"passes, or is over {SIZE_MARGIN:.0%} larger, or the interval of its latency ratio lies "
        f"above 1 + {LATENCY_MARGIN:g}; REFUTED if below; INCONCLUSIVE else. {UNFIT} Ease is NOT "
        f"TESTABLE. {COMBINED}"
    ),
    needs=("code", "sequential"),
    decide=_decide,
)
