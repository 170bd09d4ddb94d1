"""Reads an ONNX graph: what is to be run, in which order, and what is constant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.bridge.importer.evaluate import Scope, run_node
from shipworthy.convert.bridge.importer.node import Node, StaticShape
from shipworthy.convert.bridge.importer.number import Numbers, Tensor, torch
from shipworthy.convert.bridge.importer.table import STANDARD, find_entry, table
from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.onnx_file import inputs_of, read_tensor

# A constant that is folded may be this much larger than all it is made from: what is repeated many
# times is better repeated when the model runs.
_GROWTH = 1 << 20


@dataclass
class Plan:
    """A graph, ready to be run.

    Parameters
    ----------
    inputs, outputs : names of values.
    nodes : in order; only those that the outputs need.
    outer : names of the values around it that a graph inside a loop or a branch uses.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: list[Node] = field(default_factory=list)
    outer: tuple[str, ...] = ()


class Planner:
    """Reads one file.

    Attributes
    ----------
    constants : every constant by name, those of inner graphs too; ONNX gives each its own name.

    Raises
    ------
    UnsupportedModelError : ops that the table lacks; all are named.
    """

    def __init__(self, model: Any, path: Path, shapes: Mapping[str, StaticShape]) -> None:
        self.constants: dict[str, Tensor] = {}
        self._path = path
        self._shapes = shapes
        self._opset = opset_of(model)
        self._problems: list[str] = []
        self.plan = self._graph(model.graph)
        if self._problems:
            raise UnsupportedModelError(_message(self._problems, self._opset))

    def _graph(self, graph: Any) -> Plan:
        for tensor in graph.initializer:
            self.constants[tensor.name] = to_tensor(read_tensor(tensor, self._path))
            tensor.ClearField("raw_data")
        if graph.sparse_initializer:
            names = ", ".join(t.values.name for t in graph.sparse_initializer)
            self._problems.append(f"the sparse initializers {names}")
        plan = Plan(
            tuple(value.name for value in inputs_of(graph)),
            tuple(value.name for value in graph.output),
        )
        nodes: list[Node] = []
        for i, proto in enumerate(graph.node):
            nodes += self._node(proto, i)
        plan.nodes = _needed(nodes, plan.outputs)
        made = {name for node in plan.nodes for name in node.outputs} | set(plan.inputs)
        used = dict.fromkeys([*(n for node in plan.nodes for n in reads(node)), *plan.outputs])
        plan.outer = tuple(n for n in used if n not in made and n not in self.constants)
        return plan

    def _node(self, proto: Any, place: int) -> list[Node]:
        """Return the nodes that are left of one; none where it is constant."""
        name = proto.name or f"{proto.op_type}_{place}"
        entry = find_entry(proto.op_type, self._opset) if proto.domain in STANDARD else None
        if entry is None:
            self._problems.append(_lacking(proto, name))
            return []
        node = Node(
            proto.op_type,
            name,
            self._opset,
            tuple(proto.input),
            tuple(proto.output),
            {a.name: self._attribute(a) for a in proto.attribute},
            entry,
            tuple(self._shapes.get(i) for i in proto.input),
        )
        if node.op == "If" and node.inputs[0] in self.constants:
            return self._branch(node)
        if self._fold(node):
            return []
        return [self._prepared(node)]

    def _attribute(self, proto: Any) -> Any:
        import onnx

        value = onnx.helper.get_attribute_value(proto)
        if isinstance(value, onnx.GraphProto):
            return self._graph(value)
        if isinstance(value, onnx.TensorProto):
            return to_tensor(read_tensor(value, self._path))
        if proto.name in ("to", "dtype") and isinstance(value, int):
            return torch_dtype(value)
        if proto.type == onnx.AttributeProto.STRINGS:
            return [text.decode() for text in value]
        if isinstance(value, bytes):
            return value.decode()
        return list(value) if proto.type >= onnx.AttributeProto.FLOATS else value

    def _branch(self, node: Node) -> list[Node]:
        """Return the nodes of the branch that a constant condition takes."""
        taken = node.get("then_branch" if bool(self.constants[node.inputs[0]]) else "else_branch")
        found: list[Node] = list(taken.nodes)
        entry = find_entry("Identity", self._opset)
        assert entry is not None, "Identity is in the table"
        for inner, outer in zip(taken.outputs, node.outputs, strict=True):
            if inner in self.constants:
                self.constants[outer] = self.constants[inner]
            elif outer:
                copy = Node(
                    "Identity", node.name, node.opset, (inner,), (outer,), {}, entry, (None,)
                )
                found.append(copy)
        return found

    def _fold(self, node: Node) -> bool:
        """Compute a node now, if all it depends on is known."""
        if node.op == "Shape" and self._fold_shape(node):
            return True
        if (
            self._problems
            or node.entry.scope
            or not all(name == "" or name in self.constants for name in node.inputs)
        ):
            return False
        scope = Scope({}, self.constants)
        with torch.no_grad():
            results = run_node(node, scope)
        tensors = [one.tensor if isinstance(one, Numbers) else one for one in results]
        before = sum(self.constants[name].numel() for name in node.inputs if name)
        if sum(t.numel() for t in tensors if t is not None) > before + _GROWTH:
            return False
        for name, tensor in zip(node.outputs, tensors, strict=False):
            if name:
                self.constants[name] = tensor.contiguous().clone()
        return True

    def _fold_shape(self, node: Node) -> bool:
        known = node.shapes[0]
        if known is None:
            return False
        part = known[slice(node.get("start", 0), node.get("end"))]
        if None in part:
            return False
        self.constants[node.outputs[0]] = torch.tensor(part, dtype=torch.int64)
        return True

    def _prepared(self, node: Node) -> Node:
        """Let the entry bring constants into the form that PyTorch wants."""
        if node.entry.prepare is None:
            return node
        given = [self.constants.get(name) for name in node.inputs]
        with torch.no_grad():
            tensors = node.entry.prepare(node, *given)
        if tensors is None:
            return node
        names = []
        for i, tensor in enumerate(tensors):
            old = node.inputs[i] if i < len(node.inputs) else ""
            if tensor is None or isinstance(tensor, str):
                names.append(old if tensor is None else tensor)
                continue
            names.append(f"{node.name}.{i}")
            self.constants[names[-1]] = tensor.contiguous()
        shapes = (*node.shapes, *([None] * len(names)))[: len(names)]
        return replace(node, inputs=tuple(names), shapes=shapes, prepared=True)


