"""What no row of one node can say: loops, branches, shapes that are computed, weights beside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.spec import Signature, Source, TensorSpec, synthesise

pytestmark = [
    pytest.mark.matrix,
    # PyTorch, inside torch.export and run_decompositions.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
]

ALLOWED = 16 * 2.0**-24
RNG = np.random.default_rng(3)


def weights(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def numbers(*values: int) -> Any:
    return np.array(values, np.int64)


class Graph:
    """Writes a graph node by node; dtypes by NumPy's names."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []

    def input(self, name: str, dtype: str, *shape: int | str) -> str:
        self.inputs.append(declared(name, dtype, *shape))
        return name

    def constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}_{id(self)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(
        self, op: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any
    ) -> Any:
        from onnx import helper

        given = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        names = [f"v{len(self.nodes)}_{i}_{id(self)}" for i in range(outputs)]
        node = helper.make_node(
            op, given, names, name=f"{op}_{len(self.nodes)}", domain=domain, **attributes
        )
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def graph(self, *outputs: tuple[str, str, tuple[Any, ...]]) -> Any:
        from onnx import helper

        values = [declared(name, dtype, *shape) for name, dtype, shape in outputs]
        return helper.make_graph(self.nodes, "graph", self.inputs, values, self.constants)

    def save(self, path: Path, *outputs: tuple[str, str, tuple[Any, ...]], opset: int = 18) -> Path:
        import onnx

        opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("other", 1)]
        model = onnx.helper.make_model(self.graph(*outputs), opset_imports=opsets)
        model.ir_version = 10
        onnx.save(model, path)
        return path


def declared(name: str, dtype: str, *shape: Any) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape)
    )


def onnx_runtime(path: Path, arrays: Any) -> list[Any]:
    import onnxruntime as ort

    return list(ort.InferenceSession(str(path)).run(None, arrays))


def check(actual: Any, expected: list[Any]) -> None:
    actual = actual if isinstance(actual, tuple | list) else [actual]
    assert len(actual) == len(expected)
    for one, wanted in zip(actual, expected, strict=True):
        one = one.numpy() if hasattr(one, "numpy") else one
        assert one.dtype == wanted.dtype
        assert one.shape == wanted.shape
        size = np.sqrt(np.mean(np.square(wanted, dtype=np.float64)))
        assert np.sqrt(np.mean(np.square(one - wanted, dtype=np.float64))) <= ALLOWED * size


def check_traced(path: Path, traced: Any, *others: Any, frozen: bool = True) -> Any:
    """Hold eager, traced and frozen answers against ONNX Runtime's, at sizes not traced."""
    import torch

    from shipworthy.convert.bridge.importer.module import import_onnx

    module = import_onnx(path)
    with torch.no_grad():
        program = torch.jit.trace(
            module, tuple(torch.from_numpy(a) for a in traced.values()), check_trace=False
        )
        programs = [module, program, *([torch.jit.freeze(program)] if frozen else [])]
        for arrays in (traced, *others):
            expected = onnx_runtime(path, arrays)
            for one in programs:
                check(one(*(torch.from_numpy(a) for a in arrays.values())), expected)
    return module


def floats(**shapes: tuple[int, ...]) -> dict[str, Any]:
    return {name: weights(*shape) for name, shape in shapes.items()}


