"""What a section of the page consists of, and what it says where nothing was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shipworthy.report.doubts import tell_doubts
from shipworthy.report.measurements import Measurement, read_measurement, unreadable
from shipworthy.report.records import Record
from shipworthy.report.scope import Model, Scope, cell_label


@dataclass(frozen=True)
class Table:
    """A table of text.

    Parameters
    ----------
    head : column titles; one that begins with ``>`` is of figures and set to the right.
    rows : the first entry of each is its head.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A drawing with its figures as a table.

    Parameters
    ----------
    name : unique on the page.
    svg : an element to put into the page as it is.
    """

    name: str
    title: str
    caption: str
    svg: str
    table: Table


@dataclass(frozen=True)
class Missing:
    """What was not measured, and the command that does it."""

    told: str
    command: str


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Parameters
    ----------
    slug : its address on the page.
    lede : how to read it, one paragraph.
    template : what lays it out.
    data : what a template of its own needs.
    """

    slug: str
    title: str
    lede: str = ""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    missing: Sequence[Missing] = ()
    template: str = "section.html.j2"
    data: Any = field(default=None)


Measured = list[tuple[Record, Measurement]]


def measured(model: Model, kind: str) -> Measured:
    """Return the cells of which a kind was measured, with the measurement."""
    found = ((record, read_measurement(record, kind)) for record in model.records)
    return [(record, measurement) for record, measurement in found if measurement is not None]


def find_missing(
    scope: Scope, words: str, known: Callable[[Model], bool], what: str, *kinds: str
) -> list[Missing]:
    """Say which models lack a measurement and what makes it; and what cannot be read.

    Parameters
    ----------
    words : the subcommand and its options, such as ``bench --also threads``.
    known : tells whether a model has something to show.
    kinds : of measurement, looked through for what cannot be read.
    """
    lacking = [model for model in scope if not known(model)]
    told = []
    if lacking:
        of = f" of {_names(lacking)}" if scope.whole and len(lacking) < len(scope.models) else ""
        told.append(Missing(f"{what}{of}", scope.command(words, lacking[0])))
    for model in scope:
        for record in model.records:
            for kind in kinds:
                if wrong := unreadable(record, kind):
                    named = f"{model.name} {cell_label(record)}"
                    text = f"The measurement {kind!r} of {named} cannot be read ({wrong})"
                    told.append(Missing(text, scope.command(words, model)))
    return told


def doubts(found: Measured) -> str:
    """Return which of the measurements are INVALID and why, for a caption."""
    cells = [(cell_label(record), m.reasons) for record, m in found if not m.valid]
    return tell_doubts(cells, len(found))


def _names(models: Sequence[Model]) -> str:
    names = [model.name for model in models]
    return (
        ", ".join(names) if len(names) < 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
    )
