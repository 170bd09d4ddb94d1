import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shipworthy.convert.yardstick import (
    FACTORS,
    FLOOR,
    NOISE_BOUNDS,
    TINY,
    Expected,
    Spread,
    case_unit,
    distance,
    exact_unstable,
    filler_bound,
    float_unstable,
    limits,
    output_scale,
    pooled_unit,
    same_special,
    spread,
)

STEP = FLOOR["float32"]
values = arrays(
    np.float64,
    array_shapes(max_dims=3, max_side=6),
    elements=st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False),
)


def expected(centre, error, case="c"):
    centre = np.asarray(centre, np.float64)
    narrow = np.asarray(centre + error, np.float32)
    return Expected(
        case, len(narrow), {"y": narrow}, {"y": centre}, {"y": distance(narrow, centre)}
    )


@given(values)
def test_rms_is_between_the_mean_and_the_maximum(x):
    found = spread(x)
    assert found.max == np.abs(x).max()
    assert np.abs(x).mean() <= found.rms * (1 + 1e-12)
    assert found.rms <= found.max * (1 + 1e-12)


@given(values, st.floats(1e-150, 1e150))
def test_norms_scale_and_never_overflow(x, factor):
    one, other = spread(x), spread(x * factor)
    assert other.rms == pytest.approx(one.rms * factor, rel=1e-9)
    assert other.max == pytest.approx(one.max * factor, rel=1e-9)


@given(values, st.integers(2, 5))
def test_repeating_the_values_changes_no_norm(x, times):
    assert spread(np.tile(x.ravel(), times)).rms == pytest.approx(spread(x).rms, rel=1e-12)


def test_norms_of_nothing_are_zero_and_of_nan_are_within_no_limit():
    assert spread(np.zeros(0)) == Spread(0.0, 0.0)
    assert not spread(np.array([1.0, np.nan])).within(Spread(1e300, 1e300))
    assert not Spread(1.0, np.nan).over(Spread(1.0, 1.0)).within(Spread(9.0, 9.0))


def test_squares_that_overflow_or_vanish_are_still_measured():
    assert spread(np.full(4, 1e200)).rms == pytest.approx(1e200)
    assert spread(np.full(4, 1e-200)).rms == pytest.approx(1e-200)


def test_a_ratio_stays_a_number_that_json_can_hold():
    assert np.isfinite(Spread(1e300, 1e300).over(Spread(TINY, TINY)).max)


def test_an_original_without_rounding_error_is_held_to_half_a_step():
    one = expected([[1.0], [2.0], [0.0]], 0.0)
    rms = np.sqrt(5 / 3)
    assert pooled_unit([one], "y") == Spread(pytest.approx(STEP * rms), STEP * 2.0)


def test_an_output_that_is_zero_has_the_smallest_normal_float_as_unit():
    one = expected(np.zeros((3, 2)), 0.0)
    assert pooled_unit([one], "y") == Spread(TINY, TINY)
    assert case_unit(one, "y", 0.0) == Spread(TINY, TINY)


def test_a_case_keeps_its_own_unit_but_not_below_the_outputs_scale():
    large = expected(np.full((8, 1), 100.0), 1e-3, "large")
    small = expected(np.full((8, 1), 1e-6), 1e-12, "small")
    own = case_unit(small, "y", 0.0)
    assert own.rms == pytest.approx(1e-12, rel=0.1)
    assert own.rms < pooled_unit([large, small], "y").rms / 1e6
    scale = output_scale([large, small], "y")
    assert scale == pytest.approx(100 / np.sqrt(2), rel=1e-3)
    assert case_unit(small, "y", scale).rms == pytest.approx(STEP * scale)


def test_float64_outputs_are_held_to_their_own_steps():
    wide = np.array([[1.0], [1.0]])
    one = Expected("c", 2, {"y": wide}, {"y": wide}, {"y": np.zeros((2, 1))})
    assert pooled_unit([one], "y").max == 2.0**-53


def test_a_flipped_rounding_is_unstable_and_its_neighbours_are_not():
    rng = np.random.default_rng(0)
    centre = rng.standard_normal(500)
    run = centre + rng.normal(0, 1e-7, 500)
    run[17] += 0.25
    assert np.flatnonzero(float_unstable([run], centre, STEP)).tolist() == [17]


