"""What Python costs: the session, with stand-ins for the runner and the timed Python processes."""

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from shipworthy.convert.process import StoppedError
from shipworthy.models.subject import Subject
from shipworthy.serve.bench import schedule
from shipworthy.serve.conditions import Conditions
from shipworthy.serve.python import cost, entry
from shipworthy.serve.python.cost import MODES, Settings, measure, read_cost
from shipworthy.serve.python.entry import Entry
from shipworthy.serve.python.ways import PACKAGE, RUNNER, TITLES, missing_ways, ways_of
from shipworthy.serve.python.worker import Request
from shipworthy.serve.runners import RunnerError

FAST = Settings("quick", processes=2, warmup=1, min_runs=20, max_runs=20, min_ns=0)
CELLS = [("pytorch", "onnx"), ("pytorch", "torchscript"), ("tensorflow", "onnx")]


class FakeWorker:
    """Stands in for `worker.main`: answers as the original does, unless a test spoils it.

    Attributes
    ----------
    asked : every request.
    spoil : way -> what is made of its answer, or an exception.
    said : way -> what it says otherwise.
    """

    def __init__(self):
        self.asked = []
        self.spoil = {}
        self.said = {}

    def call(self, binary, words, timeout):
        request = Request(**json.loads(Path(words[-1]).read_text()))
        self.asked.append(request)
        case = request.timing["case"]
        x = np.load(Path(request.reference) / "cases" / f"{case}.inputs.npy")
        spoil = self.spoil.get(request.way, lambda y: y)
        if isinstance(spoil, Exception):
            raise spoil
        np.save(Path(request.answers) / "0.npy", spoil(np.asarray(x / 3 + 1, x.dtype)))
        usual = {
            "latencies_ns": [270] * 20, "cpu_ns": 20 * 358.2, "process_ns": 1,
            "load_ns": 2, "first_ns": 10**9, "cold_start_ns": 4, "peak_rss_bytes": 5,
            "frameworks": ["torch"],
            "package": "torch 2.0",
        }  # fmt: skip
        return usual | self.said.get(request.way, {})


@contextmanager
def quiet():
    """Stand in for `conditions.watch` on a machine where nothing else runs."""
    yield SimpleNamespace(found=Conditions(1.0, 0.0, 0.0, 0.1, 0.1, 3000.0, 3000.0))


@pytest.fixture
def worker(monkeypatch):
    fake = FakeWorker()
    monkeypatch.setattr(entry, "call", fake.call)
    return fake


@pytest.fixture
def folder(made, in_zoo, fake_runner, worker, monkeypatch):
    """A folder with three good cells of two frameworks."""
    monkeypatch.setattr(entry, "find", fake_runner.find)
    monkeypatch.setattr(entry, "watch", quiet)
    in_zoo(made)
    for framework in ("pytorch", "tensorflow"):
        made.make_reference(framework)
    for cell in CELLS:
        made.make_artifact(*cell)
    return made


def run(folder, settings=FAST):
    events = list(measure(folder.out, CELLS, Subject(folder.model), settings, 10.0))
    return events, {cell: read_cost(folder.out, cell, settings) for cell in CELLS}


def by_way(measured):
    return {way["way"]: way for way in measured["data"]["ways"]}


def test_every_way_stands_beside_the_python_free_run(folder):
    _, found = run(folder)
    told = found["pytorch", "onnx"]
    path = folder.cell("pytorch", "onnx") / "measurements" / "python.json"
    whole = json.loads(path.read_text())
    assert (whole["schema"], whole["kind"], whole["mode"]) == (1, "python", "quick")
    assert whole["machine"]["cores"] >= 1
    assert told["valid"] is True
    assert told["reasons"] == []
    ways = by_way(told)
    assert list(ways) == [RUNNER, PACKAGE, "eager", "torch_compile"]
    assert [ways[way]["of"] for way in ways] == ["artifact", "artifact", "original", "original"]
    runner = ways[RUNNER]
    assert runner["latencies_ns"] == [[90] * 20] * 4  # both entries of it, two processes each
    assert (runner["p50_ns"], runner["ratio"], runner["decision"]) == (90, None, None)
    for way in (PACKAGE, "eager", "torch_compile"):
        assert ways[way]["latencies_ns"] == [[270] * 20] * 2
        assert ways[way]["ratio"] == pytest.approx({"value": 3, "low": 3, "high": 3})
        # The stand-in of a runner says that 0.995 of its wall time was the processor's.
        assert ways[way]["cpu_ratio"] == pytest.approx({"value": 4, "low": 4, "high": 4})
        assert (ways[way]["decision"], ways[way]["equal"]) == ("slower", True)
        assert ways[way]["package"] == "torch 2.0"
        assert len(ways[way]["first_ns"]) == len(ways[way]["peak_rss_bytes"]) == 2
    assert "compiled for 1.0 s" in ways["torch_compile"]["note"]
    assert told["data"]["aa"] == pytest.approx(
        {"value": 1, "low": 1, "high": 1, "fit": True, "reason": ""}
    )
    assert (told["data"]["case"], told["data"]["threads"]) == ("random_b1", 1)
    assert set(by_way(found["tensorflow", "onnx"])) == {
        RUNNER, PACKAGE, "keras_call", "keras_predict", "tf_function",
    }  # fmt: skip


