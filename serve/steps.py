"""Runs steps that need one another on any `concurrent.futures.Executor`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One piece of work.

    Parameters
    ----------
    name : unique; what the user sees.
    run : does the work; what it returns is the step's `detail`, or None. What it raises is its
        failure.
    needs : names of the steps that must succeed first.
    """

    name: str
    run: Callable[[], Any]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """What happened to a step.

    Parameters
    ----------
    state : ``"started"``, ``"done"``, ``"failed"`` or ``"skipped"`` (something it needs failed).
    detail : what the step returned, the exception, or the name of the step that failed.
    seconds : since the step was started.
    """

    step: str
    state: str
    detail: Any = None
    seconds: float = 0.0


def run_steps(steps: Sequence[Step], executor: Executor) -> Iterator[Event]:
    """Run every step as soon as what it needs is done; yield what happens, as it happens.

    A step that fails fails only those that need it.

    Raises
    ------
    ValueError : two steps of one name, a need that is no step, or a circle.
    """
    _check(steps)
    waiting = {step.name: step for step in steps}
    running: dict[Future[Any], tuple[Step, float]] = {}
    ended: dict[str, bool] = {}
    while waiting or running:
        yield from _skip(waiting, ended)
        for step in [s for s in waiting.values() if all(need in ended for need in s.needs)]:
            del waiting[step.name]
            running[executor.submit(step.run)] = (step, time.monotonic())
            yield Event(step.name, "started")
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            step, started = running.pop(future)
            error = future.exception()
            ended[step.name] = error is None
            seconds = time.monotonic() - started
            if error is None:
                yield Event(step.name, "done", future.result(), seconds)
            else:
                yield Event(step.name, "failed", error, seconds)


def _skip(waiting: dict[str, Step], ended: dict[str, bool]) -> Iterator[Event]:
    while True:
        lost = [
            (step, need)
            for step in waiting.values()
            for need in step.needs
            if ended.get(need) is False
        ]
        if not lost:
            return
        step, need = lost[0]
        del waiting[step.name]
        ended[step.name] = False
        yield Event(step.name, "skipped", need)


def _check(steps: Sequence[Step]) -> None:
    needs: Mapping[str, tuple[str, ...]] = {step.name: step.needs for step in steps}
    if len(needs) != len(steps):
        raise ValueError("two steps have the same name")
    left = dict(needs)
    while left:
        free = [name for name, of in left.items() if not any(need in left for need in of)]
        if not free or any(need not in needs for name in free for need in needs[name]):
            raise ValueError(f"these steps can never run: {', '.join(left)}")
        for name in free:
            del left[name]
