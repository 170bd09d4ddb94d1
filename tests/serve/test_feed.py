"""What workers are fed, and that a wrong answer of any of them is noticed."""

from dataclasses import replace

import numpy as np
import pytest

from shipworthy.convert.read_reference import read_reference
from shipworthy.serve.feed import BenchError, fixed_batch, make_feed, prove, traced_case


@pytest.fixture
def reference(made):
    return read_reference(made.make_reference())


@pytest.fixture
def artifact(made, reference):
    return made.make_artifact()


def answer(feed):
    """Answer as the imagined original does."""
    read = {name: np.load(files["x"]) for name, files in feed.inputs.items()}
    return {name: {"y": (x / 3 + 1).astype(np.float32)} for name, x in read.items()}


def passes(feed, reference, answers):
    comparisons = prove(feed, reference, answers)
    assert comparisons
    return all(c.passed for c in comparisons)


@pytest.mark.parametrize(
    ("batch", "workers", "case"),
    [
        (1, 1, "random_b1"), (64, 1, "random_b64"), (1, 2, "random_b2"), (1, 3, "random_b2"),
        (1, 7, "random_b5"), (2, 3, "random_b5"), (3, 1, "random_b2"), (8, 1, "random_b5"),
        (13, 1, "random_b5"), (100, 1, "random_b64"), (200, 3, "random_b64"), (1, 64, "random_b64"),
    ],
)  # fmt: skip
def test_any_batch_is_made_of_a_case_and_proven(
    reference, artifact, batch, workers, case, tmp_path
):
    feed = make_feed(reference, artifact, batch, workers, tmp_path)
    assert feed.case == case
    assert len(feed.workers) == workers
    rows = np.concatenate([np.load(files["x"]) for files in feed.inputs.values()])
    whole = np.load(reference.input_paths(case)["x"])
    assert len(rows) == batch * workers
    np.testing.assert_array_equal(rows, np.resize(whole, rows.shape))
    answers = answer(feed)
    assert passes(feed, reference, answers)
    # Every single row of every worker counts.
    for name in feed.workers:
        for row in range(batch):
            spoilt = answers[name]["y"].copy()
            spoilt[row] += 1e-3
            assert not passes(feed, reference, answers | {name: {"y": spoilt}}), (name, row)


def test_workers_that_get_one_anothers_answer_are_noticed(reference, artifact, tmp_path):
    feed = make_feed(reference, artifact, 1, 2, tmp_path)
    answers = answer(feed)
    first, second = feed.workers
    swapped = {first: answers[second], second: answers[first]}
    assert not passes(feed, reference, swapped)


def test_the_ordinary_benchmark_reads_the_reference_s_own_files(reference, artifact, tmp_path):
    feed = make_feed(reference, artifact, 1, 1, tmp_path)
    assert feed.inputs == {"random_b1": reference.input_paths("random_b1")}
    assert list(tmp_path.glob("*.npy")) == []


def test_another_number_of_rows_is_told(reference, artifact, tmp_path):
    feed = make_feed(reference, artifact, 3, 1, tmp_path)
    (name,) = feed.workers
    with pytest.raises(BenchError, match=r"output y is \[2, 4\] for 3 rows"):
        prove(feed, reference, {name: {"y": np.zeros((2, 4), np.float32)}})


def test_a_fixed_artifact_has_one_batch_size(made, reference, tmp_path):
    artifact = made.make_artifact(fixed_axes={"batch": 2}, dynamic_axes=())
    assert fixed_batch(reference, artifact) == "the artifact is fixed at batch 2"
    feed = make_feed(reference, artifact, 2, 3, tmp_path)
    assert feed.workers == ("random_b2", "random_b2#1", "random_b2#2")
    assert passes(feed, reference, answer(feed))
    wrong = answer(feed)
    wrong["random_b2#2"]["y"][1, 3] += 1
    assert not passes(feed, reference, wrong)
    with pytest.raises(BenchError, match="no input of batch 8 can be made: the artifact is fixed"):
        make_feed(reference, artifact, 8, 1, tmp_path)


def test_a_model_without_a_dynamic_batch_says_so(made, tmp_path):
    made = type(made)(tmp_path / "fixed", axis=16, cases={f"random_{i}": 16 for i in range(1, 5)})
    reference = read_reference(made.make_reference())
    artifact = made.make_artifact()
    assert fixed_batch(reference, artifact) == "the model's batch is fixed at 16"
    feed = make_feed(reference, artifact, 1, 2, tmp_path)
    assert feed.workers == ("random_1", "random_1#1")
    assert passes(feed, reference, answer(feed))


@pytest.mark.parametrize(
    ("batch", "workers", "inputs"), [(4, 1, 2), (3, 1, 3), (1, 2, 8), (3, 2, 3)]
)
def test_rows_left_over_by_small_batches_are_inferred_and_not_timed(
    made, tmp_path, batch, workers, inputs
):
    made = type(made)(tmp_path / "large", cases={"random_b8": 8, "random_b64": 64})
    reference = read_reference(made.make_reference())
    feed = make_feed(reference, made.make_artifact(), batch, workers, tmp_path)
    assert feed.case == "random_b8"
    assert len(feed.inputs) == inputs
    assert feed.workers == tuple(feed.inputs)[:workers]
    answers = answer(feed)
    assert passes(feed, reference, answers)
    for name in feed.inputs:
        spoilt = answers[name]["y"] + np.float32(1e-3)
        assert not passes(feed, reference, answers | {name: {"y": spoilt}})


def with_lengths(reference, lengths):
    """As if every case had a length of its own."""
    cases = tuple(
        replace(case, sizes={**case.sizes, "length": lengths[case.name]})
        for case in reference.cases
    )
    return replace(reference, cases=cases)


def test_workers_have_the_sizes_of_the_benchmark(reference, artifact, tmp_path):
    lengths = {"random_b2": 7, "random_b1": 5, "random_b5": 9, "random_b64": 5}
    reference = with_lengths(reference, lengths)
    assert make_feed(reference, artifact, 1, 4, tmp_path).case == "random_b1"
    assert make_feed(reference, artifact, 32, 2, tmp_path).case == "random_b2"  # the traced length
    feed = make_feed(reference, artifact, 32, 2, tmp_path, like="random_b1")
    assert feed.case == "random_b64"


def test_all_batch_sizes_have_the_traced_length(reference, artifact, tmp_path):
    assert traced_case(reference, artifact) is None
    lengths = {"random_b2": 7, "random_b1": 5, "random_b5": 9, "random_b64": 7}
    reference = with_lengths(reference, lengths)
    assert traced_case(reference, artifact) == "random_b2"
    cases = {
        batch: make_feed(reference, artifact, batch, 1, tmp_path, like="random_b2").case
        for batch in (1, 2, 8, 64, 128)
    }
    assert cases == {
        1: "random_b2", 2: "random_b2", 8: "random_b2", 64: "random_b64", 128: "random_b64"
    }  # fmt: skip