def test_an_original_is_measured_once_and_stands_beside_all_cells_of_its_framework(folder, worker):
    _, found = run(folder)
    asked = [request.way for request in worker.asked if request.artifact is None]
    assert {way: asked.count(way) for way in asked} == dict.fromkeys(
        ["eager", "torch_compile", "keras_call", "keras_predict", "tf_function"], FAST.processes
    )
    one, other = (by_way(found["pytorch", format_]) for format_ in ("onnx", "torchscript"))
    assert one["eager"]["latencies_ns"] == other["eager"]["latencies_ns"]
    requests = [r for r in worker.asked if r.way == PACKAGE]
    assert sorted({Path(r.artifact).name for r in requests}) == ["onnx", "torchscript"]


def test_same_inputs_same_threads_same_time(folder, worker, fake_runner):
    run(folder, replace(FAST, threads=3))
    assert {r.threads for r in worker.asked} == {3}
    timing = replace(FAST, threads=3).timing("random_b1")
    assert all(r.timing["case"] == timing.case for r in worker.asked)
    assert all(r.timing["min_runs"] == timing.min_runs for r in worker.asked)
    timed = [cases for _, cases in fake_runner.asked if len(cases) == 1]
    assert len(timed) == len(CELLS) * 2 * FAST.processes
    assert {cases[0].name for cases in timed} == {"random_b1"}
    assert len({r.scratch for r in worker.asked}) == 1  # what one compiled the next one finds


def test_processes_take_turns_in_the_schedules_order(folder, monkeypatch):
    turns = []
    true = Entry.take
    monkeypatch.setattr(Entry, "take", lambda self: turns.append(self) or true(self))
    seeded = replace(FAST, seed=5, processes=3)
    run(folder, seeded)
    count = len(turns) // 3
    there, back, again = (
        [(e.way, e.artifact) for e in turns[i * count : (i + 1) * count]] for i in range(3)
    )
    assert back == there[::-1]
    assert again == there
    run(folder, replace(seeded, seed=6))
    assert [(e.way, e.artifact) for e in turns[3 * count : 4 * count]] != there
    assert schedule(list("abc"), 2, 0)[3:] == schedule(list("abc"), 1, 0)[::-1]


@pytest.mark.parametrize(("spoil", "said", "told"), [
    (lambda y: y + 0.1, {}, "its outputs are not the original's: y: "),
    (lambda y: y[:, :2], {}, "expected shape"),
    (lambda y: y * np.nan, {}, "NaN or infinity differs"),
    (RunnerError("InvalidCxxCompiler: No working C++ compiler found"), {}, "No working C++"),
    (lambda y: y, {"frameworks": ["torch", "onnxruntime"]}, "holds torch and onnxruntime"),
])  # fmt: skip
def test_a_way_that_does_not_work_or_is_wrong_is_unavailable(folder, worker, spoil, said, told):
    worker.spoil["torch_compile"] = spoil
    worker.said["torch_compile"] = said
    events, found = run(folder)
    for cell in CELLS[:2]:
        assert set(by_way(found[cell])) == {RUNNER, PACKAGE, "eager"}
        (lost,) = found[cell]["data"]["unavailable"]
        assert lost["way"] == "torch_compile"
        assert told in lost["reason"]
        assert found[cell]["valid"]  # the others are as good as before
    assert found[CELLS[2]]["data"]["unavailable"] == []
    assert len([e for e in events if e.state == "failed"]) == 1
    assert [r.way for r in worker.asked].count("torch_compile") == 1  # no second try


