"""Traces a TensorFlow function anew, operator by operator, through a table of rules.

Functions that the graph calls are inlined, loops and conditions become `tf.while_loop` and
`tf.cond` around replayed bodies, and only what the outputs need is kept: assertions, and other
operators that run for their effect alone, are gone. Variables stay variables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shipworthy.convert.original import first_line
from shipworthy.convert.rewrite.table import Node, Reader, Rule, Tensor
from shipworthy.convert.rewrite.tensor_list import Reserved, reserve
from shipworthy.convert.routes import UnsupportedModelError

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
LOOPS = ("While", "StatelessWhile")
CONDITIONS = ("If", "StatelessIf")
CHOICES = ("Case", "StatelessCase")
# Control flow of TensorFlow 1, whose cycles are not followed.
UNSTRUCTURED = ("Enter", "Exit", "Merge", "NextIteration", "Switch", "RefSwitch", "LoopCond")
# A small constant is written anew inside a loop, so that it is still known there.
_SMALL_BYTES = 1024


@dataclass
class Replay:
    """What all parts of one replay share.

    Parameters
    ----------
    rules : by operator.
    library : protobuf `FunctionDef` by name.
    narrow : compute in float32 what the graph computes in float64.
    used : operators that a rule replaced, in order of first use.
    narrowed : names of the operators that computed in float64.
    prefix : of the names of new operators.
    parts : how many bodies of loops and branches have been replayed.
    """

    rules: Mapping[str, Rule]
    library: Mapping[str, Any]
    narrow: bool
    used: dict[str, str]
    narrowed: list[str]
    prefix: str = ""
    parts: int = 0

    @contextmanager
    def part(self) -> Iterator[None]:
        """Replay a body under names of its own: ONNX wants each name once in all graphs."""
        self.parts += 1
        before, self.prefix = self.prefix, f"part_{self.parts}/"
        with _scope(self.prefix):
            yield
        self.prefix = before


def replay(function: Any, rules: Mapping[str, Rule], *, narrow: bool = False) -> tuple[Any, Replay]:
    """Trace a concrete function anew.

    Parameters
    ----------
    function : `tf.types.experimental.ConcreteFunction` whose inputs are keyword arguments and
        whose outputs are a flat dict, as a SavedModel's signatures are.
    rules : what `shipworthy.convert.rewrite.table.rules` gives.
    narrow : compute in float32 what the graph computes in float64; outputs keep their dtype.

    Returns
    -------
    tuple
        A traced `tf.function` of the same inputs, outputs and variables; and what was done.
    """
    import tensorflow as tf

    graph = function.graph.as_graph_def()
    library = {f.signature.name: f for f in graph.library.function}
    told = Replay(rules, library, narrow, {}, [])
    specs = function.structured_input_signature[1]
    outside = {inner.op.name: outer for outer, inner in function.graph.captures}
    arguments = _argument_names(function)
    # A flat dict's outputs stand in the order of its keys.
    results = dict(zip(sorted(function.structured_outputs), function.outputs, strict=True))

    def infer(*tensors: Tensor) -> dict[str, Tensor]:
        values: dict[str, Any] = {
            name: [t if t.dtype == tf.resource else tf.constant(t.numpy())]
            for name, t in outside.items()
        }
        values |= {n: [told_in(t)] for n, t in zip(arguments.values(), tensors, strict=True)}
        body = _Body(told, graph.node, values)
        for variable in function.variables:  # for those who freeze them
            tf.compat.v1.get_default_graph().watch_variable(variable)
        with _scope(""):
            found = {key: body.get(tensor.name) for key, tensor in results.items()}
            return {
                key: tf.cast(value, results[key].dtype)
                if value.dtype != results[key].dtype
                else tf.identity(value)
                for key, value in found.items()
            }

    def told_in(tensor: Tensor) -> Tensor:
        return tf.cast(tensor, tf.float32) if narrow and tensor.dtype == tf.float64 else tensor

    signature = [tf.TensorSpec(specs[key].shape, specs[key].dtype, key) for key in arguments]
    traced = tf.function(infer, signature, autograph=False)
    traced.get_concrete_function()
    return traced, told


def _argument_names(function: Any) -> dict[str, str]:
    """Return the placeholder's name by argument: a signature's inputs are in sorted order."""
    keys = sorted(function.structured_input_signature[1])
    captured = {id(inner) for _, inner in function.graph.captures}
    own = [tensor for tensor in function.graph.inputs if id(tensor) not in captured]
    return {key: tensor.op.name for key, tensor in zip(keys, own, strict=True)}


@contextmanager
def _scope(name: str) -> Iterator[None]:
    """Name operators from here on as told, whatever scope is open."""
    import tensorflow as tf

    with tf.name_scope(name):
        yield


class _Body:
    """A graph, or a function's body, that is being replayed into the graph that is open."""

    def __init__(self, told: Replay, nodes: Sequence[Any], values: dict[str, Any]) -> None:
        self.told = told
        self.nodes = {node.name: node for node in nodes}
        self.values = values  # lists of outputs by node
        self.uses: dict[str, list[Any]] | None = None
        self.watched: Callable[[Node], None] | None = None

    def get(self, reference: str) -> Any:
        """Return a tensor, computing first what it needs."""
        pending = [_node_of(reference)]
        while pending:
            name = pending[-1]
            node = self.nodes.get(name)
            if name in self.values or node is None:
                pending.pop()
                continue
            inputs = [i for i in node.input if not i.startswith("^")]
            missing = [p for i in inputs if (p := _node_of(i)) not in self.values]
            if missing:
                pending += missing
                continue
            pending.pop()
            self.values[name] = self._perform(node, [self._read(i) for i in inputs])
        return self._read(reference)

    def _read(self, reference: str) -> Any:
        name, *rest = reference.split(":")
        found = self.values[name]
        if len(rest) < 2:
            return found[int(rest[0]) if rest else 0]
        return found[_place_of_output(self.nodes[name], rest[0]) + int(rest[1])]

    def _perform(self, proto: Any, inputs: list[Any]) -> list[Any]:
        readers = self._readers(proto.name) if proto.op in self.told.rules else ()
        node = Node(proto.op, proto.name, inputs, proto.attr, readers)
        if self.watched is not None:
            self.watched(node)
        if proto.op in CALLS:
            return self._call(proto.attr["f"].func.name, inputs)
        if proto.op in LOOPS:
            return _loop(self.told, node)
        if proto.op in (*CONDITIONS, *CHOICES):
            return self._choose(node)
        rule = self.told.rules.get(proto.op)
        if rule is not None:
            import tensorflow as tf

            with tf.name_scope(f"{self.told.prefix}{proto.name}/"):
                found = _apply(rule, node)
            if found is not None:
                self.told.used.setdefault(proto.op, proto.name)
                return list(found) if isinstance(found, list | tuple) else [found]
        return _create(self.told, node)

    def _readers(self, name: str) -> list[Reader]:
        if self.uses is None:
            self.uses = defaultdict(list)
            for node in self.nodes.values():
                for parent in {_node_of(reference) for reference in node.input}:
                    self.uses[parent].append(node)
        found = []
        for node in self.uses[name]:
            others = [_node_of(i) for i in node.input if _node_of(i) != name]
            beside = tuple(self.nodes[other].op for other in others if other in self.nodes)
            found.append(Reader(node.op, beside))
        return found

    def _call(self, name: str, inputs: Sequence[Any]) -> list[Any]:
        body, results = enter(self.told, name, inputs)
        return [body.get(reference) for reference in results]

    def _choose(self, node: Node) -> list[Any]:
        """Replay a condition, or a choice of several as a chain of conditions."""
        import tensorflow as tf

        chosen, *inputs = node.inputs

        def branch(name: str) -> list[Any]:
            with self.told.part():
                given = [_written_anew(value) for value in inputs]
                return [tf.identity(v) for v in self._call(name, given)]

        if node.kind in CHOICES:
            names = [f.name for f in node.attributes["branches"].list.func]
        else:
            names = [node.attributes[key].func.name for key in ("then_branch", "else_branch")]
        with _scope(f"{self.told.prefix}{node.name}/"):
            if node.kind in CONDITIONS:
                chosen = tf.where(tf.reduce_any(tf.cast(chosen, tf.bool)), 0, 1)
            # A number out of range means the last branch.
            wanted = [tf.equal(chosen, i) for i in range(len(names) - 1)]

        def among(first: int) -> list[Any]:
            if first == len(wanted):
                return branch(names[first])
            found = tf.cond(wanted[first], lambda: branch(names[first]), lambda: among(first + 1))
            return list(found) if isinstance(found, list | tuple) else [found]

        return among(0)


