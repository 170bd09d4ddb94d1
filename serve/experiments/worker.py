"""Calls `shipworthy.serve.experiments.timing`: each time in a fresh process, ways in turns."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shipworthy.serve.bench import schedule
from shipworthy.serve.conditions import Conditions, watch
from shipworthy.serve.experiments.experiment import ExperimentError
from shipworthy.serve.experiments.programs_folder import run_program
from shipworthy.serve.validity import check_conditions

WORKER = "shipworthy.serve.experiments.timing"

Told = dict[str, Any]

# What a way is called -> the worker's --framework and --way.
_SERVE = Path(__file__).parent.parent
# What times, orders and judges a session; a change makes its figures old.
TIMED_BY = (
    *(_SERVE / f"{name}.py" for name in ("bench", "conditions", "stats", "validity")),
    _SERVE / "python" / "loop.py",
    _SERVE / "python" / "originals.py",
)

WAYS: Mapping[str, tuple[str, str]] = {
    "PyTorch, eager": ("pytorch", "eager"),
    "PyTorch, eager, again": ("pytorch", "eager"),
    "PyTorch, torch.compile": ("pytorch", "compiled"),
    "TensorFlow, eager": ("tensorflow", "eager"),
    "TensorFlow, tf.function": ("tensorflow", "tf_function"),
}


def call(way: str, options: Mapping[str, Any], timeout: float) -> Told:
    """Run the worker once; return what it printed.

    Parameters
    ----------
    way : one of `WAYS`.
    options : the worker's other options, by name.

    Raises
    ------
    ExperimentError : it failed, or printed something else.
    """
    framework, kind = WAYS[way]
    words = [sys.executable, "-P", "-m", WORKER]
    for name, value in {"framework": framework, "way": kind, **options}.items():
        words += [f"--{name}", str(value)]
    printed = run_program(words, timeout)
    try:
        told = json.loads(printed)
    except ValueError as e:
        raise ExperimentError(f"the worker of {way} printed no JSON: {e}") from e
    if not isinstance(told, dict):
        raise ExperimentError(f"the worker of {way} printed JSON that is no object")
    return told


def in_turns(
    ways: Sequence[str], options: Mapping[str, Any], processes: int, timeout: float
) -> tuple[dict[str, list[Told]], dict[str, str]]:
    """Run each way in so many fresh processes, in ABBA order.

    The n-th process of every way gets the seed n, so that ways differ by nothing else. A way that
    fails once is not tried again.

    Returns
    -------
    What each way's processes told, with ``conditions`` (what the machine did meanwhile), and why a
    way failed.
    """
    told: dict[str, list[Told]] = {way: [] for way in ways}
    lost: dict[str, str] = {}
    for way in schedule(ways, processes, seed=0):
        if way in lost:
            continue
        try:
            with watch() as watching:
                one = call(way, {**options, "seed": len(told[way])}, timeout)
            told[way].append(one | {"conditions": asdict(watching.found)})
        except ExperimentError as e:
            lost[way] = f"{way}: {e}"
            del told[way]
    return told, lost


def busy(told: Mapping[str, Sequence[Told]]) -> list[str]:
    """Return what else happened on the machine that makes a session unfit; nothing if it is fit.

    The control does not notice it: a latency longer than the time slice of a busy machine grows,
    a shorter one mostly does not, which favours whatever is fast.
    """
    seen = [Conditions(**one["conditions"]) for runs in told.values() for one in runs]
    return check_conditions(seen)


def unfit(sessions: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return why sessions, each with ``fit``, ``busy`` and ``control``, may not be relied on."""
    reasons = [
        one["busy"][0] if one["busy"] else one["control"].get("reason") or "the control differs"
        for one in sessions
        if not one["fit"]
    ]
    return tuple(dict.fromkeys(reasons))