def looped(condition: bool) -> Graph:
    """h = tanh(x[i] W + h), collected; with `condition` until the sum of h is large."""
    body = Graph()
    body.input("i", "int64")
    body.input("go_on", "bool")
    body.input("h", "float32", "n", 3)
    x = body.add("Gather", "x", "i", axis=0)
    h = body.add("Tanh", body.add("Add", body.add("MatMul", x, weights(4, 3)), "h"))
    go_on = body.add("Identity", "go_on")
    if condition:
        total = body.add("ReduceSum", body.add("Abs", h), keepdims=0)
        go_on = body.add("Less", total, np.float32(4.2))
    outer = Graph()
    outer.input("x", "float32", "l", "n", 4)
    size = outer.add("Shape", "x")
    steps = outer.add("Squeeze", outer.add("Slice", size, numbers(0), numbers(1)), numbers(0))
    rows = outer.add("Slice", size, numbers(1), numbers(2))
    first = outer.add("Expand", np.zeros((1, 3), np.float32),
                      outer.add("Concat", rows, numbers(3), axis=0))  # fmt: skip
    graph = body.graph(
        (go_on, "bool", ()), (h, "float32", ("n", 3)), (body.add("Neg", h), "float32", ("n", 3))
    )
    outer.last, outer.all = outer.add("Loop", steps, np.array(True), first, outputs=2, body=graph)  # type: ignore[attr-defined]
    return outer


@pytest.mark.parametrize("condition", [False, True])
def test_a_loop_runs_as_often_as_the_input_says(tmp_path: Path, condition: bool) -> None:
    outer = looped(condition)
    path = outer.save(
        tmp_path / "loop.onnx",
        (outer.last, "float32", ("n", 3)),  # type: ignore[attr-defined]
        (outer.all, "float32", ("l", "n", 3)),  # type: ignore[attr-defined]
    )
    check_traced(path, floats(x=(6, 2, 4)), floats(x=(9, 3, 4)), floats(x=(2, 1, 4)))


def test_a_loop_cannot_be_exported_and_says_what_can_be_done(tmp_path: Path) -> None:
    from shipworthy.convert.bridge.importer.module import import_onnx
    from shipworthy.convert.bridge.program import export_program

    outer = looped(False)
    path = outer.save(tmp_path / "loop.onnx", (outer.last, "float32", ("n", 3)))  # type: ignore[attr-defined]
    signature = Signature(
        (TensorSpec("x", "float32", ("l", "n", 4)),), (TensorSpec("y", "float32", ("n", 3)),)
    )
    with pytest.raises(UnsupportedModelError, match=r"Loop_.*TorchScript and ONNX can hold it"):
        export_program(import_onnx(path), signature, floats(x=(6, 2, 4)))


@pytest.mark.parametrize("backwards", [0, 1])
def test_a_scan_runs_over_an_axis_in_either_direction(tmp_path: Path, backwards: int) -> None:
    body = Graph()
    body.input("h", "float32", "n")
    body.input("slice", "float32", "n")
    h = body.add("Add", body.add("Mul", "h", np.float32(0.5)), body.add("Mul", "slice", "scale"))
    graph = body.graph((h, "float32", ("n",)), (body.add("Identity", h), "float32", ("n",)))
    outer = Graph()
    outer.input("first", "float32", "n")
    outer.input("x", "float32", "n", "l")
    outer.input("scale", "float32", 1)
    last, every = outer.add(
        "Scan", "first", "x", outputs=2, body=graph, num_scan_inputs=1, scan_input_axes=[1],
        scan_input_directions=[backwards], scan_output_axes=[1],
    )  # fmt: skip
    path = outer.save(
        tmp_path / "scan.onnx", (last, "float32", ("n",)), (every, "float32", ("n", "l"))
    )
    check_traced(
        path, floats(first=(2,), x=(2, 5), scale=(1,)), floats(first=(3,), x=(3, 8), scale=(1,))
    )


def branches(condition: Any) -> Graph:
    then, otherwise, outer = Graph(), Graph(), Graph()
    outer.input("x", "float32", "n", 4)
    doubled = then.graph((then.add("Mul", "x", np.float32(2)), "float32", ("n", 4)))
    shifted = otherwise.graph((otherwise.add("Sub", "x", weights(4)), "float32", ("n", 4)))
    if condition is None:
        total = outer.add("ReduceSum", "x", keepdims=0)
        condition = outer.add("Greater", total, np.float32(0))
    outer.result = outer.add("If", condition, then_branch=doubled, else_branch=shifted)  # type: ignore[attr-defined]
    return outer