def enter(told: Replay, name: str, inputs: Sequence[Any]) -> tuple[_Body, list[str]]:
    """Open a library function with these arguments; return it and the names of its results."""
    function = told.library[name]
    values = {arg.name: [value] for arg, value in zip(function.signature.input_arg, inputs)}  # noqa: B905
    body = _Body(told, function.node_def, dict(values))
    return body, [function.ret[arg.name] for arg in function.signature.output_arg]


def _apply(rule: Rule, node: Node) -> Any:
    try:
        return rule(node)
    except UnsupportedModelError:
        raise
    except Exception as e:
        raise UnsupportedModelError(
            f"{node.kind} (at {node.name}) has no equivalent here: {first_line(e)}. Write the "
            "layer with other operations, or deploy another format"
        ) from e


def _node_of(reference: str) -> str:
    return reference.split(":")[0]


def _place_of_output(node: Any, name: str) -> int:
    """Return where an output stands among all outputs of a node."""
    from tensorflow.python.framework import op_def_registry

    place = 0
    for output in op_def_registry.get(node.op).output_arg:
        if output.name == name:
            return place
        if output.number_attr:
            place += node.attr[output.number_attr].i
        elif output.type_list_attr:
            place += len(node.attr[output.type_list_attr].list.type)
        else:
            place += 1
    raise ValueError(f"{node.op} (node {node.name}) has no output {name!r}")


