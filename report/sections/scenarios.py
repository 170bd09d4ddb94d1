"""MLPerf's scenarios: how the exports do when asked in the ways that services ask."""

from __future__ import annotations

from collections.abc import Sequence

from shipworthy.report.curves import Curve, curves_figure
from shipworthy.report.measurements import SCENARIOS, Measurement
from shipworthy.report.records import Record
from shipworthy.report.scope import Model, Scope, cell_label
from shipworthy.report.sections.section import (
    Figure,
    Missing,
    Section,
    Table,
    find_missing,
    measured,
)
from shipworthy.report.svg import colour, to_inline_svg
from shipworthy.report.units import UNKNOWN, format_ns, format_rate
from shipworthy.serve import stats

TITLES = {
    "single_stream": "SingleStream",
    "multi_stream": "MultiStream",
    "offline": "Offline",
    "server": "Server",
}


def make(scope: Scope) -> Section:
    """Return a table of every scenario run, and the server's search for its highest rate."""
    figures = []
    for number, model in enumerate(scope):
        if curves := _tried(model):
            figures.append(_draw_server(model, curves, number, scope.whole))
    return Section(
        "scenarios",
        "Scenarios",
        "In MLPerf Inference's terms. SingleStream: one query after another. MultiStream: one "
        "query of several rows after another. Offline: all rows at once, as fast as can be. "
        "Server: queries at random times (Poisson), with the highest rate that keeps the 99th "
        "percentile under a bound. A result is VALID only if there were enough queries, its "
        "outputs were proven and the machine held still.",
        figures,
        [table for model in scope for table in tables_of(model)],
        [
            *_missing(scope, "SingleStream was not run", SCENARIOS[:1]),
            *_missing(scope, "MultiStream, Offline and Server were not run", SCENARIOS[1:]),
        ],
    )


def _missing(scope: Scope, told: str, kinds: Sequence[str]) -> list[Missing]:
    def known(model: Model) -> bool:
        return any(measured(model, kind) for kind in kinds)

    return find_missing(scope, f"bench --scenario {','.join(kinds)}", known, told, *kinds)


def runs(model: Model) -> list[tuple[Record, Measurement]]:
    """Return every scenario run of a model, cell by cell."""
    return [
        pair
        for record in model.records
        for kind in SCENARIOS
        for pair in measured(model, kind)
        if pair[0] is record
    ]


def row_of(m: Measurement) -> list[str]:
    """Return a scenario run as text: verdict, throughput, p50, p90, p99, queries, duration."""
    data = m.data
    points = stats.percentiles([int(v) for v in data["latencies_ns"]])
    rate = data.get("throughput_per_s")
    if m.kind == "server" and data.get("target_qps") is not None:
        told = f"{data['target_qps']:,.0f} queries/s"
        bound = data.get("bound_ns")
        told += f" under {format_ns(bound)}" if bound else ""
    else:
        told = UNKNOWN if rate is None else f"{rate:,.0f} rows/s"
    return [
        "VALID" if m.valid else f"INVALID: {'; '.join(m.reasons) or 'no reason was recorded'}",
        told,
        *(format_ns(points[p]) for p in stats.PERCENTILES),
        f"{int(data['queries']):,}",
        format_ns(data["duration_ns"]),
    ]


def tables_of(model: Model) -> list[Table]:
    """Return the scenario runs as a table, if there are some."""
    table = _table(model)
    return [] if table is None else [table]


def _table(model: Model) -> Table | None:
    rows = [[cell_label(record), TITLES[m.kind], *row_of(m)] for record, m in runs(model)]
    if not rows:
        return None
    return Table(
        f"Scenarios of {model.name}",
        ("Export", "Scenario", "Result", ">Throughput", ">p50", ">p90", ">p99", ">Queries",
         ">Duration"),
        rows,
    )  # fmt: skip


def _tried(model: Model) -> list[Curve]:
    """Return the rates that a server was tried at, with the 99th percentile at each."""
    curves = []
    for record, m in measured(model, "server"):
        points = sorted(
            (float(one["qps"]), float(one["p99_ns"]))
            for one in m.data.get("tried") or []
            if one["qps"] > 0 and one.get("p99_ns")
        )
        if points:
            x, y = zip(*points, strict=True)
            curves.append(Curve(cell_label(record), record["framework"], record["format"], x, y))
    return curves


def _draw_server(model: Model, curves: list[Curve], number: int, whole: bool) -> Figure:
    found = measured(model, "server")
    bounds = {float(m.data["bound_ns"]) for _, m in found if m.data.get("bound_ns")}
    with curves_figure(
        curves, x_title="queries per second asked", y_title="99th percentile of latency",
        show_x=format_rate, show_y=format_ns, steps=False, log_x=True, also_y=sorted(bounds),
    ) as (figure, axes):  # fmt: skip
        for bound in bounds:
            axes.axhline(bound, color=colour("--bad"), linewidth=1)
        rows = [
            [cell_label(record), f"{one['qps']:,.0f}", format_ns(one.get("p99_ns")),
             "yes" if one["met"] else "no"]
            for record, m in found
            for one in m.data.get("tried") or []
        ]  # fmt: skip
        told = f"99th percentile of latency against the rate of queries, {len(curves)} exports"
        return Figure(
            f"server-{number}",
            f"{model.name}: server" if whole else "Server: latency under load",
            "The line across is the bound." if len(bounds) == 1 else "Lines across are the bounds.",
            to_inline_svg(figure, f"server-{number}", f"{told}; the table below has the figures."),
            Table(
                f"Rates tried with {model.name}",
                ("Export", ">Queries per second", ">p99", "Bound met"),
                rows,
            ),
        )
