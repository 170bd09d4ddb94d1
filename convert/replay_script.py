"""TorchScript as an ordinary module again: its graph, run node by node in Python.

`torch.export` takes no TorchScript, in whose interpreter every size is a plain number. Run from
Python, sizes stay symbolic and dynamic axes survive. What the nodes mean is told in PyTorch's
``torch/csrc/jit/OVERVIEW.md``; ``aten`` nodes are PyTorch's operators by their schemas.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.convert.script_ops import FACTS, PLAIN, fit, is_number, is_tensor

Node = Any  # torch.Node
Env = dict[str, Any]


def unscript(module: Any) -> Any:
    """Return a module without TorchScript in it; the weights are shared.

    Parameters
    ----------
    module : a `torch.nn.Module`; scripted submodules of it are replaced in place.
    """
    import torch

    if isinstance(module, torch.jit.ScriptModule):
        return replay(module)
    for name, child in list(module.named_children()):
        if (plain := unscript(child)) is not child:
            setattr(module, name, plain)
    return module


def replay(script: Any) -> Any:
    """Return a `torch.nn.Module`, in eval mode, that runs a `torch.jit.ScriptModule`'s graph.

    Raises
    ------
    UnsupportedModelError : when it is called, for a node that only TorchScript's interpreter runs.
    """
    import torch

    graph = script.forward.graph.copy()
    torch._C._jit_pass_inline(graph)
    schema = script.forward.schema
    defaults = {a.name: a.default_value for a in schema.arguments[1:] if a.has_default_value()}
    names = [a.name for a in schema.arguments[1:]]

    class Replayed(torch.nn.Module):  # type: ignore[misc]
        """A scripted module's graph and its tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.places: dict[str, str] = {}
            for path, value in _attributes(graph, script).items():
                if isinstance(value, torch.Tensor):
                    place = f"tensor_{len(self.places)}"
                    self.places[path] = place
                    self.register_buffer(place, value.detach())

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            given = defaults | dict(zip(names, args, strict=False)) | kwargs
            inputs = list(graph.inputs())
            env: Env = {inputs[0].debugName(): _Object("", script, self)}
            for value, name in zip(inputs[1:], names, strict=True):
                env[value.debugName()] = given[name]
            answers = _run(graph, env)
            return answers[0] if len(answers) == 1 else tuple(answers)

    # What tracing and torch.export read argument names from.
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    Replayed.forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, either, default=defaults.get(name, inspect.Parameter.empty))
            for name in ("self", *names)
        ]
    )
    return Replayed().eval()


class _Object:
    """A scripted submodule, and where it stands."""

    def __init__(self, path: str, script: Any, owner: Any) -> None:
        self.path, self.script, self.owner = path, script, owner

    def get(self, name: str) -> Any:
        path = f"{self.path}.{name}" if self.path else name
        if path in self.owner.places:
            return getattr(self.owner, self.owner.places[path])
        value = getattr(self.script, name)
        return _Object(path, value, self.owner) if hasattr(value, "_c") else value


def _attributes(graph: Any, script: Any) -> dict[str, Any]:
    """Return every attribute that the graph reads, by its path."""
    paths: dict[str, tuple[str, Any]] = {next(iter(graph.inputs())).debugName(): ("", script)}
    found: dict[str, Any] = {}

    def visit(block: Any) -> None:
        for node in block.nodes():
            if node.kind() == "prim::GetAttr" and node.input().debugName() in paths:
                above, owner = paths[node.input().debugName()]
                path = f"{above}.{node.s('name')}" if above else node.s("name")
                value = getattr(owner, node.s("name"))
                paths[node.output().debugName()] = (path, value)
                found[path] = value
            for inner in node.blocks():
                visit(inner)

    visit(graph)
    return found


def _run(block: Any, env: Env) -> list[Any]:
    for node in block.nodes():
        results = _step(node, env)
        for value, result in zip(node.outputs(), results, strict=True):
            env[value.debugName()] = result
    return [env[value.debugName()] for value in block.outputs()]