def test_a_flip_in_a_noise_run_counts_as_well():
    rng = np.random.default_rng(1)
    centre = rng.standard_normal(500)
    runs = [centre + rng.normal(0, 1e-7, 500) for _ in range(3)]
    runs[2][3] -= 0.5
    assert np.flatnonzero(float_unstable(runs, centre, STEP)).tolist() == [3]


def test_zeros_of_a_relu_do_not_pull_the_median_down():
    rng = np.random.default_rng(2)
    centre = np.maximum(rng.standard_normal(1000) - 1.0, 0.0)  # 84 % zeros
    run = centre + np.where(centre > 0, rng.normal(0, 1e-4, 1000), 0.0)
    assert not float_unstable([run], centre, STEP).any()


def test_an_output_that_is_exact_but_for_a_flip_shows_the_flip():
    centre = np.round(np.linspace(-5, 5, 400))
    run = centre.copy()
    run[40] += 1.0
    assert np.flatnonzero(float_unstable([run], centre, STEP)).tolist() == [40]


def test_a_saturated_softmax_is_sensitive_not_unstable():
    centre = np.tile([1.0 - 1e-12, 1e-12, 1e-20, 1e-30], 100)
    run = centre.astype(np.float64)
    run[::4] -= 3e-8  # what one step of a number near 1 costs
    assert not float_unstable([run], centre, STEP).any()


def test_overflow_in_float32_alone_is_unstable_and_in_both_is_not():
    centre = np.array([1e39, np.inf, np.nan, -np.inf, 1.0])
    run = np.array([np.inf, np.inf, np.nan, np.inf, 1.0])
    assert float_unstable([run], centre, STEP).tolist() == [True, False, False, True, False]


def test_integers_that_any_two_runs_disagree_on_are_ties():
    runs = [np.array([1, 2, 3]), np.array([1, 2, 3]), np.array([1, 7, 3])]
    assert exact_unstable(runs).tolist() == [False, True, False]
    assert not exact_unstable(runs[:1]).any()


def test_specials_agree_in_place_and_sign_only():
    left = np.array([np.nan, np.inf, -np.inf, 1.0, np.nan, 2.0])
    right = np.array([np.nan, np.inf, np.inf, 5.0, 1.0, np.inf])
    assert same_special(left, right).tolist() == [True, True, False, True, False, False]


@given(st.lists(st.floats(0, 1e6), max_size=12))
def test_a_threshold_is_the_factor_times_a_noise_floor_within_bounds(ratios):
    for yardstick, scopes in FACTORS.items():
        for scope, factor in scopes.items():
            found = limits({"rms": ratios, "max": ratios}, yardstick, scope)
            low, high = NOISE_BOUNDS
            assert factor.rms * low <= found.rms <= factor.rms * high
            assert factor.max * low <= found.max <= factor.max * high


def test_a_threshold_grows_with_the_noise_floor():
    quiet = limits({"rms": [1.0] * 8, "max": [1.0] * 8}, "float64", "pooled")
    noisy = limits({"rms": [1.0] * 7 + [3.0], "max": [2.0] * 8}, "float64", "pooled")
    assert noisy.rms == pytest.approx(quiet.rms * np.percentile([1.0] * 7 + [3.0], 99))
    assert noisy.max == quiet.max * 2


@pytest.mark.parametrize(("yardstick", "scope"), [("atol", "pooled"), ("float64", "rows")])
def test_an_unknown_yardstick_or_scope_is_told_with_the_known_ones(yardstick, scope):
    with pytest.raises(ValueError, match=r"float64, jitter; pooled, case"):
        limits({"rms": [], "max": []}, yardstick, scope)


@pytest.mark.parametrize("filler", [-1e4, -1e9, float(np.finfo(np.float32).min)])
def test_a_masks_filler_is_told_from_what_it_masks(filler):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((64, 10))
    logits[:, 3:] = filler
    assert filler_bound(logits) == abs(filler)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).standard_normal(1000) * 1e5,  # a few happen to be near zero
        np.exp(np.random.default_rng(0).standard_normal(1000) * 12),  # heavy tails have no gap
        np.r_[np.full(50, 1e-9), np.ones(10)],  # a saturated softmax has, but no thousands
        np.r_[np.zeros(500), np.full(500, 5000.0)],  # a ReLU of great values
        np.r_[np.ones(3), np.full(500, 5000.0)],  # too few to be what is masked
        np.zeros(0),
    ],
)
def test_an_ordinary_output_has_no_filler(values):
    assert filler_bound(values) == np.inf