def test_a_branch_is_taken_when_the_model_runs(tmp_path: Path) -> None:
    outer = branches(None)
    path = outer.save(tmp_path / "if.onnx", (outer.result, "float32", ("n", 4)))  # type: ignore[attr-defined]
    high = {"x": np.abs(weights(2, 4))}
    check_traced(path, high, {"x": -np.abs(weights(3, 4))}, {"x": np.abs(weights(5, 4))})


@pytest.mark.parametrize("condition", [True, False])
def test_a_branch_that_is_known_is_put_in_place(tmp_path: Path, condition: bool) -> None:
    outer = branches(np.array(condition))
    path = outer.save(tmp_path / "if.onnx", (outer.result, "float32", ("n", 4)))  # type: ignore[attr-defined]
    module = check_traced(path, floats(x=(2, 4)), floats(x=(3, 4)))
    assert [node.op for node in module._plan.nodes] == ["Mul" if condition else "Sub", "Identity"]


def shapes_computed() -> Graph:
    """Sizes through every op that computes with them, then as sizes of tensors."""
    g = Graph()
    g.input("x", "float32", "n", "l", 6)
    size = g.add("Shape", "x")
    rows = g.add("Gather", size, np.int64(0), axis=0)
    length = g.add("Gather", size, numbers(1), axis=0)
    as_float = g.add("Cast", length, to=1)
    half = g.add("Cast", g.add("Floor", g.add("Div", as_float, np.float32(2))), to=7)
    twice = g.add("Mul", length, numbers(2))
    larger = g.add("Max", half, numbers(1))
    wanted = g.add("Concat", g.add("Unsqueeze", rows, numbers(0)), numbers(1), twice, axis=0)
    kept = g.add("Where", g.add("Equal", wanted, numbers(-1)), numbers(1, 1, 1), wanted)
    flat = g.add("ReduceProd", g.add("Slice", size, numbers(0), numbers(2)), keepdims=1)
    g.results = [  # type: ignore[attr-defined]
        g.add("Reshape", "x", g.add("Concat", flat, numbers(2, 3), axis=0)),
        g.add("Expand", np.ones((1, 1, 1), np.float32), kept),
        g.add("Slice", "x", larger, length, numbers(1)),
        g.add("ConstantOfShape", g.add("Concat", length, numbers(2), axis=0)),
        g.add("Cast", g.add("Range", np.int64(0), g.add("Squeeze", twice, numbers(0)),
                            np.int64(1)), to=1),
        g.add("Cast", g.add("Sub", length, g.add("Neg", rows)), to=1),
        g.add("Tile", "x", g.add("Concat", numbers(1, 1), numbers(2), axis=0)),
        g.add("Mul", "x", g.add("Cast", g.add("Mod", length, numbers(4)), to=1)),
    ]  # fmt: skip
    return g


SHAPES_COMPUTED = [
    ("m", 2, 3), ("n", 1, "k"), ("n", "h", 6), ("l", 2), ("k",), (1,), ("n", "l", 12),
    ("n", "l", 6),
]  # fmt: skip


def save_shapes(path: Path) -> Path:
    g = shapes_computed()
    named = zip(g.results, SHAPES_COMPUTED, strict=True)  # type: ignore[attr-defined]
    return g.save(path, *((name, "float32", shape) for name, shape in named))


def test_sizes_that_are_computed_stay_dynamic_when_traced(tmp_path: Path) -> None:
    path = save_shapes(tmp_path / "shapes.onnx")
    check_traced(path, floats(x=(2, 8, 6)), floats(x=(3, 11, 6)), floats(x=(1, 2, 6)))


