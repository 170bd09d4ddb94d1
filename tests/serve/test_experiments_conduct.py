"""Experiments are found, ordered, kept and begun again; what they count is what they say."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from shipworthy.convert.process import StoppedError
from shipworthy.serve.experiments import (
    birth,
    conduct,
    eager,
    languages,
    tensorboard,
    toolchains,
    training,
)
from shipworthy.serve.experiments import worker as workers
from shipworthy.serve.experiments.accuracy import count as count_rows
from shipworthy.serve.experiments.code import count
from shipworthy.serve.experiments.conduct import UnknownExperimentError, experiments, order
from shipworthy.serve.experiments.evidence import path_of, read_evidence, write_evidence
from shipworthy.serve.experiments.experiment import (
    MODES,
    Context,
    Experiment,
    ExperimentError,
    Result,
)
from shipworthy.serve.experiments.programs_folder import run_program
from shipworthy.serve.steps import Event


@pytest.fixture
def context(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        yield Context(tmp_path, "quick", executor, launch=None, timeout=60)


def make(name="fake", data=None, needs=(), settings=None, fail=None):
    """Return an experiment that answers at once, and the list of its calls."""
    calls = []

    def run(context, given):
        calls.append(dict(given))
        yield Event(f"{name} step", "started")
        for need in needs:
            context.data(need)
        if fail is not None:
            raise fail
        yield Event(f"{name} step", "done")
        return Result(data or {"n": len(calls)}, records=(("a record", "models/a.jsonl"),))

    made = Experiment(
        name, f"what {name} does", run,
        settings or {mode: {"mode": mode} for mode in MODES}, needs=needs,
    )  # fmt: skip
    return made, calls


def states(events):
    return [(event.step, event.state) for event in events]


# Conducting


def test_a_finished_experiment_is_kept(context):
    experiment, calls = make()
    first = states(conduct.conduct(context, [experiment]))
    assert first == [
        ("fake", "started"), ("fake step", "started"), ("fake step", "done"), ("fake", "done"),
    ]  # fmt: skip
    again = list(conduct.conduct(context, [experiment]))
    assert [event.detail for event in again] == [None, "unchanged"]
    assert calls == [{"mode": "quick"}]
    found = read_evidence(context.out, "fake")
    assert found.data == {"n": 1}
    assert found.mode == "quick"
    assert found.links == (("what fake does", "evidence/fake.json"), ("a record", "models/a.jsonl"))


@pytest.mark.parametrize("change", ["settings", "source", "need", "damage"])
def test_what_changes_the_result_runs_it_again(context, tmp_path, change):
    source = tmp_path / "source.py"
    source.write_text("1")
    needed, _ = make("needed")
    experiment, calls = make(needs=("needed",))
    experiment = replace(experiment, sources=(source,))
    list(conduct.conduct(context, [needed, experiment]))
    if change == "settings":
        experiment = replace(experiment, settings={mode: {"n": 2} for mode in MODES})
    elif change == "source":
        source.write_text("2")
    elif change == "need":
        needed = replace(needed, settings={mode: {"n": 2} for mode in MODES})
    else:
        path_of(context.out, "fake").write_text("{")
    list(conduct.conduct(context, [needed, experiment]))
    assert len(calls) == 2


def test_a_longer_mode_does_for_a_shorter_one_and_not_the_other_way(context):
    experiment, calls = make()
    list(conduct.conduct(context, [experiment]))
    list(conduct.conduct(replace(context, mode="normal"), [experiment]))
    list(conduct.conduct(context, [experiment]))
    assert [call["mode"] for call in calls] == ["quick", "normal"]


def test_a_failure_is_evidence_that_is_not_kept_and_the_others_go_on(context):
    bad, bad_calls = make("bad", fail=ExperimentError("no disk"))
    good, good_calls = make("good")
    needing, _ = make("needing", needs=("bad",))
    for _ in range(2):
        events = list(conduct.conduct(context, [bad, needing, good]))
        told = {event.step: event.detail for event in events if event.state == "failed"}
        assert told["bad"] == "no disk"
        assert "'bad', which has no result" in told["needing"]
    assert (len(bad_calls), len(good_calls)) == (2, 1)
    found = read_evidence(context.out, "bad")
    assert (found.data, found.reasons) == (None, ("no disk",))
    assert json.loads(path_of(context.out, "bad").read_text())["valid"] is False


def test_being_stopped_leaves_no_evidence(context):
    experiment, _ = make(fail=StoppedError())
    with pytest.raises(StoppedError):
        list(conduct.conduct(context, [experiment]))
    assert read_evidence(context.out, "fake") is None


def test_numbers_that_json_has_not_are_a_failure(context):
    experiment, _ = make(data={"x": float("nan")})
    (*_, last) = conduct.conduct(context, [experiment])
    assert (last.state, "JSON" in last.detail) == ("failed", True)
    assert read_evidence(context.out, "fake").data is None


def test_an_interrupted_experiment_goes_on_with_the_session_it_has_not(context):
    made, broken = [], [True]

    def run(context, settings):
        for name in ("a, 1", "b, 2"):
            yield Event(name, "started")
            if name == "b, 2" and broken:
                raise StoppedError
            context.session(name, lambda name=name: made.append(name) or {"fit": True})
        return Result({"made": list(made)})

    experiment = Experiment("fake", "what fake does", run)
    with pytest.raises(StoppedError):
        list(conduct.conduct(context, [experiment]))
    broken.clear()
    list(conduct.conduct(context, [experiment]))
    assert read_evidence(context.out, "fake").data == {"made": ["a, 1", "b, 2"]}
    assert list((context.out / "evidence" / "parts").iterdir()) == []


def test_what_a_busy_machine_gave_is_told_and_made_again_but_for_what_was_fit(context):
    made, busy = [], [True]

    def run(context, settings):
        def measure(name, fit):
            made.append(name)
            return {"fit": fit}

        yield Event("step", "started")
        context.session("a", lambda: measure("a", True))
        found = context.session("b", lambda: measure("b", not busy))
        return Result({"made": list(made)}, () if found["fit"] else ("the machine was busy",))

    experiment = Experiment("fake", "what fake does", run)
    (*_, last) = conduct.conduct(context, [experiment])
    assert (last.state, last.detail) == ("done", "not fit: the machine was busy")
    found = read_evidence(context.out, "fake")
    assert (found.data, found.valid) == ({"made": ["a", "b"]}, False)
    busy.clear()
    (*_, last) = conduct.conduct(context, [experiment])
    assert made == ["a", "b", "b"]
    assert read_evidence(context.out, "fake").valid
    assert list((context.out / "evidence" / "parts").iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1, "experiment": "x"}'])
def test_damaged_evidence_is_none(tmp_path, text):
    path = path_of(tmp_path, "fake")
    path.parent.mkdir()
    path.write_text(text)
    assert read_evidence(tmp_path, "fake") is None


def test_evidence_is_read_as_it_was_written(context):
    experiment, _ = make()
    list(conduct.conduct(context, [experiment]))
    found = read_evidence(context.out, "fake")
    write_evidence(context.out, found)
    assert read_evidence(context.out, "fake") == found


# The experiments there are


def test_what_is_needed_comes_first_and_once():
    names = [experiment.name for experiment in order(["accuracy", "birth", "models"])]
    assert names == ["models", "accuracy", "birth"]
    with pytest.raises(UnknownExperimentError, match="'x'; known: accuracy, birth"):
        order(["x"])


@pytest.mark.parametrize("name", sorted(experiments()))
def test_an_experiment_has_settings_in_every_mode_and_sources(name):
    experiment = experiments()[name]
    assert set(experiment.settings) == set(MODES)
    json.dumps(experiment.settings)
    assert experiment.sources
    assert all(path.exists() for path in experiment.sources)


# Programs


def test_a_program_gives_what_it_prints(tmp_path):
    words = [sys.executable, "-c", "import os; print(os.environ['A'], os.getcwd())"]
    assert run_program(words, 60, {"A": "1"}, tmp_path) == f"1 {tmp_path}\n"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise SystemExit('error: no model')", "ended with exit code 1: error: no model"),
        ("import os; os.abort()", "died of SIGABRT"),
        ("import time; time.sleep(60)", "did not end within 2 s"),
    ],
)
def test_a_program_that_fails_says_how(code, told):
    with pytest.raises(ExperimentError, match=told):
        run_program([sys.executable, "-c", code], 2)


def test_a_program_that_is_not_there_says_so():
    with pytest.raises(ExperimentError, match="cannot be started"):
        run_program(["/nowhere/program"], 2)


# Counting

CODE = '''
"""A file."""
import os

def helper():
    """Help."""
    return 1

def build():
    """Build."""
    from os import path
    class Net:
        x = 1
    # a comment
    y = helper(
        2,
    )
    if y: z = 1; w = 2
    return y

def other():
    return 1
'''


def test_statements_are_counted_without_docstrings_imports_and_comments():
    # class, x, y, if, z, w, return; and helper's return.
    assert count(CODE, "build") == {"statements": 8, "lines": 8, "classes": 1}
    assert count(CODE, "other") == {"statements": 1, "lines": 1, "classes": 0}


def test_a_function_that_is_not_there_is_an_error():
    with pytest.raises(ExperimentError, match="'nothing'; known: helper, build, other"):
        count(CODE, "nothing")


def test_rows_are_counted_by_what_each_names():
    labels = np.array([0, 1, 1, 0])
    original = np.array([[2, 1], [0, 1], [1, 0], [0, 1]], np.float32)  # right, right, wrong, wrong
    artifact = np.array([[2, 1], [1, 0], [0, 1], [np.nan, 1]], np.float32)
    assert count_rows(original, artifact, labels) == {
        "rows": 4, "right_original": 2, "right_artifact": 2, "only_original": 1,
        "only_artifact": 1, "changed": 3,
    }  # fmt: skip
    with pytest.raises(ValueError, match="not of the same rows"):
        count_rows(original, artifact[:2], labels)


def test_the_closure_of_requirements_has_what_is_needed_and_no_extras():
    found = tensorboard.closure("shipworthy")
    assert {"numpy", "click", "torch", "sympy"} <= set(found)  # sympy comes with torch
    assert "pytest" not in found
    with pytest.raises(ExperimentError, match="none of nothing"):
        tensorboard.describe_install(("nothing",))


# Ratios


def benchmark(latency_ns, runs=6, cold_ns=1_000_000):
    rng = np.random.default_rng(latency_ns)
    return [
        {
            "bench": {"latencies_ns": [int(v) for v in rng.normal(latency_ns, 10, 200)]},
            "cold_start_ns": cold_ns + i,
        }
        for i in range(runs)
    ]


QUIET = {
    "seconds": 1.0, "others": 0.0, "steal": 0.0, "load_before": 0.0, "load_after": 0.0,
    "mhz_before": None, "mhz_after": None,
}  # fmt: skip
BUSY = QUIET | {"others": 3.0}


def record(framework, size, peak=30, conditions=QUIET):
    memory = {"processes": [{"empty_rss_bytes": 10, "peak_rss_bytes": peak + i} for i in range(4)]}
    return {
        "framework": framework, "format": "onnx", "runtime": "onnxruntime", "status": "passed",
        "size_bytes": size, "conditions": [conditions],
        "measurements": {
            "memory": {"valid": True, "data": memory},
            "footprint": {"valid": True, "data": {"total_bytes": size + 100}},
        },
    }  # fmt: skip


def compare(pytorch_runs, tensorflow_runs, conditions=QUIET):
    sizes = (("pytorch", 100), ("tensorflow", 200))
    records = {(f, "onnx"): record(f, size, conditions=conditions) for f, size in sizes}
    runs = dict(zip(records, (pytorch_runs, tensorflow_runs), strict=True))
    controls = {cell: birth.read_control(found) for cell, found in runs.items() if found}
    found = list(birth.compare_births("mlp", records, runs, controls))
    return {one["metric"]: one for one in found}


def test_births_are_compared_by_every_metric():
    found = compare(benchmark(1000), benchmark(3000))
    assert set(found) == {"size", "footprint", "memory", "cold start", "latency"}
    assert found["size"]["ratio"] == {"value": 2, "low": 2, "high": 2}
    assert found["footprint"]["ratio"]["value"] == 1.5
    latency = found["latency"]["ratio"]
    assert latency["low"] < 3 < latency["high"]
    assert latency["value"] == pytest.approx(3, rel=0.01)
    assert found["latency"]["fit"]


def test_a_cell_whose_halves_differ_is_unfit_for_times_alone():
    pairs = zip(benchmark(1000, 4), benchmark(2000, 4), strict=True)
    # Turns 0, 3, 4 and 7 against 1, 2, 5 and 6.
    swaying = [run for i, pair in enumerate(pairs) for run in pair[:: 1 if i % 2 == 0 else -1]]
    found = compare(swaying, benchmark(1000, 8))
    assert [name for name, one in found.items() if not one["fit"]] == ["cold start", "latency"]


def test_times_of_a_busy_machine_are_unfit_and_sizes_are_not():
    found = compare(benchmark(1000), benchmark(3000), BUSY)
    assert [name for name, one in found.items() if not one["fit"]] == ["cold start", "latency"]


def test_what_was_not_timed_has_its_size_alone():
    records = {(f, "onnx"): record(f, 1) | {"measurements": {}} for f in ("pytorch", "tensorflow")}
    runs = dict.fromkeys(records, ())
    found = list(birth.compare_births("mlp", records, runs, {}))
    assert [one["metric"] for one in found] == ["size"]


def told_by(latency_ns):
    rng = np.random.default_rng(1)
    values = [int(v) for v in rng.normal(latency_ns, latency_ns / 100, 100)]
    return {
        "latencies_ns": values,
        "cpu_ns": sum(values),
        "first_ns": 1,
        "versions": {"f": "1"},
        "conditions": QUIET,
    }


def test_ways_are_compared_within_their_kind():
    speed = {"PyTorch, eager": 100, "PyTorch, eager, again": 100, "TensorFlow, eager": 400,
             "PyTorch, torch.compile": 50, "TensorFlow, tf.function": 25}  # fmt: skip
    told = {way: [told_by(1000 * ns)] * 4 for way, ns in speed.items()}
    found = {one["kind"]: one for one in eager.compare(told)}
    assert found["eager"]["ratio"]["value"] == pytest.approx(4, rel=0.01)
    assert found["graph"]["ratio"]["value"] == pytest.approx(0.5, rel=0.01)
    assert found["graph"]["processor"]["value"] == pytest.approx(0.5, rel=0.01)
    assert all(one["fit"] for one in found.values())
    told["TensorFlow, eager"][0] |= {"conditions": BUSY | {"seconds": 100.0}}
    assert not any(one["fit"] for one in eager.compare(told))
    del told["PyTorch, torch.compile"]
    assert [one["kind"] for one in eager.compare(told)] == ["eager"]
    del told["PyTorch, eager, again"]
    assert list(eager.compare(told)) == []  # no control, no answer


def test_trainings_are_faster_above_one_in_both_figures():
    def runs(seconds, rows):
        about = {"quality": 0.98, "epochs": 3, "versions": {}, "conditions": QUIET}
        return [{"seconds_to_quality": seconds, "rows_per_s": rows, **about}] * 3

    told = {
        training.PYTORCH: runs(1.0, 1000.0), training.AGAIN: runs(1.0, 1000.0),
        training.TENSORFLOW: runs(2.0, 250.0),
    }  # fmt: skip
    found = training.compare(told)
    assert found["quality"]["value"] == pytest.approx(2)
    assert found["throughput"]["value"] == pytest.approx(4)
    assert found["fit"]
    told[training.AGAIN] = runs(1.0, 500.0)
    assert not training.compare(told)["fit"]


def test_a_way_that_fails_is_told_once_and_the_others_go_on(monkeypatch):
    calls = []

    def run(words, timeout):
        calls.append(words)
        options = dict(zip(words[4::2], words[5::2], strict=True))
        if options["--way"] == "compiled":
            raise ExperimentError("no compiler")
        return json.dumps(options)

    monkeypatch.setattr(workers, "run_program", run)
    ways = ("PyTorch, eager", "PyTorch, torch.compile")
    told, lost = workers.in_turns(ways, {"model": "mlp", "batch": 2}, 3, 60)
    assert lost == {"PyTorch, torch.compile": "PyTorch, torch.compile: no compiler"}
    assert [one["--seed"] for one in told["PyTorch, eager"]] == ["0", "1", "2"]
    assert all(one["conditions"]["seconds"] > 0 for one in told["PyTorch, eager"])
    assert len(calls) == 4
    assert all(words[:4] == [sys.executable, "-P", "-m", workers.WORKER] for words in calls)


@pytest.mark.parametrize(("printed", "told"), [("no", "printed no JSON"), ("[]", "is no object")])
def test_a_worker_that_prints_something_else_is_an_error(monkeypatch, printed, told):
    monkeypatch.setattr(workers, "run_program", lambda *_: printed)
    with pytest.raises(ExperimentError, match=told):
        workers.call("PyTorch, eager", {}, 60)


def test_raw_outputs_are_read_by_what_was_told(tmp_path):
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    (tmp_path / "out").write_bytes(array.tobytes())
    found = languages.read_raw(tmp_path / "out", "7\t2,3")
    assert (found.dtype, found.tolist()) == (array.dtype, array.tolist())
    (tmp_path / "scalar").write_bytes(np.float32(2).tobytes())
    assert languages.read_raw(tmp_path / "scalar", "1\t").shape == ()
    with pytest.raises(ValueError, match="element type 99"):
        languages.read_raw(tmp_path / "out", "99\t1")
    with pytest.raises(ValueError, match="reshape"):
        languages.read_raw(tmp_path / "out", "7\t5")


# Toolchains


@pytest.mark.parametrize("language", toolchains.LANGUAGES, ids=lambda language: language.name)
def test_a_language_without_its_tools_says_which(monkeypatch, tmp_path, language):
    monkeypatch.setattr(toolchains.shutil, "which", lambda _: None)
    with pytest.raises(ExperimentError, match=r"no .* is on this machine"):
        language.make(tmp_path, 60)


@pytest.mark.parametrize("name", sorted(toolchains.OTHERS))
def test_a_language_that_is_not_tried_says_why(monkeypatch, name):
    monkeypatch.setattr(toolchains.shutil, "which", lambda _: None)
    assert toolchains.why_not(name).startswith(f"no {name} toolchain is on this machine")
    monkeypatch.setattr(toolchains.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    assert "no program is written for it yet" in toolchains.why_not(name)


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """A package manager that does what a test says."""
    monkeypatch.setattr(toolchains, "cache_dir", lambda: tmp_path / "cache")
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools), prepend=":")

    def says(script):
        for tool in ("npm", "node"):
            (tools / tool).write_text(f"#!/bin/sh\n{script}\n")
            (tools / tool).chmod(0o755)

    return says


def test_a_registry_that_cannot_be_reached_is_a_reason_and_leaves_nothing(npm, tmp_path):
    npm("echo 'npm error network unreachable' >&2; exit 1")
    with pytest.raises(ExperimentError, match="npm error network unreachable"):
        toolchains._make_javascript(tmp_path, 60)
    assert [path.name for path in (tmp_path / "cache" / "node").iterdir()] == [".lock"]


def test_a_package_is_fetched_once(npm, tmp_path):
    npm(f"echo x >> {tmp_path}/calls; mkdir -p node_modules/onnxruntime-node")
    for _ in range(2):
        *_, folder = toolchains._make_javascript(tmp_path, 60)
    assert folder.endswith("node_modules/onnxruntime-node")
    assert (tmp_path / "calls").read_text() == "x\n"
