"""Every hop on two small models, each export run by its own runtime and compared by name.

The models have several inputs and outputs, in-place operators, grouped and dilated convolutions,
residuals, asymmetric padding. Every batch size but 2 was never traced.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.matrix

WORKER = Path(__file__).with_name("format_worker.py")
CELLS = [
    (framework, model, format_)
    for framework, formats in {
        "pytorch": ("onnx", "saved_model", "torchscript", "tflite"),
        "tensorflow": ("saved_model", "onnx", "torchscript", "tflite"),
    }.items()
    for model in ("cnn", "pair")
    for format_ in formats
]


def work(kind, folder):
    """Run one worker process: only the bridge holds two frameworks."""
    quiet = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(WORKER), kind, str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | quiet,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    made = {}

    def get(framework):
        if framework not in made:
            made[framework] = tmp_path_factory.mktemp(framework)
            kinds = {"pytorch": ["pytorch", "bridge"], "tensorflow": ["tensorflow", "keras_torch"]}
            for kind in kinds[framework]:
                work(kind, made[framework])
        return made[framework]

    return get


def told(folder, framework, model, format_):
    return json.loads((folder / f"told-{framework}-{model}-{format_}.json").read_text())


@pytest.mark.xdist_group("formats")
@pytest.mark.parametrize(("framework", "model", "format_"), CELLS)
def test_an_export_answers_as_the_original_at_every_batch_it_keeps(
    exports, framework, model, format_
):
    folder = exports(framework)
    expected = np.load(folder / f"expected-{framework}-{model}.npz")
    actual = np.load(folder / f"actual-{framework}-{model}-{format_}.npz")
    fixed = told(folder, framework, model, format_)["fixed_axes"]
    keys = [
        key
        for key in expected.files
        if fixed.get("batch", int(key.split()[0])) == int(key.split()[0])
    ]
    assert sorted(actual.files) == sorted(keys)
    assert len(keys) == (2 if fixed else 8)
    for key in keys:
        want, got = expected[key].astype(np.float64), actual[key]
        assert got.shape == want.shape
        assert got.dtype == expected[key].dtype
        error = np.sqrt(np.mean((got - want) ** 2)) / np.sqrt(np.mean(want**2))
        assert error < 2e-6, f"{key}: relative RMS error {error:.2g}"


@pytest.mark.xdist_group("formats")
@pytest.mark.parametrize(("framework", "model", "format_"), CELLS)
def test_only_litert_torch_fixes_the_batch_and_says_so(exports, framework, model, format_):
    found = told(exports(framework), framework, model, format_)
    if (framework, format_) == ("pytorch", "tflite"):
        assert found["fixed_axes"] == {"batch": 1}
        assert any("batch is 1" in note for note in found["notes"])
    else:
        assert found["fixed_axes"] == {}


@pytest.mark.xdist_group("formats")
def test_the_deprecation_of_torchscript_is_told_with_its_successor(exports):
    for framework in ("pytorch", "tensorflow"):
        notes = " ".join(told(exports(framework), framework, "cnn", "torchscript")["notes"])
        assert "deprecated" in notes
        assert "torch.export" in notes


@pytest.mark.xdist_group("formats")
def test_names_are_canonical_wherever_the_format_has_names(exports):
    folder = exports("pytorch")
    assert told(folder, "pytorch", "pair", "onnx")["inputs"] == {
        "weight.in": "weight.in",
        "ids": "ids",
    }
    # Argument names are identifiers.
    assert told(folder, "pytorch", "pair", "torchscript")["inputs"] == {
        "weight.in": "weight_in",
        "ids": "ids",
    }
    saved = told(exports("tensorflow"), "tensorflow", "pair", "saved_model")
    assert saved["inputs"]["ids"] == "serving_default_ids:0"


@pytest.mark.xdist_group("formats")
def test_the_keras_trace_is_cleaned_of_its_transpositions(exports):
    options = told(exports("tensorflow"), "tensorflow", "cnn", "torchscript")["options"]
    assert options["transpositions_traced"] >= 18
    # The image in, the features out (and their row-major copy), the flattened rows.
    assert options["transpositions_left"] <= 4


@pytest.mark.xdist_group("formats")
def test_a_saved_model_holds_inference_alone(exports):
    folder = exports("tensorflow") / "tensorflow-cnn-saved_model"
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert "saved_model.pb" in names
    assert not [name for name in names if "keras" in name]
    assert b"optimizer" not in (folder / "variables" / "variables.index").read_bytes()


def refuse(kind, body, folder):
    """Run a hop that must be refused; return the reason."""
    script = folder / "refused.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(WORKER.parent)!r})\n{body}")
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


REFUSED_TORCH = """
import json
from pathlib import Path
import torch
from shipworthy.convert.routes import UnsupportedModelError, hops
from shipworthy.models.spec import Signature, Source, TensorSpec

folder, answers = Path(sys.argv[1]), {}
class Branches(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x * 3

class TwoOutputs(torch.nn.Module):
    def forward(self, x):
        return x, x + 1

signature = Signature(
    (TensorSpec("x", "float32", ("batch", 8)),), (TensorSpec("y", "float32", ("batch", 8)),)
)
for name, module in {"branches": Branches().eval(), "outputs": TwoOutputs().eval()}.items():
    for format_ in ("onnx", "tflite", "torchscript"):
        source = Source(name, "pytorch", signature, lambda: module)
        try:
            hops()[f"pytorch>{format_}"].convert(module, source, folder / f"{name}.{format_}")
        except UnsupportedModelError as e:
            answers[f"{name} {format_}"] = str(e)
print(json.dumps(answers))
"""


@pytest.mark.xdist_group("formats")
def test_what_torch_exporters_refuse_is_told(tmp_path):
    answers = refuse("pytorch", REFUSED_TORCH, tmp_path)
    # Tracing follows the branch the example takes; only the judge can notice.
    assert sorted(answers) == [
        "branches onnx",
        "branches tflite",
        "outputs onnx",
        "outputs tflite",
        "outputs torchscript",
    ]
    assert "data-dependent" in answers["branches onnx"]
    assert "data-dependent" in answers["branches tflite"]
    assert "2 tensors" in answers["outputs torchscript"]
    # torch.export's story of the branch has a few lines; all else is one.
    assert len(answers.pop("branches onnx").splitlines()) < 16
    assert all("\n" not in reason for reason in answers.values())
