"""A graph, or a function's body, that is being replayed into the graph that is open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shipworthy.convert.original import first_line
from shipworthy.convert.rewrite.table import Node, Reader, Rule
from shipworthy.convert.routes import UnsupportedModelError

CALLS = ("PartitionedCall", "StatefulPartitionedCall")


@dataclass
class Replay:
    """What all parts of one replay share.

    Parameters
    ----------
    rules : by operator.
    control : replays loops and conditions, by operator.
    library : protobuf `FunctionDef` by name.
    narrow : compute in float32 what the graph computes in float64.
    used : operators that a rule replaced, in order of first use.
    narrowed : names of the operators that computed in float64.
    prefix : of the names of new operators.
    parts : how many bodies of loops and branches have been replayed.
    """

    rules: Mapping[str, Rule]
    control: Mapping[str, Callable[[Replay, Node], list[Any]]]
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
        with scope(self.prefix):
            yield
        self.prefix = before


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Name operators from here on as told, whatever scope is open."""
    import tensorflow as tf

    with tf.name_scope(name):
        yield


class Body:
    """One graph or function, and what of it has been computed.

    Parameters
    ----------
    nodes : protobuf `NodeDef`.
    values : the outputs of what is given: arguments, and resources from outside.
    """

    def __init__(self, told: Replay, nodes: Sequence[Any], values: dict[str, Any]) -> None:
        self.told = told
        self.nodes = {node.name: node for node in nodes}
        self.values = values  # lists of outputs by node
        self.uses: dict[str, list[Any]] | None = None
        self.watched: Callable[[Node], None] | None = None

    def get(self, reference: str) -> Any:
        """Return a tensor, computing first what it needs."""
        pending = [node_of(reference)]
        while pending:
            name = pending[-1]
            node = self.nodes.get(name)
            if name in self.values or node is None:
                pending.pop()
                continue
            inputs = [i for i in node.input if not i.startswith("^")]
            missing = [p for i in inputs if (p := node_of(i)) not in self.values]
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
            return call(self.told, proto.attr["f"].func.name, inputs)
        if proto.op in self.told.control:
            return self.told.control[proto.op](self.told, node)
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
                for parent in {node_of(reference) for reference in node.input}:
                    self.uses[parent].append(node)
        found = []
        for node in self.uses[name]:
            others = [node_of(i) for i in node.input if node_of(i) != name]
            beside = tuple(self.nodes[other].op for other in others if other in self.nodes)
            found.append(Reader(node.op, beside))
        return found


def enter(told: Replay, name: str, inputs: Sequence[Any]) -> tuple[Body, list[str]]:
    """Open a library function with these arguments; return it and the names of its results."""
    function = told.library[name]
    names = [arg.name for arg in function.signature.input_arg]
    values = {name: [value] for name, value in zip(names, inputs, strict=True)}
    body = Body(told, function.node_def, values)
    return body, [function.ret[arg.name] for arg in function.signature.output_arg]


def call(told: Replay, name: str, inputs: Sequence[Any]) -> list[Any]:
    """Replay a library function; return its results."""
    body, results = enter(told, name, inputs)
    return [body.get(reference) for reference in results]


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


def node_of(reference: str) -> str:
    """Return the node that a reference such as ``"node:output:0"`` names."""
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
    with scope(""):
        created = graph.create_op(node.kind, inputs, None, name=name, attrs=attributes)
    if told.narrow and node.kind in ("ReadVariableOp", "ResourceGather"):
        return [tf.cast(x, tf.float32) if x.dtype == tf.float64 else x for x in created.outputs]
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
    return kept if found and kind not in ("ReadVariableOp", "ResourceGather") else None
