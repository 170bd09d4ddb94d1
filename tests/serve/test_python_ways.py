"""Every way in Python for real: it answers as the original does, alone in its process."""

import json
from dataclasses import replace

import pytest

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.read_reference import read_reference
from shipworthy.convert.routes import FORMATS
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.models.subject import Subject
from shipworthy.serve.bench import bench_case
from shipworthy.serve.python.cost import MODES
from shipworthy.serve.python.entry import Entry, WrongOutputsError
from shipworthy.serve.python.ways import PACKAGE, RUNNER, ways_of
from shipworthy.serve.runners import RunnerError

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(1200)]

SHORT = replace(MODES["quick"], min_runs=12, min_ns=0)
BOTH = FRAMEWORKS[:2]
ARTIFACTS = [(framework, format_) for framework in BOTH for format_ in FORMATS]
ORIGINALS = [(framework, way) for framework in BOTH for way in ways_of(framework, "module")]
PACKAGES = {
    "onnx": "onnxruntime ", "torchscript": "torch ", "saved_model": "tensorflow",
    "tflite": "ai-edge-litert ",
}  # fmt: skip


@pytest.fixture
def make(exported, tmp_path):
    """Make an entry of a model of the zoo."""

    def entry(model, framework, way, format_=None):
        out = exported(model)
        reference = read_reference(out / framework / "reference")
        folder = out / framework / (format_ or "onnx")
        case = bench_case(reference, read_artifact(folder), 1)
        return Entry(
            way, folder if format_ else None, Subject(model), reference, SHORT.timing(case), 1,
            tmp_path, 600,
        )  # fmt: skip

    return entry


@pytest.mark.parametrize(("framework", "format_"), ARTIFACTS)
@pytest.mark.parametrize("model", ["mlp", "recommender"])
def test_an_artifact_in_its_runtimes_python_package(make, model, framework, format_):
    taken = make(model, framework, PACKAGE, format_).take()
    assert taken.package.startswith(PACKAGES[format_])
    assert len(taken.latencies_ns) >= 12
    assert min(taken.latencies_ns) > 0
    assert taken.cold_start_ns > taken.load_ns + taken.first_ns
    runner = make(model, framework, RUNNER, format_).take()
    # An interpreter and its packages are there beside the same runtime.
    assert taken.peak_rss_bytes > runner.peak_rss_bytes
    assert taken.cold_start_ns > runner.cold_start_ns


@pytest.mark.parametrize(("framework", "way"), ORIGINALS)
@pytest.mark.parametrize("model", ["mlp", "recommender"])
def test_an_original_in_its_framework(make, model, framework, way):
    one = make(model, framework, way)
    if (model, way) == ("recommender", "keras_predict"):
        # Two inputs in a list are one argument.
        assert len(one.reference.signature.inputs) == 2
    taken = one.take()
    assert taken.package.startswith("torch " if framework == "pytorch" else "keras ")
    assert len(taken.latencies_ns) >= 12
    if way in ("torch_compile", "tf_function"):
        assert taken.first_ns > 10 * min(taken.latencies_ns)  # it compiles, or traces


def test_a_process_whose_answers_are_wrong_counts_for_nothing(make):
    one = make("mlp", "pytorch", PACKAGE, "onnx")
    assert one.take().latencies_ns
    known = {case.name: case for case in one.reference.cases}
    # The worker reads the true reference: what is expected here is not what was asked.
    other = known["random_b5"]
    known["random_b1"] = replace(
        known["random_b1"], expected32=other.expected32, expected64=other.expected64
    )
    fooled = replace(one.reference, cases=tuple(known.values()))
    with pytest.raises(WrongOutputsError, match="expected shape"):
        replace(one, reference=fooled).take()


def test_without_a_compiler_torch_compile_says_so(make, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/c++")
    with pytest.raises(RunnerError, match=r"[Cc]ompiler|c\+\+"):
        make("mlp", "pytorch", "torch_compile").take()


@pytest.mark.slow
@pytest.mark.parametrize(("source", "options", "kept", "lacks"), [
    ("tensorflow/saved_model/saved_model", [], {PACKAGE, "tf_function"},
     {"keras_call", "keras_predict"}),
    ("pytorch/torchscript/model.pt", ["--input", "pixels:float32:batch,64"], {PACKAGE},
     {"eager", "torch_compile"}),
    ("pytorch/onnx/model.onnx", [], {PACKAGE}, set()),
])  # fmt: skip
def test_a_file_of_ones_own_has_the_ways_that_apply(
    exported, shipworthy, tmp_path, source, options, kept, lacks
):
    out = tmp_path / "own"
    words = [exported("mlp") / source, *options, "--out", out, "--no-bench", "--format", "onnx"]
    done = shipworthy("export", *words, timeout=900)
    assert done.returncode == 0, done.stderr
    done = shipworthy("python", out, "--mode", "quick", "--json", timeout=900)
    assert "Traceback" not in done.stderr
    (told,) = json.loads(done.stdout)["cells"].values()
    ways = [way["way"] for way in told["data"]["ways"]]
    assert set(ways) == {RUNNER} | kept
    assert {lost["way"] for lost in told["data"]["unavailable"]} == lacks
    assert all(way["equal"] for way in told["data"]["ways"])
    if kept == {PACKAGE}:
        # The artifact's and the original's own.
        assert [w["of"] for w in told["data"]["ways"]] == ["artifact", "artifact", "original"]
