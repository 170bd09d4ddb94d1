"""Every op of the importer against ONNX Runtime, at sizes that were not traced.

The rows are in ``importer_cases_*.py``, explained there. Each is a model of one node.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.bridge.importer.table import find_entry, table
from shipworthy.models.spec import DTYPES, Signature, TensorSpec, synthesise

HERE = Path(__file__).parent
TRACED = {"N": 2, "H": 9, "W": 8, "L": 11}
SIZES = {"N": 3, "H": 8, "W": 11, "L": 14}
OPSET = 17
# Both sides round: of the result's root mean square, in steps of float32. A wrong constant, window
# or place gives thousands.
ALLOWED = 16 * 2.0**-24
CHUNK = 24

pytestmark = [
    pytest.mark.matrix,
    # PyTorch, inside torch.export and run_decompositions.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
]


def load_cases(family: str) -> list[tuple[Any, ...]]:
    file = HERE / f"importer_cases_{family}.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.CASES)


FAMILIES = ("layers", "pointwise", "shapes")
ROWS = {f"{family}-{row[0]}": row for family in FAMILIES for row in load_cases(family)}
BRIDGED = [
    name
    for name, (_, _, inputs, settings) in ROWS.items()
    if settings.get("_bridge", True) and any(isinstance(one, str) for one in inputs)
]


def input_spec(name: str, text: str) -> TensorSpec:
    words = text.split()
    dtype = words.pop(0) if words and words[0] in DTYPES else "float32"
    low = high = None
    if words and ".." in words[-1]:
        low, high = map(float, words.pop().split(".."))
    shape = tuple(w if w.isalpha() else int(w) for w in words)
    return TensorSpec(name, dtype, shape, low, high)


class Single:
    """A model of one node, and what ONNX Runtime computes with it."""

    def __init__(self, row: tuple[Any, ...], folder: Path) -> None:
        from onnx import TensorProto, helper, numpy_helper, save, shape_inference

        _, op, inputs, settings = row
        names, graph_inputs, constants, specs = [], [], [], []
        for place, one in enumerate(inputs):
            name = "" if one is None else f"in_{place}"
            names.append(name)
            if isinstance(one, str):
                spec = input_spec(name, one)
                specs.append(spec)
                kind = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
                graph_inputs.append(helper.make_tensor_value_info(name, kind, list(spec.shape)))
            elif one is not None:
                constants.append(numpy_helper.from_array(np.asarray(one), name))
        outputs = [f"out_{j}" for j in range(settings.get("_outputs", 1))]
        attributes = {k: v for k, v in settings.items() if not k.startswith("_")}
        graph = helper.make_graph(
            [helper.make_node(op, names, outputs, name="one", **attributes)],
            "single",
            graph_inputs,
            [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
            constants,
        )
        for value in graph.output:
            value.ClearField("type")  # inference fills it in below
        opset = settings.get("_opset", OPSET)
        opset = max(opset, 18) if "_opset" not in settings and find_entry(op, 17) is None else opset
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 10
        inferred = shape_inference.infer_shapes(model)
        for value, found in zip(model.graph.output, inferred.graph.output, strict=True):
            value.type.CopyFrom(found.type)
            if not value.type.tensor_type.HasField("shape"):  # a function inference does not enter
                value.CopyFrom(
                    helper.make_tensor_value_info(value.name, TensorProto.FLOAT, specs[0].shape)
                )
        self.file = folder / "model.onnx"
        save(model, self.file)
        self.model = model
        self.by_reference = settings.get("_reference", False)
        self.specs = tuple(specs)
        self.arrays = dict(synthesise(Signature(self.specs, ()), SIZES, seed=1))
        traced = TRACED | settings.get("_sizes", {})
        self.traced = dict(synthesise(Signature(self.specs, ()), traced, seed=0))
        for arrays in (self.arrays, self.traced):
            scalars = iter(settings.get("_scalars", ()))
            for spec in specs:
                if not spec.shape and spec.dtype == "float32":
                    arrays[spec.name] = np.array(next(scalars), np.float32)
        if op in ("IsInf", "IsNaN"):
            for arrays in (self.arrays, self.traced):
                arrays["in_0"].flat[:3] = [np.inf, -np.inf, np.nan]

    def expected(self) -> list[Any]:
        """Return what ONNX Runtime answers; ONNX's own reference where it has no kernel."""
        import onnxruntime as ort
        from onnx.reference import ReferenceEvaluator

        if self.by_reference:
            return list(ReferenceEvaluator(self.model).run(None, self.arrays))
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(str(self.file), options)
        return list(session.run(None, self.arrays))

    def imported(self) -> Any:
        from shipworthy.convert.bridge.importer.module import import_onnx

        return import_onnx(self.file)

    def tensors(self, arrays: Any) -> list[Any]:
        import torch

        return [torch.from_numpy(np.asarray(arrays[spec.name]).copy()) for spec in self.specs]


