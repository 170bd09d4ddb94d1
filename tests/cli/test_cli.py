"""The command line as a user meets it; nothing here needs a framework."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shipworthy.convert.routes import FORMATS, find_routes, parse_route
from shipworthy.models.spec import FRAMEWORKS

BIN = Path(sys.executable).parent / "shipworthy"


def call(*words, **options):
    done = subprocess.run(
        [BIN, *map(str, words)], capture_output=True, text=True, timeout=60, **options
    )
    assert "Traceback" not in done.stderr
    return done


def test_help_names_every_subcommand():
    done = call("--help")
    assert done.returncode == 0
    names = (
        "export",
        "list",
        "routes",
        "hop",
        "validate",
        "bench",
        "report",
        "compare",
        "explain",
        "doctor",
    )
    for name in names:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["exprt"], "export"),
        (["export"], "MODEL"),
        (["export", "cmn"], "cnn"),
        (["export", "cnn", "--format", "onx"], "onnx, saved_model, torchscript, tflite"),
        (["export", "cnn", "--format", ","], "onnx, saved_model, torchscript, tflite"),
        (["export", "cnn", "--framework", "jax"], "pytorch, tensorflow"),
        (["export", "cnn", "--threads", "0"], "threads"),
        (["export", "cnn", "--threads", "two"], "threads"),
        (["export", "cnn", "--timeout", "0"], "timeout"),
        (["export", "cnn", "--out", __file__], "out"),
        (["routes", "pytorch", "onyx"], "onnx"),
        (["hop", "cnn", "pytorch", "coreml"], "pytorch>onnx"),
        (["hop", "cnn", "saved_model", "tflite"], "must begin at one of pytorch, tensorflow, onnx"),
        (["hop", "cnn", "onnx", "saved_model"], "must begin with onnx>onnx"),
        (["validate", "no/such/folder"], "no/such/folder"),
        (["bench", "no/such/folder"], "no/such/folder"),
        (["report", "no/such/folder"], "no/such/folder"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_allowed(words, told):
    done = call(*words)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("subcommand", ["validate", "bench", "report"])
def test_a_folder_without_an_export_is_told(subcommand, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = call(subcommand, tmp_path)
    assert done.returncode == 2
    assert "shipworthy export" in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_two_runs_in_one_folder_do_not_meet(tmp_path):
    import fcntl

    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = call("export", "cnn", "--out", tmp_path)
    assert done.returncode == 2
    assert "another shipworthy is at work" in done.stderr


def test_a_folder_that_cannot_be_written_is_told():
    done = call("export", "cnn", "--out", "/proc/shipworthy")
    assert done.returncode == 1
    assert "/proc/shipworthy" in done.stderr


def test_list_and_routes_speak_json():
    models = json.loads(call("list", "--json").stdout)["models"]
    assert {"cnn", "mlp"} <= {model["name"] for model in models}
    routes = json.loads(call("routes", "tensorflow", "tflite", "--json").stdout)["routes"]
    assert [r["route"] for r in routes if r["taken"]] == ["tensorflow>saved_model>tflite"]


def test_routes_mark_the_one_taken():
    lines = call("routes").stdout.splitlines()
    assert sum(line.startswith("*") for line in lines) == 12


def test_a_reader_that_goes_away_is_no_error():
    with subprocess.Popen(
        [BIN, "routes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_hop_is_named_by_the_route_that_leads_to_it(framework, format_):
    kind = "onnx" if framework == "onnx" else "module"
    for route in find_routes(framework, format_, kind):
        assert parse_route(str(route)) == route
