"""One small run of every experiment, with the frameworks and the runners."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from shipworthy.convert.launch import LaunchForked
from shipworthy.convert.read_reference import read_reference
from shipworthy.report.claims.ledger import read_ledger
from shipworthy.serve.experiments import languages, sequential, worker
from shipworthy.serve.experiments.accuracy import answers, labels_of
from shipworthy.serve.experiments.conduct import conduct, experiments
from shipworthy.serve.experiments.evidence import read_evidence
from shipworthy.serve.experiments.experiment import MODES, Context, ExperimentError
from shipworthy.serve.experiments.toolchains import LANGUAGES
from shipworthy.serve.experiments.turns import take_turns
from shipworthy.serve.modes import PRESETS

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(1200)]


@pytest.fixture
def context(tmp_path):
    with ThreadPoolExecutor(2) as executor, LaunchForked() as launch:
        yield Context(tmp_path / "claims", "quick", executor, launch, timeout=600)


@pytest.fixture
def mlp(exported, context):
    """A private copy of an export, because experiments work in the folder."""
    folder = context.model_folder("mlp")
    shutil.copytree(exported("mlp"), folder)
    return folder


def small(name, **settings):
    """An experiment with settings of a test."""
    return replace(experiments()[name], settings=dict.fromkeys(MODES, settings))


def run(context, *wanted):
    """Run experiments; return the data of the last."""
    failed = [event for event in conduct(context, wanted) if event.state == "failed"]
    assert not failed, failed[0].detail
    return read_evidence(context.out, wanted[-1].name).data


def test_models_accuracy_birth_and_languages(context, mlp):
    shipped = small("models", models=["mlp"])
    data = run(context, shipped)
    (model,) = data["models"]
    assert {cell["status"] for cell in model["cells"]} == {"passed"}
    assert {cell["python_free"] for cell in model["cells"]} == {True}
    assert len(model["cells"]) == 8

    accuracy = run(context, shipped, experiments()["accuracy"])
    assert len(accuracy["cells"]) == 8
    assert {cell["rows"] for cell in accuracy["cells"]} == {360}
    assert all(cell["changed"] == 0 for cell in accuracy["cells"])
    assert all(cell["right_original"] > 340 for cell in accuracy["cells"])

    birth = run(context, shipped, small("birth", processes=4))
    found = {(one["format"], one["metric"]) for one in birth["comparisons"]}
    metrics = ("size", "footprint", "memory", "cold start", "latency")
    assert found == {(cell["format"], metric) for cell in model["cells"] for metric in metrics}
    assert all(0.2 < one["ratio"]["value"] < 5 for one in birth["comparisons"])

    told = run(context, shipped, small("languages", models=["mlp"]))
    by_name = {one["language"]: one for one in told["languages"]}
    assert {"C++", "C", "Java", "JavaScript", "Rust", "Go", "Swift"} == by_name.keys()
    for one in by_name.values():
        assert bool(one["results"]) != bool(one["reason"])
        assert all(result["passed"] for result in one["results"]), one

    verdicts = {entry.claim.number: entry.finding.verdict for entry in read_ledger(context.out)}
    assert verdicts[1] == "MIXED"  # neither needs Python
    assert verdicts[10] in ("SUPPORTED", "INCONCLUSIVE")  # by few rows
    assert verdicts[2] != "NOT TESTED"
    assert verdicts[4] == "MIXED"


def test_the_original_and_the_artifact_answer_the_test_set(context, mlp):
    from shipworthy.models import zoo

    original, artifact = answers(mlp, ("tensorflow", "tflite"), 600)
    assert original.keys() == artifact.keys() == {"scores"}
    assert original["scores"].shape == artifact["scores"].shape == (360, 10)
    labels = labels_of(zoo.source("mlp", "tensorflow"))
    assert labels.shape == (360,)
    assert labels_of(zoo.source("gan", "tensorflow")) is None
    assert labels_of(zoo.source("recommender", "pytorch")) is None


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_a_language_gives_the_originals_outputs(exported, tmp_path, language):
    try:
        command = language.make(tmp_path, 300)
    except ExperimentError as e:
        pytest.skip(f"{language.name}: {e}")
    for model, framework in (("recommender", "tensorflow"), ("lstm", "pytorch")):
        assert languages.judge(command, exported(model), framework, 300) == (True, "")


LIAR = """
import sys
for line in open(sys.argv[2]):
    word, *fields = line.rstrip("\\n").split("\\t")
    if word == "input":
        rows = int(fields[2].split(",")[0])
    if word == "output":
        open(fields[1], "wb").write(bytes(4 * 10 * rows))
        print(f"1\\t{rows},10")