def test_sizes_that_are_computed_reach_tensorflow(tmp_path: Path) -> None:
    import tensorflow as tf

    from shipworthy.convert.bridge.importer.module import import_onnx
    from shipworthy.convert.bridge.saved_model import write_saved_model

    path = save_shapes(tmp_path / "shapes.onnx")
    import onnx

    kept = [v.name for v in onnx.load(path).graph.output]
    # Rounding a float that is made of a size is the one thing torch.export loses.
    names = [name for i, name in enumerate(kept) if i != 2]
    shapes = [shape for i, shape in enumerate(SHAPES_COMPUTED) if i != 2]
    signature = Signature(
        (TensorSpec("x", "float32", ("n", "l", 6)),),
        tuple(TensorSpec(f"y{i}", "float32", shape) for i, shape in enumerate(shapes)),
    )
    write_saved_model(
        import_onnx(path, outputs=names), signature, floats(x=(2, 8, 6)), tmp_path / "saved"
    )
    arrays = floats(x=(3, 11, 6))
    answer = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    given = answer(x=tf.constant(arrays["x"]))
    expected = [one for i, one in enumerate(onnx_runtime(path, arrays)) if i != 2]
    check([given[f"y{i}"] for i in range(len(names))], expected)


def test_inputs_and_outputs_come_in_the_order_asked_for(tmp_path: Path) -> None:
    import torch

    from shipworthy.convert.bridge.importer.module import import_onnx

    g = Graph()
    a, b = g.input("a", "float32", "n"), g.input("b", "float32", "n")
    one, other = g.add("Sub", a, b), g.add("Mul", a, b)
    path = g.save(tmp_path / "m.onnx", (one, "float32", ("n",)), (other, "float32", ("n",)))
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 7.0])
    module = import_onnx(path, ["b", "a"], [other, one])
    assert [t.tolist() for t in module(x, y)] == [[5.0, 14.0], [4.0, 5.0]]
    only = import_onnx(path, outputs=[one])
    assert [node.op for node in only._plan.nodes] == ["Sub"]
    with pytest.raises(ValueError, match="takes a, b; asked for a"):
        import_onnx(path, ["a"])
    with pytest.raises(ValueError, match="has no nothing; it has"):
        import_onnx(path, outputs=["nothing"])
    with pytest.raises(TypeError, match="1 inputs were given; the ONNX graph takes 2: a, b"):
        import_onnx(path)(x)


def test_all_ops_that_are_lacking_are_told_at_once(tmp_path: Path) -> None:
    from shipworthy.convert.bridge.importer.module import import_onnx

    g = Graph()
    g.input("x", "float32", 1, 4)
    y = g.add("FusedConv", g.add("NonMaxSuppressionLike", "x", domain="other"), domain="other")
    z = g.add("Bernoulli", y)
    path = g.save(tmp_path / "m.onnx", (z, "float32", (1, 4)))
    with pytest.raises(UnsupportedModelError) as error:
        import_onnx(path)
    for text in ("other.FusedConv (node 'FusedConv_1')", "NonMaxSuppressionLike", "Bernoulli",
                 "not an op of ONNX itself", "opset 18", "shipworthy routes"):  # fmt: skip
        assert text in str(error.value)


def one_node(tmp_path: Path, op: str, *constants: Any, opset: int = 18, **attributes: Any) -> Any:
    from shipworthy.convert.bridge.importer.module import import_onnx

    g = Graph()
    g.input("x", "float32", "n", 4, "h", "w")
    y = g.add(op, "x", *constants, **attributes)
    return import_onnx(
        g.save(tmp_path / "m.onnx", (y, "float32", ("a", "b", "c", "d")), opset=opset)
    )


