"""``shipworthy validate``."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.finish import finish
from shipworthy.cli.local import local_executor
from shipworthy.cli.options import (
    folder_argument,
    json_option,
    stderr,
    threads_option,
    timeout_option,
)
from shipworthy.cli.progress import show_progress
from shipworthy.serve import pipeline
from shipworthy.serve.folder import adopt, ask_for, asked, cells_with_artifacts, hold


@click.command()
@folder_argument
@threads_option
@timeout_option
@json_option
def command(folder: Path, threads: int, timeout: float, as_json: bool) -> None:
    """Judge again whatever artifacts lie in DIR, numerically.

    A file whose hash has changed is told, and decides nothing. Exits 0 only if every artifact
    passed.
    """
    model = adopt(folder).model
    with hold(folder):
        ask_for(folder, model, cells_with_artifacts(folder), threads)
        cells = asked(folder).cells
        with local_executor() as executor:
            events = pipeline.validate(folder, cells, executor, threads=threads, timeout=timeout)
            show_progress(events, stderr())
        finish(folder, cells, as_json=as_json)
