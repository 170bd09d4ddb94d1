"""What a cell's answers, and its runner, are worth. The runner is played by the test."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from shipworthy.convert.process import StoppedError
from shipworthy.convert.seal import seal
from shipworthy.serve import answers, judge
from shipworthy.serve.judge import VALIDATION, judge_cell, read_validation
from shipworthy.serve.runners import RunnerError

CELL = ("pytorch", "onnx")


@pytest.fixture
def cell(made, fake_runner):
    made.make_reference()
    made.make_artifact()
    return made.cell()


@pytest.fixture
def ask(made, cell):
    """Judge the cell; what is returned must be what stands on disk."""

    def ask(**options):
        options = {"threads": 1, "timeout": 5.0} | options
        verdict = judge_cell(made.out, *CELL, **options)
        written = json.loads((cell / VALIDATION).read_text())
        assert written == json.loads(json.dumps(verdict.to_json()))
        assert (written["passed"], written["reason"]) == (verdict.passed, verdict.reason)
        assert read_validation(cell).passed == verdict.passed
        return verdict

    return ask


def test_right_answers_pass(ask, made, cell):
    verdict = ask()
    assert verdict.passed
    assert verdict.reason == ""
    assert {c.case for c in verdict.validation.comparisons} == {"*", *made.cases}
    assert 0 < verdict.validation.worst.error_ratio < 1.5
    assert verdict.notes == ()
    assert verdict.facts["size_bytes"] == 7
    assert verdict.facts["threads"] == 1
    assert verdict.facts["python_free"] is True
    assert verdict.facts["runtime_version"] == "1.2.3"


def test_the_runner_is_asked_for_the_file_and_every_case_once(ask, made, cell, fake_runner):
    ask()
    ((model, cases),) = fake_runner.asked
    assert model == (cell / "model.onnx").resolve()
    assert [case.name for case in cases] == list(made.cases)


SPOILED = {
    "one element": (lambda y: y + np.float32(1e-3) * (np.arange(y.size) == 2).reshape(y.shape),
                    "Mismatched"),
    "shape": (lambda y: y[:, :3], "expected shape"),
    "rank": (lambda y: y[:, None], "expected shape"),
    "rows": (lambda y: np.concatenate([y, y]), "expected shape"),
    "dtype": (lambda y: y.astype(np.float64), "expected dtype float32, got float64"),
    "nan": (lambda y: np.where(np.arange(y.size).reshape(y.shape) == 0, np.float32("nan"), y),
            "NaN or infinity differs"),
    "infinity": (lambda y: y + np.float32("inf"), "NaN or infinity differs"),
    "zeros": (np.zeros_like, "Mismatched"),
    "swapped rows": (lambda y: y[::-1], "Mismatched"),
}  # fmt: skip


@pytest.mark.parametrize("spoiled", SPOILED)
def test_wrong_answers_fail_and_leave_no_earlier_pass(ask, fake_runner, spoiled):
    assert ask().passed
    change, told = SPOILED[spoiled]
    fake_runner.spoil = lambda case, y: change(y)
    verdict = ask(again=True)
    assert not verdict.passed
    assert told in str([c.detail for c in verdict.validation.comparisons])
    assert "output y" in verdict.reason


def test_one_wrong_case_fails_and_is_named(ask, fake_runner):
    fake_runner.spoil = lambda case, y: y + np.float32(1e-2) * (case == "random_b5")
    verdict = ask()
    assert not verdict.passed
    assert "random_b5" in str([c for c in verdict.validation.comparisons if not c.passed])


def test_an_output_that_is_not_written_fails(ask, fake_runner, monkeypatch):
    assert ask().passed

    def forget(runner, model, cases, **options):
        result = fake_runner.run(runner, model, cases, **options)
        cases[1].outputs["y_native:0"].unlink()
        return result

    monkeypatch.setattr(answers, "run", forget)
    verdict = ask(again=True)
    assert not verdict.passed
    assert "FileNotFoundError" in verdict.reason


FACTS = {
    "python": ({"python_free": False}, "has a Python interpreter in its process"),
    "threads": ({"threads": {"requested": 1, "effective": 4}}, "runs with 4 threads, not 1"),
    "renamed": (
        {"outputs": [{"name": "z", "dtype": "float32", "shape": [-1, 4]}]},
        "output 'y' ('y_native:0') is not in the file",
    ),
    "baked": (
        {"inputs": [{"name": "x_native:0", "dtype": "float32", "shape": [2, 4]}]},
        "axis 0 (batch) fixed at 2",
    ),
}


@pytest.mark.parametrize("fact", FACTS)
def test_right_answers_of_a_wrong_process_fail(ask, fake_runner, fact):
    fake_runner.facts, told = FACTS[fact]
    verdict = ask()
    assert verdict.validation.passed
    assert not verdict.passed
    assert told in verdict.reason


def test_threads_that_cannot_be_read_back_are_no_fault(ask, fake_runner):
    fake_runner.facts = {"threads": {"requested": 1, "effective": None}}
    assert ask().passed


@pytest.mark.parametrize(
    "error", [RunnerError("onnxruntime died of SIGSEGV"), OSError("onnxruntime died of SIGSEGV")]
)
def test_a_runner_that_fails_is_a_failed_verdict(ask, fake_runner, error):
    assert ask().passed

    def die(case, y):
        raise error

    fake_runner.spoil = die
    verdict = ask(again=True)
    assert not verdict.passed
    assert verdict.reason.count("onnxruntime died of SIGSEGV") == 1
    assert verdict.validation.comparisons == ()


def test_a_runner_that_cannot_be_built_is_a_failed_verdict(ask, monkeypatch):
    def find(runtime):
        raise RunnerError(f"the runner for {runtime} cannot be built: no compiler")

    assert ask().passed
    monkeypatch.setattr(judge, "find", find)
    verdict = ask()
    assert not verdict.passed
    assert "no compiler" in verdict.reason


def test_being_stopped_is_no_verdict(made, ask, cell, fake_runner):
    ask()
    before = (cell / VALIDATION).read_text()

    def stop(case, y):
        raise StoppedError

    fake_runner.spoil = stop
    with pytest.raises(StoppedError):
        judge_cell(made.out, *CELL, threads=1, timeout=5.0, again=True)
    assert (cell / VALIDATION).read_text() == before


@pytest.mark.parametrize("file", ["artifact.json", "../reference/reference.json"])
@pytest.mark.parametrize("text", ["", "{}", "[]", None])
def test_damage_leaves_no_earlier_pass(ask, cell, file, text):
    assert ask().passed
    (cell / file).unlink()
    if text is not None:
        (cell / file).write_text(text)
    verdict = ask()
    assert not verdict.passed
    assert Path(file).name in verdict.reason


def test_a_missing_file_leaves_no_earlier_pass(ask, cell):
    assert ask().passed
    (cell / "model.onnx").unlink()
    verdict = ask()
    assert not verdict.passed
    assert "removed; export again" in verdict.reason


def test_a_damaged_array_leaves_no_earlier_pass(ask, made):
    assert ask().passed
    path = made.out / "pytorch/reference/cases/random_b5.expected64.npy"
    path.write_bytes(path.read_bytes()[:90])
    verdict = ask(again=True)
    assert not verdict.passed
    assert "reference: cases changed since the original was run" in verdict.reason


def test_an_unchanged_pass_is_kept_without_running(ask, fake_runner):
    first = ask()
    again = ask()
    assert len(fake_runner.asked) == 1
    assert again == first


def test_a_pass_is_judged_again_on_demand(ask, fake_runner):
    ask()
    ask(again=True)
    assert len(fake_runner.asked) == 2


def test_a_failure_is_judged_again(ask, fake_runner):
    fake_runner.facts = {"python_free": False}
    assert not ask().passed
    fake_runner.facts = {}
    assert ask().passed
    assert len(fake_runner.asked) == 2


def test_a_changed_file_is_judged_again_and_told(ask, cell, fake_runner):
    first = ask()
    (cell / "model.onnx").write_bytes(b"another graph")
    verdict = ask()
    assert len(fake_runner.asked) == 2
    assert verdict.passed
    assert verdict.key != first.key
    assert "has changed since it was exported" in verdict.notes[0]
    assert verdict.facts["sha256"] in verdict.notes[0]
    assert verdict.facts["size_bytes"] == 13


def test_a_changed_file_with_wrong_answers_leaves_no_pass(ask, cell, fake_runner):
    assert ask().passed
    (cell / "model.onnx").write_bytes(b"another graph")
    fake_runner.spoil = lambda case, y: -y
    assert not ask().passed


@pytest.mark.parametrize("change", ["threads", "reference", "runner", "names", "verdict"])
def test_whatever_a_pass_hangs_on_is_judged_again(
    ask, made, cell, fake_runner, change, monkeypatch
):
    ask()
    options = {}
    if change == "threads":
        options["threads"] = 2
    elif change == "reference":
        made.make_reference(key="another")
    elif change == "runner":
        found = fake_runner.find("onnxruntime")
        newer = type(found)(found.runtime, found.path, "9.9.9", found.format, found.build)
        monkeypatch.setattr(judge, "find", lambda runtime: newer)
    elif change == "names":
        made.make_artifact(fixed_axes={"batch": 1}, dynamic_axes=())
    else:
        (cell / VALIDATION).write_text("{}")
    assert ask(**options).passed
    assert len(fake_runner.asked) == 2


def test_a_tampered_verdict_is_no_pass(ask, cell, fake_runner):
    fake_runner.spoil = lambda case, y: -y
    ask()
    path = cell / VALIDATION
    path.write_text(json.dumps(json.loads(path.read_text()) | {"passed": True, "reason": ""}))
    assert not read_validation(cell).passed
    assert not ask().passed


def test_a_fixed_batch_is_judged_at_its_size(ask, made, fake_runner):
    made.make_artifact(fixed_axes={"batch": 2}, dynamic_axes=())
    verdict = ask()
    ((_, cases),) = fake_runner.asked
    assert [case.name for case in cases] == ["random_b2", "random_b64"]
    assert verdict.passed
    assert verdict.notes == ("2 cases of other sizes than the artifact has were not run",)


def test_a_size_that_no_case_has_is_a_failure(ask, made):
    made.make_artifact(fixed_axes={"batch": 7}, dynamic_axes=())
    verdict = ask()
    assert not verdict.passed
    assert "nothing was compared" in verdict.reason


@pytest.mark.parametrize("fixed", [{"batch": 0}, {"height": 8}])
def test_a_manifest_of_another_signature_is_a_failure(ask, made, fixed):
    made.make_artifact(fixed_axes=fixed)
    verdict = ask()
    assert not verdict.passed
    assert verdict.reason


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", ["../../x", "/a/../x", "a/b", "..", "", "x\ny", "%2e", "*"])
def test_names_from_files_write_nowhere(made, fake_runner, name, tmp_path):
    made = type(made)(made.out, cases={"random_b64": 64, "odd": 2})
    path = made.make_reference() / "reference.json"
    text = path.read_text().replace('"odd"', json.dumps(name))
    path.write_text(text)
    seal(path.parent)
    made.make_artifact()
    before = tree(tmp_path)
    judge_cell(made.out, *CELL, threads=1, timeout=5.0)
    ((_, cases),) = fake_runner.asked
    private = {path.parent.resolve() for case in cases for path in case.outputs.values()}
    assert len(private) == 1
    (folder,) = private
    assert folder.parent == made.cell().resolve()
    assert not folder.exists()
    assert sorted({*tree(tmp_path)} - {*before}) == [f"made/pytorch/onnx/{VALIDATION}"]


def test_names_of_outputs_write_nowhere(made, fake_runner, tmp_path):
    made.make_reference()
    made.make_artifact(
        native_names={
            "inputs": {"x": "x_native:0"},
            "outputs": {"y": "y_native:0", "../../y": "other:0"},
        }
    )
    before = tree(tmp_path)
    verdict = judge_cell(made.out, *CELL, threads=1, timeout=5.0)
    assert not verdict.passed
    assert {".." in str(p) for _, cases in fake_runner.asked for c in cases
            for p in c.outputs.values()} == {False}  # fmt: skip
    assert sorted({*tree(tmp_path)} - {*before}) == [f"made/pytorch/onnx/{VALIDATION}"]


@pytest.fixture
def tested(made, fake_runner, in_zoo):
    """A model with a test set and a score that the test gives."""
    made = type(made)(made.out, task=True)
    made.make_reference()
    made.make_artifact()

    def judge_with(score):
        in_zoo(made, score)
        return judge_cell(made.out, *CELL, threads=1, timeout=5.0, again=True)

    return judge_with


def test_the_tasks_score_stands_beside_the_originals(tested):
    verdict = tested(lambda outputs: outputs["y"].shape[0] / 40)
    assert verdict.passed
    assert verdict.task == {"name": "mean", "original": 1.0, "artifact": 1.0}


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_fails(tested, score):
    verdict = tested(lambda outputs: score)
    assert verdict.validation.passed
    assert not verdict.passed
    assert f"its mean is {score}" in verdict.reason
    assert verdict.task["artifact"] is None


def test_a_score_that_raises_fails(tested):
    def score(outputs):
        raise ValueError("labels are missing")

    verdict = tested(score)
    assert not verdict.passed
    assert "labels are missing" in verdict.reason


def test_outputs_of_a_wrong_form_are_not_scored(tested, fake_runner):
    fake_runner.spoil = lambda case, y: y[:, :2] if case == "task" else y
    verdict = tested(lambda outputs: pytest.fail("scored"))
    assert not verdict.passed
    assert verdict.task is None
    assert "task" in verdict.reason


def test_wrong_outputs_of_the_right_form_are_scored(tested, fake_runner):
    fake_runner.spoil = lambda case, y: -y
    verdict = tested(lambda outputs: float(outputs["y"].shape[0]))
    assert not verdict.passed
    assert verdict.task["artifact"] == 40.0


def test_an_artifact_of_another_cell_is_no_pass(made, fake_runner):
    made.make_reference()
    made.make_artifact()
    made.make_artifact(format_="torchscript", into=made.cell())
    verdict = judge_cell(made.out, *CELL, threads=1, timeout=5.0)
    assert "pytorch > torchscript" in verdict.reason
    assert fake_runner.asked == []


def test_an_artifact_of_another_model_is_no_pass(made, fake_runner):
    made.make_reference()
    made.make_artifact(model="other")
    verdict = judge_cell(made.out, *CELL, threads=1, timeout=5.0)
    assert "'other'" in verdict.reason


def test_a_reference_that_was_cut_down_is_no_pass(made, fake_runner):
    folder = made.make_reference()
    made.make_artifact()
    assert judge_cell(made.out, *CELL, threads=1, timeout=5.0).passed
    data = json.loads((folder / "reference.json").read_text())
    data["cases"] = data["cases"][-1:]
    (folder / "reference.json").write_text(json.dumps(data))
    verdict = judge_cell(made.out, *CELL, threads=1, timeout=5.0)
    assert "reference.json changed" in verdict.reason


def test_weights_in_a_file_of_their_own_count(made, fake_runner):
    made.make_reference()
    made.make_artifact()
    assert judge_cell(made.out, *CELL, threads=1, timeout=5.0).passed
    (made.cell() / "model.onnx.data").write_bytes(b"weights")
    verdict = judge_cell(made.out, *CELL, threads=1, timeout=5.0)
    assert len(fake_runner.asked) == 2
    assert verdict.facts["size_bytes"] == 14
    assert "has changed since it was exported" in verdict.notes[0]


def test_every_module_that_judges_is_part_of_a_verdicts_key():
    room = Path(judge.__file__).parent
    found, todo = set(), ["judge"]
    while todo:
        name = todo.pop()
        found.add(name)
        text = (room / f"{name}.py").read_text()
        todo += set(re.findall(r"from shipworthy\.serve\.(\w+) import", text)) - found
    # What builds a runner is in the runner's own key.
    assert found - {"build", "toolchain"} == set(judge._JUDGES)
