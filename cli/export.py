"""``shipworthy export``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from shipworthy.cli.finish import finish
from shipworthy.cli.local import local_executor
from shipworthy.cli.model import default_out, find_subject, model_options, read_given
from shipworthy.cli.options import (
    json_option,
    mode_option,
    several_option,
    stderr,
    threads_option,
    timeout_option,
)
from shipworthy.cli.progress import show_progress
from shipworthy.convert.launch import LaunchForked
from shipworthy.convert.routes import FORMATS
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.serve import folder, pipeline
from shipworthy.serve.modes import PRESETS


@click.command()
@click.argument("model")
@model_options
@several_option("--framework", FRAMEWORKS, "Frameworks to export from; by default all it is in.")
@several_option("--format", tuple(FORMATS), "Formats to export to; all by default.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="The model's folder; out/MODEL."
)
@threads_option
@click.option("--best", is_flag=True, help="Try every route, keep the fastest that passes.")
@click.option(
    "--no-optimize", is_flag=True, help="Keep the exports as plain as the tools make them."
)
@mode_option
@click.option("--no-bench", is_flag=True, help="Prove the exports, do not time them.")
@timeout_option
@json_option
def command(
    model: str,
    frameworks: tuple[str, ...] | None,
    formats: tuple[str, ...] | None,
    out: Path | None,
    threads: int,
    best: bool,
    no_optimize: bool,
    mode: str,
    no_bench: bool,
    timeout: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Export MODEL to every format, prove each export, time it, report.

    MODEL is a model of the zoo (see `shipworthy list`), or your own: file.py:NAME, a .keras, .h5,
    .pt2, .pt or .onnx file, a SavedModel folder, or a Hugging Face folder.

    What is unchanged since the last run is kept. Exits 0 only if every cell passed.
    """
    if best and no_bench:
        raise click.UsageError("--best keeps the fastest, which --no-bench does not measure")
    given = read_given(model, options)
    out = out or default_out(model, given)
    with folder.hold(out), LaunchForked() as launch:
        subject = find_subject(model, given, out, launch, timeout)
        wanted = frameworks or tuple(f for f in FRAMEWORKS if f in subject.frameworks)
        for framework in wanted:
            subject.source(framework)
        job = pipeline.Job(
            subject, wanted, formats or tuple(FORMATS), out, threads, timeout, best, not no_optimize
        )
        folder.ask_for(out, subject.name, job.cells, threads, subject.origin)
        lost = pipeline.train(job)
        with local_executor() as executor:
            show_progress(pipeline.export(job, executor, launch, lost), stderr())
        if not no_bench:
            settings = replace(PRESETS[mode], threads=threads)
            events = pipeline.measure(
                out, job.cells, settings, timeout=timeout, again=False, best=best
            )
            show_progress(events, stderr())
        finish(out, job.cells, as_json=as_json)
