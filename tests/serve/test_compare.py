"""Synthetic faults: each must be caught, and what is correct must pass."""

import json
from dataclasses import replace

import numpy as np
import pytest

from shipworthy.convert.cases import PlannedCase
from shipworthy.convert.noise import NoiseRun
from shipworthy.convert.weigh import noise_ratios, weigh
from shipworthy.models.spec import Signature, TensorSpec
from shipworthy.serve.compare import POOLED, Comparison, Validation, compare, compare_case

STEP = 2.0**-24
SIGNATURE = Signature(
    inputs=(TensorSpec("x", "float32", ("batch", 4)),),
    outputs=(
        TensorSpec("scores", "float32", ("batch", 10)),
        TensorSpec("best", "int64", ("batch",)),
    ),
)
SIZES = {"random_b2": 2, "random_b1": 1, "random_b5": 5, "random_b64": 64, "real": 428}


class World:
    """An imagined original: exact values, its float32 answers and some noise runs of it."""

    def __init__(self, seed=0, jitter=False, change=lambda name, exact: exact):
        self.rng = np.random.default_rng(seed)
        self.cases = [
            PlannedCase(name, {"batch": rows}, rows == 2, {}) for name, rows in SIZES.items()
        ]
        self.exact = [
            change(c.name, self.rng.standard_normal((c.sizes["batch"], 10))) for c in self.cases
        ]
        first = [self.answer(e) for e in self.exact]
        wide = [{"scores": e, "best": e.argmax(1)} for e in self.exact]
        runs = [NoiseRun(str(i), [self.answer(e) for e in self.exact]) for i in range(8)]
        self.yardstick = "jitter" if jitter else "float64"
        self.expected = weigh(SIGNATURE, self.cases, first, None if jitter else wide, runs)
        self.noise = noise_ratios(SIGNATURE, self.expected, runs)

    def answer(self, exact):
        with np.errstate(invalid="ignore"):
            noise = self.rng.normal(0, 4 * STEP, exact.shape)
            scores = (exact + noise).astype(np.float32)
        return {"scores": scores, "best": exact.argmax(1).astype(np.int64)}

    def actual(self):
        found = [self.answer(e) for e in self.exact]
        return {c.name: a for c, a in zip(self.cases, found, strict=True)}

    def compare(self, actual):
        return compare(SIGNATURE, self.expected, actual, self.noise, self.yardstick)


@pytest.fixture(scope="module", params=["float64", "jitter"])
def world(request):
    return World(jitter=request.param == "jitter")


def failed(comparisons):
    return {(c.case, c.output) for c in comparisons if not c.passed}


def test_a_correct_export_passes_with_ratios_near_one(world):
    found = world.compare(world.actual())
    assert not failed(found)
    assert Validation(tuple(found)).passed
    pooled = {c.output: c for c in found if c.case == POOLED}
    assert 0.5 < pooled["scores"].error_ratio < 2 < pooled["scores"].threshold
    assert pooled["scores"].elements == 500 * 10
    assert pooled["best"].error_ratio is None
    assert len(found) == len(SIZES) * 2 + 2


@pytest.mark.parametrize("case", list(SIZES))
def test_one_element_off_in_one_case_is_caught(world, case):
    actual = world.actual()
    actual[case]["scores"][-1, 3] += np.float32(800 * STEP)
    wrong = failed(world.compare(actual))
    assert ("*", "scores") in wrong
    assert (case, "scores") in wrong


def test_one_element_in_five_hundred_rows_escapes_the_rms_but_not_the_maximum(world):
    actual = world.actual()
    actual["real"]["scores"][200, 5] += np.float32(400 * STEP)
    pooled = next(c for c in world.compare(actual) if (c.case, c.output) == ("*", "scores"))
    assert pooled.error_ratio < pooled.threshold
    assert pooled.error_ratio_max > pooled.threshold_max
    assert not pooled.passed
    assert "Mismatched elements: 1 / 5000 (0.0%)" in pooled.detail
    assert "at [200, 5]" in pooled.detail
    assert "in case 'real'" in pooled.detail


