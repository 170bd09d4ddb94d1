"""Every rule for TensorFlow graphs, in the runtimes of ONNX and TFLite, at untraced sizes.

The rows are in ``keras_rule_cases.py``. Neighbouring cases are converted as one model, because
converting is what takes time; if that fails, each by itself, so that one fault is one failing test.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.rewrite.table import rules
from shipworthy.models.spec import DTYPES, Signature, Source, TensorSpec, synthesise

HERE = Path(__file__).parent
SIZES = ({"N": 3, "H": 6, "W": 9}, {"N": 5, "H": 7, "W": 5})
CHUNK = 40
ALLOWED = 2e-6  # relative RMS error; float32 rounds at 6e-8

pytestmark = pytest.mark.matrix


def load_cases() -> list[tuple[Any, ...]]:
    file = HERE / "keras_rule_cases.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.CASES)


CASES = {row[0]: row for row in load_cases()}


def input_spec(name: str, text: str) -> TensorSpec:
    words = text.split()
    dtype = words.pop(0) if words[0] in DTYPES else "float32"
    low = high = None
    if ".." in words[-1]:
        low, high = (float(bound) for bound in words.pop().split(".."))
    return TensorSpec(name, dtype, tuple(w if w.isalpha() else int(w) for w in words), low, high)


def signature_of(names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    return tuple(
        input_spec(f"in_{c}_{i}", text)
        for c, name in enumerate(names)
        for i, text in enumerate(CASES[name][3:])
    )


@functools.cache
def save(names: tuple[str, ...], folder: Path) -> tuple[Path, Source, list[Any], list[Any]]:
    """Write a SavedModel of these cases; return it with inputs and expected outputs."""
    import tensorflow as tf

    inputs = signature_of(names)

    def compute(*tensors: Any) -> dict[str, Any]:
        rest, found = list(tensors), {}
        for c, name in enumerate(names):
            _, _, function, *texts = CASES[name]
            own, rest = rest[: len(texts)], rest[len(texts) :]
            found[f"out_{c}"] = function(*own)
        return found

    specs = [
        tf.TensorSpec(
            [None if isinstance(s, str) else s for s in spec.shape], spec.dtype, spec.name
        )
        for spec in inputs
    ]
    function = tf.function(compute, autograph=False).get_concrete_function(*specs)
    path = folder / f"saved_{abs(hash(names))}"
    tf.saved_model.save(tf.Module(), str(path), signatures={"serving_default": function})
    given = [synthesise(Signature(inputs, ()), sizes, 7 + i) for i, sizes in enumerate(SIZES)]
    expected = [
        {k: v.numpy() for k, v in function(*[tf.constant(v) for v in one.values()]).items()}
        for one in given
    ]
    outputs = tuple(
        TensorSpec(
            f"out_{c}",
            expected[0][f"out_{c}"].dtype.name,
            tuple(f"o{c}_{i}" for i in range(expected[0][f"out_{c}"].ndim)),
        )
        for c in range(len(names))
    )
    source = Source("rules", "tensorflow", Signature(inputs, outputs), lambda: None)
    return path, source, given, expected


def run_onnx(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def run_tflite(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    return lambda inputs: interpreter.get_signature_runner("serving_default")(**inputs)


@functools.cache
def answers(names: tuple[str, ...], format_: str, folder: Path) -> list[tuple[Any, Any]]:
    """Return (expected, actual) by output for each case's sizes."""
    from shipworthy.convert.routes import hops

    saved, source, given, expected = save(names, folder)
    path = folder / f"model_{abs(hash(names))}.{format_}"
    hops()[f"saved_model>{format_}"].convert(SimpleNamespace(path=saved), source, path)
    run = {"onnx": run_onnx, "tflite": run_tflite}[format_](path)
    return [(want, run(one)) for one, want in zip(given, expected, strict=True)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rules")


def chunk_of(name: str) -> tuple[str, ...]:
    names = list(CASES)
    first = names.index(name) // CHUNK * CHUNK
    return tuple(names[first : first + CHUNK])


@pytest.mark.xdist_group("keras-rules")
@pytest.mark.parametrize("format_", ["onnx", "tflite"])
@pytest.mark.parametrize("name", CASES)
def test_a_graph_answers_alike_in_the_format(name, format_, folder):
    chunk = chunk_of(name)
    try:
        found, key = answers(chunk, format_, folder), f"out_{chunk.index(name)}"
    except Exception:
        found, key = answers((name,), format_, folder), "out_0"
    for want, got in found:
        same(want[key], got[key])


def same(want: np.ndarray, got: np.ndarray) -> None:
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    keep = np.isfinite(want)
    error = np.sqrt(np.mean((got[keep].astype(np.float64) - want[keep]) ** 2))
    assert error <= ALLOWED * np.sqrt(np.mean(want[keep].astype(np.float64) ** 2))


@pytest.mark.xdist_group("keras-rules")
@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_each_case_uses_the_rules_it_names_and_no_rule_is_without_a_case(format_, folder):
    from shipworthy.convert.rewrite.prepare import prepare

    named: set[str] = set()
    for _, wanted, *_rest in CASES.values():
        named |= {kind for kind, formats in wanted.items() if format_ in formats}
    used: set[str] = set()
    names = list(CASES)
    for first in range(0, len(names), CHUNK):
        path = save(tuple(names[first : first + CHUNK]), folder)[0]
        used |= set(prepare(path, format_).replaced)
    assert named <= used
    # Tables are in test_keras_graphs.py; a list's length is asked for by few.
    assert set(rules(format_)) - used <= {"LookupTableFindV2", "TensorListLength"}
