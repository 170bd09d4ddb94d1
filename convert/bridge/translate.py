"""Walks the graph of ATen ops and writes TensorFlow ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.problems import Problem, message, op_name, where
from shipworthy.convert.bridge.program import Program
from shipworthy.convert.bridge.sizes import ARITHMETIC
from shipworthy.convert.bridge.table import Missing, Out, UnsupportedUseError, table
from shipworthy.convert.bridge.value import Tensor, Value
from shipworthy.convert.bridge.weight import Stored, Weight, Weights
from shipworthy.convert.routes import UnsupportedModelError

# Where a tensor lives has no meaning here.
_IGNORED = {"device", "layout", "pin_memory", "memory_format", "non_blocking"}


class Translation:
    """One exported program, ready to be written into a TensorFlow graph.

    Parameters
    ----------
    program : from `shipworthy.convert.bridge.program.export_program`.

    Raises
    ------
    UnsupportedModelError : the program uses ops that the table lacks (all are named), changes its
        own buffers, or returns something that is no tensor.
    """

    def __init__(self, program: Program) -> None:
        self.weights = Weights()
        self._program = program
        self._outputs = output_nodes(program)
        self._nodes = _live(program, self._outputs)
        self._stored: dict[Any, Stored] = {}
        problems = [
            Problem(op_name(node.target), where(node))
            for node in self._nodes
            if node.op == "call_function" and not _is_known(node.target)
        ]
        if problems:
            raise UnsupportedModelError(message(problems))

    @property
    def variables(self) -> list[Any]:
        """The `tf.Variable` objects made so far."""
        return self.weights.variables

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Write the ops; `inputs` are in the program's order, outputs in the model's."""
        values = dict(zip(self._input_names(), map(Value, inputs), strict=True))
        environment: dict[Any, Any] = {}
        for node in self._nodes:
            if node.op == "placeholder":
                environment[node] = values.get(node.name) or self._weight(node.name)
            else:
                environment[node] = _translated(node, environment)
        lacking = [
            Problem(op_name(node.args[0].target), where(node), environment[node].reason)
            for node in self._outputs
            if isinstance(environment[node], Missing)
        ]
        if lacking:
            raise UnsupportedModelError(message(lacking))
        return [environment[node].plain for node in self._outputs]

    def _input_names(self) -> list[str]:
        return [
            spec.arg.name
            for spec in self._program.graph_signature.input_specs
            if spec.kind.name == "USER_INPUT"
        ]

    def _weight(self, placeholder: str) -> Value:
        specs = {spec.arg.name: spec for spec in self._program.graph_signature.input_specs}
        spec = specs[placeholder]
        state = self._program.state_dict
        known = spec.target in state
        tensor = (state if known else self._program.constants)[spec.target].detach().cpu()
        if spec.kind.name == "CONSTANT_TENSOR":
            return Value(tf.constant(tensor.numpy()))
        # Shared weights have two names and one storage.
        key: Any = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() == 0:
            key = spec.target
        if key not in self._stored:
            name = spec.target.removeprefix("original.")
            self._stored[key] = Stored(self.weights, name, tensor.numpy())
        return Weight(self._stored[key])


def output_nodes(program: Program) -> list[Any]:
    """Return the nodes that the user gets, in order.

    What the model writes into its own inputs is not among them: they belong to the caller.

    Raises
    ------
    UnsupportedModelError : the program changes its own buffers, or returns something that is no
        tensor.
    """
    signature = program.graph_signature
    changed = list(signature.buffers_to_mutate.values())
    if changed:
        raise UnsupportedModelError(
            f"the model changes its own buffers in forward ({', '.join(changed)}); an exported "
            "model has no memory: return the new value as an output, or call .eval() if this is "
            "training"
        )
    results = program.graph.find_nodes(op="output")[0].args[0]
    nodes: list[Any] = []
    for spec, node in zip(signature.output_specs, results, strict=True):
        if spec.kind.name != "USER_OUTPUT":
            continue
        if not hasattr(getattr(node, "meta", {}).get("val"), "dtype"):
            raise UnsupportedModelError(
                f"output {len(nodes)} of the model is {node!r}, not a tensor; return tensors only"
            )
        nodes.append(node)
    return nodes


def _live(program: Program, outputs: Sequence[Any]) -> list[Any]:
    """Return the nodes that the outputs depend on, in order: assertions and the like fall away."""
    needed: set[Any] = set()
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += node.all_input_nodes
    users = {
        spec.arg.name
        for spec in program.graph_signature.input_specs
        if spec.kind.name == "USER_INPUT"
    }
    return [n for n in program.graph.nodes if n in needed or n.name in users]


def _is_known(target: Any) -> bool:
    name = op_name(target)
    return name in ARITHMETIC or name.removeprefix("aten.") in table()


def _translated(node: Any, environment: dict[Any, Any]) -> Any:
    from torch.fx.node import map_arg

    def look_up(argument: Any) -> Any:
        return map_arg(argument, lambda used: _given(environment[used]))

    name = op_name(node.target)
    function = ARITHMETIC.get(name)
    cause: Exception
    try:
        args = [look_up(argument) for argument in node.args]
        settings = {k: look_up(v) for k, v in node.kwargs.items() if k not in _IGNORED}
        out = _out(node)
        if function is None:
            entry = table()[name.removeprefix("aten.")]
            function = entry.function
            if entry.wants_out:
                settings["out"] = out
        return _checked(function(*args, **settings), out)
    except UnsupportedUseError as e:
        reason, cause = str(e), e
    except Exception as e:  # TensorFlow raises many kinds; the user wants op and line with each
        reason, cause = f"{type(e).__name__}: {str(e).strip().splitlines()[0]}", e
    raise UnsupportedModelError(message([Problem(name, where(node), reason)])) from cause


def _given(value: Any) -> Any:
    if isinstance(value, Missing):
        raise UnsupportedUseError(value.reason)
    return value


def _out(node: Any) -> Out | None:
    """Return what PyTorch says of a node with one tensor as its result."""
    example = node.meta.get("val")
    if not hasattr(example, "dtype"):
        return None
    shape = tuple(size if isinstance(size, int) else None for size in example.shape)
    return Out(tf.as_dtype(str(example.dtype).removeprefix("torch.")), shape)


def _checked(result: Any, out: Out | None) -> Any:
    """Hold a result against PyTorch's own shape and dtype, and tell TensorFlow what is known."""
    if out is None or not isinstance(result, Value):
        return result
    known = result.shape
    agree = len(known) == len(out.shape) and all(
        a == b or a is None or b is None for a, b in zip(known, out.shape, strict=True)
    )
    if not agree or result.dtype != out.dtype:
        raise UnsupportedUseError(
            f"a fault of the bridge: it gives {result.dtype.name} of shape {known}, PyTorch says "
            f"{out.dtype.name} of shape {out.shape}"
        )
    if None in known:
        result.tensor.set_shape([out.shape[dim] for dim in result.order])
    return result
