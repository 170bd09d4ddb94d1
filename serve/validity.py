"""May a result be relied on? Pure: what was measured, and how -> the reasons why not."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from shipworthy.serve.conditions import Conditions
from shipworthy.serve.contrast import Control
from shipworthy.serve.modes import TAIL, Minimum
from shipworthy.serve.stats import needed_runs

# Cores kept busy by others: one process in the background takes more, an idle system less.
MOST_OTHERS = 0.25
# Share of the time that a hypervisor took away.
MOST_STEAL = 0.01
# Greatest frequency over the smallest, less one.
MOST_FREQUENCY_CHANGE = 0.10
# Step of the clock, and cost of reading it, as parts of the median latency.
MOST_OF_LATENCY = 0.01


def check_load(
    scenario: str,
    least: Minimum,
    *,
    queries: int,
    kept: int,
    duration_ns: int,
    unserved: int = 0,
) -> list[str]:
    """Return what a scenario's result lacks.

    Parameters
    ----------
    queries, duration_ns : done, in all processes together.
    kept : latencies that were kept.
    unserved : queries that had arrived and were never begun.
    """
    reasons = []
    if queries < least.queries:
        reasons.append(f"too few queries: {queries}; {least.queries} are needed")
    percent = TAIL.get(scenario)
    if percent is not None and kept < needed_runs(percent) <= queries:
        reasons.append(f"too few latencies for p{percent}: {kept}, not {needed_runs(percent)}")
    # The loops end at the first query after the time, so that a shortfall is none of rounding.
    if duration_ns < least.ns:
        reasons.append(f"too short: {duration_ns / 1e9:.3g} s; {least.ns / 1e9:.3g} s are needed")
    if unserved:
        reasons.append(f"{unserved} queries were still waiting when the time was up")
    return reasons


def check_validated(validated: bool) -> list[str]:
    """Return a reason unless the outputs of what was timed were compared and passed."""
    return [] if validated else ["the outputs of the timed runs were not validated"]


def check_clock(timers: Sequence[Mapping[str, int]], p50_ns: float) -> list[str]:
    """Return a reason if the clock is too coarse, or too slow, for such latencies."""
    allowed = MOST_OF_LATENCY * p50_ns
    reasons = []
    for name, what in (("resolution_ns", "moves in steps of"), ("overhead_ns", "takes")):
        worst = max((timer[name] for timer in timers), default=0)
        if worst > allowed:
            reasons.append(
                f"clock too coarse: it {what} {worst} ns, more than {MOST_OF_LATENCY:.0%} of the "
                f"median latency of {p50_ns:.0f} ns"
            )
    return reasons


def check_conditions(conditions: Sequence[Conditions]) -> list[str]:
    """Return what changed on the machine during the processes of one result."""
    if not conditions:
        return ["nobody watched the machine meanwhile"]
    total = sum(one.seconds for one in conditions)
    others = sum(one.others * one.seconds for one in conditions) / total
    steal = sum(one.steal * one.seconds for one in conditions) / total
    reasons = []
    if others > MOST_OTHERS:
        reasons.append(
            f"other processes kept {others:.2f} cores busy meanwhile; {MOST_OTHERS:g} are allowed"
        )
    if steal > MOST_STEAL:
        reasons.append(
            f"the hypervisor took {steal:.1%} of the time meanwhile; {MOST_STEAL:.0%} is allowed"
        )
    # A core at rest is slow on purpose: what counts is how fast they were at the end of each.
    known = [one.mhz_after for one in conditions if one.mhz_after]
    if known and max(known) / min(known) - 1 > MOST_FREQUENCY_CHANGE:
        reasons.append(
            f"the frequency changed from {min(known):.0f} to {max(known):.0f} MHz meanwhile; "
            f"{MOST_FREQUENCY_CHANGE:.0%} is allowed"
        )
    return reasons


def check_control(control: Control) -> list[str]:
    """Return a reason if a session's A/A control shows a difference; too few turns show none."""
    if control.fit or not control.ratio.known:
        return []
    return [f"the session is unfit for comparisons: {control.reason}"]


def tell(reasons: Sequence[str]) -> str:
    """Return the verdict in a word, with the reasons if it is against the result."""
    return f"INVALID: {'; '.join(reasons)}" if reasons else "VALID"


def median(latencies_ns: Sequence[int]) -> float:
    """Return the median of latencies; 0 of none."""
    return float(statistics.median(latencies_ns)) if latencies_ns else 0.0
