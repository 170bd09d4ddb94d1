"""Where the figures come from: machine and versions, and where cells differ in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shipworthy.report import facts
from shipworthy.report.scope import Scope
from shipworthy.report.sections.section import Section


@dataclass(frozen=True)
class Environment:
    """Facts of all cells, and what is not the same in all of them."""

    machine: facts.Facts
    versions: facts.Facts
    differences: Sequence[tuple[str, str]]


def make(scope: Scope) -> Section:
    """Return machine, versions and differences."""
    records = scope.records
    return Section(
        "environment",
        "Environment",
        template="environment.html.j2",
        data=Environment(
            facts.machine_facts(records),
            facts.version_facts(records),
            facts.differences([(model.name, r) for model in scope for r in model.records]),
        ),
    )