def _create(told: Replay, node: Node) -> list[Any]:
    """Create the operator as it is."""
    import tensorflow as tf

    attributes = {key: value for key, value in node.attributes.items() if key[0] != "_"}
    if told.narrow:
        narrowed = _narrow(node.kind, attributes)
        if narrowed is not None:
            told.narrowed.append(node.name)
            attributes = narrowed
    graph = tf.compat.v1.get_default_graph()
    inputs = [tf.convert_to_tensor(value) for value in node.inputs]
    name = told.prefix + node.name
    with _scope(""):
        created = graph.create_op(node.kind, inputs, None, name=name, attrs=attributes)
    return list(created.outputs)


def _narrow(kind: str, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the attributes with float64 made float32, or None if there was none."""
    import numpy as np
    import tensorflow as tf

    wide, found = tf.float64.as_datatype_enum, False
    kept = {}
    for key, value in attributes.items():
        if value.type == wide:
            found = True
            value = type(value)(type=tf.float32.as_datatype_enum)
        elif kind == "Const" and key == "value" and value.tensor.dtype == wide:
            array = tf.make_ndarray(value.tensor).astype(np.float32)
            value = type(value)(tensor=tf.make_tensor_proto(array))
        kept[key] = value
    return kept if found and kind != "ReadVariableOp" else None


def _written_anew(value: Any) -> Any:
    """Return a small constant as one of the graph that is open; anything else as it is."""
    import tensorflow as tf

    if isinstance(value, Reserved) or not hasattr(value, "op") or value.op.type != "Const":
        return value
    array = tf.get_static_value(value)
    if array is None or array.nbytes > _SMALL_BYTES:
        return value
    return tf.constant(array, value.dtype)


def _loop(told: Replay, node: Node) -> list[Any]:
    """Replay a loop; what it does not change is taken from outside."""
    import tensorflow as tf

    names = {key: node.attributes[key].func.name for key in ("cond", "body")}
    initial = list(node.inputs)
    body, results = enter(told, names["body"], initial)
    unchanged = _unchanged(body, told.library[names["body"]], results)
    changing = [i for i in range(len(initial)) if i not in unchanged]
    for i in changing:
        if isinstance(initial[i], Reserved):
            initial[i] = reserve(initial[i], _written(told, node, initial, i))

    def whole(state: Sequence[Any]) -> list[Any]:
        given = dict(zip(changing, state, strict=True))
        return [given[i] if i in given else _written_anew(value) for i, value in enumerate(initial)]

    def proceed(*state: Any) -> bool:
        with told.part():
            function, (result,) = enter(told, names["cond"], whole(state))
            return tf.reshape(function.get(result), [])

    def step(*state: Any) -> list[Any]:
        with told.part():
            function, given = enter(told, names["body"], whole(state))
            return [tf.identity(function.get(given[i])) for i in changing]

    shapes = _shapes(node, initial)
    with tf.name_scope(f"{node.name}/"):
        final = tf.while_loop(
            proceed,
            step,
            [initial[i] for i in changing],
            shape_invariants=[shapes[i] for i in changing],
            parallel_iterations=int(node.attributes["parallel_iterations"].i) or 10,
        )
    outputs = list(initial)
    for i, value in zip(changing, final, strict=True):
        outputs[i] = value
    return outputs


def _unchanged(body: _Body, function: Any, results: Sequence[str]) -> set[int]:
    """Return the places of what a loop's body hands on as it was given."""
    arguments = [arg.name for arg in function.signature.input_arg]
    found = set()
    for i, reference in enumerate(results):
        name = _node_of(reference)
        while name in body.nodes and body.nodes[name].op == "Identity":
            name = _node_of(body.nodes[name].input[0])
        if name == arguments[i]:
            found.add(i)
    return found


def _shapes(node: Node, initial: Sequence[Any]) -> list[Any]:
    """Return the shapes that hold in every round: the loop's own, else the rank alone."""
    import tensorflow as tf

    told = [tf.TensorShape(shape) for shape in node.attributes["output_shapes"].list.shape]
    told += [tf.TensorShape(None)] * (len(initial) - len(told))
    variants = [dtype == tf.variant.as_datatype_enum for dtype in node.attributes["T"].list.type]
    return [
        value.shape if variant or shape.rank is None else shape
        for shape, value, variant in zip(told, initial, variants, strict=True)
    ]


def _written(told: Replay, node: Node, initial: Sequence[Any], place: int) -> Any:
    """Return what the first round writes into a list that is still empty; only its shape counts."""
    body, results = enter(told, node.attributes["body"].func.name, initial)
    seen: list[Any] = []
    own = initial[place]

    def watch(inner: Node) -> None:
        if inner.kind == "TensorListSetItem" and inner.inputs[0] is own:
            seen.append(inner.inputs[2])

    body.watched = watch
    with told.part():
        body.get(results[place])
    return seen[0] if seen else None
