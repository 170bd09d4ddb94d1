"""One fresh process that is timed, alone, and proves what it timed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.read_reference import read_reference
from shipworthy.convert.routes import FORMATS
from shipworthy.models.atomic import WORK_PREFIX
from shipworthy.serve.answers import answer
from shipworthy.serve.conditions import Conditions, watch
from shipworthy.serve.feed import BenchError, make_feed, prove
from shipworthy.serve.runners import Run, Timing, find


@dataclass(frozen=True)
class Trial:
    """What one process is to do.

    Parameters
    ----------
    timing : its load; the cases are filled in. None runs every case once and times nothing more.
    threads : of the runtime.
    batch : rows of each input.
    workers : sessions, each on a thread of its own.
    like : see `shipworthy.serve.feed.make_feed`.
    """

    timing: Timing | None
    threads: int = 1
    batch: int = 1
    workers: int = 1
    like: str | None = None


@dataclass(frozen=True)
class Proven:
    """What a process found out, its outputs proven, and what the machine did meanwhile."""

    run: Run
    conditions: Conditions

    @property
    def latencies_ns(self) -> list[int]:
        """What was timed; nothing if nothing was."""
        return list(self.run.bench["latencies_ns"]) if self.run.bench else []


def run_trial(out: Path, framework: str, folder: Path, trial: Trial, timeout: float) -> Proven:
    """Run one fresh process and prove what it timed.

    Parameters
    ----------
    out, framework : where the reference lies.
    folder : the artifact's.

    Raises
    ------
    ShipworthyError : the runner failed, or the outputs of the timed runs are wrong.
    """
    artifact = read_artifact(folder)
    reference = read_reference(out / framework / "reference")
    runner = find(FORMATS[artifact.format].runtime)
    with tempfile.TemporaryDirectory(dir=folder, prefix=WORK_PREFIX) as name:
        private = Path(name)
        feed = make_feed(reference, artifact, trial.batch, trial.workers, private, like=trial.like)
        first, *others = feed.workers
        timing = trial.timing and replace(trial.timing, case=first, others=tuple(others))
        with watch() as watching:
            run, answers = answer(
                artifact, feed.inputs, runner, private, trial.threads, timeout, timing
            )
    comparisons = prove(feed, reference, answers)
    wrong = [c for c in comparisons if not c.passed]
    if wrong or not comparisons:
        told = wrong[0].detail if wrong else "nothing was compared"
        raise BenchError(f"the timed runs gave wrong outputs: {told}")
    if not run.python_free:
        raise BenchError(f"{runner.path.name} has Python in its process")
    return Proven(run, watching.found)
