"""How every figure of the page was measured."""

from __future__ import annotations

from dataclasses import dataclass

from shipworthy.report.scope import Scope
from shipworthy.report.sections.section import Section
from shipworthy.serve import stats


@dataclass(frozen=True)
class Method:
    """What the text depends on."""

    jitter: bool
    needed: dict[int, int]
    confidence: str


def make(scope: Scope) -> Section:
    """Return the text, which tells only of the yardsticks that were used."""
    return Section(
        "method",
        "How was this measured?",
        template="method.html.j2",
        data=Method(
            any(record["yardstick"] == "jitter" for record in scope.records),
            {p: stats.needed_runs(p) for p in stats.PERCENTILES},
            f"{100 * stats.CONFIDENCE:.0f} %",
        ),
    )
