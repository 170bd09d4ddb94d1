"""The event files, read with TensorBoard itself."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from shipworthy.report.records import normalise
from shipworthy.report.scope import of_one
from shipworthy.report.tensorboard import write_events

pytestmark = pytest.mark.matrix  # TensorBoard's reader takes seconds to import


def scope_of(records):
    return of_one([normalise(record) for record in records], "out/toycnn")


def write_onnx(path):
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "relu")], "g", [x], [y])
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph), path)


def write_saved_model(folder):
    from tensorboard.compat.proto import graph_pb2

    from shipworthy.report.event_log import integer, message

    graph = graph_pb2.GraphDef()
    graph.node.add(name="x", op="Placeholder")
    graph.node.add(name="weight", op="Const").attr["value"].tensor.tensor_content = b"\0" * 5000
    graph.node.add(name="y", op="Add", input=["x", "weight"])
    folder.mkdir(parents=True)
    data = message(2, message(2, graph.SerializeToString()))
    (folder / "saved_model.pb").write_bytes(integer(1, 1) + data)


@pytest.fixture
def events(tmp_path, mixed):
    """The folder of event files of a model with two artifacts in place and two failures."""
    mixed[0] |= {"started_at": "2001-02-03T04:05:06+00:00"}
    write_onnx(tmp_path / mixed[0]["path"])
    write_saved_model(tmp_path / mixed[1]["path"])
    return write_events(scope_of(mixed), tmp_path)


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return found.Reload()


def test_every_cell_is_a_run_with_its_scalars(events, mixed):
    folders = sorted(path.parent.relative_to(events) for path in events.rglob("*tfevents*"))
    assert folders == sorted(Path("toycnn") / f"{r['framework']}-{r['format']}" for r in mixed)
    found = read(events / "toycnn" / "pytorch-onnx")
    tags = {
        "error_ratio", "size_bytes", "p50_ns", "p90_ns", "p99_ns", "cold_start_ns",
        "peak_rss_bytes", "model_rss_bytes", "latency_ns",
    }  # fmt: skip
    assert set(found.Tags()["scalars"]) == tags
    (p50,) = found.Scalars("p50_ns")
    latencies = mixed[0]["latencies_ns"]
    assert p50.value == sorted(latencies)[599]
    assert p50.wall_time == 981173106
    runs = found.Scalars("latency_ns")
    assert 200 < len(runs) <= 250
    assert [run.step for run in runs][:: len(runs) - 1] == [0, len(latencies) - 1]
    assert all(math.isclose(run.value, latencies[run.step], rel_tol=1e-6) for run in runs)


def test_a_cell_that_did_not_pass_has_no_speed(events):
    wrong = read(events / "toycnn" / "tensorflow-saved_model")
    assert wrong.Tags()["scalars"] == ["error_ratio", "size_bytes"]
    assert read(events / "toycnn" / "pytorch-tflite").Tags()["scalars"] == []


def test_hyperparameters_are_those_of_the_cell(events):
    from tensorboard.plugins.hparams import metadata

    found = read(events / "toycnn" / "pytorch-onnx").summary_metadata
    tags = (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
    start, end = (found[tag].plugin_data.content for tag in tags)
    info = metadata.parse_session_start_info_plugin_data(start)
    values = {
        name: value.string_value or value.number_value for name, value in info.hparams.items()
    }
    assert values == {
        "model": "toycnn", "framework": "pytorch", "format": "onnx", "runtime": "onnxruntime",
        "route": "pytorch>onnx", "threads": 1.0, "batch": 1.0, "status": "passed",
    }  # fmt: skip
    assert metadata.parse_session_end_info_plugin_data(end).status == 1


def test_graphs_are_those_of_the_files(events):
    def nodes(run):
        graph = read(events / "toycnn" / run).Graph()
        return [(node.name, node.op, list(node.input)) for node in graph.node]

    assert nodes("pytorch-onnx") == [
        ("x", "Placeholder", []), ("relu", "Relu", ["x"]), ("y (output)", "Output", ["relu"]),
    ]  # fmt: skip
    assert nodes("pytorch-saved_model") == [
        ("x", "Placeholder", []), ("weight", "Const", []), ("y", "Add", ["x", "weight"]),
    ]  # fmt: skip
    assert not read(events / "toycnn" / "pytorch-torchscript").Tags()["graph"]


def test_the_same_records_make_the_same_bytes_and_replace_what_was_there(tmp_path, eight):
    def contents():
        return {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*tfevents*")}

    write_events(scope_of(eight), tmp_path)
    first = contents()
    write_events(scope_of(eight), tmp_path)
    assert contents() == first
    write_events(scope_of(eight[:1]), tmp_path)
    assert len(contents()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]


def test_hostile_names_stay_inside_the_folder(tmp_path, record):
    strange = {"model": "../../x/y", "framework": "a/b", "format": "..", "path": None}
    write_events(scope_of([record() | strange, record() | strange | {"threads": 2}]), tmp_path)
    (first, second) = sorted(tmp_path.rglob("*tfevents*"))
    assert first.relative_to(tmp_path).parts[:3] == ("tensorboard", "_.._x_y", "a_b-..")
    assert second.parent.name == "a_b-..-2"


def test_no_framework_is_imported(tmp_path, eight, write):
    write(tmp_path, eight)
    program = """
import sys
from pathlib import Path
from shipworthy.report.write import write_reports
write_reports(Path(sys.argv[1]))
print(sorted({"torch", "tensorflow", "keras", "onnx", "tensorboard"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_tensorboard_serves_runs_scalars_hyperparameters_and_graphs(events, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "tensorboard"
    log = tmp_path / "log"
    with log.open("w") as told, subprocess.Popen(
        [program, "--logdir", tmp_path, "--host", "127.0.0.1", "--port", str(port)],
        stdout=told, stderr=told,
    ) as server:  # fmt: skip
        try:
            ask = Asker(port, log)
            runs = ask.until("runs", lambda found: len(found) == 8)
            name = next(run for run in runs if run.endswith("/pytorch-onnx"))
            scalars = ask.until("plugin/scalars/tags", lambda found: len(found.get(name, ())) == 9)
            assert "p50_ns" in scalars[name]
            hparams = ask.until("plugin/hparams/experiment", lambda f: f["hparamInfos"], body={})
            assert {info["name"] for info in hparams["hparamInfos"]} >= {"format", "runtime"}
            assert {"p50_ns", "error_ratio", "size_bytes"} <= {
                info["name"]["tag"] for info in hparams["metricInfos"]
            }
            graphs = ask.until("plugin/graphs/info", lambda found: name in found)
            assert graphs[name]["run_graph"] is True
            assert 'op: "Relu"' in ask.text(f"plugin/graphs/graph?run={name}")
        finally:
            server.terminate()


class Asker:
    """Asks a TensorBoard that is starting, and reading its files, until it answers."""

    def __init__(self, port, log):
        self.address, self.log = f"http://127.0.0.1:{port}/data/", log

    def text(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.read().decode()

    def until(self, path, enough, body=None):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                found = json.loads(self.text(path, body))
                if enough(found):
                    return found
            except OSError:
                pass
            time.sleep(0.5)
        raise AssertionError(f"{path} gave nothing; TensorBoard says: {self.log.read_text()}")
