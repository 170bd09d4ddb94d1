"""The ledger: claims that people repeat, each with its verdict and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shipworthy.report.scope import Scope
from shipworthy.report.sections.section import Missing, Section
from shipworthy.report.units import plain

_TONES = {"SUPPORTED": "passed", "REFUTED": "failed", "MIXED": "skipped"}


@dataclass(frozen=True)
class Part:
    """One statement of a claim as text; `aside` if it does not count for the verdict."""

    title: str
    verdict: str
    tone: str
    told: str
    aside: bool


@dataclass(frozen=True)
class Entry:
    """One claim as text; `tone` chooses its colour."""

    number: str
    slug: str
    claim: str
    verdict: str
    tone: str
    effect: str
    meaning: str
    measurable: str
    rule: str
    evidence: list[tuple[str, str]]
    reasons: list[str]
    parts: list[Part]


def make(scope: Scope) -> Section:
    """Return the ledger, or how to make one."""
    if scope.ledger is None:
        command = f"shipworthy claims --out {_quoted(scope)}"
        missing = [Missing("The claims were not tested", command)]
        return Section("ledger", "The ledger of claims", missing=missing)
    return Section(
        "ledger",
        "The ledger of claims",
        "Claims that people repeat about the two frameworks, each made measurable with a decision "
        "rule fixed before anything was measured.",
        template="ledger.html.j2",
        data=[_entry(claim) for claim in scope.ledger],
    )


def _quoted(scope: Scope) -> str:
    import shlex

    folder = scope.folder if scope.whole else scope.folder.rpartition("/")[0] or "out"
    return shlex.quote(f"{folder}/claims")


def _entry(claim: Mapping[str, Any]) -> Entry:
    verdict = _text(claim.get("verdict")) or "NOT TESTED"
    return Entry(
        number=_text(claim.get("number")),
        slug="".join(c for c in _text(claim.get("slug")) if c.isalnum() or c in "-_"),
        claim=_text(claim.get("claim")),
        verdict=verdict,
        tone=_TONES.get(verdict, "open"),
        effect=describe_effect(claim.get("effect")),
        meaning=_text(claim.get("meaning")),
        measurable=_text(claim.get("measurable")),
        rule=_text(claim.get("rule")),
        evidence=[
            (_text(e.get("title")), _text(e.get("path"))) for e in claim.get("evidence") or []
        ],
        reasons=[_text(reason) for reason in claim.get("reasons") or []],
        parts=[_part(part) for part in claim.get("parts") or []],
    )


def _part(part: Mapping[str, Any]) -> Part:
    verdict = _text(part.get("verdict"))
    return Part(
        title=_text(part.get("title")),
        verdict=verdict,
        tone=_TONES.get(verdict, "open"),
        told=_text(part.get("told")),
        aside=part.get("decides") is False,
    )


def describe_effect(effect: Mapping[str, Any] | None) -> str:
    """Return an effect with its interval and unit; nothing if there is none."""
    if not effect or effect.get("value") is None:
        return ""
    value, low, high = (effect.get(name) for name in ("value", "low", "high"))
    text = _digits(value)
    if low is not None and high is not None:
        text += f" ({_digits(low)} to {_digits(high)})"
    return plain(f"{text} {effect.get('unit') or ''}".strip())


def _digits(value: Any) -> str:
    return f"{value:,.3g}" if isinstance(value, int | float) and abs(value) < 1000 else f"{value:,}"


def _text(value: Any) -> str:
    return "" if value is None else plain(" ".join(str(value).split()))
