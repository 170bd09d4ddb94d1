"""Has studies run: one kind after the other, all cells of a kind in turns."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.process import StoppedError
from shipworthy.convert.read_reference import read_reference
from shipworthy.models.errors import ShipworthyError
from shipworthy.serve import bench
from shipworthy.serve.feed import fixed_batch, traced_case
from shipworthy.serve.folder import Cell, has_artifact
from shipworthy.serve.judge import read_validation
from shipworthy.serve.lasting import ColdStarts, Sustained
from shipworthy.serve.loads import MultiStream, Offline
from shipworthy.serve.modes import Settings
from shipworthy.serve.server import Server
from shipworthy.serve.steps import Event
from shipworthy.serve.study import Facts, Plan, Study
from shipworthy.serve.sweeps import Batches, Threads
from shipworthy.serve.trial import Trial
from shipworthy.serve.validity import tell

STUDIES: Mapping[str, type[Study]] = {
    study.kind: study
    for study in (MultiStream, Offline, Server, ColdStarts, Threads, Batches, Sustained)
}


def run_studies(
    out: Path, cells: Sequence[Cell], settings: Settings, plan: Plan, timeout: float
) -> Iterator[Event]:
    """Measure what a plan has of every cell that passes and was timed; yield what happens.

    Parameters
    ----------
    timeout : seconds that one process may take beyond what its load asks for.
    """
    subjects = find_subjects(out, cells)
    for kind in plan.kinds:
        studies = {
            f"{subject.cell[0]}/{subject.cell[1]} {kind}": (subject, study)
            for subject, facts in subjects
            for study in [STUDIES[kind](settings, plan, facts)]
        }
        yield from _take_turns(studies, settings.seed, timeout)


def find_subjects(out: Path, cells: Sequence[Cell]) -> list[tuple[bench.Subject, Facts]]:
    """Return the cells that have passed and were timed, and what is known of each."""
    found = []
    for cell in cells:
        folder = out.joinpath(*cell)
        verdict = read_validation(folder) if has_artifact(out, cell) else None
        benchmark = bench.read_benchmark(folder, verdict.key) if verdict else None
        if verdict is None or not verdict.passed or benchmark is None or not benchmark["runs"]:
            continue
        reference, artifact = read_reference(out / cell[0] / "reference"), read_artifact(folder)
        facts = Facts(
            bench.p50_ns(benchmark["runs"]),
            fixed_batch(reference, artifact),
            len(os.sched_getaffinity(0)),
            traced_case(reference, artifact),
        )
        found.append((bench.Subject(out, cell, verdict.key), facts))
    return found


def _take_turns(
    studies: Mapping[str, tuple[bench.Subject, Study]], seed: int, timeout: float
) -> Iterator[Event]:
    started = datetime.now(UTC)
    order = list(studies)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
    for name in order:
        yield Event(name, "started")
    while order:
        ended = []
        for name in order:
            subject, study = studies[name]
            try:
                trial = study.next_trial()
                if trial is not None:
                    study.note(trial, subject.run(trial, timeout + _longest(trial)))
                    continue
                measurement = study.finish()
                event = Event(name, "done", f"{study.told()}, {tell(measurement.reasons)}")
            except StoppedError:
                raise
            except Exception as e:
                known = isinstance(e, ShipworthyError)
                told = str(e) if known else f"{type(e).__name__}: {e}"
                measurement, event = study.finish(told), Event(name, "failed", e)
            measurement.write(subject.folder, subject.verdict, started)
            ended.append(name)
            yield event
        # There and back again, without those that are finished.
        order = [name for name in reversed(order) if name not in ended]


def _longest(trial: Trial) -> float:
    return trial.timing.max_ns / 1e9 if trial.timing else 0.0