def test_a_fault_in_a_case_of_small_values_is_not_hidden_by_large_ones():
    def grow(name, exact):
        return exact * (1000.0 if name == "random_b64" else 1.0)

    world = World(change=grow)
    # The large case has large rounding errors, which would cover the fault.
    big = world.expected[3]
    error = np.abs(big.centre["scores"]) * 8 * STEP
    world.expected[3] = replace(big, error={"scores": error})
    actual = world.actual()
    actual["random_b5"]["scores"] *= np.float32(1.01)
    wrong = failed(world.compare(actual))
    assert ("random_b5", "scores") in wrong


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_hidden_nan_or_infinity_is_caught(world, value):
    actual = world.actual()
    actual["real"]["scores"][100, 0] = value
    found = world.compare(actual)
    assert failed(found) == {("real", "scores"), ("*", "scores")}
    told = next(c.detail for c in found if c.case == "real" and not c.passed)
    assert "NaN or infinity differs" in told
    assert "[100, 0]" in told


def test_nan_and_infinity_of_the_original_must_be_there():
    def spoil(name, exact):
        exact[0, :3] = np.nan, np.inf, -np.inf
        return exact

    world = World(change=spoil)
    actual = world.actual()
    assert not failed(world.compare(actual))
    actual["random_b1"]["scores"][0, 1] = -np.inf
    assert ("random_b1", "scores") in failed(world.compare(actual))
    actual = world.actual()
    actual["random_b1"]["scores"][0, 0] = 0.0
    assert ("random_b1", "scores") in failed(world.compare(actual))


def test_an_output_without_any_finite_element_is_not_a_pass():
    world = World(change=lambda name, exact: np.full_like(exact, np.nan))
    found = world.compare(world.actual())
    pooled = next(c for c in found if (c.case, c.output) == ("*", "scores"))
    assert not pooled.passed
    assert "no finite element" in pooled.detail


def test_an_integer_off_by_one_is_caught_and_a_tie_is_not():
    world = World()
    actual = world.actual()
    expected = world.expected[4]
    tie = np.zeros(428, bool)
    tie[7] = True
    seen = np.array([[expected.expected32["best"][7]], [3], [3]])
    world.expected[4] = replace(expected, unstable={"best": tie}, seen={"best": seen})
    actual["real"]["best"][7] = 3
    assert not failed(world.compare(actual))

    actual["real"]["best"][7] = 11
    wrong = world.compare(actual)
    assert failed(wrong) == {("real", "best"), ("*", "best")}
    assert "a tie got a value the original never gives" in wrong[9].detail

    actual["real"]["best"][7] = 3
    actual["real"]["best"][8] += 1
    told = {(c.case, c.output): c.detail for c in world.compare(actual) if not c.passed}
    assert "Mismatched elements: 1 / 428 (0.2%)" in told["real", "best"]
    assert "not equal in case real" in told["*", "best"]


def test_more_than_one_percent_of_unstable_elements_is_not_a_pass():
    world = World()
    for share, passes in ((0.009, True), (0.011, False)):
        count = int(share * 5000)
        one = world.expected[4]
        mask = np.zeros(4280, bool)
        mask[:count] = True
        mask = mask.reshape(428, 10)
        seen = np.stack([one.expected32["scores"][mask], one.centre["scores"][mask]])
        cases = [
            *world.expected[:4],
            replace(one, unstable={"scores": mask}, seen={"scores": seen}),
        ]
        found = compare(SIGNATURE, cases, world.actual(), world.noise, "float64")
        pooled = next(c for c in found if (c.case, c.output) == ("*", "scores"))
        assert pooled.passed is passes
        assert pooled.unstable == count
        if not passes:
            assert "hang on a rounding" in pooled.detail


