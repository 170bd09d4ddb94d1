"""Keras originals under TensorFlow: in float32 as they are, and rebuilt under a float64 policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.calling import call_keras
from shipworthy.convert.cases import SignatureError
from shipworthy.convert.lift import Lifted, lift_variables
from shipworthy.convert.original import (
    Float64RefusedError,
    Original,
    first_line,
    first_of,
    name_outputs,
    widen,
)
from shipworthy.convert.snapshot import load_snapshot
from shipworthy.models.spec import Array, Arrays, Signature, Source

_NARROW = {
    "DT_FLOAT": "float32",
    "DT_HALF": "float16",
    "DT_BFLOAT16": "bfloat16",
    "DT_COMPLEX64": "complex64",
}
# What these read is narrow in the original as well, so that nothing is lost by it ...
_READS = frozenset({"Const", "Placeholder", "ReadVariableOp", "VarHandleOp", "NoOp"})
# ... nor by these, as long as they hand on what was read.
_PASSES = frozenset({"Identity", "IdentityN", "Cast"})


class KerasOriginal:
    """A `keras.Model` behind one traced function with the signature's dynamic axes."""

    def __init__(self, model: Any, signature: Signature, *, wide: bool = False) -> None:
        self.model = model
        self._signature = signature
        self._function = _trace(model, signature, wide=wide)
        self._sessions: dict[int, Callable[[Arrays], Any]] = {}

    @property
    def graph(self) -> Any:
        """The traced function's GraphDef, with the functions it calls."""
        return self._function.graph.as_graph_def()

    def run(self, inputs: Arrays, *, threads: int = 1) -> dict[str, Array]:
        """Call the traced function; at another thread count, its graph in a session of its own.

        TensorFlow fixes a process' thread pool at the first operation, but a session may have its
        own (`ConfigProto.intra_op_parallelism_threads`). A lookup table stays with the process,
        and so does a model that has one: its answers at other thread counts are those at one.
        """
        if threads == 1 or _reads_tables(self._function):
            tensors = [_constant(inputs[spec.name]) for spec in self._signature.inputs]
            return name_outputs(self._function(*tensors), self._signature, _to_array)
        if threads not in self._sessions:
            self._sessions[threads] = _open_session(self._function, self._signature, threads)
        return name_outputs(self._sessions[threads](inputs), self._signature, np.asarray)

    def nudge_weights(self, nudge: Callable[[Array], Array]) -> Callable[[], None]:
        """Replace every float variable; return what puts them back."""
        variables = [v for v in self.model.weights if "float" in str(v.dtype)]
        kept = [np.array(v) for v in variables]

        def fill(values: Sequence[Array]) -> None:
            self._sessions.clear()  # they hold the weights
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

        fill([nudge(value) for value in kept])
        return lambda: fill(kept)


def run_float64(
    source: Source, snapshot: Path, inputs: Sequence[Arrays], check: Callable[[Original], None]
) -> list[dict[str, Array]]:
    """Run the model rebuilt in float64; see `shipworthy.convert.original.run_float64`.

    `check` is not called: a Keras model's dtype is fixed when it is built.
    """
    del check
    try:
        with _float64_policy():
            wide = KerasOriginal(load_snapshot(source, snapshot), source.signature, wide=True)
            narrow = narrow_nodes(wide.graph)
            outputs = [] if narrow else [wide.run(widen(case)) for case in inputs]
    except Exception as e:
        raise Float64RefusedError(f"it does not run in float64: {first_line(e)}") from e
    if narrow:
        raise Float64RefusedError(first_of(narrow))
    return outputs


def narrow_nodes(graph: Any) -> list[str]:
    """List what a GraphDef computes in a float narrower than float64, also in nested functions.

    A narrow value that is only read (a placeholder, a constant, a variable) or widened loses
    nothing and is allowed; any other operation with a narrow type among its attributes is listed.
    """
    functions = [(f" in {f.signature.name}", f.node_def) for f in graph.library.function]
    found: list[str] = []
    for where, nodes in [("", graph.node), *functions]:
        exact: set[str] = set()
        for node in nodes:
            parents = {name.lstrip("^").split(":")[0] for name in node.input}
            if node.op in _READS or (node.op in _PASSES and parents <= exact):
                exact.add(node.name)
            elif types := _narrow_types(node):
                found.append(f"{node.op} ({node.name}{where}) works in {types[0]}")
    return list(dict.fromkeys(found))


def _narrow_types(node: Any) -> list[str]:
    from tensorflow.core.framework import types_pb2

    numbers: list[int] = []
    for attribute in node.attr.values():
        numbers += [attribute.type, *attribute.list.type]
    names = [types_pb2.DataType.Name(number) for number in numbers]
    return [_NARROW[name] for name in names if name in _NARROW]


@contextmanager
def _float64_policy() -> Iterator[None]:
    from keras import config

    policy, floatx = config.dtype_policy(), config.floatx()
    try:
        config.set_floatx("float64")
        config.set_dtype_policy("float64")
        yield
    finally:
        config.set_floatx(floatx)
        config.set_dtype_policy(policy)


def _trace(model: Any, signature: Signature, *, wide: bool) -> Any:
    import tensorflow as tf

    specs = [
        tf.TensorSpec(
            [None if isinstance(size, str) else size for size in spec.shape],
            "float64" if wide and spec.dtype.startswith("float") else spec.dtype,
            name=f"input_{i}",
        )
        for i, spec in enumerate(signature.inputs)
    ]

    def call(*tensors: Any) -> Any:
        return call_keras(model, tensors, signature)

    return tf.function(call, input_signature=specs).get_concrete_function()


def _reads_tables(function: Any) -> bool:
    """Tell whether a function uses resources beside its variables."""
    variables = {id(variable.handle) for variable in function.graph.variables}
    captured = (tensor for tensor, _ in function.graph.captures)
    return any(t.dtype.name == "resource" and id(t) not in variables for t in captured)


def _open_session(function: Any, signature: Signature, threads: int) -> Callable[[Arrays], Any]:
    import tensorflow as tf

    lifted = lift_variables(function) or _freeze(function)
    order = tf.nest.pack_sequence_as(function.structured_outputs, lifted.outputs)
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=1,
        use_per_session_threads=True,
    )
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(lifted.graph, name="")
    session = tf.compat.v1.Session(graph=graph, config=config)
    weights = {f"{name}:0": variable.numpy() for name, variable in lifted.weights.items()}

    def run(inputs: Arrays) -> Any:
        values = [inputs[spec.name] for spec in signature.inputs]
        return session.run(order, weights | dict(zip(lifted.inputs, values, strict=True)))

    return run


def _freeze(function: Any) -> Lifted:
    """Return a function with its variables as constants of the graph."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function)
    inputs, outputs = (
        [tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs)
    )
    return Lifted(frozen.graph.as_graph_def(), inputs, outputs, {})


def limit_threads() -> None:
    """Give this process one thread an operation, one operation at a time; before the first one."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _constant(value: Array) -> Any:
    import tensorflow as tf

    return tf.constant(value)


def _to_array(value: Any) -> Array:
    if not hasattr(value, "numpy"):
        raise SignatureError(
            f"the model returns a {type(value).__name__} where a tensor is expected; "
            "let its call return tensors, in a tuple or a dict"
        )
    return np.array(value.numpy())
