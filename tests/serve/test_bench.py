"""Schedule and settings of a benchmark, and what is kept of it."""

import json
import random
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from shipworthy.convert.read_reference import read_reference
from shipworthy.serve import bench
from shipworthy.serve.bench import (
    BENCHMARK,
    BenchError,
    Settings,
    bench_case,
    forget_failure,
    read_benchmark,
    schedule,
)
from shipworthy.serve.conditions import Conditions
from shipworthy.serve.runners import RunnerError
from shipworthy.serve.trial import Proven

CELLS = ["a", "b", "c", "d", "e", "f", "g", "h"]
CELL = ("pytorch", "onnx")
FAST = Settings(processes=2, warmup=1, min_runs=3, max_runs=3, min_ns=0)


@pytest.mark.parametrize("processes", [1, 2, 5, 6])
def test_every_cell_has_its_turns(processes):
    order = schedule(CELLS, processes, seed=0)
    assert {cell: order.count(cell) for cell in CELLS} == dict.fromkeys(CELLS, processes)
    rounds = [order[i : i + len(CELLS)] for i in range(0, len(order), len(CELLS))]
    assert all(sorted(one) == CELLS for one in rounds)


def test_every_second_round_goes_back():
    order = schedule(CELLS, 5, seed=3)
    rounds = [order[i : i + len(CELLS)] for i in range(0, len(order), len(CELLS))]
    there, back = rounds[0], rounds[0][::-1]
    assert rounds == [there, back, there, back, there]


def test_a_linear_drift_falls_on_all_cells_alike():
    order = schedule(CELLS, 4, seed=1)
    moments = {cell: sum(i for i, one in enumerate(order) if one == cell) for cell in CELLS}
    assert len(set(moments.values())) == 1


def test_the_seed_alone_decides_the_order():
    state = random.getstate()
    first = schedule(CELLS, 2, seed=7)
    random.seed(1)
    assert schedule(CELLS, 2, seed=7) == first
    assert len({tuple(schedule(CELLS, 1, seed)) for seed in range(20)}) > 15
    random.setstate(state)
    schedule(CELLS, 2, seed=7)
    assert random.getstate() == state


def test_nothing_to_measure_needs_no_turn():
    assert schedule([], 5, seed=0) == []


@pytest.mark.parametrize("axis", ["batch", "n", "rows"])
def test_the_batch_is_found_whatever_it_is_called(made, axis):
    made = type(made)(made.out, axis=axis)
    reference = read_reference(made.make_reference())
    artifact = made.make_artifact()
    assert bench_case(reference, artifact, 1) == "random_b1"
    assert bench_case(reference, artifact, 5) == "random_b5"


def test_a_batch_of_which_there_is_no_case_is_told(made):
    reference = read_reference(made.make_reference())
    with pytest.raises(BenchError, match=r"no case has batch 3; there are 1, 2, 5, 64"):
        bench_case(reference, made.make_artifact(), 3)


def test_a_fixed_batch_is_timed_at_its_size(made):
    made = type(made)(made.out, axis=16, cases={f"random_{i}": 16 for i in range(1, 5)})
    reference = read_reference(made.make_reference())
    assert bench_case(reference, made.make_artifact(), 1) == "random_1"


@pytest.fixture
def subject(made):
    made = type(made)(made.out, cases={"random_b64": 64, "random_b1": 1})
    made.make_reference()
    made.make_artifact()
    return made.make_benchmark(settings=FAST)


def test_a_benchmark_is_read_back_with_every_latency(subject):
    found = read_benchmark(subject.folder, "verdict")
    assert [run["bench"]["latencies_ns"][0] for run in found["runs"]] == [100, 101]
    assert [len(run["bench"]["latencies_ns"]) for run in found["runs"]] == [20, 20]
    assert found["settings"]["processes"] == 2
    assert found["started_at"] == "2001-02-03T00:00:00+00:00"
    assert found["machine"]["cores"] >= 1
    assert found["reason"] is None


def test_a_benchmark_of_another_verdict_counts_for_nothing(subject):
    assert read_benchmark(subject.folder, "another verdict") is None


def test_a_cell_that_was_never_measured_has_no_benchmark(tmp_path):
    assert read_benchmark(tmp_path, "verdict") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"text"', "{}", "\0\1"])
def test_a_damaged_benchmark_counts_for_nothing(subject, text):
    (subject.folder / BENCHMARK).write_text(text)
    assert read_benchmark(subject.folder, "verdict") is None
    assert not subject.is_measured(FAST)


@pytest.mark.parametrize(
    "field",
    [
        "schema",
        "verdict",
        "key",
        "started_at",
        "settings",
        "machine",
        "runs",
        "valid",
        "invalid_reasons",
        "control",
        "conditions",
    ],
)
def test_a_benchmark_with_a_field_missing_counts_for_nothing(subject, field):
    path = subject.folder / BENCHMARK
    data = json.loads(path.read_text())
    del data[field]
    path.write_text(json.dumps(data))
    assert read_benchmark(subject.folder, "verdict") is None
    assert not subject.is_measured(FAST)


