"""One fresh process of one way, whose outputs are proven before its latencies count."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.read_reference import Reference
from shipworthy.convert.routes import FORMATS
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Arrays
from shipworthy.models.subject import Subject
from shipworthy.serve.answers import ask
from shipworthy.serve.compare import compare_case
from shipworthy.serve.conditions import Conditions, watch
from shipworthy.serve.process import call
from shipworthy.serve.python.ways import RUNNER
from shipworthy.serve.python.worker import Request
from shipworthy.serve.runners import Timing, find


class WrongOutputsError(ShipworthyError):
    """A process whose outputs are not the original's; its latencies say nothing."""


@dataclass(frozen=True)
class Taken:
    """What one process measured.

    Parameters
    ----------
    latencies_ns : of every timed run.
    cpu_ns : processor time of a timed run, on average; what else ran on the machine is not in it.
    load_ns : importing what it needs and loading the model.
    first_ns : the first inference, with whatever it compiles or traces.
    cold_start_ns : from the start of the process to the first output.
    peak_rss_bytes : ``VmHWM`` at the end.
    package : what ran it, with versions.
    conditions : what the machine did meanwhile.
    """

    latencies_ns: list[int]
    cpu_ns: float
    load_ns: int
    first_ns: int
    cold_start_ns: int
    peak_rss_bytes: int
    package: str
    conditions: Conditions


@dataclass(frozen=True)
class Entry:
    """One way of one session, with all its processes need.

    Parameters
    ----------
    way : see `shipworthy.serve.python.ways`.
    artifact : folder of the artifact; None for the original.
    subject, reference : which model; the latter has the inputs and what is expected.
    timing : the case and how long it is timed.
    threads : of the runner, the package or the framework.
    scratch : folder that the session's processes share, for what a compiler keeps.
    timeout : seconds that a process may take.
    """

    way: str
    artifact: Path | None
    subject: Subject
    reference: Reference
    timing: Timing
    threads: int
    scratch: Path
    timeout: float

    @property
    def of(self) -> str:
        """Whether it runs the ``artifact`` or the ``original``."""
        return "original" if self.artifact is None else "artifact"

    def take(self) -> Taken:
        """Run one fresh process.

        Raises
        ------
        WrongOutputsError : its outputs are not the original's.
        ShipworthyError : the process failed; the message says how.
        """
        with tempfile.TemporaryDirectory(dir=self.scratch) as private:
            if self.way == RUNNER:
                return self._take_runner(Path(private))
            return self._take_python(Path(private))

    def _take_runner(self, private: Path) -> Taken:
        assert self.artifact is not None, "a runner runs artifacts"
        artifact = read_artifact(self.artifact)
        runner = find(FORMATS[artifact.format].runtime)
        case = self.reference.case(self.timing.case)
        with watch() as watching:
            run, answers = ask(
                artifact, self.reference, runner, [case], private, self.threads, self.timeout,
                self.timing,
            )  # fmt: skip
        self._prove(answers[case.name])
        if not run.python_free:
            raise WrongOutputsError(f"{runner.path.name} has Python in its process")
        assert run.bench is not None
        assert run.first_ns is not None
        assert run.cold_start_ns is not None
        return Taken(
            list(run.bench["latencies_ns"]), run.bench["cpu_ns"] / run.bench["queries"],
            run.load_ns, run.first_ns, run.cold_start_ns, run.peak_rss_bytes,
            f"{run.runtime} {run.version}", watching.found,
        )  # fmt: skip

    def _take_python(self, private: Path) -> Taken:
        answers = private / "answers"
        answers.mkdir()
        request = private / "request.json"
        Request(
            way=self.way,
            artifact=str(self.artifact.resolve()) if self.artifact else None,
            subject=self.subject.to_json(),
            framework=self.reference.framework,
            reference=str(self.reference.folder.resolve()),
            threads=self.threads,
            timing=asdict(self.timing),
            answers=str(answers),
            scratch=str(self.scratch),
        ).write(request)
        words = ["-P", "-m", "shipworthy.serve.python.worker", str(request)]
        with watch() as watching:
            said = call(Path(sys.executable), words, self.timeout)
        self._check_alone(said)
        names = [spec.name for spec in self.reference.signature.outputs]
        self._prove(
            {
                name: np.load(answers / f"{i}.npy", allow_pickle=False)
                for i, name in enumerate(names)
            }
        )
        return Taken(
            said["latencies_ns"], said["cpu_ns"] / len(said["latencies_ns"]), said["load_ns"],
            said["first_ns"], said["cold_start_ns"], said["peak_rss_bytes"], said["package"],
            watching.found,
        )  # fmt: skip

    def _check_alone(self, said: dict[str, Any]) -> None:
        if len(said["frameworks"]) != 1:
            told = " and ".join(said["frameworks"])
            raise WrongOutputsError(f"its process holds {told}; one is timed at a time")

    def _prove(self, actual: Arrays) -> None:
        """Compare the outputs of the timed runs, as the judge does."""
        reference = self.reference
        expected = reference.expected(self.timing.case)
        comparisons = compare_case(
            reference.signature, expected, actual, reference.noise, reference.yardstick
        )
        wrong = [c for c in comparisons if not c.passed]
        if wrong or not comparisons:
            told = f"{wrong[0].output}: {wrong[0].detail}" if wrong else "nothing was compared"
            raise WrongOutputsError(f"its outputs are not the original's: {told}")
