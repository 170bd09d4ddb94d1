"""Claim 10: exporting changes nothing that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.report.claims.claim import COMBINED, Claim, Evidence, Finding, Part, combine
from shipworthy.report.claims.counts import mcnemar, share

ALPHA = 0.01
MOST_CHANGED = 0.005  # of all answers, at the upper end of the interval
SAME_METRIC = 1e-3  # relative


def _decide(evidence: Evidence) -> Finding:
    cells, others = evidence["accuracy"]["cells"], evidence["accuracy"]["others"]
    parts = (_classes(cells), _metrics(others))
    effect = None
    if cells:
        effect = share(
            sum(cell["changed"] for cell in cells),
            sum(cell["rows"] for cell in cells),
            "share of the test rows that an artifact names otherwise than its original",
        )
    return Finding(combine(parts), _meaning(parts), effect, parts,
                   tuple(evidence["accuracy"]["left_out"]))  # fmt: skip


def _classes(cells: Sequence[Mapping[str, Any]]) -> Part:
    title = "Classifiers name as many rows rightly as before"
    if not cells:
        return Part(title, "NOT TESTED", "no classifier was exported")
    rows, changed = (sum(cell[name] for cell in cells) for name in ("rows", "changed"))
    interval = share(changed, rows, "share")
    p_values = [mcnemar(cell["only_original"], cell["only_artifact"]) for cell in cells]
    told = (
        f"{changed} of {rows} answers of {len(cells)} artifacts changed (at most "
        f"{interval.high:.2%}); smallest p of McNemar's test {min(p_values):.3g}"
    )
    worse = [
        f"{cell['model']} {cell['framework']}>{cell['format']}"
        for cell, p in zip(cells, p_values, strict=True)
        if p * len(cells) < ALPHA
    ]
    if worse:
        return Part(title, "REFUTED", f"{told}; {', '.join(worse)} differ")
    return Part(title, "SUPPORTED" if interval.high <= MOST_CHANGED else "INCONCLUSIVE", told)


def _metrics(others: Sequence[Mapping[str, Any]]) -> Part:
    title = "Models with another measure keep it"
    if not others:
        return Part(title, "NOT TESTED", "no model with another measure was exported")
    far = [o for o in others if _distance(o) > SAME_METRIC]
    worst = max(others, key=_distance)
    told = (
        f"largest relative change {_distance(worst):.2g}, of {worst['metric']} in "
        f"{worst['model']} {worst['framework']}>{worst['format']} ({len(others)} artifacts)"
    )
    return Part(title, "REFUTED" if far else "SUPPORTED", told)


def _distance(one: Mapping[str, Any]) -> float:
    change = abs(one["artifact"] - one["original"])
    return float(change / max(abs(one["original"]), 1e-12))


def _meaning(parts: Sequence[Part]) -> str:
    if combine(parts) == "SUPPORTED":
        return (
            "An export that passes can take the original's place without a new look at its "
            "accuracy; one that was never compared cannot."
        )
    if any(part.verdict == "REFUTED" for part in parts):
        return "Some export changes the model's accuracy: do not ship one that was not compared."
    return "No loss of accuracy was seen, on too few rows to rule it out."


CLAIM = Claim(
    number=10,
    slug="accuracy",
    claim="Exporting a trained model changes nothing that matters about its accuracy.",
    measurable=(
        "Every artifact that passes answers its model's whole test set in its runner; row by row "
        "it is held against the original: rows that only one of them names rightly (McNemar's "
        "exact test, 1947), and rows whose answer changed at all. Models that are no classifiers "
        "are held to their own measure."
    ),
    rule=(
        "Classifiers: REFUTED if McNemar's p times the number of artifacts (Bonferroni) is below "
        f"{ALPHA:g} for any; SUPPORTED if not and the upper end of the exact 99 % interval of the "
        f"share of changed answers is at most {MOST_CHANGED:.1%}; else INCONCLUSIVE. Every "
        "artifact's answer to a row counts as one, though the artifacts of one model answer the "
        f"same rows. Others: SUPPORTED if no measure moved by more than {SAME_METRIC:.1%} of its "
        f"value, else REFUTED. {COMBINED}"
    ),
    needs=("accuracy",),
    decide=_decide,
)
