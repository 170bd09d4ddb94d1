"""Claim 5: PyTorch, which makes no graph, is faster than TensorFlow's eager execution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.report.claims.claim import (
    COMBINED,
    NO_ANSWER,
    UNFIT,
    Claim,
    Effect,
    Evidence,
    Finding,
    Part,
    above,
    combine,
    pool,
    pool_fit,
    tell_busy,
)

MARGIN = 0.05
_WORKS = {"inference": "at inference", "train_step": "in a training step"}
_KINDS = {"eager": "eager against eager", "graph": "graph against graph"}


def _decide(evidence: Evidence) -> Finding:
    comparisons = evidence["eager"]["comparisons"]
    parts = [
        _part(comparisons, kind, work)
        for kind in _KINDS
        for work in _WORKS
        # What decides has its part even where every session was lost.
        if kind == "eager" or any((c["kind"], c["work"]) == (kind, work) for c in comparisons)
    ]
    eager = [c for c in comparisons if c["kind"] == "eager"]
    unit = "time of TensorFlow's eager execution over PyTorch's, models and work pooled"
    effect, _ = pool_fit(eager, unit)
    return Finding(
        combine(parts),
        _meaning(parts),
        effect,
        tuple(parts),
        (*evidence["eager"]["unavailable"], *tell_busy(comparisons)),
    )


def _part(comparisons: Sequence[Mapping[str, Any]], kind: str, work: str) -> Part:
    found = [c for c in comparisons if (c["kind"], c["work"]) == (kind, work)]
    effect, left_out = pool_fit(found, "ratio")
    cases = ", ".join(f"{c['model']} batch {c['batch']}: {_tell(c)}" for c in found)
    processor = pool([c["processor"] for c in found], "ratio")
    told = "; ".join(
        filter(
            None,
            (
                f"pooled {effect}" if effect else "no answer",
                left_out,
                cases,
                f"processor time {processor or 'without interval'}",
            ),
        )
    )
    title = f"PyTorch is faster {_WORKS[work]}, {_KINDS[kind]}"
    return Part(title, above(effect, MARGIN), told, decides=kind == "eager")


def _tell(session: Mapping[str, Any]) -> str:
    ratio = session["ratio"]
    if ratio["low"] is None:
        return f"{ratio['value']:.3g} (no interval)"
    told = str(Effect(ratio["value"], ratio["low"], ratio["high"], "ratio"))
    return told if session["fit"] else f"{told} (unfit)"


def _meaning(parts: Sequence[Part]) -> str:
    verdict = combine(parts)
    graph = [part.verdict for part in parts if not part.decides]
    if verdict == "SUPPORTED":
        told = "While models are tried out line by line, PyTorch takes less time a step"
        return told + (
            "; compiled, the gap is another one: compare graphs before you draw on it."
            if set(graph) != {"SUPPORTED"}
            else ", and compiled too."
        )
    if verdict == "REFUTED":
        return "Eager execution is no reason to expect PyTorch to be faster."
    if verdict == "MIXED":
        return "It depends on the work: see the parts; neither mode is what ships."
    return NO_ANSWER


CLAIM = Claim(
    number=5,
    slug="eager",
    claim="PyTorch, which builds no graph, is faster than TensorFlow's eager execution.",
    measurable=(
        "The same architecture, batch and number of threads, each way in a fresh "
        "process; ways take turns (ABBA), and PyTorch's eager way is measured twice as a control. "
        "The ratio is TensorFlow's time over PyTorch's, at inference and for a whole training "
        "step (forward, backward, Adam). Beside it stands the ratio of processor time, which a "
        "busy machine hardly changes."
    ),
    rule=(
        "PyTorch is faster if the whole interval (99 %, hierarchical bootstrap; models and batch "
        f"sizes pooled by their geometric mean) lies above 1 + {MARGIN:g}; not faster if it lies "
        "below; INCONCLUSIVE otherwise. Eager against eager decides; graph against graph "
        "(torch.compile, tf.function) stands beside it. A control is unfit if it excludes 1 by "
        f"more than {MARGIN:.0%}. {UNFIT} {COMBINED}"
    ),
    needs=("eager",),
    decide=_decide,
)
