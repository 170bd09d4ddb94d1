"""Ends what a killed shipworthy would leave running.

`shipworthy.convert.process` starts this file as a process of its own and tells it on stdin of every
process group that begins (``+123``) and ends (``-123``). When stdin ends, so has whoever told it,
be it by SIGKILL; the groups still there are killed. This asks nothing of what runs in them, where
prctl(PR_SET_PDEATHSIG) would, and that goes by the starting *thread*.

The standard library alone, so that it is up in a moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def kill_group(group: int) -> None:
    """Kill a process group, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def kill_session(leader: int) -> None:
    """Kill a process group, and the groups that its members made in the session it leads.

    Ninja gives each compiler a group of its own.
    """
    kill_group(leader)
    killed: set[int] = set()
    # Whoever was forked meanwhile is found the next time.
    while new := set(_members(leader)) - killed:
        for pid in new:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= new


def _members(session: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # proc(5): pid (name) state parent group session; the name may hold anything.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if len(fields) > 3 and int(fields[3]) == session and fields[0] not in "ZX":
            yield int(stat.parent.name)


def watch(lines: Iterable[str]) -> None:
    """Follow what begins and ends; when no more is told, kill what is left."""
    live: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            live.add(group)
        else:
            live.discard(group)
    for group in live:
        kill_session(group)


if __name__ == "__main__":
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    watch(sys.stdin)
