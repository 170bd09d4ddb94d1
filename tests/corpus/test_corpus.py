"""Models of many kinds, brought as a user brings them: every cell passes, or says why not.

The models are in the files beside this one, each ``file.py:NAME``; what cannot work is in
``limits.py`` with its reason, and a test notices when it can.
"""

import ast
import importlib.util
import json
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("pytorch_*.py")) + sorted(HERE.glob("keras_*.py"))
FORMATS = ("onnx", "saved_model", "torchscript", "tflite")
SHIPWORTHY = Path(sys.executable).parent / "shipworthy"
SECONDS = 900

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(SECONDS + 60)]


def table_of(file, name):
    """Return a literal table of a file, without importing its framework."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return node.value
    return None


def names_of(file):
    """Return the factories that ``MODELS`` lists in a tuple."""
    (listed,) = [node for node in ast.walk(table_of(file, "MODELS")) if isinstance(node, ast.Tuple)]
    return [name.id for name in listed.elts]


def options_of(file, name):
    dynamic = table_of(file, "DYNAMIC")
    found = ast.literal_eval(dynamic) if dynamic is not None else {}
    return ["--dynamic", found[name]] if name in found else []


def load_limits():
    spec = importlib.util.spec_from_file_location("corpus_limits", HERE / "limits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LIMITS


LIMITS = load_limits()
MODELS = [(file, name) for file in FILES for name in names_of(file)]


@pytest.fixture(scope="session")
def summary(shared, once):
    """Export a model, without timing it; returns its cells by format."""

    def summary(file, name):
        out = shared / "corpus" / file.stem / name
        model = f"{file}:{name}"
        words = ["export", model, *options_of(file, name), "--out", out, "--no-bench"]
        once(f"{file.stem}.{name}", [SHIPWORTHY, *words], codes=(0, 1), seconds=SECONDS)
        cells = json.loads((out / "summary.json").read_text())["cells"]
        return {cell["format"]: cell for cell in cells}

    return summary


@pytest.mark.parametrize(
    ("file", "name"), MODELS, ids=[f"{file.stem}-{name}" for file, name in MODELS]
)
def test_every_cell_passes_or_says_why_not(summary, file, name):
    cells = summary(file, name)
    assert set(cells) == set(FORMATS)
    for format_, cell in cells.items():
        limit = LIMITS.get((file.stem, name, format_))
        if limit is None:
            assert cell["status"] == "passed", f"{format_}: {cell['reason']}"
            assert "batch" in cell["dynamic_axes"], f"{format_} lost the batch: {cell['route']}"
        elif limit.startswith("static: "):
            assert cell["status"] == "passed", f"{format_}: {cell['reason']}"
            assert "batch" not in cell["dynamic_axes"], f"{format_} is no longer static"
        else:
            assert cell["status"] == "failed", f"{format_} passes now; take it off the limits"
            assert limit in cell["reason"]


def test_every_limit_is_of_a_model_that_is_there():
    known = {(file.stem, name) for file, name in MODELS}
    assert {(stem, name) for stem, name, _ in LIMITS} <= known
    assert {format_ for *_, format_ in LIMITS} <= set(FORMATS)
