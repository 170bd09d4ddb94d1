"""Claim 2: that makes TensorFlow the more useful one on mobile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    below,
    combine,
    pool_fit,
)

# A smaller advantage than this is none that anybody deploys by.
MARGINS = {
    "size": 0.05,
    "footprint": 0.05,
    "memory": 0.10,
    "cold start": 0.10,
    "latency": 0.05,
}


def _decide(evidence: Evidence) -> Finding:
    comparisons = evidence["birth"]["comparisons"]
    parts: list[Part] = []
    for metric, margin in MARGINS.items():
        formats = [
            _in_format(comparisons, metric, format_, margin)
            for format_ in _names(comparisons, metric)
        ]
        if formats:
            told = "; ".join(f"{part.title}: {part.told}" for part in formats)
            title = f"Born in TensorFlow, the {metric} is lower"
            parts.append(Part(title, combine(formats), told))
        else:
            told = "it was not measured in this run"
            parts.append(Part(f"Born in TensorFlow, the {metric} is lower", "NOT TESTED", told))
    told = "no phone is attached: all of this was measured on this machine's processor"
    parts.append(Part("On a phone's own hardware", "NOT TESTED", told))
    told = "ExecuTorch and Core ML are no formats of this tool; PyTorch ships to phones by them too"
    parts.append(Part("In formats made for phones alone", "NOT TESTED", told))
    return Finding(
        combine(parts),
        _meaning(parts),
        _most_telling(comparisons),
        tuple(parts),
        tuple(_caveats(evidence["birth"])),
    )


def _most_telling(comparisons: Sequence[Mapping[str, Any]]) -> Effect | None:
    """Return the ratio of latencies over all models and formats; of sizes if there is none."""
    for metric in ("latency", "size"):
        unit = f"{metric} of TensorFlow-born artifacts over PyTorch-born ones, all formats pooled"
        effect, _ = pool_fit([c for c in comparisons if c["metric"] == metric], unit)
        if effect is not None:
            return effect
    return None


def _caveats(birth: Mapping[str, Any]) -> Iterable[str]:
    unfit = birth["unfit"]
    if unfit:
        yield f"{len(unfit)} reasons that sessions are unfit, such as: {unfit[0]}"


def _in_format(
    comparisons: Iterable[Mapping[str, Any]], metric: str, format_: str, margin: float
) -> Part:
    found = [c for c in comparisons if (c["metric"], c["format"]) == (metric, format_)]
    effect, left_out = pool_fit(found, "ratio")
    told = _tell(effect, margin) if effect else "no answer"
    return Part(format_, below(effect, margin), f"{told} ({left_out})" if left_out else told)


def _tell(effect: Effect, margin: float) -> str:
    if 1 / (1 + margin) <= effect.low and effect.high <= 1 + margin:
        return f"{effect}, the same"
    return str(effect)


def _names(comparisons: Iterable[Mapping[str, Any]], metric: str) -> list[str]:
    return list(dict.fromkeys(c["format"] for c in comparisons if c["metric"] == metric))


def _meaning(parts: Sequence[Part]) -> str:
    better = [part.title.split("the ")[-1].removesuffix(" is lower") for part in parts
              if part.verdict in ("SUPPORTED", "MIXED")]  # fmt: skip
    if not better and combine(parts) == "INCONCLUSIVE":
        return NO_ANSWER
    if not better:
        return (
            "For the same architecture in the same format, the framework it was written in is no "
            "reason to expect a smaller or faster artifact; the format and runtime are."
        )
    return (
        f"Where a model comes from can show in {', '.join(better)}, in some formats: compare the "
        "two artifacts of your own model before choosing a framework for it."
    )


CLAIM = Claim(
    number=2,
    slug="mobile",
    claim=(
        "Because its models deploy without Python, TensorFlow is the more useful framework for "
        "mobile devices."
    ),
    measurable=(
        "Of the same architecture written in both frameworks, each exported to every format: "
        "size, footprint (artifact and libraries), memory above an empty runtime, cold start and "
        "latency at batch 1 on one thread, as the ratio of TensorFlow-born to PyTorch-born in the "
        "same runtime. Fresh processes of both take turns (ABBA); the control compares a cell's "
        "odd processes with its even ones."
    ),
    rule=(
        "Per metric and format the ratios of all models are pooled (geometric mean, interval at "
        "99 %). The TensorFlow-born one is better if the whole interval lies below 1 / (1 + "
        "margin), not better if the whole interval lies above it, else INCONCLUSIVE; margins: "
        + ", ".join(f"{metric} {margin:.0%}" for metric, margin in MARGINS.items())
        + f". {UNFIT} A metric is made of its formats and the claim of its metrics, each time "
        f"so: {COMBINED}"
    ),
    needs=("birth",),
    decide=_decide,
)
