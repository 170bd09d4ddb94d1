"""What is found out about one cell by several fresh processes, one after the other.

A study says which process is to run next, is told what it found, and in the end what that means. It
runs nothing itself, so that the studies of several cells can take turns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

from shipworthy.serve.measurements import Measurement
from shipworthy.serve.modes import Settings
from shipworthy.serve.trial import Proven, Trial
from shipworthy.serve.validity import check_clock, check_conditions, check_validated


@dataclass(frozen=True)
class Plan:
    """What is measured beside the ordinary benchmark, and how.

    Parameters
    ----------
    kinds : of `shipworthy.serve.measurements.KINDS`.
    workers : sessions at a time, under MultiStream, Offline and Server; as many as the cores allow
        by default.
    inputs : a query of MultiStream.
    bound_ns : what p99 must stay under, in the Server scenario; `DEFAULT_BOUND` times the median
        of SingleStream by default.
    sustain_ns : length of the sustained run; the mode's by default.
    """

    kinds: tuple[str, ...] = ()
    workers: int | None = None
    inputs: int = 8
    bound_ns: int | None = None
    sustain_ns: int | None = None


@dataclass(frozen=True)
class Facts:
    """What a study knows of its cell.

    Parameters
    ----------
    p50_ns : median of SingleStream.
    fixed_batch : why the artifact runs at one batch size only; empty if it takes any.
    cores : that this process may use.
    traced : a case whose sizes inputs of any batch are to have, where there are others.
    """

    p50_ns: float
    fixed_batch: str
    cores: int
    traced: str | None = None


class Study(ABC):
    """One kind of measurement of one cell.

    Attributes
    ----------
    kind : of `shipworthy.serve.measurements.KINDS`.
    done : every process so far: what it was to do, and what it found.
    """

    kind: str

    def __init__(self, settings: Settings, plan: Plan, facts: Facts) -> None:
        self.settings, self.plan, self.facts = settings, plan, facts
        self.done: list[tuple[Trial, Proven]] = []

    @abstractmethod
    def next_trial(self) -> Trial | None:
        """Return what the next process is to do; None once all is known."""

    def note(self, trial: Trial, proven: Proven) -> None:
        """Take in what a process found."""
        self.done.append((trial, proven))

    @abstractmethod
    def data(self) -> dict[str, Any]:
        """Return what is kept, as the kind has it; also when a process failed halfway."""

    @abstractmethod
    def lacks(self) -> list[str]:
        """Return what makes the result unreliable, beside the machine and the clock."""

    def told(self) -> str:
        """Return the result in a few words."""
        return f"{len(self.done)} processes"

    @property
    def workers(self) -> int:
        """Sessions at a time."""
        return self.plan.workers or max(1, self.facts.cores // self.settings.threads)

    def finish(self, failure: str | None = None) -> Measurement:
        """Return the measurement.

        Parameters
        ----------
        failure : why a process failed, which ends the study.
        """
        proven = [one for _, one in self.done]
        reasons = [failure] if failure else []
        reasons += self.lacks()
        reasons += check_validated(bool(proven))
        if proven:
            reasons += check_conditions([one.conditions for one in proven])
            reasons += check_clock([one.run.timer for one in proven], self.facts.p50_ns)
        return Measurement(
            self.kind,
            self.settings.mode,
            self.data(),
            reasons,
            settings={
                **asdict(self.settings),
                "workers": self.workers,
                "runtime": dict(proven[-1].run.settings) if proven else {},
            },
            conditions=[one.conditions for one in proven],
        )
