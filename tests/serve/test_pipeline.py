"""The whole way for one model. The processes of originals, hops and runners are played."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from shipworthy.convert.artifact import read_artifact, write_json
from shipworthy.convert.export import ExportError, read_failure
from shipworthy.convert.launch import launch_fresh
from shipworthy.convert.place import Place
from shipworthy.convert.process import Outcome
from shipworthy.convert.routes import FORMATS, find_routes
from shipworthy.models import zoo
from shipworthy.models.subject import Subject
from shipworthy.models.training import TrainingError
from shipworthy.serve import contest, pipeline
from shipworthy.serve.bench import Settings, read_benchmark
from shipworthy.serve.folder import ask_for
from shipworthy.serve.judge import read_validation
from shipworthy.serve.pipeline import Job
from shipworthy.serve.records import collect
from shipworthy.serve.runners import RunnerError

FRAMEWORKS = ("pytorch", "tensorflow")
EVERY = [(framework, format_) for framework in FRAMEWORKS for format_ in FORMATS]
FAST = Settings(processes=2, warmup=1, min_runs=3, max_runs=3, min_ns=0)


def say(work, reason, code=1):
    """End as a process does that knows why it fails."""
    write_json(work / "failure.json", {"kind": "ValueError", "reason": reason})
    return Outcome(code, 0.1, False, 5.0)


FAILURES = {
    "told": (lambda work: say(work, "ValueError: no such operator"), "no such operator"),
    "crash": (lambda work: Outcome(-11, 0.1, False, 5.0), "crashed with SIGSEGV"),
    "memory": (lambda work: Outcome(-9, 0.1, False, 5.0), "memory runs out"),
    "hang": (lambda work: Outcome(-9, 5.0, True, 5.0), "no result within 5 s"),
    "silence": (lambda work: Outcome(0, 0.1, False, 5.0), "wrote no result"),
    "garbage": (lambda work: write_json(work / "artifact.json", []) or Outcome(0, 0.1, False, 5.0),
                "artifact.json"),
}  # fmt: skip


@pytest.fixture
def made(made):
    """A model of few cases, because it is exported often."""
    return type(made)(made.out, cases={"random_b1": 1, "random_b64": 64})


@pytest.fixture
def export(made, launch, fake_runner, in_zoo, monkeypatch):
    """Export and judge the model by the first route to each cell; returns the events."""
    in_zoo(made)
    monkeypatch.setattr(contest, "find_routes", lambda *words: find_routes(*words)[:1])

    def export(lost=None, frameworks=FRAMEWORKS, formats=tuple(FORMATS)):
        job = Job(Subject(made.model), tuple(frameworks), tuple(formats), made.out, 1, 5.0)
        ask_for(made.out, made.model, job.cells)
        with ThreadPoolExecutor(2) as executor:
            return list(pipeline.export(job, executor, launch, lost or {}))

    return export


def statuses(made):
    return {(r["framework"], r["format"]): r["status"] for r in collect(made.out)}


def reasons(made):
    found = {(r["framework"], r["format"]): r["reason"] for r in collect(made.out)}
    return {cell: reason for cell, reason in found.items() if reason is not None}


def ends(events):
    return {e.step: e.state for e in events if e.state != "started"}


def test_eight_cells_pass(export, made, launch):
    events = export()
    assert statuses(made) == dict.fromkeys(EVERY, "passed")
    assert set(ends(events).values()) == {"done"}
    assert len(ends(events)) == 2 + 8 + 8
    assert sorted(launch.begun) == sorted(
        [f"{framework} original" for framework in FRAMEWORKS]
        + [str(find_routes(*cell)[0]) for cell in EVERY]
    )


def test_a_repeat_launches_and_judges_nothing(export, made, launch, fake_runner):
    export()
    launch.begun.clear()
    fake_runner.asked.clear()
    events = export()
    assert launch.begun == []
    assert fake_runner.asked == []
    assert {e.detail for e in events if " in " not in e.step and e.state == "done"} == {"unchanged"}
    assert statuses(made) == dict.fromkeys(EVERY, "passed")


def test_only_what_is_asked_for_is_made(export, made, launch):
    export(frameworks=["tensorflow"], formats=["tflite"])
    assert launch.begun == [
        "tensorflow original", "tensorflow>saved_model", "tensorflow>saved_model>tflite",
    ]  # fmt: skip
    assert statuses(made) == {("tensorflow", "tflite"): "passed"}


@pytest.mark.parametrize("failure", FAILURES)
def test_one_hop_that_fails_is_one_failed_cell(export, made, launch, failure):
    launch.faults["pytorch>saved_model>tflite"], told = FAILURES[failure]
    events = export()
    lost = ("pytorch", "tflite")
    assert statuses(made) == dict.fromkeys(EVERY, "passed") | {lost: "failed"}
    assert told in reasons(made)[lost]
    assert ends(events)["pytorch>saved_model>tflite"] == "failed"
    assert ends(events)["pytorch/tflite in litert"] == "skipped"


@pytest.mark.parametrize("failure", ["told", "crash", "hang", "silence"])
def test_a_failure_names_the_command_that_reproduces_it_and_its_log(export, made, launch, failure):
    launch.faults["tensorflow>saved_model>onnx"], _ = FAILURES[failure]
    export()
    found = read_failure(made.cell("tensorflow", "onnx"))
    assert found["route"] == "tensorflow>saved_model>onnx"
    assert found["command"] == (
        f"shipworthy hop made 'tensorflow>saved_model' onnx --out {made.out}"
    )
    assert (made.out / found["log"]).read_text().endswith("last line of the log\n")
    (record,) = [r for r in collect(made.out) if r["status"] == "failed"]
    assert record["command"] == found["command"]
    if failure != "told":
        assert "last words: last line of the log" in record["reason"]


def test_a_first_hop_that_fails_is_told_in_every_cell_that_needs_it(export, made, launch):
    launch.faults["tensorflow>saved_model"], told = FAILURES["crash"]
    export()
    lost = {("tensorflow", format_) for format_ in ("saved_model", "onnx", "tflite")}
    assert {c for c, status in statuses(made).items() if status == "failed"} == lost
    for cell in lost:
        assert told in reasons(made)[cell]
        failure = read_failure(made.cell(*cell))
        assert failure["command"].startswith("shipworthy hop made tensorflow saved_model")
        assert failure["route"] == str(find_routes(*cell)[0])
    assert "tensorflow>saved_model>onnx" not in launch.begun


@pytest.mark.parametrize("formats", [["onnx"], ["tflite", "onnx"]])
def test_a_first_hop_that_nobody_asked_for_is_told_where_it_is_needed(
    export, made, launch, formats
):
    launch.faults["tensorflow>saved_model"], told = FAILURES["told"]
    export(frameworks=["tensorflow"], formats=formats)
    assert {told in reason for reason in reasons(made).values()} == {True}
    assert set(reasons(made)) == {("tensorflow", format_) for format_ in formats}


@pytest.mark.parametrize("failure", ["told", "crash", "hang", "silence"])
def test_an_original_that_does_not_run_fails_its_frameworks_cells(export, made, launch, failure):
    launch.faults["tensorflow original"], told = FAILURES[failure]
    export()
    assert statuses(made) == {
        cell: "failed" if cell[0] == "tensorflow" else "passed" for cell in EVERY
    }
    for cell, reason in reasons(made).items():
        assert "the original does not run" in reason
        assert told in reason
        assert read_failure(made.cell(*cell))["command"].startswith("shipworthy hop made")
    assert not any(name.startswith("tensorflow>") for name in launch.begun)


def test_a_training_that_fails_fails_its_frameworks_cells(export, made, launch, monkeypatch):
    def ensure_trained(name, frameworks):
        if frameworks == ["pytorch"]:
            raise TrainingError("accuracy 0.91 is below 0.98")

    monkeypatch.setattr(zoo, "ensure_trained", ensure_trained)
    lost = pipeline.train(Job(Subject(made.model), FRAMEWORKS, tuple(FORMATS), made.out))
    assert set(lost) == {"pytorch"}
    export(lost)
    assert statuses(made) == {
        cell: "failed" if cell[0] == "pytorch" else "passed" for cell in EVERY
    }
    for cell in reasons(made):
        failure = read_failure(made.cell(*cell))
        assert "accuracy 0.91 is below 0.98" in failure["reason"]
        assert failure["command"] == "python -m shipworthy.models.train made pytorch"
    assert not any(name.startswith("pytorch") for name in launch.begun)


def test_all_trainings_that_fail_fail_all_cells(export, made, launch):
    events = export({framework: ExportError("no weights") for framework in FRAMEWORKS})
    assert statuses(made) == dict.fromkeys(EVERY, "failed")
    assert events == []
    assert launch.begun == []


def surprise(*_, **__):
    raise KeyError("a surprise")


@pytest.mark.parametrize(
    ("step", "lost"),
    [
        ("pytorch>onnx", {("pytorch", "onnx")}),
        ("tensorflow original", {cell for cell in EVERY if cell[0] == "tensorflow"}),
    ],
)
def test_a_surprise_in_a_process_start_is_a_failed_cell(export, made, launch, step, lost):
    launch.faults[step] = surprise
    export()
    assert set(reasons(made)) == lost
    for reason in reasons(made).values():
        assert "KeyError" in reason
        assert "a surprise" in reason


@pytest.mark.parametrize("before", [False, True], ids=["first time", "after a pass"])
@pytest.mark.parametrize("where", ["judge_cell", "forget_failure"])
def test_a_surprise_in_a_judgement_is_a_failed_cell(export, made, monkeypatch, where, before):
    if before:
        export()
    owner = contest if where == "judge_cell" else contest.bench
    usual = getattr(owner, where)

    def sometimes(*words, **options):
        if "tflite" in map(str, words) or str(words[0]).endswith("pytorch/tflite"):
            surprise()
        return usual(*words, **options)

    monkeypatch.setattr(owner, where, sometimes)
    events = export(frameworks=["pytorch"])
    assert ends(events)["pytorch/tflite in litert"] == "failed"
    found = {c: r for c, r in reasons(made).items() if c[0] == "pytorch"}
    assert set(found) == {("pytorch", "tflite")}
    assert "a surprise" in found["pytorch", "tflite"]


def test_a_wrong_answer_fails_its_cell_and_keeps_the_artifact(
    export, made, fake_runner, monkeypatch
):
    wrong = type(fake_runner)()
    wrong.spoil = lambda case, y: -y

    def run(runner, model, cases, **options):
        chosen = wrong if model.name == "model.pt" else fake_runner
        return chosen.run(runner, model, cases, **options)

    monkeypatch.setattr("shipworthy.serve.answers.run", run)
    events = export(frameworks=["pytorch"], formats=["onnx", "torchscript"])
    assert statuses(made) == {("pytorch", "onnx"): "passed", ("pytorch", "torchscript"): "failed"}
    assert "output y" in reasons(made)["pytorch", "torchscript"]
    assert read_artifact(made.cell("pytorch", "torchscript")).path.exists()
    assert read_failure(made.cell("pytorch", "torchscript")) is None
    assert ends(events)["pytorch/torchscript in libtorch"] == "failed"


def test_what_failed_is_tried_again_and_what_passed_is_not(export, made, launch):
    launch.faults["pytorch>saved_model>tflite"], _ = FAILURES["crash"]
    export()
    launch.faults.clear()
    launch.begun.clear()
    export()
    assert launch.begun == ["pytorch>saved_model>tflite"]
    assert statuses(made) == dict.fromkeys(EVERY, "passed")


def test_a_hop_that_fails_leaves_no_earlier_artifact(export, made, launch):
    export()
    path = made.cell("pytorch", "onnx") / "model.onnx"
    path.write_bytes(b"damaged")
    launch.faults["pytorch>onnx"], told = FAILURES["crash"]
    export()
    assert told in reasons(made)["pytorch", "onnx"]
    assert not path.exists()


def test_an_original_that_no_longer_runs_leaves_no_pass(export, made, launch):
    export()
    (made.out / "pytorch/reference/cases/random_b1.inputs.npy").unlink()
    launch.faults["pytorch original"], told = FAILURES["crash"]
    export()
    assert {told in reason for reason in reasons(made).values()} == {True}
    assert {cell[0] for cell in reasons(made)} == {"pytorch"}


def test_nothing_half_done_is_left(export, made, launch):
    launch.faults["pytorch>onnx"], _ = FAILURES["crash"]
    launch.faults["tensorflow original"], _ = FAILURES["silence"]
    export()
    assert [p for p in made.out.rglob(".*") if p.name != ".lock"] == []


def copied(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


def test_every_step_can_go_to_another_process(made, in_zoo):
    in_zoo(made)
    job = Job(Subject(made.model), FRAMEWORKS, tuple(FORMATS), made.out)
    steps = contest.Contest(job, Place(made.out), launch_fresh).next_steps()
    assert len(steps) == 18
    for step in steps:
        again = copied(step.run)
        assert (again.func, again.args) == (step.run.func, step.run.args)


@pytest.mark.parametrize(
    "error", [ExportError("why", "how", "logs/where.log"), contest.CellError("why")]
)
def test_what_a_step_raises_comes_back_whole(error):
    again = copied(error)
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


def validate(made, cells):
    with ThreadPoolExecutor(2) as executor:
        return list(pipeline.validate(made.out, cells, executor, threads=1, timeout=5.0))


def test_validating_judges_whatever_lies_there_again(export, made, fake_runner):
    export(formats=["onnx", "tflite"])
    fake_runner.asked.clear()
    made.make_artifact("pytorch", "torchscript")
    events = validate(made, EVERY)
    assert len(fake_runner.asked) == 7  # two SavedModels on the way among them
    assert set(ends(events).values()) == {"done"}
    fake_runner.spoil = lambda case, y: y * np.float32(1.001)
    assert set(ends(validate(made, EVERY)).values()) == {"failed"}
    assert not read_validation(made.cell("pytorch", "onnx")).passed


def measure(made, cells=EVERY, again=False, settings=FAST):
    return list(pipeline.measure(made.out, cells, settings, timeout=5.0, again=again))


def test_cells_are_measured_in_turns(export, made, fake_runner):
    export(frameworks=["pytorch"])
    fake_runner.asked.clear()
    events = measure(made)
    assert ends(events) == {f"pytorch/{format_} timed": "done" for format_ in FORMATS}
    order = [model.parent.name for model, _ in fake_runner.asked]
    assert sorted(order[:4]) == sorted(FORMATS)
    assert order[4:] == order[:4][::-1]
    for record in collect(made.out):
        assert record["latencies_ns"] == [90] * 6
        assert len(record["cold_starts_ns"]) == 2


def test_what_was_measured_is_not_measured_again_unless_asked(export, made, fake_runner):
    export(frameworks=["pytorch"])
    measure(made)
    fake_runner.asked.clear()
    assert measure(made) == []
    assert fake_runner.asked == []
    assert len(ends(measure(made, again=True))) == 4


def test_cells_that_stand_side_by_side_are_measured_in_one_run(export, made):
    export(frameworks=["pytorch"])
    measure(made)
    (made.cell("pytorch", "tflite") / "benchmark.json").unlink()
    assert len(ends(measure(made))) == 4


def test_what_does_not_pass_is_not_timed(export, made, launch, fake_runner):
    launch.faults["pytorch>saved_model>tflite"], _ = FAILURES["crash"]
    export(frameworks=["pytorch"], formats=["onnx", "tflite"])
    (made.cell() / "model.onnx").write_bytes(b"another")
    fake_runner.spoil = lambda case, y: -y
    events = measure(made)
    assert ends(events) == {
        "pytorch/onnx in onnxruntime": "failed",
        "pytorch/saved_model in tensorflow": "failed",  # made on the way to TFLite
    }
    assert statuses(made) == {("pytorch", "onnx"): "failed", ("pytorch", "tflite"): "failed"}


@pytest.mark.parametrize(
    "error", [RunnerError("it died of SIGKILL"), KeyError("it died of SIGKILL")],
    ids=["told", "a surprise"],
)  # fmt: skip
def test_a_cell_that_cannot_be_measured_leaves_the_others_alone(
    export, made, fake_runner, error, monkeypatch
):
    export(frameworks=["pytorch"])
    usual = fake_runner.run
    turns = []

    def run(runner, model, cases, **options):
        if model.name == "model.pt":
            turns.append(model)
            if len(turns) == 2:
                raise error
        return usual(runner, model, cases, **options)

    monkeypatch.setattr("shipworthy.serve.answers.run", run)
    events = measure(made, settings=replace(FAST, processes=3))
    assert len(turns) == 2
    assert ends(events) == {
        f"pytorch/{format_} timed": "failed" if format_ == "torchscript" else "done"
        for format_ in FORMATS
    }
    assert "it died of SIGKILL" in reasons(made)["pytorch", "torchscript"]
    verdict = read_validation(made.cell("pytorch", "torchscript"))
    assert read_benchmark(made.cell("pytorch", "torchscript"), verdict.key)["runs"] == []


def test_more_threads_are_judged_before_they_are_timed(export, made, fake_runner):
    export(frameworks=["pytorch"], formats=["onnx"])
    fake_runner.asked.clear()
    measure(made, settings=Settings(threads=2, processes=1, min_runs=3, max_runs=3, min_ns=0))
    assert [len(cases) for _, cases in fake_runner.asked] == [len(made.cases), 1]
    (record,) = collect(made.out)
    assert (record["status"], record["threads"]) == ("passed", 2)
