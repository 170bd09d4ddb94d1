import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from shipworthy.serve.contrast import (
    MARGIN,
    UNKNOWN,
    Control,
    Ratio,
    _redrawn,
    _student,
    control,
    decide,
    ratio_interval,
    ratio_of_values,
)
from shipworthy.serve.stats import percentile


def processes(rng, count, runs, *, speed=1.0, between=0.03, within=0.05):
    """Return latencies of processes that each have a speed of their own."""
    own = rng.normal(0.0, between, (count, 1))
    return (1e5 * speed * np.exp(own + rng.normal(0.0, within, (count, runs)))).astype(np.int64)


@pytest.mark.parametrize(("count", "between", "within"), [
    (3, 0.05, 0.02), (5, 0.05, 0.02), (5, 0.001, 0.05), (8, 0.02, 0.1),
])  # fmt: skip
def test_the_interval_covers_the_truth_as_often_as_it_says(count, between, within):
    truth, trials = 1.3, 300
    rng = np.random.default_rng(1)
    covered, widths = 0, []
    for seed in range(trials):
        a, b = (
            processes(rng, count, 150, speed=speed, between=between, within=within)
            for speed in (1.0, truth)
        )
        found = ratio_interval(a, b, seed=seed, resamples=1000)
        covered += found.low <= truth <= found.high
        widths.append(math.log(found.high / found.low))
    # 99 % of 300, less three standard deviations of that count.
    assert covered >= 0.972 * trials
    # No wider than twice the interval that one would give who knew that all is normal.
    variance = between**2 + within**2 * math.pi / 2 / 150
    known = 2 * scipy_stats.t.ppf(0.995, 2 * count - 2) * math.sqrt(2 * variance / count)
    assert np.mean(widths) < 2 * known


def test_leaving_out_the_processes_would_not_cover_it():
    """What the outer level is for: one process' many runs say little about the next."""
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(100):
        a, b = (processes(rng, 5, 200, between=0.05, within=0.02) for _ in range(2))
        pooled = [np.sort(one.ravel()).reshape(-1, 5).T for one in (a, b)]  # processes all alike
        found = ratio_interval(*pooled, seed=seed, resamples=500)
        covered += found.low <= 1 <= found.high
    assert covered < 80


@given(st.floats(1.05, 30.0), st.integers(2, 6), st.integers(0, 1000))
def test_swapped_arguments_invert(speed, count, seed):
    rng = np.random.default_rng(seed)
    a, b = processes(rng, count, 30), processes(rng, count, 30, speed=speed)
    there, back = ratio_interval(a, b, seed=seed), ratio_interval(b, a, seed=seed)
    assert there.value * back.value == pytest.approx(1.0)
    width = math.log(there.high / there.low)
    assert abs(math.log(there.low * back.high)) < 0.25 * width  # other draws, the same interval
    assert abs(math.log(there.high * back.low)) < 0.25 * width
    opposite = {"faster": "slower", "slower": "faster"}
    verdict = decide(there)
    assert decide(Ratio(1 / there.value, 1 / there.high, 1 / there.low)) == opposite.get(
        verdict, verdict
    )


@given(st.integers(2, 5), st.integers(11, 60), st.integers(0, 1000))
def test_the_interval_holds_the_ratio_and_a_seed_repeats_it(count, runs, seed):
    rng = np.random.default_rng(seed)
    a, b = processes(rng, count, runs), processes(rng, count + 1, runs, speed=2.0)
    found = ratio_interval(a, b, seed=seed, resamples=200)
    assert found.low <= found.value <= found.high
    assert found == ratio_interval(a, b, seed=seed, resamples=200)
    narrower = ratio_interval(a, b, seed=seed, resamples=200, confidence=0.9)
    assert found.low <= narrower.low
    assert narrower.high <= found.high


def test_identical_runs_are_the_same():
    runs = [[1000] * 50] * 3
    found = ratio_interval(runs, runs)
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    assert decide(found) == "same"
    noisy = processes(np.random.default_rng(0), 6, 400, between=0.002, within=0.02)
    assert decide(ratio_interval(noisy, noisy)) == "same"


@given(st.lists(st.lists(st.integers(1, 10**9), max_size=12), max_size=3),
       st.lists(st.lists(st.integers(1, 10**9), max_size=12), max_size=3))  # fmt: skip
def test_tiny_inputs_never_crash(a, b):
    found = ratio_interval(a, b, resamples=50)
    enough = all(len(runs) >= 2 and min(map(len, runs)) >= 11 for runs in (a, b))
    assert found.known == enough
    assert enough or decide(found) == "inconclusive"
    json.dumps(found.to_json(), allow_nan=False)
    assert enough or not control(a, b).fit


def test_one_process_a_side_gives_a_ratio_and_no_interval():
    found = ratio_interval([[100] * 20], [[150] * 20])
    assert (found.value, found.low, found.high) == (pytest.approx(1.5), None, None)
    assert decide(found) == "inconclusive"
    assert ratio_of_values([], [1.0]) == UNKNOWN


