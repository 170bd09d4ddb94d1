"""What is kept of a measurement beside the benchmark, and what the records make of it."""

import json
import statistics
from datetime import UTC, datetime

import pytest

from shipworthy.serve import measurements
from shipworthy.serve.empty_start import measure_empty_start, split_start
from shipworthy.serve.folder import ask_for
from shipworthy.serve.measurements import FOLDER, Measurement, read_measurements
from shipworthy.serve.records import collect

CELL = ("pytorch", "onnx")
NOW = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def timed(made):
    """One cell, exported, passed and timed by two processes."""
    made = type(made)(made.out, cases={"random_b1": 1, "random_b64": 64})
    ask_for(made.out, made.model, [CELL])
    made.make_reference()
    made.make_artifact()
    made.make_verdict()
    made.make_benchmark()
    return made


def test_what_is_written_is_read_back(tmp_path):
    one = Measurement("threads", "quick", {"points": []}, ["too few"], {"threads": 1})
    one.write(tmp_path, "verdict", NOW)
    found = read_measurements(tmp_path, "verdict")["threads"]
    assert (found["valid"], found["reasons"]) == (False, ["too few"])
    assert (found["mode"], found["settings"], found["data"]) == (
        "quick", {"threads": 1}, {"points": []}
    )  # fmt: skip
    assert found["started_at"] == "2001-02-03T04:05:06+00:00"
    assert found["machine"]["cores"] >= 1
    assert not {"schema", "kind", "verdict"} & found.keys()
    assert read_measurements(tmp_path, "another verdict") == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", "{}", "\0\1"])
def test_a_damaged_measurement_is_left_out(tmp_path, text):
    Measurement("threads", "quick", {}).write(tmp_path, "verdict", NOW)
    (tmp_path / FOLDER / "batches.json").write_text(text)
    assert set(read_measurements(tmp_path, "verdict")) == {"threads"}


@pytest.mark.parametrize(
    "change", [{"schema": 2}, {"kind": "batches"}, {"data": []}, {"verdict": None}]
)
def test_a_measurement_of_another_form_is_left_out(tmp_path, change):
    Measurement("threads", "quick", {}).write(tmp_path, "verdict", NOW)
    path = tmp_path / FOLDER / "threads.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read_measurements(tmp_path, "verdict") == {}


def test_a_measurement_changes_nothing_of_the_artifact(timed):
    (record,) = collect(timed.out)
    assert record["status"] == "passed"
    Measurement("threads", "quick", {"points": []}).write(timed.cell(), "verdict", NOW)
    (again,) = collect(timed.out)
    assert again["status"] == "passed"
    assert again["sha256"] == record["sha256"]


def test_the_benchmark_s_processes_tell_more_than_latencies(timed):
    (record,) = collect(timed.out)
    found = record["measurements"]
    assert set(found) == {"single_stream", "cold_start", "memory", "footprint"}
    starts = found["cold_start"]["data"]["processes"]
    assert (
        starts
        == [
            {
                "process_ns": 500,
                "library_ns": 500,
                "load_ns": 2000,
                "first_ns": 300,
                "total_ns": 3300,
            }
        ]
        * 2
    )
    memory = found["memory"]["data"]
    assert memory["empty_rss_bytes"] == record["memory_empty_bytes"] == 6_000_000
    assert (memory["model_bytes"], memory["working_bytes"]) == (2_000_000, 3_000_000)
    assert len(memory["processes"]) == 2
    footprint = found["footprint"]["data"]
    assert footprint["artifact_bytes"] == 7
    assert (footprint["libraries_bytes"], footprint["system_bytes"]) == (8000, 500)
    assert footprint["total_bytes"] == 8007
    load = found["single_stream"]["data"]
    assert load["latencies_ns"] == record["latencies_ns"]
    assert (load["queries"], load["workers"], load["rows_per_query"]) == (40, 1, 1)
    assert load["duration_ns"] == sum(record["latencies_ns"])
    assert load["throughput_per_s"] == pytest.approx(40e9 / sum(record["latencies_ns"]))


def test_a_record_says_whether_its_benchmark_may_be_relied_on(timed):
    (record,) = collect(timed.out)
    assert record["mode"] == "normal"
    assert record["valid"] is False
    told = " ".join(record["invalid_reasons"])
    assert "too few queries: 40; 64 are needed" in told
    assert "too short" in told
    assert "cores busy" not in told
    assert record["timer"] == {"resolution_ns": 1, "overhead_ns": 1}
    assert len(record["conditions"]) == 2
    single = record["measurements"]["single_stream"]
    assert (single["valid"], single["reasons"]) == (False, record["invalid_reasons"])
    assert record["measurements"]["cold_start"]["valid"]


def test_measurements_of_another_verdict_are_left_out(timed):
    timed.make_verdict(key="judged again")
    (record,) = collect(timed.out)
    assert record["measurements"] == {}


@pytest.mark.parametrize(
    ("whole", "empty", "parts"),
    [
        (1000, [400], (400, 600)), (1000, [300, 500, 900], (500, 500)),
        (1000, [5000], (1000, 0)), (1000, [], (1000, 0)),
    ],
)  # fmt: skip
def test_a_start_is_split_by_an_empty_one(whole, empty, parts):
    assert split_start(whole, empty) == parts


def test_no_load_is_no_result():
    found = measurements.load([], 1)
    assert (found["queries"], found["throughput_per_s"], found["latencies_ns"]) == (0, None, [])


@pytest.mark.matrix
def test_an_empty_process_starts_at_once():
    starts = [measure_empty_start() for _ in range(5)]
    assert 0 < statistics.median(starts) < 1_000_000_000