"""


def test_a_program_that_answers_zeros_is_noticed(mlp, tmp_path):
    (tmp_path / "liar.py").write_text(LIAR)
    command = [sys.executable, str(tmp_path / "liar.py")]
    passed, detail = languages.judge(command, mlp, "pytorch", 60)
    assert not passed
    assert "Too far" in detail


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise SystemExit('error: no library')", "error: no library"),
        ("pass", "argument 2 is shorter"),
        ("print('99\\t1')", "element type 99"),
    ],
)
def test_a_program_that_fails_is_wrong_and_says_why(mlp, code, told):
    passed, detail = languages.judge([sys.executable, "-c", code], mlp, "pytorch", 60)
    assert not passed
    assert told in detail


def test_cells_are_timed_in_turns(mlp):
    cells = {"a": (mlp, ("pytorch", "onnx")), "b": (mlp, ("pytorch", "onnx"))}
    settings = replace(PRESETS["quick"], processes=2)
    events = take_turns("timing", cells, settings, 600)
    try:
        while True:
            assert next(events).step == "timing"
    except StopIteration as e:
        runs = e.value.latencies_ns
    assert {name: len(processes) for name, processes in runs.items()} == {"a": 2, "b": 2}
    assert all(len(latencies) >= 30 for processes in runs.values() for latencies in processes)


def test_what_was_not_judged_is_not_timed(tmp_path):
    with pytest.raises(ExperimentError, match="has not passed"):
        list(take_turns("t", {"a": (tmp_path, ("pytorch", "onnx"))}, PRESETS["quick"], 60))


def test_the_network_written_two_ways_has_the_same_weights_and_outputs():
    import importlib.util

    import torch

    spec = importlib.util.spec_from_file_location("two_ways", sequential.FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (one, image), (other, same_image) = module.sequential(), module.subclass()
    assert torch.equal(image, same_image)
    assert type(one) is torch.nn.Sequential
    assert type(other) is not torch.nn.Sequential
    weights = [value for value in one.state_dict().values() if value.ndim]
    assert len(weights) == 16
    for value, twin in zip(
        weights, [v for v in other.state_dict().values() if v.ndim], strict=True
    ):
        assert torch.equal(value, twin)
    with torch.no_grad():
        assert torch.equal(one.eval()(image), other.eval()(image))


def test_both_programs_learn_and_their_code_is_counted(context):
    data = run(context, small("code", epochs=12))
    assert data["fit"] == {"pytorch": False, "tensorflow": True}
    assert all(one["quality"] >= one["required"] for one in data["programs"].values())
    assert {model["model"] for model in data["models"]} >= {"mlp", "cnn", "recommender", "gan"}
    for model in data["models"]:
        assert all(model[f]["statements"] >= 3 for f in ("pytorch", "tensorflow"))


def test_tensorboard_reads_what_both_frameworks_write(context):
    pytest.importorskip("tensorboard")
    data = run(context, experiments()["tensorboard"])
    for framework in ("pytorch", "tensorflow"):
        beside, alone = (data["files"][framework][way] for way in ("beside", "alone"))
        assert beside["readable"] is True, beside
        assert alone["written"] is False, alone
        assert not data["installs"][framework]["brings"]


def test_the_workers_of_all_ways_are_compared(context):
    settings = {"cases": [["mlp", "inference", 2]], "processes": 2, "seconds": 0.05}
    data = run(context, small("eager", **settings))
    assert data["unavailable"] == []
    assert [one["kind"] for one in data["comparisons"]] == ["eager", "graph"]
    for one in data["comparisons"]:
        assert one["ratio"]["value"] > 0
        assert {len(way["latencies_ns"]) for way in one["ways"].values()} == {2}


def test_a_model_that_cannot_be_trained_is_told():
    with pytest.raises(ExperimentError, match="learns in a way of its own"):
        worker.call("PyTorch, eager", {"model": "gan", "work": "train"}, 600)


def test_models_are_trained_to_their_quality(context):
    data = run(context, small("training", models=["mlp"], processes=2))
    (model,) = data["models"]
    assert all(one["quality"] >= 0.98 for way in model["ways"].values() for one in way)
    assert model["quality"]["value"] > 0
    json.dumps(data, allow_nan=False)


@pytest.mark.slow
def test_sequential_against_subclass(context):
    data = run(context, small("sequential", processes=4))
    assert len(data["formats"]) == 4
    for one in data["formats"]:
        assert one["sequential"], one
        assert one["subclass"], one
        assert one["size"] == pytest.approx(1, abs=0.05)
        assert 0.3 < one["latency"]["value"] < 3
    same = [
        read_reference(context.model_folder(way) / "pytorch" / "reference")
        for way in sequential.WAYS
    ]
    first, second = (one.expected("random_b2").expected32 for one in same)
    for a, b in zip(first.values(), second.values(), strict=True):
        assert np.array_equal(a, b)