def as_arrays(given: Any) -> list[Any]:
    return [one.numpy() for one in (given if isinstance(given, tuple) else (given,))]


def check(actual: list[Any], expected: list[Any], factor: float = 1.0) -> None:
    assert len(actual) == len(expected)
    for one, wanted in zip(actual, expected, strict=True):
        assert one.dtype == wanted.dtype
        assert one.shape == wanted.shape
        if wanted.dtype.kind != "f":
            np.testing.assert_array_equal(one, wanted)
            continue
        finite = np.isfinite(wanted)
        np.testing.assert_array_equal(one[~finite], wanted[~finite])
        error, size = (
            float(np.sqrt(np.mean(np.square(values[finite], dtype=np.float64))))
            for values in (one - wanted, wanted)
        )
        assert error <= factor * ALLOWED * max(size, 1e-30), f"error {error:.3g} of {size:.3g}"


@pytest.mark.parametrize("name", ROWS)
def test_equals_onnx_runtime(name: str, tmp_path: Path) -> None:
    import torch

    single = Single(ROWS[name], tmp_path)
    factor = ROWS[name][3].get("_factor", 1.0)
    module = single.imported()
    expected = single.expected()
    with torch.no_grad():
        check(as_arrays(module(*single.tensors(single.arrays))), expected, factor)
        if not single.specs:
            return
        traced = torch.jit.trace(module, tuple(single.tensors(single.traced)), check_trace=False)
        check(as_arrays(traced(*single.tensors(single.arrays))), expected, factor)


@functools.cache
def run_together(folder: Path, chunk: int) -> dict[str, list[Any]]:
    """Return what TensorFlow answers to neighbouring cases; nothing if one cannot run."""
    names = BRIDGED[chunk * CHUNK : (chunk + 1) * CHUNK]
    try:
        return dict(zip(names, run_bridged(names, folder), strict=True))
    except Exception:  # each case then tells its own
        return {}


def run_bridged(names: list[str], folder: Path) -> list[list[Any]]:
    import tensorflow as tf
    import torch

    from shipworthy.convert.bridge.program import export_program
    from shipworthy.convert.bridge.saved_model import translate

    folder.mkdir(exist_ok=True)
    singles = []
    for i, name in enumerate(names):
        (folder / str(i)).mkdir()
        singles.append(Single(ROWS[name], folder / str(i)))
    modules = torch.nn.ModuleList([single.imported() for single in singles])

    class All(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.cases = modules

        def forward(self, *args: Any) -> Any:
            rest, results = list(args), []
            for module, single in zip(self.cases, singles, strict=True):
                count = len(single.specs)
                given, rest = rest[:count], rest[count:]
                results += [module(*given)]
            return tuple(results)

    inputs, traced, arrays = [], {}, {}
    for i, single in enumerate(singles):
        for spec in single.specs:
            key = f"c{i}_{spec.name}"
            inputs.append(TensorSpec(key, spec.dtype, spec.shape))
            traced[key], arrays[key] = single.traced[spec.name], single.arrays[spec.name]
    module = All().eval()
    with torch.no_grad():
        answers = module(*(torch.from_numpy(np.array(one)) for one in arrays.values()))
    groups = [as_arrays(one) for one in answers]
    outputs = [
        TensorSpec(f"out_{i}_{j}", one.dtype.name, tuple(f"d{k}" for k in range(one.ndim)))
        for i, group in enumerate(groups)
        for j, one in enumerate(group)
    ]
    signature = Signature(tuple(inputs), tuple(outputs))
    _, function = translate(export_program(module, signature, traced), signature)
    given = function(**{name: tf.constant(array) for name, array in arrays.items()})
    return [
        [given[f"out_{i}_{j}"].numpy() for j in range(len(group))] for i, group in enumerate(groups)
    ]


@pytest.mark.parametrize("name", BRIDGED)
def test_reaches_tensorflow_by_the_bridge(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chunk = BRIDGED.index(name) // CHUNK
    together = run_together(tmp_path_factory.getbasetemp() / f"together{chunk}", chunk)
    actual = together[name] if together else run_bridged([name], tmp_path / "own")[0]
    single = Single(ROWS[name], tmp_path)
    check(actual, single.expected(), ROWS[name][3].get("_factor", 1.0))


def test_every_op_of_the_table_has_a_case() -> None:
    by_hand = {"Loop", "Scan", "If"}  # test_importer.py: graphs with graphs inside
    used = {(row[1], find_entry(row[1], row[3].get("_opset", 18))) for row in ROWS.values()}
    entries = {(op, entry) for op, rows in table().items() for entry in rows}
    assert {op for op, _ in used} <= set(table())
    assert {(op, e.since) for op, e in entries - used} - {(op, e.since) for op, e in entries
        if op in by_hand} == set()  # fmt: skip


def test_case_names_are_unique() -> None:
    assert len(ROWS) == sum(len(load_cases(family)) for family in FAMILIES)
