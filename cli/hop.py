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
from shipworthy.convert.routes import Route, parse_route
from shipworthy.models import zoo
from shipworthy.serve.folder import ask_for, hold


@click.command()
@click.argument("model")
@click.argument("from_", metavar="FROM")
@click.argument("to", metavar="TO")
@model_options
@click.option("--no-optimize", is_flag=True, help="As in export.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="As in export.")
@timeout_option
def command(
    model: str,
    from_: str,
    to: str,
    no_optimize: bool,
    out: Path | None,
    timeout: float,
    **options: Any,
) -> None:
    """Do one hop of MODEL in a fresh process and show all it prints.

    FROM is a framework, or the route that leads to the hop, such as "pytorch>saved_model". What the
    hop starts from is made first if it is not there; what it makes goes into a folder of its own.
    This is the command that a failed cell names.
    """
    given = read_given(model, options)
    try:
        route = parse_route(f"{from_}>{to}")
    except ValueError as e:
        raise click.UsageError(str(e)) from e
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
                last = count == len(route.hops)
                artifact, _ = make_artifact(
                    subject, route.framework, hop, str(Route(route.hops[:count])), place,
                    launch_fresh, timeout, aside=place.hop(str(route)) if last else None,
                    optimize=not no_optimize,
                )  # fmt: skip
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