def test_an_unstable_element_may_be_either_value_but_not_any():
    world = World()
    one = world.expected[4]
    mask = np.zeros((428, 10), bool)
    mask[5, 5] = True
    near = float(one.expected32["scores"][5, 5])
    cases = list(world.expected)
    cases[4] = replace(
        one, unstable={"scores": mask}, seen={"scores": np.array([[near], [near + 1.0]])}
    )
    actual = world.actual()
    for value, passes in ((near, True), (near + 1, True), (near + 1.5, True), (near + 50, False)):
        actual["real"]["scores"][5, 5] = value
        found = compare(SIGNATURE, cases, actual, world.noise, "float64")
        assert (not failed(found)) is passes, value


def test_swapped_outputs_are_caught():
    signature = Signature(
        SIGNATURE.inputs,
        (TensorSpec("a", "float32", ("batch", 10)), TensorSpec("b", "float32", ("batch", 10))),
    )
    worlds = {"a": World(1), "b": World(2)}
    cases = worlds["a"].cases
    first, wide = (
        [
            {n: get(w, i) for n, w in worlds.items()} for i in range(len(cases))
        ]
        for get in (lambda w, i: w.expected[i].expected32["scores"], lambda w, i: w.exact[i])
    )  # fmt: skip
    expected = weigh(signature, cases, first, wide, [])
    noise = noise_ratios(signature, expected, [])
    good = {c.name: dict(f) for c, f in zip(cases, first, strict=True)}
    assert not failed(compare(signature, expected, good, noise, "float64"))
    swapped = {name: {"a": f["b"], "b": f["a"]} for name, f in good.items()}
    assert len(failed(compare(signature, expected, swapped, noise, "float64"))) == 12


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda a: a.pop("scores"), "missing; there are: best"),
        (lambda a: a.update(more=a["best"]), "an output the original has not"),
        (lambda a: a.update(scores=a["scores"].astype(np.float64)), "expected dtype float32"),
        (lambda a: a.update(best=a["best"].astype(np.int32)), "expected dtype int64, got int32"),
        (lambda a: a.update(scores=a["scores"][:-1]), "expected shape [5, 10], got [4, 10]"),
        (lambda a: a.update(scores=a["scores"].T), "expected shape [5, 10], got [10, 5]"),
    ],
)
def test_another_form_fails_with_what_was_expected(world, spoil, told):
    actual = world.actual()
    spoil(actual["random_b5"])
    found = world.compare(actual)
    assert any(told in c.detail and c.case == "random_b5" for c in found if not c.passed)
    assert not Validation(tuple(found)).passed


def test_a_case_that_was_not_run_or_is_unknown_fails(world):
    actual = world.actual()
    actual["surprise"] = actual.pop("random_b1")
    wrong = failed(world.compare(actual))
    assert {("random_b1", "*"), ("surprise", "*"), ("*", "scores"), ("*", "best")} == wrong


def test_comparing_nothing_fails(world):
    for signature, cases in ((SIGNATURE, []), (replace(SIGNATURE, outputs=()), world.expected)):
        found = compare(signature, cases, {}, world.noise, world.yardstick)
        assert found
        assert not Validation(tuple(found)).passed
    assert not Validation(()).passed


def test_fewer_rows_than_needed_are_not_a_pass(world):
    few = world.expected[:3]
    actual = {name: a for name, a in world.actual().items() if name in list(SIZES)[:3]}
    found = compare(SIGNATURE, few, actual, world.noise, world.yardstick)
    assert failed(found) == {("*", "scores"), ("*", "best")}
    assert "only 8 rows were compared; 64 are needed" in found[-1].detail


def test_constant_outputs_are_held_to_a_step():
    world = World(change=lambda name, exact: np.full_like(exact, 0.5))
    for one in world.expected:
        one.expected32["scores"][:] = 0.5
        one.error["scores"][:] = 0.0
    exact = {c.name: {"scores": np.full((c.sizes["batch"], 10), 0.5, np.float32),
                      "best": world.expected[i].expected32["best"]}
             for i, c in enumerate(world.cases)}  # fmt: skip
    noise = noise_ratios(SIGNATURE, world.expected, [])
    assert not failed(compare(SIGNATURE, world.expected, exact, noise, "float64"))
    exact["real"]["scores"] += np.float32(1e-4)
    assert ("*", "scores") in failed(compare(SIGNATURE, world.expected, exact, noise, "float64"))


