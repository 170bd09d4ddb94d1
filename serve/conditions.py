"""What else happened on the machine while something was measured. Linux; from ``/proc``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shipworthy.serve.machine import frequency_mhz

_PROC = Path("/proc")
# Fields of a line of /proc/stat in which a core works (proc(5)): user, nice, system, irq, softirq.
# What a guest takes is counted in user and nice already.
_WORKING = (0, 1, 2, 5, 6)
_STEAL = 7


@dataclass(frozen=True)
class Conditions:
    """What the machine did beside, from just before a process started until it had ended.

    Parameters
    ----------
    seconds : how long that was.
    others : cores that processes other than this one and its children kept busy, on average.
    steal : share of the cores' time that the hypervisor gave to other guests, 0 to 1.
    load_before, load_after : the load average of one minute.
    mhz_before, mhz_after : mean frequency of the cores; None where it cannot be read.
    """

    seconds: float
    others: float
    steal: float
    load_before: float
    load_after: float
    mhz_before: float | None
    mhz_after: float | None


class Watch:
    """Filled in when the block it was opened for has ended."""

    found: Conditions


@contextmanager
def watch() -> Iterator[Watch]:
    """Observe the machine for as long as the block runs; children count once they have ended."""
    watching = Watch()
    begin, load, mhz, own = time.monotonic(), os.getloadavg()[0], frequency_mhz(), _own_seconds()
    working, stolen, cores = _core_seconds()
    try:
        yield watching
    finally:
        seconds = max(time.monotonic() - begin, 1e-6)
        working_after, stolen_after, _ = _core_seconds()
        others = working_after - working - (_own_seconds() - own)
        watching.found = Conditions(
            seconds=round(seconds, 6),
            others=round(max(others, 0.0) / seconds, 3),
            steal=round(max(stolen_after - stolen, 0.0) / seconds / max(cores, 1), 4),
            load_before=load,
            load_after=os.getloadavg()[0],
            mhz_before=mhz,
            mhz_after=frequency_mhz(),
        )


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _core_seconds() -> tuple[float, float, int]:
    """Return seconds in which the cores worked, and that were stolen, and the number of cores.

    Of the cores that this process may use alone; zeros where there is no such file.
    """
    try:
        lines = (_PROC / "stat").read_text().splitlines()
    except OSError:
        return 0.0, 0.0, 0
    ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    ticks = os.sysconf("SC_CLK_TCK")
    split = [line.split() for line in lines]
    rows = [[int(word) for word in words[1:]] for words in split if words and words[0] in ours]
    working = sum(row[i] for row in rows for i in _WORKING)
    stolen = sum(row[_STEAL] for row in rows if len(row) > _STEAL)
    return working / ticks, stolen / ticks, len(rows)
