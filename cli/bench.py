"""``shipworthy bench``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from shipworthy.cli.finish import finish
from shipworthy.cli.options import (
    Finite,
    Several,
    folder_argument,
    json_option,
    mode_option,
    several_option,
    stderr,
    threads_option,
    timeout_option,
)
from shipworthy.cli.progress import show_progress
from shipworthy.convert.routes import FORMATS
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.serve import pipeline
from shipworthy.serve.folder import Cell, ask_for, asked, hold
from shipworthy.serve.lasting import MOST_SUSTAINED_SECONDS
from shipworthy.serve.modes import PRESETS, SCENARIOS, Settings
from shipworthy.serve.server import DEFAULT_BOUND
from shipworthy.serve.steps import Event
from shipworthy.serve.studies import STUDIES, run_studies
from shipworthy.serve.study import Plan

# What the ordinary benchmark's processes tell anyway comes first.
_ALSO = ("cold_start", "memory", "footprint", "threads", "batches", "sustained")


class _Also(Several):
    """Several, or ``all`` of them."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Read ``all``."""
        if isinstance(value, str) and value.strip() == "all":
            return self.allowed
        return super().convert(value, param, ctx)


@click.command()
@folder_argument
@mode_option
@click.option(
    "--scenario", "scenarios", type=Several(SCENARIOS), default="single_stream", show_default=True,
    help="MLPerf Inference's: one query after the other, several inputs a query, all queries at "
    "once, or Poisson arrivals at the highest rate that keeps p99 under --bound.",
)  # fmt: skip
@click.option(
    "--also", type=_Also(_ALSO), default=None,
    help="More of each cell: many cold starts, memory, what has to be deployed, threads 1..n, "
    "batch sizes, a sustained run; or all.",
)  # fmt: skip
@click.option(
    "--bound", type=Finite(0.001), metavar="MS",
    help="What p99 has to stay under in the Server scenario, milliseconds; "
    f"{DEFAULT_BOUND} times the median of SingleStream by default, at least 1.",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(1, 1024),
    help="Sessions at a time in MultiStream, Offline and Server; cores / threads by default.",
)  # fmt: skip
@click.option(
    "--inputs", type=click.IntRange(1, 4096), default=8, show_default=True,
    help="Inputs of a query in MultiStream.",
)  # fmt: skip
@click.option(
    "--sustain", type=Finite(1, MOST_SUSTAINED_SECONDS), metavar="SECONDS",
    help="Length of the sustained run; 5, 60 or 600 by default, as the mode is.",
)  # fmt: skip
@several_option("--framework", FRAMEWORKS, "Frameworks to measure; by default all in DIR.")
@several_option("--format", tuple(FORMATS), "Formats to measure; all in DIR by default.")
@threads_option
@click.option("--processes", type=click.IntRange(1), help="Fresh processes a cell; as the mode is.")
@click.option("--runs", type=click.IntRange(1), help="Timed runs a process, at least.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True,
    help="Of the order in which cells take turns, and of the arrivals.",
)  # fmt: skip
@timeout_option
@json_option
def command(
    folder: Path,
    mode: str,
    scenarios: tuple[str, ...],
    also: tuple[str, ...] | None,
    bound: float | None,
    workers: int | None,
    inputs: int,
    sustain: float | None,
    frameworks: tuple[str, ...] | None,
    formats: tuple[str, ...] | None,
    threads: int,
    processes: int | None,
    runs: int | None,
    seed: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Measure again the artifacts in DIR that pass.

    Cells take turns, each time in a fresh process whose outputs are proven before its latencies
    count. Every result says whether it is VALID, and if not, why. Exits 0 only if every artifact
    passed and could be measured.
    """
    settings = _settings(mode, threads, processes, runs, seed)
    wanted = asked(folder)
    cells = _chosen(folder, wanted.cells, frameworks, formats)
    also = also or ()
    plan = Plan(
        tuple(kind for kind in STUDIES if kind in (*scenarios, *also)),
        workers,
        inputs,
        None if bound is None else round(bound * 1e6),
        None if sustain is None else round(sustain * 1e9),
    )
    # The other kinds need the ordinary benchmark of a cell, and are content with the last one.
    again = "single_stream" in scenarios or bool({"memory", "footprint"} & set(also))
    failed: list[str] = []
    with hold(folder):
        ask_for(folder, wanted.model, [], threads)
        events = pipeline.measure(folder, cells, settings, timeout=timeout, again=again)
        show_progress(events, stderr())
        show_progress(
            _noting(run_studies(folder, cells, settings, plan, timeout), failed), stderr()
        )
        finish(folder, cells, as_json=as_json)
    if failed:
        sys.exit(1)


def _settings(
    mode: str, threads: int, processes: int | None, runs: int | None, seed: int
) -> Settings:
    preset = PRESETS[mode]
    least = runs or preset.min_runs
    return replace(
        preset,
        threads=threads,
        processes=processes or preset.processes,
        min_runs=least,
        max_runs=max(least, preset.max_runs),
        seed=seed,
    )


def _chosen(
    folder: Path,
    cells: Sequence[Cell],
    frameworks: tuple[str, ...] | None,
    formats: tuple[str, ...] | None,
) -> list[Cell]:
    chosen = [
        cell
        for cell in cells
        if cell[0] in (frameworks or FRAMEWORKS) and cell[1] in (formats or tuple(FORMATS))
    ]
    if cells and not chosen:
        there = ", ".join("/".join(cell) for cell in cells)
        raise click.UsageError(f"{folder} has no such cell; there are: {there}")
    return chosen


def _noting(events: Iterable[Event], failed: list[str]) -> Iterator[Event]:
    for event in events:
        if event.state == "failed":
            failed.append(event.step)
        yield event
