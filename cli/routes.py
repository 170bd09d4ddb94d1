"""``shipworthy routes``."""

from __future__ import annotations

import json

import click

from shipworthy.convert.routes import FORMATS, find_routes, hops
from shipworthy.models.spec import FRAMEWORKS


@click.command()
@click.argument("from_", metavar="FROM", required=False, type=click.Choice(FRAMEWORKS))
@click.argument("to", metavar="TO", required=False, type=click.Choice(list(FORMATS)))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(from_: str | None, to: str | None, as_json: bool) -> None:
    """Show the routes from a framework, or a format, to a format; the one taken first.

    FROM and TO may be left out: then those from every framework, to every format.
    """
    found = [
        {
            "from": framework,
            "to": format_,
            "route": str(route),
            "taken": number == 0,
            "packages": sorted({p for hop in route.hops for p in hop.packages}),
        }
        for framework in ((from_,) if from_ else FRAMEWORKS)
        for format_ in ((to,) if to else FORMATS)
        for number, route in enumerate(find_routes(framework, format_, _kind(framework)))
    ]
    if as_json:
        click.echo(json.dumps({"routes": found, "hops": list(hops())}, indent=1))
        return
    if not found:
        raise click.UsageError(f"no hop leads from {from_} to {to or 'any format'}")
    width = max(len(str(row["route"])) for row in found)
    for row in found:
        mark = "*" if row["taken"] else " "
        packages = ", ".join(row["packages"])  # type: ignore[arg-type]
        click.echo(f"{mark} {row['route']:{width}}  {packages}")
    click.echo("\n* taken by export", err=True)


def _kind(framework: str) -> str:
    """Return the kind of source whose routes are shown: an ONNX model is a file always."""
    return "onnx" if framework == "onnx" else "module"
