"""Claims and evidence -> the ledger: one entry a claim, in the order of their numbers."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import shipworthy.report.claims
from shipworthy.models.atomic import write_json, write_text
from shipworthy.report.claims.claim import Claim, Finding
from shipworthy.serve.experiments.conduct import is_current
from shipworthy.serve.experiments.evidence import Evidence, read_evidence

LEDGER = "claims.json"
MARKDOWN = "claims.md"

_AGAIN = "`shipworthy claims` runs what is needed for it"


@dataclass(frozen=True)
class Entry:
    """One claim with what was found, and where the evidence lies.

    Parameters
    ----------
    evidence : what it was decided on.
    """

    claim: Claim
    finding: Finding
    evidence: tuple[Evidence, ...] = ()

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Title and path of the evidence, relative to the ledger's folder."""
        return tuple(dict.fromkeys(link for one in self.evidence for link in one.links))

    @property
    def answered(self) -> bool:
        """Whether a claim that is tested at all has an answer."""
        return not self.claim.needs or self.finding.verdict != "NOT TESTED"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        claim, finding = self.claim, self.finding
        return {
            "number": claim.number,
            "slug": claim.slug,
            "claim": claim.claim,
            "measurable": claim.measurable,
            "rule": claim.rule,
            "verdict": finding.verdict,
            "effect": finding.effect.to_json() if finding.effect else None,
            "evidence": [{"title": title, "path": path} for title, path in self.links],
            "meaning": finding.meaning,
            "reasons": list(finding.reasons),
            "parts": [part.to_json() for part in finding.parts],
        }


@cache
def claims() -> tuple[Claim, ...]:
    """Return every claim of this folder, by number.

    Raises
    ------
    ValueError : two claims of one number.
    """
    found = {}
    for info in pkgutil.iter_modules(shipworthy.report.claims.__path__):
        module = importlib.import_module(f"shipworthy.report.claims.{info.name}")
        claim = getattr(module, "CLAIM", None)
        if not isinstance(claim, Claim):
            continue
        if claim.number in found:
            raise ValueError(f"two claims have the number {claim.number}; renumber {info.name}")
        found[claim.number] = claim
    return tuple(found[number] for number in sorted(found))


def make_ledger(
    evidence: Mapping[str, Evidence], old: Collection[str] = frozenset()
) -> list[Entry]:
    """Decide every claim on what evidence there is.

    Parameters
    ----------
    old : names of evidence that is of other code, versions, settings or another machine than now;
        it is decided on, and that is told.
    """
    return [_enter(claim, evidence, old) for claim in claims()]


def read_ledger(out: Path) -> list[Entry]:
    """Decide every claim on the evidence that lies in a folder."""
    needs = {name for claim in claims() for name in claim.needs}
    read = {name: read_evidence(out, name) for name in sorted(needs)}
    found = {name: one for name, one in read.items() if one is not None}
    return make_ledger(found, [name for name, one in found.items() if not is_current(out, one)])


def write_ledger(out: Path, entries: Sequence[Entry], markdown: str) -> list[Path]:
    """Write ``claims.json`` and ``claims.md``; return their paths."""
    write_json(out / LEDGER, [entry.to_json() for entry in entries])
    write_text(out / MARKDOWN, markdown)
    return [out / LEDGER, out / MARKDOWN]


def ledger_text(entries: Sequence[Entry]) -> str:
    """Return entries as JSON."""
    return json.dumps([entry.to_json() for entry in entries], indent=1)


def _enter(claim: Claim, evidence: Mapping[str, Evidence], old: Collection[str]) -> Entry:
    found = tuple(evidence[name] for name in claim.needs if name in evidence)
    missing = [name for name in claim.needs if name not in evidence]
    failed = [one for one in found if one.data is None]
    if missing or failed:
        reasons = [f"the experiment {name!r} was not run" for name in missing]
        reasons += [f"{one.experiment}: {reason}" for one in failed for reason in one.reasons]
        told = f"Nothing can be said before the evidence is there; {_AGAIN}."
        return Entry(claim, Finding("NOT TESTED", told, reasons=tuple(reasons)), found)
    finding = claim.decide({one.experiment: one.data for one in found if one.data is not None})
    called_old = tuple(
        f"the evidence {one.experiment!r} is of an earlier version, or of another machine; {_AGAIN}"
        for one in found
        if one.experiment in old
    )
    return Entry(claim, replace(finding, reasons=(*finding.reasons, *called_old)), found)
