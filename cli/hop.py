"""``shipworthy hop``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from shipworthy.cli.model import default_out, find_subject, model_options, read_given
from shipworthy.cli.options import timeout_option
from shipworthy.convert.export import ExportError, make_artifact, make_reference
from shipworthy.convert.launch import launch_fresh
from shipworthy.convert.place import Place
from shipworthy.convert.routes import FORMATS, Route, find_routes, hops
from shipworthy.models import zoo
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.serve.folder import ask_for, hold


@click.command()
@click.argument("model")
@click.argument("from_", metavar="FROM")
@click.argument("to", metavar="TO")
@model_options
@click.option(
    "--framework",
    type=click.Choice(FRAMEWORKS),
    help="Where the route begins, if FROM is a format.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="As in export.")
@timeout_option
def command(
    model: str,
    from_: str,
    to: str,
    framework: str | None,
    out: Path | None,
    timeout: float,
    **options: Any,
) -> None:
    """Do one hop of MODEL in a fresh process and show all it prints.

    What the hop starts from is made first if it is not there. This is the command that a failed
    cell names.
    """
    given = read_given(model, options)
    route = _route(from_, to, framework)
    out = out or default_out(model, given)
    with hold(out):
        subject = find_subject(model, given, out, launch_fresh, timeout)
        ask_for(out, subject.name, [], origin=subject.origin)
        if given is None:
            zoo.ensure_trained(subject.name, [route.framework])
        place = Place(out)
        try:
            make_reference(subject, route.framework, place, launch_fresh, timeout)
            for count, hop in enumerate(route.hops, 1):
                part = str(Route(route.hops[:count]))
                last = count == len(route.hops)
                artifact, _ = make_artifact(
                    subject, route.framework, hop, part, place, launch_fresh, timeout, again=last
                )
        except ExportError as e:
            if e.log:
                click.echo((out / e.log).read_text(errors="replace"), err=True, nl=False)
            click.echo(f"failed: {e.reason}", err=True)
            for label, told in (("your line", e.where), ("what to do", e.advice)):
                if told:
                    click.echo(f"{label}: {told}", err=True)
            sys.exit(1)
        click.echo(place.log_of(str(route)).read_text(errors="replace"), err=True)
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
    if framework is None and from_ in FRAMEWORKS:
        return Route((last,))
    if framework is None:
        raise click.UsageError(
            f"{from_} is a format; say where the route begins: "
            f"--framework {' or --framework '.join(FRAMEWORKS)}"
        )
    # An ONNX file is a source of a kind of its own; all others reach a format as a module does.
    before = find_routes(framework, from_, "onnx" if framework == "onnx" else "module")
    if from_ not in FORMATS or not before:
        raise click.UsageError(f"no route leads from {framework} to {from_}")
    return Route((*before[0].hops, last))
