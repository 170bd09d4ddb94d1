"""``report.html``: one file that opens offline, in light and dark, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files

from shipworthy.report import facts
from shipworthy.report.rows import describe_setting, headline
from shipworthy.report.scope import Scope
from shipworthy.report.sections import (
    cold_start,
    environment,
    exports,
    latency,
    ledger,
    memory,
    method,
    python_cost,
    scaling,
    scenarios,
    tradeoff,
    verdicts,
)
from shipworthy.report.sections.section import Section
from shipworthy.report.units import plain

# Of how many models figures are drawn on one page; more would not fit into 3 MB.
DRAWN = 13

# In the order of the page; a new section is one function here.
_SECTIONS: tuple[Callable[[Scope], Section], ...] = (
    verdicts.make,
    latency.make,
    tradeoff.make,
    cold_start.make,
    memory.make,
    python_cost.make,
    scaling.make_threads,
    scaling.make_batches,
    scaling.make_sustained,
    scenarios.make,
    ledger.make,
    exports.make,
    environment.make,
    method.make,
)
# Those without figures.
_OF_ALL = (verdicts.make, ledger.make, environment.make, method.make)


def make_html(scope: Scope) -> str:
    """Return the whole page; every text of a record is escaped, none of it is trusted."""
    import jinja2
    from markupsafe import Markup

    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _read(f"templates/{name}")),
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        # No control character gets onto the page, whatever a text went through.
        finalize=lambda v: plain(v) if isinstance(v, str) and not isinstance(v, Markup) else v,
    )  # fmt: skip
    # What matplotlib drew is escaped where it is made.
    templates.filters["drawn"] = Markup
    records = scope.records
    drawn = replace(scope, models=scope.models[:DRAWN])
    # A page of several models leaves the details of a cell to the model's own page.
    sections = [
        make(scope if make in _OF_ALL else drawn)
        for make in _SECTIONS
        if not (scope.whole and make is exports.make)
    ]
    page: str = templates.get_template(
        "page.html.j2"
    ).render(
        scope=scope,
        headline=headline(records),
        passed=all(record["status"] == "passed" for record in records),
        setting=describe_setting(records),
        when=facts.describe_time(records),
        style=Markup(_read("report.css")),  # noqa: S704  our own file
        sections=sections,
        left_out=scope.models[DRAWN:],
    )
    return page


def _read(name: str) -> str:
    return files("shipworthy.report").joinpath(name).read_text(encoding="utf-8")
