"""The executor of this machine: as many workers as it has cores, and no work left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from shipworthy.convert.process import stop_all


@contextmanager
def local_executor(workers: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Yield a thread pool; if the block raises, Ctrl-C included, all its processes are stopped.

    What is queued by then is never begun, and the pool is idle when the exception leaves here.

    Parameters
    ----------
    workers : one a core that this process may use by default.
    """
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)  # first, so that nothing moves up
            stop_all()
            raise
