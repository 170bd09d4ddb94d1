"""``shipworthy export``."""

from __future__ import annotations

from pathlib import Path

import click

from shipworthy.cli.finish import finish
from shipworthy.cli.local import local_executor
from shipworthy.cli.options import (
    json_option,
    several_option,
    stderr,
    threads_option,
    timeout_option,
)
from shipworthy.cli.progress import show_progress
from shipworthy.convert.launch import LaunchForked
from shipworthy.convert.routes import FORMATS
from shipworthy.models import zoo
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.serve import folder, pipeline
from shipworthy.serve.bench import Settings


@click.command()
@click.argument("model")
@several_option("--framework", FRAMEWORKS, "Frameworks to export from; by default all it is in.")
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
    frameworks: tuple[str, ...] | None,
    formats: tuple[str, ...] | None,
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
    wanted = frameworks or tuple(f for f in FRAMEWORKS if f in found.sources)
    for framework in wanted:
        zoo.source(model, framework)
    out = out or Path("out") / found.name
    job = pipeline.Job(found.name, wanted, formats or tuple(FORMATS), out, threads, timeout)
    with folder.hold(out):
        folder.ask_for(out, job.model, job.cells, threads)
        lost = pipeline.train(job)
        with LaunchForked() as launch, local_executor() as executor:
            show_progress(pipeline.export(job, executor, launch, lost), stderr())
        if not no_bench:
            settings = Settings(threads=threads)
            show_progress(
                pipeline.measure(out, job.cells, settings, timeout=timeout, again=False), stderr()
            )
        finish(out, job.cells, as_json=as_json)
