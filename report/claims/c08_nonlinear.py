"""Claim 8: the Functional API makes networks that are no chain of layers easy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.report.claims.claim import COMBINED, Claim, Evidence, Finding, Part, combine
from shipworthy.report.claims.counts import share

MODELS = ("recommender", "gan")
_NAMES = {"tensorflow": "TensorFlow", "pytorch": "PyTorch"}


def _decide(evidence: Evidence) -> Finding:
    cells = {
        framework: [
            cell | {"model": model["model"]}
            for model in evidence["models"]["models"]
            if model["model"] in MODELS
            for cell in model["cells"]
            if cell["framework"] == framework
        ]
        for framework in _NAMES
    }
    if not all(cells.values()):
        told = f"{' and '.join(MODELS)} were not exported from both frameworks"
        return Finding("INCONCLUSIVE", "Nothing can be said of it.", reasons=(told,))
    parts = (
        _ships(cells["tensorflow"]),
        _ships_better(cells),
        Part(
            "They are easy to write",
            "NOT TESTABLE",
            "ease is the writer's; both are written in models/, to be compared by who cares",
        ),
    )
    passed = sum(cell["status"] == "passed" for cell in cells["pytorch"])
    effect = share(
        passed, len(cells["pytorch"]), "share of PyTorch-born artifacts of these networks that pass"
    )
    failed = [
        f"{cell['model']}, {cell['route']}: {cell['reason']}"
        for cell in (*cells["tensorflow"], *cells["pytorch"])
        if cell["status"] != "passed"
    ]
    return Finding(combine(parts), _meaning(parts), effect, parts, tuple(failed))


def _ships(cells: Sequence[Mapping[str, Any]]) -> Part:
    passed = sum(cell["status"] == "passed" for cell in cells)
    title = "Written with the Functional API, such networks ship in every format"
    told = f"{passed} of {len(cells)} artifacts equal their original"
    if passed == len(cells):
        return Part(title, "SUPPORTED", told)
    return Part(title, "REFUTED" if passed == 0 else "MIXED", told)


def _ships_better(cells: Mapping[str, Sequence[Mapping[str, Any]]]) -> Part:
    """Judge, model by model and format by format, where only one of the two passes."""
    passed = {
        framework: {(c["model"], c["format"]) for c in found if c["status"] == "passed"}
        for framework, found in cells.items()
    }
    only_tensorflow = passed["tensorflow"] - passed["pytorch"]
    only_pytorch = passed["pytorch"] - passed["tensorflow"]
    title = "They ship better than the same networks from PyTorch, which has no such API"
    told = (
        f"PyTorch: {len(passed['pytorch'])} of {len(cells['pytorch'])}; {len(only_tensorflow)} "
        f"ship from TensorFlow alone, {len(only_pytorch)} from PyTorch alone"
    )
    if only_tensorflow and only_pytorch:
        return Part(title, "MIXED", told)
    return Part(title, "SUPPORTED" if only_tensorflow else "REFUTED", told)


def _meaning(parts: Sequence[Part]) -> str:
    if parts[0].verdict == "SUPPORTED" and parts[1].verdict == "REFUTED":
        return (
            "Recommenders and generators ship from either framework; write them in the one you "
            "prefer."
        )
    return "Not every such network ships everywhere from both: export yours before you decide."


CLAIM = Claim(
    number=8,
    slug="nonlinear",
    claim=(
        "Keras' Functional API makes networks that are not a plain chain, such as recommenders "
        "and GANs, easy."
    ),
    measurable=(
        f"The zoo's {' and '.join(MODELS)}, written with the Functional API and as PyTorch modules "
        "and trained to the same quality, are exported to every format; an artifact ships if its "
        "outputs equal its original's in the process that would ship it."
    ),
    rule=(
        "Part 1: SUPPORTED if all of TensorFlow's artifacts ship, REFUTED if none, MIXED between. "
        "Part 2 (better than PyTorch's): SUPPORTED if some pair of model and format ships from "
        "TensorFlow alone, REFUTED if none does, MIXED if some ship from each alone. That it is "
        f"easy is NOT TESTABLE. {COMBINED}"
    ),
    needs=("models",),
    decide=_decide,
)