def test_a_session_whose_control_differs_is_unfit(folder, monkeypatch):
    true, seen = Entry.take, {}

    def take(self):
        taken = true(self)
        if self.way == RUNNER and self.artifact.name == "torchscript":
            first = seen.setdefault("first", self)
            if self is not first:
                return replace(taken, latencies_ns=[117] * 20)
        return taken

    monkeypatch.setattr(Entry, "take", take)
    _, found = run(folder)
    told = found["pytorch", "torchscript"]
    assert told["valid"] is False
    assert "unfit session: the same thing measured twice differs" in told["reasons"][0]
    assert {way["decision"] for way in told["data"]["ways"]} == {None, "inconclusive"}
    assert found["pytorch", "onnx"]["valid"] is True


def test_a_busy_machine_makes_the_figures_invalid(folder, monkeypatch):
    @contextmanager
    def busy():
        yield SimpleNamespace(found=Conditions(1.0, 1.5, 0.0, 4.0, 4.0, 3000.0, 3000.0))

    monkeypatch.setattr(entry, "watch", busy)
    _, found = run(folder)
    told = found["pytorch", "onnx"]
    assert told["valid"] is False
    assert told["data"]["aa"]["fit"]  # which a control of short runs does not show
    assert "other processes kept 1.50 cores busy" in told["reasons"][0]


def test_a_cell_whose_runner_fails_is_told_and_not_written(folder, fake_runner):
    def spoil(case, y):
        artifact, cases = fake_runner.asked[-1]
        if len(cases) == 1 and artifact.parent.name == "torchscript":
            raise RunnerError("died of SIGSEGV")
        return y

    fake_runner.spoil = spoil
    events, found = run(folder)
    (failed,) = [e for e in events if e.step.endswith("beside Python") and e.state == "failed"]
    assert failed.step == "pytorch/torchscript beside Python"
    assert "died of SIGSEGV" in str(failed.detail)
    assert found["pytorch", "torchscript"] is None
    assert found["pytorch", "onnx"]["valid"]


def test_a_cell_that_does_not_pass_is_not_timed(folder, fake_runner, worker):
    fake_runner.spoil = lambda case, y: y + 1
    events, found = run(folder)
    assert set(found.values()) == {None}
    assert worker.asked == []
    assert {e.state for e in events} == {"failed"}


def test_wrong_outputs_of_the_timed_runner_are_not_believed(folder, fake_runner):
    def spoil(case, y):
        _, cases = fake_runner.asked[-1]
        return y + 1 if len(cases) == 1 else y

    fake_runner.spoil = spoil
    events, found = run(folder)
    assert set(found.values()) == {None}
    assert any("not the original's" in str(e.detail) for e in events)


def test_being_stopped_is_no_failure_of_a_way(folder, worker):
    worker.spoil["eager"] = StoppedError()
    with pytest.raises(StoppedError):
        run(folder)


def test_what_was_measured_counts_for_one_verdict_and_one_setting(folder):
    run(folder)
    cell = CELLS[0]
    assert read_cost(folder.out, cell, FAST) is not None
    assert read_cost(folder.out, cell, replace(FAST, threads=2)) is None
    folder.make_verdict(*cell, key="another")
    assert read_cost(folder.out, cell, FAST) is None
    assert read_cost(folder.out, ("tensorflow", "tflite"), FAST) is None


def test_a_measurement_is_no_change_of_the_artifact(folder):
    from shipworthy.convert.artifact import hash_content

    before = hash_content(folder.cell(*CELLS[0]))
    run(folder)
    assert hash_content(folder.cell(*CELLS[0])) == before


@pytest.mark.parametrize(("framework", "kind", "has", "lacks"), [
    ("pytorch", "module", {"eager", "torch_compile"}, set()),
    ("pytorch", "exported_program", {"eager", "torch_compile"}, set()),
    ("pytorch", "torchscript", {PACKAGE}, {"eager", "torch_compile"}),
    ("tensorflow", "module", {"keras_call", "keras_predict", "tf_function"}, set()),
    ("tensorflow", "saved_model", {"tf_function"}, {"keras_call", "keras_predict"}),
    ("onnx", "onnx", {PACKAGE}, set()),
])  # fmt: skip
def test_which_ways_an_original_has(framework, kind, has, lacks):
    assert set(ways_of(framework, kind)) == has
    missing = missing_ways(framework, kind)
    assert set(missing) == lacks
    assert all(reason for reason in missing.values())
    assert has | lacks <= set(TITLES)


def test_the_modes_support_a_median():
    from shipworthy.serve.stats import needed_runs

    for name, settings in MODES.items():
        assert settings.mode == name
        assert settings.min_runs >= needed_runs(50)
        assert settings.processes >= 3
    assert cost.KIND == "python"
