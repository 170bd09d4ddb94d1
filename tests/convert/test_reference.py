"""References of tiny models, made in one process a framework by `reference_worker.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.matrix, pytest.mark.xdist_group("reference")]

FRAMEWORKS = ("pytorch", "tensorflow")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    found = {}
    for framework in FRAMEWORKS:
        folder = tmp_path_factory.mktemp(framework)
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("reference_worker.py"), framework, folder],
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        found[framework] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(params=FRAMEWORKS)
def of(request, results):
    return results[request.param]


def test_an_ordinary_model_is_measured_in_float64(of):
    plain = of["plain"]
    assert (plain["yardstick"], plain["reason"], plain["notes"]) == ("float64", "", [])
    assert plain["unstable"] == 0
    noise = plain["noise"]["y"]
    assert len(noise["rms"]) == len(noise["max"]) == len(plain["runs"]) == 8
    assert all(0.2 < ratio < 20 for ratio in noise["rms"])
    assert plain["runs"][:3] == ["2 threads", "rows one by one", "rows in halves"]


def test_the_cases_are_the_traced_size_others_and_real_data(of):
    cases = of["plain"]["cases"]
    assert cases["random_b2"] == [2, True, {"batch": 2}]
    assert cases["random_b1"] == [1, False, {"batch": 1}]
    assert cases["random_b5"] == [5, False, {"batch": 5}]
    assert cases["random_b64"] == [64, False, {"batch": 64}]
    assert cases["mine"] == [3, False, {"batch": 3}]
    assert cases["task"] == [600, False, {"batch": 600}]


def test_a_large_test_set_stays_out_of_the_noise_runs_but_is_scored(of):
    plain = of["plain"]
    assert "task" not in plain["noise"]["y"]["cases"]
    assert plain["task"]["metric"] == "sum"
    assert plain["task"]["original"] != 0


def test_two_references_of_the_same_weights_are_the_same_bytes(of):
    assert of["first"]["digest"] == of["second"]["digest"]
    assert of["first"]["digest"] != of["plain"]["digest"]


def test_a_hop_loads_the_very_model_of_an_unseeded_factory(of):
    assert of["plain, reloaded"] == {"equal": True, "other_equal": False}


def test_a_changed_snapshot_is_refused(of):
    tampered = of["plain, tampered"]
    assert tampered["error"] == "SnapshotError"
    assert "has changed: its SHA-256 is" in tampered["told"]


def test_a_model_pinned_to_float32_falls_back_to_jitter_with_the_reason(of):
    pinned = of["pinned"]
    assert pinned["yardstick"] == "jitter"
    assert "float" in pinned["reason"]
    assert all(ratio > 0 for ratio in pinned["noise"]["y"]["rms"][3:])


def test_the_reason_names_the_operation(results):
    torch, keras = results["pytorch"], results["tensorflow"]
    assert torch["pinned"]["reason"].startswith("aten._to_copy.default answers in float32")
    assert "works in float32 (and 3 more)" in keras["pinned"]["reason"]
    assert "works in float32" in keras["narrow"]["reason"]
    assert "works in float16" in keras["inner"]["reason"]
    assert " in __inference" in keras["inner"]["reason"]
    assert keras["mixing"]["reason"].startswith("it does not run in float64: ")


def test_a_float32_input_that_is_widened_at_once_loses_nothing(results):
    assert results["tensorflow"]["typed input"]["yardstick"] == "float64"


def test_a_model_of_integers_has_its_weights_moved_and_put_back(of):
    tokens = of["tokens"]
    assert tokens["runs"][-1] == "weights moved by one ulp (4)"
    moved = tokens["noise"]["y"]["rms"][-5:]
    assert all(0.3 < ratio < 10 for ratio in moved)
    assert max(moved) < 2 * min(moved)  # they do not add up


def test_a_model_whose_rows_depend_on_each_other_keeps_its_other_runs(results):
    coupled = results["pytorch"]["coupled"]
    assert len(coupled["runs"]) == 6
    assert not [name for name in coupled["runs"] if name.startswith("rows")]
    assert all("rows are not independent" in note for note in coupled["notes"])
    assert len(coupled["notes"]) == 2


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("unsaved", "register what is missing as parameters or persistent buffers"),
        ("random", "the original does not repeat itself"),
    ],
)
def test_an_original_that_does_not_repeat_itself_is_no_yardstick(results, name, told):
    assert results["pytorch"][name]["error"] == "NoYardstickError"
    assert told in results["pytorch"][name]["told"]


def test_roundings_in_the_model_give_few_unstable_elements(results):
    steps = results["pytorch"]["steps"]
    assert steps["yardstick"] == "float64"
    assert steps["unstable"] <= 2
    assert all(ratio < 2 for ratio in steps["noise"]["y"]["max"])


def test_outputs_by_name_and_several_inputs(results):
    several = results["pytorch"]["several"]
    assert several["yardstick"] == "float64"
    assert list(several["noise"]) == ["y"]


def test_without_a_dynamic_axis_enough_rows_are_pooled(results):
    cases = results["pytorch"]["fixed"]["cases"]
    assert len(cases) == 16
    assert sum(rows for rows, _, _ in cases.values()) == 64
    assert all(traced for _, traced, _ in cases.values())


def test_a_float64_original_has_nothing_finer(results):
    wide = results["pytorch"]["wide"]
    assert wide["yardstick"] == "jitter"
    assert "computes in float64" in wide["reason"]


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("shape", "SignatureError", "output 'y' has shape [2, 4]; the signature says [batch, 3]"),
        ("dtype", "SignatureError", "output 'y' is float32; the signature says int64"),
        ("count", "SignatureError", "returned 1 tensors; its signature names 2 outputs"),
        ("type", "TypeError", "tiny builds a builtins.str; a pytorch source builds a torch.nn"),
        ("case", "SignatureError", "case 'a/b' needs a name of letters"),
    ],
)
def test_a_source_that_is_not_its_signature_is_told_with_values(results, name, error, told):
    assert results["pytorch"][name]["error"] == error
    assert told in results["pytorch"][name]["told"]


def test_the_process_says_why_it_failed_and_holds_one_framework(of):
    code, failure = of["main"]
    assert code == 1
    assert failure["kind"] == "ZooError"
    assert "unknown model 'no-such'" in failure["reason"]
    assert of["alone"]


def test_the_keras_policy_is_put_back(results):
    assert results["tensorflow"]["policy"] == ["float32", "float32"]
