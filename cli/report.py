"""``shipworthy report``."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.finish import finish
from shipworthy.cli.options import folder_argument, json_option
from shipworthy.serve.folder import asked, hold


@click.command()
@folder_argument
@json_option
def command(folder: Path, as_json: bool) -> None:
    """Write the records and reports of DIR again, and show its table.

    Nothing is judged or measured. Exits 0 only if every artifact passed.
    """
    cells = asked(folder).cells
    with hold(folder):
        finish(folder, cells, as_json=as_json)
