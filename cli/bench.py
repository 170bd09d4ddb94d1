"""``shipworthy bench``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import click

from shipworthy.cli.finish import finish
from shipworthy.cli.options import (
    folder_argument,
    json_option,
    stderr,
    threads_option,
    timeout_option,
)
from shipworthy.cli.progress import show_progress
from shipworthy.serve import pipeline
from shipworthy.serve.bench import Settings
from shipworthy.serve.folder import ask_for, asked, hold

_DEFAULTS = {field.name: field.default for field in fields(Settings)}


@click.command()
@folder_argument
@threads_option
@click.option(
    "--processes", type=click.IntRange(1), default=_DEFAULTS["processes"], show_default=True,
    help="Fresh processes a cell; each gives one cold start.",
)  # fmt: skip
@click.option(
    "--runs", type=click.IntRange(1), default=_DEFAULTS["min_runs"], show_default=True,
    help="Timed runs of each process, at least.",
)  # fmt: skip
@timeout_option
@json_option
def command(
    folder: Path, threads: int, processes: int, runs: int, timeout: float, as_json: bool
) -> None:
    """Measure again the artifacts in DIR that pass.

    Cells take turns, each time in a fresh process whose outputs are proven before its latencies
    count. Exits 0 only if every artifact passed.
    """
    settings = Settings(
        threads=threads, processes=processes, min_runs=runs, max_runs=max(runs, 20_000)
    )
    wanted = asked(folder)
    with hold(folder):
        ask_for(folder, wanted.model, [], threads)
        events = pipeline.measure(folder, wanted.cells, settings, timeout=timeout, again=True)
        show_progress(events, stderr())
        finish(folder, wanted.cells, as_json=as_json)