@pytest.mark.parametrize(
    ("op", "constants", "attributes", "told"),
    [
        ("Resize", ("", np.array([1, 1, 2, 2], np.float32)), {"antialias": 1}, "antialias=1"),
        ("Dropout", (np.float32(0.5), np.array(True)), {}, "training_mode"),
        ("AveragePool", (), {"kernel_shape": [2, 2], "dilations": [2, 2]}, "dilations"),
        (
            "Pad",
            (numbers(0, 0, 1, 1, 0, 0, 1, 1),),
            {"mode": "unheard"},
            "mode='unheard' is not supported; supported: 'constant'",
        ),
        ("Squeeze", (), {}, "some sizes are dynamic; name the axes"),
    ],
)
def test_a_setting_that_is_not_covered_is_told_with_its_node(
    tmp_path: Path, op: str, constants: tuple[Any, ...], attributes: Any, told: str
) -> None:
    import torch

    opset = 19 if op == "AveragePool" else 18
    module = one_node(tmp_path, op, *constants, opset=opset, **attributes)
    with pytest.raises(UnsupportedModelError) as error:
        torch.jit.trace(module, torch.ones(2, 4, 6, 6), check_trace=False)
    assert told in str(error.value)
    assert f"node '{op}_0' ({op}, opset {opset})" in str(error.value)


def test_what_goes_wrong_inside_is_told_with_its_node(tmp_path: Path) -> None:
    import torch

    module = one_node(tmp_path, "MatMul", weights(5, 3))
    with pytest.raises(UnsupportedModelError, match=r"cannot run node 'MatMul_0'.*RuntimeError"):
        module(torch.ones(1, 4, 2, 2))


def test_weights_are_buffers_and_settings_are_not(tmp_path: Path) -> None:
    module = one_node(tmp_path, "Conv", weights(3, 4, 2, 2), weights(3))
    assert sorted(tuple(b.shape) for b in module.buffers()) == [(3,), (3, 4, 2, 2)]
    assert not list(one_node(tmp_path, "Mul", np.float32(2)).buffers())
    assert not module.training


@pytest.mark.parametrize("external", [False, True])
def test_each_hop_from_onnx_keeps_the_batch(tmp_path: Path, external: bool) -> None:
    import onnx
    import tensorflow as tf
    import torch

    from shipworthy.convert.formats import saved_model, torchscript

    g = Graph()
    ids, x = g.input("ids", "int64", "batch", 5), g.input("image.in", "float32", "batch", 3, 8, 8)
    y = g.add("Relu", g.add("Conv", x, weights(4, 3, 3, 3), auto_pad="SAME_UPPER"))
    y = g.add("Flatten", g.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]))
    table = g.add("ReduceMean", g.add("Gather", weights(9, 7), ids), numbers(1), keepdims=0)
    scores = g.add("Add", g.add("Gemm", y, weights(64, 7)), table)
    path = g.save(tmp_path / "m.onnx", (scores, "float32", ("batch", 7)))
    if external:
        model = onnx.load(path)
        onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=100)
    signature = Signature(
        (
            TensorSpec("image", "float32", ("batch", 3, 8, 8)),
            TensorSpec("ids", "int64", ("batch", 5), low=0, high=8),
        ),
        (TensorSpec("scores", "float32", ("batch", 7)),),
    )
    names = {"inputs": {"image": "image.in", "ids": "ids"}, "outputs": {"scores": scores}}
    parent: Any = SimpleNamespace(path=path, native_names=names)
    source = Source("m", "tensorflow", signature, build=lambda: None)
    told = torchscript.from_onnx(parent, source, tmp_path / "m.pt")
    assert told.inputs == {"image": "image", "ids": "ids"}
    told = saved_model.from_onnx(parent, source, tmp_path / "saved")
    assert sorted(told.inputs) == ["ids", "image"]
    script = torch.jit.load(tmp_path / "m.pt")
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    for batch in (1, 2, 5):
        arrays = dict(synthesise(signature, {"batch": batch}, seed=batch))
        expected = onnx_runtime(path, {"image.in": arrays["image"], "ids": arrays["ids"]})
        check(script(torch.from_numpy(arrays["image"]), torch.from_numpy(arrays["ids"])), expected)
        check(list(served(**{k: tf.constant(v) for k, v in arrays.items()}).values()), expected)