@pytest.mark.parametrize("change", [{"schema": 1}, {"runs": []}])
def test_a_benchmark_that_says_nothing_counts_for_nothing(subject, change):
    path = subject.folder / BENCHMARK
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read_benchmark(subject.folder, "verdict") is None


def test_a_failure_is_read_back_and_forgotten(subject):
    subject.write_failure(FAST, "the runner died")
    found = read_benchmark(subject.folder, "verdict")
    assert (found["reason"], found["runs"]) == ("the runner died", [])
    assert not subject.is_measured(FAST)
    forget_failure(subject.folder)
    assert not (subject.folder / BENCHMARK).exists()
    forget_failure(subject.folder)


def test_a_good_benchmark_is_not_forgotten(subject):
    before = (subject.folder / BENCHMARK).read_text()
    forget_failure(subject.folder)
    assert (subject.folder / BENCHMARK).read_text() == before


def test_what_was_measured_so_is_known(subject):
    assert subject.is_measured(FAST)


@pytest.mark.parametrize(
    "change", ["threads", "batch", "processes", "warmup", "min_runs", "max_runs", "min_ns", "seed"]
)
def test_other_settings_were_not_measured(subject, change):
    other = {field: getattr(FAST, field) for field in FAST.__dataclass_fields__}
    other[change] += 1
    assert not subject.is_measured(Settings(**other))


def test_another_verdict_was_not_measured(subject):
    assert not bench.Subject(subject.out, CELL, "another").is_measured(FAST)


def test_another_machine_was_not_measured_and_another_load_was(subject, monkeypatch):
    machine = bench.describe_machine()
    monkeypatch.setattr(bench, "describe_machine", lambda: machine | {"load_1m": 99.0})
    assert subject.is_measured(FAST)
    monkeypatch.setattr(bench, "describe_machine", lambda: machine | {"cpu": "another"})
    assert not subject.is_measured(FAST)


def test_a_right_answer_is_timed(subject, fake_runner):
    run = subject.measure(FAST, timeout=5).run
    assert run.bench["case"] == "random_b1"
    assert run.bench["latencies_ns"] == [90] * 3
    ((_, cases),) = fake_runner.asked
    assert [case.name for case in cases] == ["random_b1"]


def test_a_wrong_answer_is_not_timed(subject, fake_runner):
    fake_runner.spoil = lambda case, y: y + np.float32(1e-3)
    with pytest.raises(BenchError, match=r"wrong outputs: .*Mismatched"):
        subject.measure(FAST, timeout=5)


def test_python_in_the_process_is_not_timed(subject, fake_runner):
    fake_runner.facts = {"python_free": False}
    with pytest.raises(BenchError, match="Python"):
        subject.measure(FAST, timeout=5)


def test_a_runner_that_fails_is_told(subject, fake_runner):
    def die(case, y):
        raise RunnerError("it died of SIGSEGV")

    fake_runner.spoil = die
    with pytest.raises(RunnerError, match="SIGSEGV"):
        subject.measure(FAST, timeout=5)


def test_a_finished_benchmark_is_told_in_one_line(subject, fake_runner):
    runs = [subject.measure(FAST, timeout=5) for _ in range(2)]
    assert bench.told(runs) == "p50 0.1 us over 6 runs"
    subject.write(runs, FAST, datetime.now(UTC))
    assert len(read_benchmark(subject.folder, "verdict")["runs"]) == 2


def played(latencies_ns):
    """Return a process with these latencies, on a quiet machine."""
    loop = {"latencies_ns": latencies_ns, "queries": len(latencies_ns), "wall_ns": 10**9}
    quiet = Conditions(1.0, 0.0, 0.0, 0.1, 0.1, None, None)
    run = SimpleNamespace(bench=loop, timer={"resolution_ns": 1, "overhead_ns": 1})
    return Proven(run, quiet)


def test_a_session_is_fit_if_a_cell_agrees_with_itself():
    rng = np.random.default_rng(0)
    turns = [played(rng.integers(9_900, 10_100, 200).tolist()) for _ in range(8)]
    found = bench.control_session([one.latencies_ns for one in turns])
    assert found.fit
    assert found.ratio.low <= 1 <= found.ratio.high
    assert bench.check_benchmark(turns, Settings()) == []


def test_a_session_is_unfit_if_a_cell_differs_from_itself():
    # Twice as slow in turns 1, 2, 5 and 6: no steady drift does that.
    turns = [played([20_000 + i if t % 4 in (1, 2) else 10_000 + i for i in range(200)])
             for t in range(8)]  # fmt: skip
    assert not bench.control_session([one.latencies_ns for one in turns]).fit
    (reason,) = bench.check_benchmark(turns, Settings())
    assert reason.startswith("the session is unfit for comparisons: ")
    assert "differs by a ratio of 1.99" in reason


def test_a_steady_drift_does_not_make_a_session_unfit():
    turns = [played([10_000 + 100 * t + i for i in range(200)]) for t in range(8)]
    assert bench.control_session([one.latencies_ns for one in turns]).fit


def test_too_few_turns_control_nothing_and_are_no_reason():
    turns = [played([10_000] * 700)] * 2
    assert not bench.control_session([one.latencies_ns for one in turns]).ratio.known
    assert bench.check_benchmark(turns, Settings()) == []
