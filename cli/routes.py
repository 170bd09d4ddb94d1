"""``shipworthy routes``."""

from __future__ import annotations

import json

import click

from shipworthy.convert.routes import FORMATS, find_routes, hops
from shipworthy.models.spec import FRAMEWORKS


@click.command()
@click.argument("from_", metavar="[FROM", required=False, type=click.Choice(FRAMEWORKS))
@click.argument("to", metavar="TO]", required=False, type=click.Choice(list(FORMATS)))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(from_: str | None, to: str | None, as_json: bool) -> None:
    """Show the routes from a framework to a format, the one taken first.

    Without FROM and TO, every pair.
    """
    found = [
        {
            "from": framework,
            "to": format_,
            "route": str(route),
            "taken": number == 0,
            "packages": sorted({p for hop in route.hops for p in hop.packages}),
        }
        for framework in FRAMEWORKS
        for format_ in FORMATS
        if from_ in (None, framework) and to in (None, format_)
        for number, route in enumerate(find_routes(framework, format_))
    ]
    if as_json:
        click.echo(json.dumps({"routes": found, "hops": list(hops())}, indent=1))
        return
    width = max(len(str(row["route"])) for row in found)
    for row in found:
        mark = "*" if row["taken"] else " "
        packages = ", ".join(row["packages"])  # type: ignore[arg-type]
        click.echo(f"{mark} {row['route']:{width}}  {packages}")
    click.echo("\n* taken by export", err=True)
