"""``shipworthy report``."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from shipworthy.cli.finish import exit_by, finish, tell_paths, write_out
from shipworthy.cli.options import folder_argument, json_option
from shipworthy.report.records import RECORDS, read_records
from shipworthy.report.summary import make_summary
from shipworthy.report.table import print_overview
from shipworthy.report.write import write_zoo
from shipworthy.report.zoo import find_models, is_zoo
from shipworthy.serve.folder import asked, hold


@click.command()
@folder_argument
@json_option
def command(folder: Path, as_json: bool) -> None:
    """Write the records and reports of DIR again, and show its table.

    DIR is a model's folder, or one that holds models' folders: then each model's are written, and
    those of all of them together.

    Nothing is judged or measured. Exits 0 only if every artifact passed.
    """
    if is_zoo(folder):
        _report_zoo(folder, as_json)
        return
    cells = asked(folder).cells
    with hold(folder):
        finish(folder, cells, as_json=as_json, again=True)


def _report_zoo(folder: Path, as_json: bool) -> None:
    models = find_models(folder)
    for model in models:
        with hold(model):
            write_out(model, asked(model).cells, again=True)
    paths = write_zoo(folder)
    found = [read_records(model / RECORDS) for model in models]
    if as_json:
        data = {"schema": 1, "models": [make_summary(records) for records in found]}
        click.echo(json.dumps(data, indent=1, allow_nan=False))
    else:
        print_overview(found, Console(highlight=False), str(folder))
        tell_paths(paths)
    exit_by([record for records in found for record in records])