def _step(node: Node, env: Env) -> Sequence[Any]:
    kind = node.kind()
    if kind == "prim::Constant":
        return [node.output().toIValue()]
    if kind == "prim::GetAttr":
        return [env[node.input().debugName()].get(node.s("name"))]
    values = [env[value.debugName()] for value in node.inputs()]
    if kind == "prim::If":
        blocks = list(node.blocks())
        return _run(blocks[0] if values[0] else blocks[1], env)
    if kind == "prim::Loop":
        return _loop(node, values, env)
    if kind in _BUILDERS:
        return _BUILDERS[kind](node, values)
    if kind in FACTS and (is_tensor(values[0]) or kind == "prim::type"):
        return [FACTS[kind](*values)]
    if kind.startswith("aten::"):
        return _call(node, kind.removeprefix("aten::"), values)
    if kind.startswith("prim::") and kind.removeprefix("prim::") in PLAIN:
        return [PLAIN[kind.removeprefix("prim::")](*values)]
    raise UnsupportedModelError(
        f"{kind} runs in TorchScript's own interpreter alone (at {_at(node)}); export the model "
        "from its code: file.py:NAME"
    )


# `shipworthy.convert.bridge.tracing` stands between a model and these functions.
_BY_FUNCTION = frozenset(
    {"lstm", "gru", "rnn_tanh", "rnn_relu", "_pack_padded_sequence", "_pad_packed_sequence"}
    | {f"{kind}_pool{n}d" for kind in ("max", "avg") for n in (1, 2, 3)}
)


def _loop(node: Node, values: Sequence[Any], env: Env) -> list[Any]:
    (body,) = node.blocks()
    limit, going, *carried = values
    names = [value.debugName() for value in body.inputs()]
    count = 0
    while going and count < limit:
        env |= dict(zip(names, [count, *carried], strict=True))
        going, *carried = _run(body, env)
        count += 1
    return carried


def _raise(node: Node, values: Sequence[Any]) -> Sequence[Any]:
    raise RuntimeError(f"the model raises at {_at(node)}: {values[0]}")


def _unpack(node: Node, values: Sequence[Any]) -> Sequence[Any]:
    return list(values[0])


_BUILDERS: Mapping[str, Callable[[Node, Sequence[Any]], Sequence[Any]]] = {
    "prim::ListConstruct": lambda _, values: [list(values)],
    "prim::TupleConstruct": lambda _, values: [tuple(values)],
    "prim::DictConstruct": lambda _, values: [dict(zip(values[::2], values[1::2], strict=True))],
    "prim::ListUnpack": _unpack,
    "prim::TupleUnpack": _unpack,
    "prim::TupleIndex": lambda _, values: [values[0][values[1]]],
    # A number in a tensor stays a number until an operator wants the tensor.
    "prim::NumToTensor": lambda _, values: [values[0]],
    "prim::unchecked_cast": lambda _, values: [values[0]],
    "prim::unchecked_unwrap_optional": lambda _, values: [values[0]],
    "prim::Uninitialized": lambda node, values: [None],
    "prim::RaiseException": _raise,
    "aten::detach": lambda _, values: [values[0]],
}


def _call(node: Node, name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Run an operator; on numbers alone it is Python's."""
    import torch

    if not any(is_tensor(value) for value in values) and name in PLAIN:
        return [PLAIN[name](*values)]
    if name == "size":
        shape = list(values[0].shape)
        return [shape if len(values) == 1 else shape[values[1]]]
    if name in ("Int", "IntImplicit", "ScalarImplicit", "Float", "FloatImplicit", "Bool"):
        return [PLAIN[name](values[0].item())]
    if all(is_number(value) for value in values) and name in PLAIN:
        return [PLAIN[name](*(v.item() if is_tensor(v) else v for v in values))]
    if name in _BY_FUNCTION:
        home = next(h for h in (torch._VF, torch._C._nn) if hasattr(h, name))
        result = getattr(home, name)(*values)
        return list(result) if len(list(node.outputs())) > 1 else [result]
    if name == "_convolution":  # as traces call it; the settings of kernels come after
        return [torch.ops.aten.convolution.default(*values[:9])]
    head = node.schema().split("(")[0].partition(".")[2]
    try:
        operation = getattr(getattr(torch.ops.aten, name), head or "default")
    except AttributeError as e:
        raise UnsupportedModelError(
            f"aten::{name} runs in TorchScript's own interpreter alone (at {_at(node)}); export "
            "the model from its code: file.py:NAME"
        ) from e
    positional, named = [], {}
    for argument, value in zip(operation._schema.arguments, values, strict=True):
        value = fit(argument, value)
        if argument.kwarg_only:
            named[argument.name] = value
        else:
            positional.append(value)
    result = operation(*positional, **named)
    count = len(list(node.outputs()))
    return list(result) if count > 1 else [result] if count else []


def _at(node: Node) -> str:
    lines = [line.strip() for line in str(node.sourceRange()).splitlines() if "line" in line]
    return lines[0] if lines else "an unknown line"
