"""``shipworthy hop``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shipworthy.cli.options import timeout_option
from shipworthy.convert.export import ExportError, Place, make_artifact, make_reference
from shipworthy.convert.launch import launch_fresh
from shipworthy.convert.routes import FORMATS, Route, find_routes, hops
from shipworthy.models import zoo
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.serve.folder import ask_for, hold


@click.command()
@click.argument("model")
@click.argument("from_", metavar="FROM")
@click.argument("to", metavar="TO")
@click.option(
    "--framework",
    type=click.Choice(FRAMEWORKS),
    help="Where the route begins, if FROM is a format.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="As in export.")
@timeout_option
def command(
    model: str, from_: str, to: str, framework: str | None, out: Path | None, timeout: float
) -> None:
    """Do one hop of MODEL in a fresh process and show all it prints.

    What the hop starts from is made first if it is not there. This is the command that a failed
    cell names.
    """
    found = zoo.get(model)
    route = _route(from_, to, framework)
    out = out or Path("out") / found.name
    with hold(out):
        ask_for(out, found.name, [])
        zoo.ensure_trained(found.name, [route.framework])
        source = zoo.source(found.name, route.framework)
        place = Place(out)
        try:
            make_reference(source, zoo.weights(source), place, launch_fresh, timeout)
            for count, hop in enumerate(route.hops, 1):
                part = str(Route(route.hops[:count]))
                last = count == len(route.hops)
                artifact, _ = make_artifact(
                    source, hop, part, place, launch_fresh, timeout, again=last
                )
        except ExportError as e:
            if e.log:
                click.echo((out / e.log).read_text(errors="replace"), err=True, nl=False)
            click.echo(f"failed: {e.reason}", err=True)
            sys.exit(1)
        click.echo(place.log_of(source, route.hops[-1]).read_text(errors="replace"), err=True)
        for warning in artifact.warnings:
            click.echo(f"warning: {warning}", err=True)
        for note in artifact.notes:
            click.echo(f"note: {note}", err=True)
        click.echo(artifact.path)


def _route(from_: str, to: str, framework: str | None) -> Route:
    """Return the route that ends with this hop, through the fewest others."""
    if f"{from_}>{to}" not in hops():
        raise click.UsageError(f"there is no hop {from_}>{to}; there are: {', '.join(hops())}")
    last = hops()[f"{from_}>{to}"]
    if from_ in FRAMEWORKS:
        return Route((last,))
    if framework is None:
        raise click.UsageError(
            f"{from_} is a format; say where the route begins: "
            f"--framework {' or --framework '.join(FRAMEWORKS)}"
        )
    assert from_ in FORMATS
    return Route((*find_routes(framework, from_)[0].hops, last))
