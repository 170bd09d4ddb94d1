"""The search for the highest rate, against systems whose true limit is known."""

import math

import numpy as np
import pytest

from shipworthy.serve.rate_search import RESOLUTION, STEP_BACK, RateSearch


def search(start, limit, *, least=1e-6, confirmations=2, doubt=0.0, seed=0):
    """Search with a system that does up to `limit`, give or take; return search and rates."""
    rng = np.random.default_rng(seed)
    found = RateSearch(start, least, confirmations)
    rates = []
    while (rate := found.next_rate()) is not None:
        rates.append(rate)
        found.note(rate <= limit * (1 + rng.uniform(-doubt, doubt)))
        assert len(rates) <= 60
    return found, rates


@pytest.mark.parametrize("limit", [0.37, 99.0, 100.0, 101.0, 1234.5, 1e6])
def test_the_limit_is_found_from_below(limit):
    found, rates = search(100.0, limit)
    assert limit / RESOLUTION <= found.found <= limit
    assert not found.gave_up
    assert rates[-2:] == [found.found] * 2


def test_rates_double_until_one_fails():
    _, rates = search(100.0, 1000.0)
    assert rates[:5] == [100.0, 200.0, 400.0, 800.0, 1600.0]
    assert rates[5] == pytest.approx(math.sqrt(800 * 1600))


def test_rates_halve_until_one_does():
    _, rates = search(100.0, 30.0)
    assert rates[:3] == [100.0, 50.0, 25.0]
    assert rates[3] == pytest.approx(math.sqrt(25 * 50))


def test_what_never_does_is_given_up():
    found, rates = search(100.0, 0.0, least=10.0)
    assert (found.found, found.gave_up, found.next_rate()) == (None, True, None)
    assert rates == [100.0, 50.0, 25.0, 12.5]


def test_a_rate_below_the_least_is_tried_once():
    found, rates = search(5.0, 0.0, least=10.0)
    assert rates == [5.0]
    assert found.gave_up
    assert search(5.0, 100.0, least=1.0)[0].found is not None


def test_a_system_without_a_limit_is_given_up():
    found, _ = search(1.0, math.inf)
    assert found.gave_up


def test_the_lucky_rate_is_stepped_back_from():
    found = RateSearch(100.0, 1.0, 2)
    found.note(True)
    found.note(False)
    while not found.is_confirming:
        found.note(True)
    lucky = found.next_rate()
    found.note(True)
    found.note(False)  # the second time it does not
    assert found.next_rate() == pytest.approx(lucky * STEP_BACK)
    found.note(True)
    assert found.found is None, "one success after a step back is not enough"
    found.note(True)
    assert found.found == pytest.approx(lucky * STEP_BACK)


@pytest.mark.parametrize("seed", range(20))
def test_a_doubtful_limit_is_met_in_the_end(seed):
    found, _ = search(100.0, 777.0, doubt=0.2, confirmations=5, seed=seed)
    assert found.found is not None
    assert 0.5 * 777 <= found.found <= 1.2 * 777


def test_nothing_is_noted_after_the_end():
    found, _ = search(100.0, 1000.0)
    with pytest.raises(ValueError, match="the search is over"):
        found.note(True)
