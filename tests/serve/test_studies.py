"""What is measured beside the ordinary benchmark; the processes of runners are played."""

import json
from dataclasses import replace

import numpy as np
import pytest

from shipworthy.serve import lasting, measurements, studies, sweeps
from shipworthy.serve.feed import BenchError
from shipworthy.serve.folder import ask_for
from shipworthy.serve.modes import PRESETS, minimum
from shipworthy.serve.records import collect
from shipworthy.serve.server import Server
from shipworthy.serve.study import Facts, Plan
from shipworthy.serve.trial import Trial

FORMATS = ("onnx", "tflite")
CELLS = [("pytorch", format_) for format_ in FORMATS]
QUICK = PRESETS["quick"]
FACTS = Facts(1_000_000.0, "", 2)


@pytest.fixture
def timed(made, fake_runner, monkeypatch):
    """Two cells that passed and were timed, and a quiet machine of two cores."""
    monkeypatch.setattr(studies.os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(lasting, "measure_empty_start", lambda: 400)
    monkeypatch.setattr("shipworthy.serve.study.check_conditions", lambda _: [])
    ask_for(made.out, made.model, CELLS)
    made.make_reference()
    for format_ in FORMATS:
        made.make_artifact("pytorch", format_)
        made.make_verdict("pytorch", format_)
        made.make_benchmark("pytorch", format_)
    fake_runner.latency_ns = 1_000_000
    return made


def measure(timed, *kinds, settings=QUICK, **plan):
    events = list(studies.run_studies(timed.out, CELLS, settings, Plan(kinds, **plan), 5.0))
    found = {r["format"]: r["measurements"] for r in collect(timed.out)}
    return events, found


def one(timed, kind, **plan):
    events, found = measure(timed, kind, **plan)
    assert [e.state for e in events] == ["started"] * 2 + ["done"] * 2
    return found["onnx"][kind]


def test_cells_take_turns_there_and_back(timed, fake_runner):
    measure(timed, "multi_stream")
    order = [model.parent.name for model, _ in fake_runner.asked]
    assert order == [*order[:2], *order[1::-1]] * 2
    assert sorted(order[:2]) == sorted(FORMATS)


def test_multi_stream_is_proven_worker_by_worker(timed, fake_runner):
    found = one(timed, "multi_stream", inputs=4)
    assert found["data"]["rows_per_query"] == 4
    assert found["data"]["workers"] == 2
    assert found["data"]["queries"] >= minimum("quick", "multi_stream").queries
    assert (found["valid"], found["reasons"]) == (True, [])
    assert all(len(cases) == 2 for _, cases in fake_runner.asked)
    assert found["settings"]["runtime"] == {"optimisation": "all"}


def test_progress_tells_the_figure_and_whether_it_is_valid(timed, fake_runner):
    events, _ = measure(timed, "multi_stream", inputs=1)
    assert events[-1].detail == "1000 inferences/s, 2 workers, VALID"
    fake_runner.latency_ns = 1000
    events, _ = measure(timed, "multi_stream", inputs=1)
    assert events[-1].detail.startswith("1e+06 inferences/s, 2 workers, INVALID: too short")


def test_too_short_a_load_is_not_valid(timed, fake_runner):
    fake_runner.latency_ns = 1000
    found = one(timed, "offline")
    assert not found["valid"]
    assert found["reasons"][0].startswith("too short")


def test_a_wrong_answer_of_one_worker_is_told(timed, fake_runner):
    fake_runner.spoil = lambda case, y: y + np.float32(1e-3) if case.endswith("#1") else y
    events, found = measure(timed, "offline")
    assert [e.state for e in events[2:]] == ["failed"] * 2
    assert all(isinstance(e.detail, BenchError) for e in events[2:])
    kept = found["onnx"]["offline"]
    assert not kept["valid"]
    assert "wrong outputs" in kept["reasons"][0]
    assert "the outputs of the timed runs were not validated" in kept["reasons"]
    assert kept["data"]["latencies_ns"] == []


def test_one_cell_that_fails_leaves_the_other_alone(timed, fake_runner, monkeypatch):
    usual = fake_runner.run

    def run(runner, model, cases, **options):
        if model.name == "model.tflite":
            raise KeyError("a surprise")
        return usual(runner, model, cases, **options)

    monkeypatch.setattr("shipworthy.serve.answers.run", run)
    events, found = measure(timed, "threads")
    assert {e.step: e.state for e in events} == {
        "pytorch/onnx threads": "done", "pytorch/tflite threads": "failed"
    }  # fmt: skip
    assert found["onnx"]["threads"]["valid"]
    assert "KeyError" in found["tflite"]["threads"]["reasons"][0]


def test_threads_go_up_to_all_cores(timed):
    points = one(timed, "threads")["data"]["points"]
    assert [point["threads"] for point in points] == [1, 2]
    assert {len(point["latencies_ns"]) for point in points} == {QUICK.processes * QUICK.min_runs}
    assert [point["p50_ns"] for point in points] == [1_000_000] * 2
    assert [point["throughput_per_s"] for point in points] == [1000.0] * 2


def test_a_runtime_that_takes_other_threads_is_told(timed, fake_runner):
    fake_runner.facts = {"threads": {"requested": 2, "effective": 1}}
    found = one(timed, "threads")
    assert found["reasons"] == ["it ran with 1 threads, not 2"]


@pytest.mark.parametrize(
    ("cores", "points"),
    [(1, [1]), (3, [1, 2, 3]), (8, [*range(1, 9)]), (12, [1, 2, 4, 8, 12]), (16, [1, 2, 4, 8, 16])],
)
def test_many_cores_are_not_all_counted_through(cores, points):
    assert sweeps.Threads(QUICK, Plan(), replace(FACTS, cores=cores)).points() == points


def test_points_take_turns_there_and_back():
    study = sweeps.Threads(QUICK, Plan(), replace(FACTS, cores=3))
    seen = []
    while (trial := study.next_trial()) is not None:
        seen.append(trial.threads)
        study.done.append((trial, None))
    assert seen == [1, 2, 3, 3, 2, 1] * 2


def test_batches_are_made_and_proven(timed):
    points = one(timed, "batches")["data"]["points"]
    assert [point["batch"] for point in points] == [1, 8, 64]
    assert [point["rows_per_s"] for point in points] == [1000.0, 8000.0, 64000.0]
    assert all(len(point["latencies_ns"]) >= 11 for point in points)


def test_a_fixed_batch_says_so(timed, fake_runner):
    timed.make_artifact("pytorch", "onnx", fixed_axes={"batch": 1}, dynamic_axes=())
    fake_runner.asked.clear()
    found = one(timed, "batches")
    assert found["data"] == {"points": []}
    assert found["reasons"][0] == ("there is one batch size only: the artifact is fixed at batch 1")
    assert all(model.name != "model.onnx" for model, _ in fake_runner.asked)


def test_many_cold_starts_are_more_than_the_benchmark_s(timed):
    found = one(timed, "cold_start")
    starts = found["data"]["processes"]
    assert len(starts) == 11
    assert starts[0] == {
        "process_ns": 400, "library_ns": 600, "load_ns": 2000, "first_ns": 300, "total_ns": 3300
    }  # fmt: skip
    assert found["valid"]


def test_a_sustained_run_is_cut_into_windows():
    # 1000 runs of 1 ms, then 500 of 2 ms: two seconds, the second half twice as slow.
    latencies = [1_000_000] * 1000 + [2_000_000] * 500
    windows = lasting._cut(latencies, 2_000_000_000)
    assert len(windows) == 20
    assert [start for start, _ in windows] == [100_000_000 * i for i in range(20)]
    assert sum(len(part) for _, part in windows) == 1500
    assert [len(part) for _, part in windows] == pytest.approx([100] * 10 + [50] * 10, abs=1)
    found = lasting._drift(windows[0][1], windows[-1][1])
    assert found == {"drift": 2.0, "drift_low": 2.0, "drift_high": 2.0}
    assert set(lasting._drift([1] * 10, [1] * 100).values()) == {None}


def test_a_sustained_run_lasts_as_long_as_asked(timed, fake_runner):
    fake_runner.latency_ns = 40_000_000  # 30 of them are 1.2 s
    found = one(timed, "sustained", sustain_ns=1_000_000_000)
    data = found["data"]
    assert data["duration_ns"] == 1_200_000_000
    assert sum(window["queries"] for window in data["windows"]) == data["queries"] == 30
    assert {window["p50_ns"] for window in data["windows"]} == {None}
    assert data["drift"] is None
    assert found["reasons"][0] == "too few queries: 30; 220 are needed"


class Queue:
    """One queue before two workers, in simulated time: what a Server trial would find."""

    def __init__(self, service_ns):
        self.service_ns = service_ns
        self.rates = []

    def __call__(self, runner, model, cases, *, timing, **options):
        del runner, model, options
        for case in cases:
            x = np.load(case.inputs["x_native:0"])
            np.save(case.outputs["y_native:0"], (x / 3 + 1).astype(np.float32))
        rng = np.random.default_rng(timing.seed)
        count = max(timing.min_runs, timing.min_ns // timing.gap_ns)
        arrivals = np.cumsum(rng.exponential(timing.gap_ns, count)).astype(int)
        free = [0] * len(cases)
        latencies = []
        for arrival in arrivals:
            worker = free.index(min(free))
            free[worker] = max(int(arrival), free[worker]) + self.service_ns
            latencies.append(free[worker] - int(arrival))
        self.rates.append(1e9 / timing.gap_ns)
        return latencies, max(free)


def test_the_server_search_finds_a_rate_that_holds(timed, fake_runner, monkeypatch):
    queue = Queue(1_000_000)

    def run(runner, model, cases, **options):
        latencies, end = queue(runner, model, cases, **options)
        said = usual(runner, model, cases, **options)
        loop = said.bench | {
            "latencies_ns": latencies, "queries": len(latencies), "wall_ns": end,
            "gap_ns": options["timing"].gap_ns, "seed": options["timing"].seed,
        }  # fmt: skip
        return replace(said, bench=loop)

    usual = fake_runner.run
    monkeypatch.setattr("shipworthy.serve.answers.run", run)
    facts = {cell: Facts(1_000_000.0, "", 2) for cell in CELLS}
    subjects = [(s, facts[s.cell]) for s, _ in studies.find_subjects(timed.out, CELLS)]
    monkeypatch.setattr(studies, "find_subjects", lambda *_: subjects)
    found = one(timed, "server", bound_ns=10_000_000)
    data = found["data"]
    # Two workers of 1 ms do 2000 queries a second, and leave no p99 at that rate.
    assert 1000 < data["target_qps"] < 2000
    assert data["p99_ns"] <= data["bound_ns"] == 10_000_000
    assert data["tried"][0]["qps"] == pytest.approx(1000, rel=0.01)
    assert any(not tried["met"] for tried in data["tried"])
    assert data["tried"][-1]["confirming"]
    assert data["tried"][-1]["met"]
    assert len({tried["seed"] for tried in data["tried"]}) == len(data["tried"])
    assert data["queries"] == len(data["latencies_ns"]) >= 662
    assert found["valid"], found["reasons"]
    json.dumps(data, allow_nan=False)


def test_a_server_without_a_rate_says_so(timed, fake_runner):
    fake_runner.latency_ns = 50_000_000
    found = one(timed, "server", bound_ns=2_000_000)
    assert not found["valid"]
    assert found["reasons"][0] == (
        "no rate was found that keeps p99 under 2 ms; the lowest p99 was 50 ms"
    )
    assert found["data"]["target_qps"] is None
    assert found["data"]["queries"] == 0
    assert all(not tried["met"] for tried in found["data"]["tried"])


def test_the_bound_is_a_multiple_of_single_stream():
    assert Server(QUICK, Plan(), replace(FACTS, p50_ns=3e6)).bound_ns == 30_000_000
    assert Server(QUICK, Plan(), replace(FACTS, p50_ns=2e4)).bound_ns == 1_000_000
    assert Server(QUICK, Plan(bound_ns=5), FACTS).bound_ns == 5


def test_workers_share_the_cores():
    settings = replace(QUICK, threads=2)
    assert Server(settings, Plan(), replace(FACTS, cores=8)).workers == 4
    assert Server(settings, Plan(), replace(FACTS, cores=1)).workers == 1
    assert Server(settings, Plan(workers=3), FACTS).workers == 3


def test_cells_that_were_not_timed_are_not_measured(timed):
    (timed.cell("pytorch", "tflite") / "benchmark.json").unlink()
    events, found = measure(timed, "threads")
    assert {e.step for e in events} == {"pytorch/onnx threads"}
    assert "threads" not in found["tflite"]


def test_a_trial_without_a_load_times_nothing(timed, fake_runner):
    subject, _ = studies.find_subjects(timed.out, CELLS)[0]
    proven = subject.run(Trial(None), 5.0)
    assert proven.latencies_ns == []
    assert measurements.cold_start([proven.run], [])["processes"][0]["library_ns"] == 0


def test_kinds_are_those_that_measurements_know():
    assert set(studies.STUDIES) <= set(measurements.KINDS)
