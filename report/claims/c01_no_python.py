"""Claim 1: TensorFlow needs no Python where it is deployed; PyTorch does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.report.claims.claim import COMBINED, Claim, Evidence, Finding, Part, combine
from shipworthy.report.claims.counts import share

FEWEST_CELLS = 4  # of a framework, that passed; with fewer nothing is said of it


def _decide(evidence: Evidence) -> Finding:
    passed = {framework: _passed(evidence, framework) for framework in ("tensorflow", "pytorch")}
    free = {name: sum(c["python_free"] is True for c in cells) for name, cells in passed.items()}
    parts = (
        _needs_none("A model born in TensorFlow runs without Python", passed, free),
        _needs_python("A model born in PyTorch needs Python to run", passed, free),
    )
    effect = None
    if passed["pytorch"]:
        unit = "share of PyTorch-born artifacts that ran with no Python in their process"
        effect = share(free["pytorch"], len(passed["pytorch"]), unit)
    failed = sum(
        cell["status"] != "passed" for model in evidence["models"]["models"]
        for cell in model["cells"]
    )  # fmt: skip
    reasons = (f"{failed} cells did not pass and are not counted",) if failed else ()
    return Finding(combine(parts), _meaning(parts), effect, parts, reasons)


def _passed(evidence: Evidence, framework: str) -> list[Mapping[str, Any]]:
    return [
        cell
        for model in evidence["models"]["models"]
        for cell in model["cells"]
        if cell["framework"] == framework and cell["status"] == "passed"
    ]


def _needs_none(title: str, passed: Mapping[str, Sequence[Any]], free: Mapping[str, int]) -> Part:
    cells, without = len(passed["tensorflow"]), free["tensorflow"]
    told = f"{without} of {cells} artifacts answered rightly with no Python in their process"
    if cells < FEWEST_CELLS:
        return Part(title, "INCONCLUSIVE", f"{told}; {FEWEST_CELLS} are needed")
    if without == cells:
        return Part(title, "SUPPORTED", told)
    return Part(title, "REFUTED" if without == 0 else "MIXED", told)


def _needs_python(title: str, passed: Mapping[str, Sequence[Any]], free: Mapping[str, int]) -> Part:
    cells, without = len(passed["pytorch"]), free["pytorch"]
    told = f"{without} of {cells} artifacts answered rightly with no Python in their process"
    if cells < FEWEST_CELLS:
        return Part(title, "INCONCLUSIVE", f"{told}; {FEWEST_CELLS} are needed")
    if without == 0:
        return Part(title, "SUPPORTED", told)
    return Part(title, "REFUTED" if without == cells else "MIXED", told)


def _meaning(parts: Sequence[Part]) -> str:
    verdicts = tuple(part.verdict for part in parts)
    if verdicts == ("SUPPORTED", "REFUTED"):
        return "Neither framework needs Python in production: export, and ship a C or C++ runtime."
    if verdicts == ("SUPPORTED", "SUPPORTED"):
        return "Without Python in production, begin in TensorFlow."
    return "Whether Python is needed depends on the model and format; look at the records."


CLAIM = Claim(
    number=1,
    slug="no-python",
    claim=(
        "A TensorFlow 2 model can be deployed without Python, and (so it is implied) a PyTorch "
        "model cannot."
    ),
    measurable=(
        "Every artifact that equals its original is run by a program whose mapped files are read "
        "while it runs; without Python means that no Python interpreter is among them."
    ),
    rule=(
        "Part 1 (TensorFlow needs none): SUPPORTED if all of its artifacts that pass, at least "
        f"{FEWEST_CELLS}, run without Python; REFUTED if none does; MIXED between. Part 2 (PyTorch "
        "needs it): SUPPORTED if none of its artifacts runs without; REFUTED if all do; MIXED "
        f"between. {COMBINED}"
    ),
    needs=("models",),
    decide=_decide,
)
