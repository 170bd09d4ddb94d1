from __future__ import annotations

import math

import numpy as np
import pytest

from shipworthy.serve import stats


@pytest.mark.parametrize(("percent", "runs"), [(50, 11), (90, 64), (99, 662), (99.9, 6636)])
def test_needed_runs_is_the_smallest_that_lets_the_second_largest_bound_the_percentile(
    percent, runs
):
    assert stats.needed_runs(percent) == runs

    def chance_of_no_bound(n):
        above = 1 - percent / 100
        return sum(math.comb(n, k) * above**k * (1 - above) ** (n - k) for k in (0, 1))

    assert chance_of_no_bound(runs) <= 0.01 < chance_of_no_bound(runs - 1)


@pytest.mark.parametrize("percent", [0, 100, -1, 101])
def test_a_percentile_out_of_range_is_refused_with_its_value(percent):
    with pytest.raises(ValueError, match=str(percent)):
        stats.needed_runs(percent)


def test_a_percentile_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        stats.percentile([], 50)


def test_a_percentile_is_one_of_the_values_at_the_exact_rank():
    values = list(range(1, 101))
    for percent in range(1, 100):
        # In floats 7 / 100 * 100 is above 7; the rank must not be.
        assert stats.percentile(values, percent) == percent
    assert stats.percentile([10, 20, 30], 50) == 20
    assert stats.percentile([10, 20], 50) == 10
    assert stats.percentile([10], 99.9) == 10


def test_percentiles_are_unknown_until_there_are_enough_runs():
    def known(runs):
        return [p for p, v in stats.percentiles(list(range(runs))).items() if v is not None]

    assert known(0) == known(10) == []
    assert known(11) == known(63) == [50]
    assert known(64) == known(661) == [50, 90]
    assert known(662) == [50, 90, 99]


def test_percentiles_do_not_need_sorted_latencies_and_leave_them_alone():
    latencies = [*range(100, 0, -1)]
    assert stats.percentiles(latencies, (50, 90)) == {50: 50, 90: 90}
    assert latencies == [*range(100, 0, -1)]


def test_an_estimate_needs_enough_runs():
    assert stats.estimate(range(63), 90) is None
    found = stats.estimate(range(64), 90)
    assert found is not None
    assert (found.runs, found.confidence) == (64, 0.99)


def test_interval_ranks_match_a_published_table():
    # Any table of distribution-free intervals for the median: n = 20, two-sided 99 %: ranks 4, 17.
    found = stats.estimate(range(1, 21), 50)
    assert found is not None
    assert (found.low, found.high) == (4, 17)


@pytest.mark.parametrize("percent", [50, 90, 99])
@pytest.mark.parametrize("runs", [700, 5000])
def test_an_interval_is_as_narrow_as_its_confidence_allows(percent, runs):
    found = stats.estimate(range(1, runs + 1), percent)
    assert found is not None
    below = percent / 100

    def at_most(k):
        logs = [
            math.lgamma(runs + 1) - math.lgamma(j + 1) - math.lgamma(runs - j + 1)
            + j * math.log(below) + (runs - j) * math.log(1 - below)
            for j in range(k + 1)
        ]  # fmt: skip
        return sum(map(math.exp, logs))

    # Latencies are their own ranks here.
    assert found.low < found.value < found.high
    assert at_most(found.low - 1) <= 0.005 < at_most(found.low)
    assert at_most(found.high - 1) >= 0.995 > at_most(found.high - 2)


@pytest.mark.parametrize(("percent", "runs"), [(50, 11), (90, 64), (90, 300), (99, 662)])
def test_the_interval_covers_the_true_percentile_as_often_as_it_says(percent, runs):
    rng = np.random.default_rng(7)
    truth = -math.log(1 - percent / 100) * 1e6
    trials = 2000
    covered = 0
    for latencies in rng.exponential(1e6, (trials, runs)):
        found = stats.estimate(latencies, percent)
        covered += found.low <= truth <= found.high
    # 99 % of 2000 less four standard errors.
    assert covered >= trials * 0.99 - 4 * math.sqrt(trials * 0.99 * 0.01)


def test_many_runs_are_no_trouble():
    latencies = np.random.default_rng(1).integers(50_000, 60_000, 200_000)
    found = stats.estimate(latencies, 99)
    assert found is not None
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 100


def test_median_of_a_few_processes():
    assert stats.median([]) is None
    assert stats.median([5]) == 5
    assert stats.median([30, 10, 20]) == 20
    assert stats.median([10, 20, 31, 40]) == 26
    assert isinstance(stats.median([1, 2]), int)
