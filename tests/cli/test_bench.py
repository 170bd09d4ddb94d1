"""``shipworthy bench`` as a user meets it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shipworthy.serve.folder import ask_for

BIN = Path(sys.executable).parent / "shipworthy"


def call(*words):
    done = subprocess.run([BIN, "bench", *map(str, words)], capture_output=True, text=True,
                          timeout=60)  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def asked(tmp_path):
    ask_for(tmp_path, "cnn", [("pytorch", "onnx")])
    return tmp_path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--mode", "slow"], "'quick', 'normal', 'submission'"),
        (["--scenario", "burst"], "single_stream, multi_stream, offline, server"),
        (["--scenario", ","], "nothing given"),
        (["--also", "colour"], "cold_start, memory, footprint, threads, batches, sustained"),
        (["--also", "all,threads"], "'all' given"),
        (["--bound", "0"], "--bound"),
        (["--bound", "fast"], "--bound"),
        (["--bound", "nan"], "no finite number"),
        (["--bound", "inf"], "no finite number"),
        (["--workers", "0"], "--workers"),
        (["--inputs", "0"], "--inputs"),
        (["--sustain", "0.5"], "--sustain"),
        (["--seed", "-1"], "--seed"),
        (["--processes", "0"], "--processes"),
        (["--format", "onyx"], "onnx, saved_model, torchscript, tflite"),
        (["--format", "tflite"], "has no such cell; there are: pytorch/onnx"),
        (["--framework", "tensorflow"], "has no such cell; there are: pytorch/onnx"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_allowed(words, told, asked):
    done = call(asked, *words)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_help_tells_every_mode_and_scenario():
    told = " ".join(call("--help").stdout.split())
    for word in ("quick", "normal", "submission", "MLPerf", "Poisson", "p99", "VALID", "all"):
        assert word in told


@pytest.mark.matrix
@pytest.mark.timeout(1200)
def test_everything_is_measured_and_proven(exported, shipworthy, tmp_path):
    out = tmp_path / "cnn"
    shutil.copytree(exported("cnn"), out)
    words = ["--mode", "quick", "--framework", "pytorch", "--format", "onnx,tflite", "--also",
             "all", "--scenario", "single_stream,multi_stream,offline", "--sustain", 1]  # fmt: skip
    done = shipworthy("bench", out, *words, "--json", timeout=900)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stderr
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    timed = {r["format"]: r for r in records if r.get("latencies_ns")}
    assert set(timed) == {"onnx", "tflite"}
    for record in timed.values():
        assert record["mode"] == "quick"
        assert record["valid"] is not bool(record["invalid_reasons"])
        found = record["measurements"]
        assert set(found) == {
            "single_stream", "multi_stream", "offline", "cold_start", "memory", "footprint",
            "threads", "batches", "sustained",
        }  # fmt: skip
        assert all(one["valid"] is not bool(one["reasons"]) for one in found.values())
        assert found["multi_stream"]["data"]["queries"] >= 662
        assert [p["batch"] for p in found["batches"]["data"]["points"]] == [1, 8, 64]
        assert len(found["cold_start"]["data"]["processes"]) == 11
        assert len(found["sustained"]["data"]["windows"]) == 20
        memory = found["memory"]["data"]
        assert 0 < memory["empty_rss_bytes"] < memory["loaded_rss_bytes"]
        footprint = found["footprint"]["data"]
        assert footprint["total_bytes"] > footprint["artifact_bytes"] == record["size_bytes"]
        assert {one["name"] for one in footprint["libraries"] if one["system"]} >= {"libc.so.6"}
