"""``shipworthy export``."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from shipworthy.cli.finish import finish
from shipworthy.cli.options import (
    json_option,
    several_option,
    stderr,
    threads_option,
    timeout_option,
)
from shipworthy.cli.progress import show_progress
from shipworthy.convert.launch import LaunchForked
from shipworthy.convert.process import stop_all
from shipworthy.convert.routes import FORMATS
from shipworthy.models import zoo
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.serve import pipeline
from shipworthy.serve.bench import Settings


@click.command()
@click.argument("model")
@several_option("--framework", FRAMEWORKS, "Frameworks to export from; all by default.")
@several_option("--format", tuple(FORMATS), "Formats to export to; all by default.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="The model's folder; out/MODEL."
)
@threads_option
@click.option("--no-bench", is_flag=True, help="Prove the exports, do not time them.")
@timeout_option
@json_option
def command(
    model: str,
    frameworks: tuple[str, ...],
    formats: tuple[str, ...],
    out: Path | None,
    threads: int,
    no_bench: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Export MODEL to every format, prove each export, time it, report.

    What is unchanged since the last run is kept. Exits 0 only if every cell passed.
    """
    found = zoo.get(model)
    out = out or Path("out") / found.name
    console = stderr()
    with pipeline.hold(out):
        zoo.ensure_trained(found.name, frameworks)
        job = pipeline.Job(found, frameworks, formats, out, threads, timeout)
        with LaunchForked() as launch, ThreadPoolExecutor(_workers()) as executor:
            try:
                show_progress(pipeline.export(job, executor, launch), console)
            except BaseException:
                stop_all()
                executor.shutdown(cancel_futures=True)
                raise
        if not no_bench:
            settings = Settings(threads=threads)
            show_progress(
                pipeline.measure(out, job.cells, settings, timeout=timeout, again=False), console
            )
        finish(out, job.cells, as_json=as_json)


def _workers() -> int:
    return len(os.sched_getaffinity(0))
