"""``shipworthy explain``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from shipworthy.cli.options import json_option
from shipworthy.report.explanation import explain_cell, explain_lines
from shipworthy.report.records import normalise
from shipworthy.serve.folder import CELLS, asked
from shipworthy.serve.records import collect


@click.command()
@click.argument("cell", metavar="DIR/CELL", type=click.Path(path_type=Path))
@json_option
def command(cell: Path, as_json: bool) -> None:
    """Tell on one screen why a cell failed and what to do, or how it passed.

    DIR/CELL is such as out/cnn/pytorch/tflite. It says what failed (route, hop, operation), the
    line of your model that led there, what else can be tried, and what reproduces it.
    """
    cell = Path(os.path.normpath(cell.absolute()))
    if (cell / CELLS).exists():
        cells = ", ".join(str(cell.joinpath(*one)) for one in asked(cell).cells)
        raise click.UsageError(f"{cell} is a model's folder; name a cell in it: {cells}")
    out = cell.parent.parent
    wanted = asked(out).cells
    name = (cell.parent.name, cell.name)
    if name not in wanted:
        known = ", ".join("/".join(one) for one in wanted) or "none"
        raise click.UsageError(f"{out} was not asked for {'/'.join(name)}; its cells are: {known}")
    record = next(r for r in map(normalise, collect(out)) if (r["framework"], r["format"]) == name)
    if record.get("log"):
        record = {**record, "log": str(out / record["log"])}
    if as_json:
        click.echo(json.dumps(explain_cell(record), indent=1))
    else:
        click.echo("\n".join(explain_lines(record)))