def test_a_percentile_needs_runs_enough_for_it():
    a = [list(range(1, 501))] * 3
    assert ratio_interval(a, a, statistic="p90").known
    assert ratio_interval(a, a, statistic="p99").value is None
    more = [list(range(1, 701))] * 3
    assert ratio_interval(more, more, statistic="p99").value == pytest.approx(1.0)


def test_the_statistic_is_that_of_each_process_and_their_median_the_figure():
    a, b = [[100] * 20, [400] * 20], [[200] * 20, [200] * 20]
    assert ratio_interval(a, b).value == pytest.approx(1.0)  # halfway on a scale of ratios
    tail = [[100] * 60 + [1000] * 10] * 2
    assert ratio_interval(tail, tail, statistic="p90").value == pytest.approx(1.0)
    assert ratio_interval([[100] * 70] * 2, tail, statistic="p90").value == pytest.approx(10.0)


def test_a_process_that_was_slowed_down_widens_the_interval_and_leaves_the_ratio():
    rng = np.random.default_rng(6)
    a, b = (processes(rng, 7, 100, between=0.01, within=0.02) for _ in range(2))
    alone = ratio_interval(a, b)
    b[3] *= 5
    disturbed = ratio_interval(a, b)
    assert disturbed.value == pytest.approx(alone.value, rel=0.01)
    assert disturbed.high >= alone.high


def test_figures_of_one_a_process():
    found = ratio_of_values([10.0, 11.0, 9.0, 10.5], [20.0, 21.0, 19.0, 20.5])
    assert found.value == pytest.approx(2.0, rel=0.02)
    assert decide(found) == "slower"
    covered = 0
    rng = np.random.default_rng(5)
    for seed in range(200):
        a, b = (np.exp(rng.normal(0, 0.1, 5)) for _ in range(2))
        found = ratio_of_values(a, b, seed=seed, resamples=500)
        covered += found.low <= 1 <= found.high
    assert covered >= 193


@pytest.mark.parametrize(("low", "high", "verdict"), [
    (0.5, 0.9, "faster"), (1.1, 1.2, "slower"), (0.98, 1.04, "same"),
    (0.9, 1.01, "inconclusive"), (0.99, 1.2, "inconclusive"), (0.94, 0.96, "inconclusive"),
])  # fmt: skip
def test_a_decision_takes_the_whole_interval_and_the_margin(low, high, verdict):
    ratio = Ratio(math.sqrt(low * high), low, high)
    assert decide(ratio, margin=0.05) == verdict
    assert decide(ratio, margin=0.05, control=Control(False, UNKNOWN, "x")) == "inconclusive"
    assert decide(ratio, margin=0.05, control=Control(True, UNKNOWN)) == verdict


def test_a_control_that_shows_a_difference_makes_the_session_unfit():
    rng = np.random.default_rng(3)
    alike = [processes(rng, 5, 100, between=0.005, within=0.02) for _ in range(2)]
    assert control(*alike).fit
    assert control(*alike).reason == ""
    shifted = processes(rng, 5, 100, speed=1.3, between=0.005, within=0.02)
    found = control(alike[0], shifted)
    assert not found.fit
    assert "differs by a ratio of 1.3" in found.reason
    assert control(alike[0], shifted, margin=0.5).fit
    assert control([], []).reason
    assert MARGIN == 0.05


def test_a_redrawn_percentile_is_distributed_as_that_of_true_resamples():
    rng = np.random.default_rng(4)
    values = np.sort(rng.lognormal(0, 1, 45))
    quick = _redrawn(values, 90, 20_000, rng)
    true = np.sort(rng.choice(values, (20_000, 45)), axis=1)
    slow = np.array([percentile(row, 90) for row in true * 1e6]) / 1e6
    for at in (0.02, 0.25, 0.5, 0.75, 0.98):
        assert np.quantile(quick, at) == pytest.approx(np.quantile(slow, at), rel=0.03)


@pytest.mark.parametrize("freedom", [1.0, 1.5, 2.0, 4.6, 30.0, 1000.0])
@pytest.mark.parametrize("at", [0.9, 0.975, 0.995])
def test_students_quantiles(freedom, at):
    assert _student(at, freedom) == pytest.approx(scipy_stats.t.ppf(at, freedom), rel=1e-4)


def test_wrong_arguments_are_told():
    fine = [[100] * 20] * 2
    with pytest.raises(ValueError, match="unknown statistic 'mean'"):
        ratio_interval(fine, fine, statistic="mean")
    with pytest.raises(ValueError, match="unknown statistic 'p100'"):
        ratio_interval(fine, fine, statistic="p100")
    with pytest.raises(ValueError, match="confidence is 1"):
        ratio_interval(fine, fine, confidence=1.0)
    with pytest.raises(ValueError, match="a latency is 0"):
        ratio_interval(fine, [[0] * 20] * 2)
    with pytest.raises(ValueError, match="a figure is -1"):
        ratio_of_values([1.0], [-1.0])