def reads(node: Node) -> Iterator[str]:
    """Return the names of all values that a node uses, in its inner graphs too."""
    yield from (name for name in node.inputs if name)
    for value in node.attributes.values():
        if isinstance(value, Plan):
            yield from value.outer


def _needed(nodes: list[Node], outputs: Iterable[str]) -> list[Node]:
    """Return the nodes that the outputs depend on; each is told what nobody needs after it."""
    wanted = set(outputs)
    alive = set(wanted)
    kept = []
    for node in reversed(nodes):
        if not wanted & set(node.outputs):
            continue
        used = tuple(dict.fromkeys(reads(node)))
        wanted.update(used)
        kept.append(replace(node, releases=tuple(name for name in used if name not in alive)))
        alive.update(used)
    return kept[::-1]


def opset_of(model: Any) -> int:
    """Return the version of ONNX's own op set."""
    versions = [one.version for one in model.opset_import if one.domain in STANDARD]
    return max(versions, default=1)


def to_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """Return a constant of the file as a tensor of its own.

    Raises
    ------
    UnsupportedModelError : text, or numbers that PyTorch does not know.
    """
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    try:
        return torch.from_numpy(np.array(array, order="C"))
    except TypeError as e:
        raise UnsupportedModelError(
            f"the importer from ONNX to PyTorch cannot take a constant of {array.dtype.name}"
        ) from e


def torch_dtype(number: int) -> Any:
    """Return the dtype that a number means in ONNX."""
    import onnx

    name = onnx.TensorProto.DataType.Name(number).lower()
    usual = {"float": "float32", "double": "float64"}.get(name, name)
    found = getattr(torch, usual, None)
    if not isinstance(found, torch.dtype):
        raise UnsupportedModelError(f"PyTorch has no dtype for ONNX's {name.upper()}")
    return found


def _lacking(proto: Any, name: str) -> str:
    if proto.domain not in STANDARD:
        return (
            f"{proto.domain}.{proto.op_type} (node {name!r}): not an op of ONNX itself; export the "
            "model again without the optimizer of the runtime it was made for"
        )
    rows = table().get(proto.op_type)
    if rows:
        return f"{proto.op_type} (node {name!r}): known since opset {min(r.since for r in rows)}"
    return f"{proto.op_type} (node {name!r})"


def _message(problems: list[str], opset: int) -> str:
    told = list(dict.fromkeys(problems))
    return "\n".join(
        [
            f"the importer from ONNX (opset {opset}) to PyTorch cannot take:",
            *(f"  {problem}" for problem in told),
            f"supported are {len(table())} ops: {', '.join(sorted(table()))}",
            "write the model with those, add a function to convert/bridge/importer/, or choose "
            "another format: `shipworthy routes` lists them",
        ]
    )
