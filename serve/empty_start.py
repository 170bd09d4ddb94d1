"""How long a process takes to start that has no runtime in it: the null runner's.

It is the harness linked with nothing but the C and C++ libraries, so what another runner takes
longer until its ``main`` is the loading of its runtime's libraries: mapping, relocating and their
own initialisers.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shipworthy.serve.runners import find, run

_MODEL = "x float32 1\n"


def measure_empty_start(timeout: float = 60.0) -> int:
    """Return the nanoseconds from the start of a null runner's process to its ``main``.

    Raises
    ------
    RunnerError : it cannot be built or run.
    """
    with tempfile.TemporaryDirectory(prefix="shipworthy-") as folder:
        model = Path(folder) / "model.txt"
        model.write_text(_MODEL)
        started = run(find("null"), model, [], timeout=timeout).process_ns
    assert started is not None, "the runner is always told when its process began"
    return started


def split_start(process_ns: int, empty_ns: Sequence[int]) -> tuple[int, int]:
    """Return the parts of a runner's start: an empty process', and loading the libraries.

    The first is the median over the null runners of the same session, because one of them alone
    varies as much as a small runtime's loading takes; it is never more than the whole.

    Parameters
    ----------
    process_ns : from the start of the runner's process to its ``main``.
    empty_ns : the same of null runners; none leaves all of it to the process.
    """
    if not empty_ns:
        return process_ns, 0
    empty = min(round(statistics.median(empty_ns)), process_ns)
    return empty, process_ns - empty
