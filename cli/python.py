"""``shipworthy python``."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from shipworthy.cli.model import find_subject, model_options, read_given
from shipworthy.cli.options import (
    folder_argument,
    json_option,
    several_option,
    stderr,
    threads_option,
    timeout_option,
)
from shipworthy.cli.progress import show_progress
from shipworthy.convert.identify import read_words
from shipworthy.convert.launch import launch_fresh
from shipworthy.convert.routes import FORMATS
from shipworthy.models.given import Given
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.report.python_table import print_python
from shipworthy.report.write import write_reports
from shipworthy.serve.folder import FolderError, asked, hold
from shipworthy.serve.python.cost import MODES, measure, read_cost
from shipworthy.serve.records import collect, write_records


@click.command()
@folder_argument
@click.option(
    "--mode", type=click.Choice(list(MODES)), default="normal", show_default=True,
    help="How thorough; quick takes seconds a way.",
)  # fmt: skip
@several_option("--framework", FRAMEWORKS, "Cells of these alone; all by default.")
@several_option("--format", tuple(FORMATS), "Cells of these alone; all by default.")
@threads_option
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the order of processes.",
)
@timeout_option
@json_option
def command(
    folder: Path,
    mode: str,
    frameworks: tuple[str, ...] | None,
    formats: tuple[str, ...] | None,
    threads: int,
    seed: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Measure what Python costs the exports in DIR.

    Each artifact in its runtime's own Python package, and the original (eager, torch.compile,
    Keras' __call__ and predict, tf.function), each in fresh processes beside the Python-free run,
    with the same inputs and threads; outputs are compared with the original's before a latency
    counts. Every cell's figures are VALID or say why not. Exits 0 only if every cell was measured.
    """
    wanted = asked(folder)
    cells = [
        (framework, format_)
        for framework, format_ in wanted.cells
        if framework in (frameworks or FRAMEWORKS) and format_ in (formats or FORMATS)
    ]
    if not cells:
        raise FolderError(f"{folder} was asked for no such cell; it has {_told(wanted.cells)}")
    with hold(folder):
        words = read_words(folder)
        given = _given(words) if words else None
        model = words[0] if words else wanted.model
        subject = find_subject(model, given, folder, launch_fresh, timeout)
        settings = replace(MODES[mode], threads=threads, seed=seed)
        show_progress(measure(folder, cells, subject, settings, timeout), stderr())
        write_reports(folder, changed=write_records(folder, collect(folder)))
        found = {cell: read_cost(folder, cell, settings) for cell in cells}
    known = [(f"{f}/{t}", data) for (f, t), data in found.items() if data is not None]
    if as_json:
        click.echo(json.dumps({"model": wanted.model, "cells": dict(known)}))
    else:
        print_python(known, Console(highlight=False))
    if len(known) != len(cells):
        sys.exit(1)


def _told(cells: list[tuple[str, str]]) -> str:
    return ", ".join(f"{framework}/{format_}" for framework, format_ in cells) or "none"


def _given(words: list[str]) -> Given | None:
    """Read the words that give a user's own model."""

    @click.command()
    @click.argument("model")
    @model_options
    def reader(model: str, **options: Any) -> Given | None:
        return read_given(model, options)

    found: Given | None = reader.main(words, standalone_mode=False)
    return found
