"""Claim 4: TensorFlow speaks more languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.report.claims.claim import COMBINED, Claim, Effect, Evidence, Finding, Part, combine

# Whose language it is said to be: of both frameworks, or of TensorFlow alone.
BOTH = ("C++", "Java")
TENSORFLOW_ONLY = ("JavaScript", "Go", "Swift", "C", "Rust")


def _decide(evidence: Evidence) -> Finding:
    languages = {one["language"]: one for one in evidence["languages"]["languages"]}
    parts = [_said_of_both(languages[name]) for name in BOTH if name in languages]
    parts += [_said_of_one(languages[name]) for name in TENSORFLOW_ONLY if name in languages]
    tried = [one for one in languages.values() if one["results"]]
    runs = {
        f: [one["language"] for one in tried if _runs(one, f)] for f in ("pytorch", "tensorflow")
    }
    effect = None
    if tried:
        count = float(len(set(runs["tensorflow"]) - set(runs["pytorch"])))
        unit = (
            "languages, of those tried, in which TensorFlow-born artifacts run and PyTorch-born "
            "ones do not"
        )
        effect = Effect(count, count, count, unit)
    return Finding(
        combine(parts),
        _meaning(runs),
        effect,
        tuple(parts),
        tuple(f"{one['language']}: {one['reason']}" for one in languages.values() if one["reason"]),
    )


def _said_of_both(one: Mapping[str, Any]) -> Part:
    title = f"{one['language']} runs models of both frameworks"
    return _part(title, one, {(True, True): "SUPPORTED", (False, False): "REFUTED"})


def _said_of_one(one: Mapping[str, Any]) -> Part:
    title = f"{one['language']} runs TensorFlow's models, not PyTorch's"
    return _part(title, one, {
        (True, False): "SUPPORTED", (True, True): "REFUTED", (False, True): "REFUTED",
    })  # fmt: skip


def _part(title: str, one: Mapping[str, Any], verdicts: Mapping[tuple[bool, bool], Any]) -> Part:
    if not one["results"]:
        return Part(title, "NOT TESTED", one["reason"])
    ran = (_runs(one, "tensorflow"), _runs(one, "pytorch"))
    verdict = verdicts.get(ran, "MIXED" if any(ran) else "INCONCLUSIVE")
    right = sum(result["passed"] for result in one["results"])
    told = f"{right} of {len(one['results'])} artifacts gave the original's outputs {one['means']}"
    wrong = [result["detail"] for result in one["results"] if not result["passed"]]
    return Part(title, verdict, "; ".join((told, *wrong[:1])))


def _runs(one: Mapping[str, Any], framework: str) -> bool:
    """Tell whether artifacts of a framework ran, and all of them rightly."""
    results = [r["passed"] for r in one["results"] if r["framework"] == framework]
    return bool(results) and all(results)


def _meaning(runs: Mapping[str, Sequence[str]]) -> str:
    both = [name for name in runs["pytorch"] if name in runs["tensorflow"]]
    if runs["pytorch"] != runs["tensorflow"]:
        return "Some languages here run the artifacts of one framework only; see the parts."
    if not both:
        return "No language but Python could be tried here."
    return (
        f"Pick the language by the runtime, not by the framework: {', '.join(both)} run the "
        "exports of either."
    )


CLAIM = Claim(
    number=4,
    slug="languages",
    claim=(
        "PyTorch can be used from C++ and Java beside Python; TensorFlow from C++, Java, "
        "JavaScript, Go, Swift and, by bindings, many more."
    ),
    measurable=(
        "A small program in each language, on this machine, loads an artifact of each framework, "
        "runs the cases of the reference, and its outputs are compared with the original's as a "
        "runner's are. It counts artifacts that are run, not bindings that are listed."
    ),
    rule=(
        "For a language said to be of both, SUPPORTED if artifacts of both give the right "
        "outputs, REFUTED if of neither, MIXED if of one. For a language said to be TensorFlow's "
        "alone, SUPPORTED if only its artifacts do, REFUTED if PyTorch's do, INCONCLUSIVE if "
        "neither's do. A language whose tools or packages are not "
        f"on this machine is NOT TESTED. {COMBINED}"
    ),
    needs=("languages",),
    decide=_decide,
)
