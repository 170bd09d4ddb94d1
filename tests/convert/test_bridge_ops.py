"""Every op of the bridge against PyTorch, at a batch that was not traced.

The rows are in ``bridge_cases_*.py``: name, op that has to appear, a function that returns a module
or a function, and one text an input: ``[dtype] axes [low..high]``, where N is the batch and H, W, L
are dynamic axes too. Neighbouring cases are traced as one model, because tracing is what takes
time; if that fails, each by itself, so that one fault is one failing test.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.bridge.table import table
from shipworthy.models.spec import DTYPES, Signature, TensorSpec, synthesise

HERE = Path(__file__).parent
TRACED = {"N": 2, "H": 9, "W": 8, "L": 11}
SIZES = {"N": 3, "H": 8, "W": 11, "L": 14}
# Of the rounding error that PyTorch's own float32 makes. Correct ops stay below 2 here; a wrong
# constant or window gives thousands.
ALLOWED = 4.0
CHUNK = 64

pytestmark = [
    pytest.mark.matrix,
    # PyTorch, inside torch.export and run_decompositions.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
    # PyTorch, of its own speed on an even kernel.
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning"),
    # PyTorch, of its own speed on a projected LSTM.
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported:UserWarning"),
]


def load_cases(family: str) -> list[tuple[Any, ...]]:
    file = HERE / f"bridge_cases_{family}.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.CASES)


FAMILIES = ("layers", "pointwise", "shapes", "sequence", "vision")
CASES = {family: {row[0]: row for row in load_cases(family)} for family in FAMILIES}
ROWS = [(family, name) for family in FAMILIES for name in CASES[family]]


def input_spec(name: str, text: str) -> TensorSpec:
    words = text.split()
    dtype = words.pop(0) if words[0] in DTYPES else "float32"
    low = high = None
    if ".." in words[-1]:
        low, high = map(float, words.pop().split(".."))
    shape = tuple(w if w.isalpha() else int(w) for w in words)
    return TensorSpec(name, dtype, shape, low, high)


def as_module(built: Any) -> Any:
    import torch

    class Call(torch.nn.Module):
        def forward(self, *args: Any) -> Any:
            return built(*args)

    return built if isinstance(built, torch.nn.Module) else Call()


class Composite:
    """Cases side by side in one model."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        import torch

        torch.manual_seed(0)
        self.rows = rows
        modules = torch.nn.ModuleList([as_module(row[2]()) for row in rows])
        counts = [len(row) - 3 for row in rows]

        class All(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.cases = modules

            def forward(self, *args: Any) -> Any:
                rest = list(args)
                results = []
                for module, count in zip(self.cases, counts, strict=True):
                    given, rest = rest[:count], rest[count:]
                    results.append(module(*given))
                return tuple(results)

        self.module = All().eval()
        self.inputs = tuple(
            input_spec(f"in_{i}_{j}", text)
            for i, row in enumerate(rows)
            for j, text in enumerate(row[3:])
        )
        self.arrays = synthesise(Signature(self.inputs, ()), SIZES, seed=1)
        self.expected = self.call(self.module)
        self.exact = self.call(_double(self.module), double=True)

    def call(self, module: Any, double: bool = False) -> list[Any]:
        import torch

        tensors = [torch.from_numpy(self.arrays[spec.name].copy()) for spec in self.inputs]
        if double:
            tensors = [t.double() if t.is_floating_point() else t for t in tensors]
        with torch.no_grad():
            return [result.numpy() for result in module(*tensors)]

    def translated(self) -> tuple[list[Any], list[set[str]]]:
        """Return what TensorFlow computes, and the ops that each case used."""
        import tensorflow as tf

        from shipworthy.convert.bridge.problems import op_name
        from shipworthy.convert.bridge.program import export_program
        from shipworthy.convert.bridge.saved_model import translate
        from shipworthy.convert.bridge.translate import output_nodes

        outputs = tuple(
            TensorSpec(f"out_{i}", result.dtype.name, tuple(f"d{j}" for j in range(result.ndim)))
            for i, result in enumerate(self.expected)
        )
        signature = Signature(self.inputs, outputs)
        program = export_program(self.module, signature, synthesise(signature, TRACED, seed=0))
        _, function = translate(program, signature)
        answers = function(**{name: tf.constant(array) for name, array in self.arrays.items()})
        ops = [{op_name(n.target) for n in _before(node)} for node in output_nodes(program)]
        return [answers[spec.name].numpy() for spec in outputs], ops


def _before(node: Any) -> set[Any]:
    seen: set[Any] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += node.all_input_nodes
    return seen


def _double(module: Any) -> Any:
    import copy

    return copy.deepcopy(module).double()


@functools.cache
def run_together(family: str, chunk: int) -> dict[str, Any]:
    """Return (actual, ops, expected, exact) of neighbouring cases; nothing if one cannot run."""
    names = list(CASES[family])[chunk * CHUNK : (chunk + 1) * CHUNK]
    try:
        return dict(zip(names, _run([CASES[family][n] for n in names]), strict=True))
    except Exception:  # each case then tells its own
        return {}


def _run(rows: list[tuple[Any, ...]]) -> list[Any]:
    both = Composite(rows)
    actual, ops = both.translated()
    return list(zip(actual, ops, both.expected, both.exact, strict=True))


@pytest.mark.parametrize(("family", "name"), ROWS, ids=[f"{f}-{n}" for f, n in ROWS])
def test_equals_pytorch(family: str, name: str) -> None:
    row = CASES[family][name]
    together = run_together(family, list(CASES[family]).index(name) // CHUNK)
    actual, ops, expected, exact = together[name] if together else _run([row])[0]
    assert row[1] in {op.removeprefix("aten.") for op in ops}, f"{name} leads to {sorted(ops)}"
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected)
        return
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    error, own, size = (
        float(np.sqrt(np.mean(np.square(values[finite], dtype=np.float64))))
        for values in (actual - exact, expected - exact, exact)
    )
    ratio = error / max(own, 2.0**-24 * size, 1e-300)
    assert ratio <= ALLOWED, f"error {error:.3g} is {ratio:.1f} times PyTorch's own"


def test_every_op_of_the_table_has_a_case() -> None:
    named = {row[1] for rows in CASES.values() for row in rows.values()}
    assert named - set(table()) == set(), "cases name ops that the table lacks"
    assert set(table()) - named == set(), "add a row for these to bridge_cases_*.py"


def test_case_names_are_unique() -> None:
    names = [row[0] for family in FAMILIES for row in load_cases(family)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[\w.]+", row[1]) for rows in CASES.values() for row in rows.values())