def test_an_output_of_zeros_may_only_be_zeros():
    world = World(change=lambda name, exact: np.zeros_like(exact))
    for one in world.expected:
        one.expected32["scores"][:] = 0.0
        one.error["scores"][:] = 0.0
    noise = noise_ratios(SIGNATURE, world.expected, [])
    actual = {
        c.name: {
            "scores": np.zeros((c.sizes["batch"], 10), np.float32),
            "best": e.expected32["best"],
        }
        for c, e in zip(world.cases, world.expected, strict=True)
    }
    found = compare(SIGNATURE, world.expected, actual, noise, "float64")
    assert not failed(found)
    actual["random_b2"]["scores"][1, 1] = 1e-9
    wrong = compare(SIGNATURE, world.expected, actual, noise, "float64")
    assert ("*", "scores") in failed(wrong)
    json.dumps([c.to_json() for c in wrong], allow_nan=False)


def test_one_case_alone_can_be_compared(world):
    actual = world.actual()["random_b1"]
    one = world.expected[1]
    good = compare_case(SIGNATURE, one, actual, world.noise, world.yardstick)
    assert [(c.case, c.passed) for c in good] == [("random_b1", True)] * 2
    actual["scores"] += np.float32(0.01)
    bad = compare_case(SIGNATURE, one, actual, world.noise, world.yardstick)
    assert failed(bad) == {("random_b1", "scores")}


def test_a_validation_survives_json_and_derives_its_verdict(world):
    validation = Validation(tuple(world.compare(world.actual())))
    data = json.loads(json.dumps(validation.to_json(), allow_nan=False))
    assert Validation.from_json(data) == validation
    data["comparisons"][0]["passed"] = False
    data["passed"] = True
    assert not Validation.from_json(data).passed


def test_the_worst_comparison_is_a_failure_else_the_pooled_one():
    fine = Comparison("*", "y", True, "", 1.0, 2.0, 5.0, 8.0)
    near = Comparison("*", "z", True, "", 4.0, 2.0, 5.0, 8.0)
    case = Comparison("c", "y", True, "", 11.0, 11.0, 12.0, 16.0)
    over = Comparison("c", "y", False, "", 30.0, 11.0, 12.0, 16.0)
    lost = Comparison("c", "z", False, "missing")
    assert Validation((fine, near, case)).worst is near
    assert Validation((fine, near, over)).worst is over
    assert Validation((fine, over, lost)).worst is lost
    assert Validation(()).worst is None


def test_an_unknown_yardstick_is_refused(world):
    with pytest.raises(ValueError, match="float64, jitter"):
        compare(SIGNATURE, world.expected, world.actual(), world.noise, "atol")


class Masked(World):
    """An imagined original that writes a mask's filler over three classes."""

    def __init__(self, filler, **options):
        self.filler = filler
        super().__init__(change=lambda name, exact: self.fill(exact), **options)

    def fill(self, exact):
        exact = exact.copy()
        exact[:, 7:] = self.filler
        return exact

    def answer(self, exact):
        found = super().answer(exact)
        found["scores"][:, 7:] = np.float32(self.filler)
        return found


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("filler", [-1e4, -1e9, float(np.finfo(np.float32).min)])
def test_fillers_of_a_mask_hide_no_fault_of_the_others(filler, jitter):
    world = Masked(filler, jitter=jitter)
    assert not failed(world.compare(world.actual()))
    wrong = world.actual()
    for outputs in wrong.values():
        outputs["scores"][:, 0] += 1e-4
    assert ("*", "scores") in failed(world.compare(wrong))


def test_a_filler_of_another_size_is_caught():
    world = Masked(-1e9)
    wrong = world.actual()
    wrong["real"]["scores"][5, 8] = -1.001e9
    found = world.compare(wrong)
    assert ("real", "scores") in failed(found)
    assert "filler differs" in next(c.detail for c in found if c.case == "real" and not c.passed)
