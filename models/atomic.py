"""Files and folders that appear whole or not at all, and locks.

Whatever is half-done bears a name that begins with `WORK_PREFIX`; a killed process leaves it, and
`sweep` takes it away.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WORK_PREFIX = ".shipworthy-"

_POLL_SECONDS = 0.05


@contextmanager
def publish(target: Path) -> Iterator[Path]:
    """Yield an empty private folder that becomes `target` if the block succeeds.

    An existing `target` is replaced. On an exception nothing of `target` changes. A kill by the
    system in the instant between the two renames of a replacement leaves no `target`, never half
    of one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = _work_folder(target)
    try:
        yield work
        work.chmod(0o755)
        _put(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put(work: Path, target: Path) -> None:
    if not os.path.lexists(target):
        work.rename(target)
        return
    old = _work_folder(target)
    aside = old / "old"
    try:
        target.rename(aside)
        work.rename(target)
    finally:
        if not os.path.lexists(target) and os.path.lexists(aside):
            aside.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _work_folder(target: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=target.parent, prefix=f"{WORK_PREFIX}{target.name}-"))


def write_text(path: Path, text: str) -> None:
    """Write text by rename, so that no reader sees half a file."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{WORK_PREFIX}{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write JSON by rename, so that no reader sees half a file."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def sweep(*folders: Path) -> None:
    """Remove what killed processes left half-done directly in these folders.

    Only for who holds their lock: what a live process works on looks the same. A folder that does
    not exist has nothing to sweep.
    """
    for folder in folders:
        for left in folder.glob(f"{WORK_PREFIX}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


@contextmanager
def lock(
    path: Path, busy: str | Exception, *, check: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold a lock; the kernel gives it back however its process ends.

    Parameters
    ----------
    path : the lock's file, made with its folder if it is not there.
    busy : what happens if another process, or thread, holds the lock: an exception is raised at
        once; words are told on stderr, and the lock is waited for.
    check : called again and again while waiting; what it raises ends the wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _try_lock(descriptor):
            if isinstance(busy, Exception):
                raise busy
            print(busy, file=sys.stderr)
            # Not one blocking call: in a thread no signal would interrupt it.
            while not _try_lock(descriptor):
                check()
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
