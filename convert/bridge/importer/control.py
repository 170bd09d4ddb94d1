"""Loops and branches: Python runs them as they come, `torch.jit.trace` records them as such."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shipworthy.convert.bridge.importer.evaluate import Scope, Value, as_tensor, run_nodes
from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import (
    Tensor,
    constant,
    torch,
    untraced,
)
from shipworthy.convert.bridge.importer.table import onnx_op

_NOT_EXPORTED = (
    "the bridge to TensorFlow does not translate ONNX's loops and branches. TorchScript and ONNX "
    "can hold it; for a SavedModel or a TFLite file start from the model it was exported from"
)


@onnx_op("Loop", since=11, raw=True, scope=True)
def loop(node: Node, limit: Value, condition: Value, *first: Value, scope: Scope) -> Any:
    """Repeat a graph; its results are carried over, or collected along a new axis in front."""
    body = node.get("body")
    carried = len(first)
    collected = len(body.outputs) - 1 - carried

    def step(i: Tensor, state: Sequence[Tensor], around: Sequence[Tensor]) -> list[Tensor]:
        inner = _inner(scope, body.outer, around)
        inner.values.update(zip(body.inputs, (i, *state), strict=True))
        run_nodes(body.nodes, inner)
        return [inner.tensor(name) for name in body.outputs]

    go_on = constant(True) if condition is None else as_tensor(condition).reshape(())
    # The largest count that there is stands for none.
    trips = constant(2**63 - 1) if limit is None else as_tensor(limit).reshape(())
    state = [go_on, *(as_tensor(one) for one in first)]
    around = _around(scope, body.outer)
    results = _repeat(node, step, trips, state, around, collected)
    return tuple(results)


@onnx_op("Scan", since=9, raw=True, scope=True)
def scan(node: Node, *inputs: Value, scope: Scope) -> Any:
    """Repeat a graph for every slice of the inputs."""
    body = node.get("body")
    count = node.get("num_scan_inputs")
    carried = len(inputs) - count
    axes = node.get("scan_input_axes", [0] * count)
    collected = len(body.outputs) - carried
    backwards = node.get("scan_input_directions", [0] * count)
    sequences = []
    for value, axis, back in zip(inputs[carried:], axes, backwards, strict=True):
        moved = as_tensor(value).movedim(axis, 0)
        sequences.append(moved.flip(0) if back else moved)

    def step(i: Tensor, state: Sequence[Tensor], around: Sequence[Tensor]) -> list[Tensor]:
        inner = _inner(scope, body.outer, around[count:])
        slices = [one.index_select(0, i.reshape(1)).squeeze(0) for one in around[:count]]
        inner.values.update(zip(body.inputs, (*state[1:], *slices), strict=True))
        run_nodes(body.nodes, inner)
        return [state[0], *(inner.tensor(name) for name in body.outputs)]

    steps = sequences[0].shape[0]
    trips = steps if isinstance(steps, torch.Tensor) else constant(steps)
    state = [constant(True), *(as_tensor(value) for value in inputs[:carried])]
    around = [*sequences, *_around(scope, body.outer)]
    results = _repeat(node, step, trips, state, around, collected)
    turned = node.get("scan_output_directions", [0] * collected)
    places = node.get("scan_output_axes", [0] * collected)
    for i, (back, axis) in enumerate(zip(turned, places, strict=True), start=carried):
        results[i] = (results[i].flip(0) if back else results[i]).movedim(0, axis)
    return tuple(results)


@onnx_op("If", since=1, raw=True, scope=True)
def branch(node: Node, condition: Value, *, scope: Scope) -> Any:
    """Run one of two graphs."""
    plans = [node.get("then_branch"), node.get("else_branch")]
    outer = tuple(dict.fromkeys([*plans[0].outer, *plans[1].outer]))

    def take(plan: Any) -> Callable[[Sequence[Tensor]], list[Tensor]]:
        def run(around: Sequence[Tensor]) -> list[Tensor]:
            inner = _inner(scope, outer, around)
            run_nodes(plan.nodes, inner)
            return [inner.tensor(name) for name in plan.outputs]

        return run

    chosen = as_tensor(condition).reshape(())
    around = _around(scope, outer)
    functions = [take(plan) for plan in plans]
    if torch.jit.is_tracing():
        with untraced():
            # At least one, for the tracer finds no type in an empty list.
            example = [one.detach().clone() for one in (chosen, *around)]
            traced = [
                torch.jit.trace(
                    lambda given, f=f: f(given[1:]), (example,), check_trace=False, strict=False
                )
                for f in functions
            ]
            scripted = _scripted_branch(*traced)
        return tuple(scripted(chosen, [chosen, *around]))
    _refuse_export(node)
    return tuple(functions[0 if bool(chosen) else 1](around))


def _repeat(
    node: Node,
    step: Callable[..., list[Tensor]],
    trips: Tensor,
    state: list[Tensor],
    around: list[Tensor],
    collected: int,
) -> list[Tensor]:
    """Return the last state, without the condition, then what was collected.

    Parameters
    ----------
    step : from the place of the step, the state and the values around to the next state, then one
        tensor for each that is collected.
    state : the condition to go on, then what is carried over.
    """
    carried = len(state)
    if torch.jit.is_tracing():
        with untraced():
            example = [[one.detach().clone() for one in part] for part in (state, [trips, *around])]
            traced = torch.jit.trace(
                lambda i, state, given: step(i, state, given[1:]),
                (constant(0), *example),
                check_trace=False,
                strict=False,
            )
            scripted = _scripted_loop(traced)
        return list(scripted(trips, state, [trips, *around], carried, collected))
    _refuse_export(node)
    columns: list[list[Tensor]] = [[] for _ in range(collected)]
    for i in range(min(int(trips), 2**62)):
        if not bool(state[0]):
            break
        results = step(constant(i), state, around)
        state = results[:carried]
        for column, result in zip(columns, results[carried:], strict=True):
            column.append(result)
    if any(not column for column in columns):
        node.refuse("it made no step, so that the shapes of what it collects are not known")
    return [*state[1:], *(torch.stack(column) for column in columns)]


def _refuse_export(node: Node) -> None:
    if torch.compiler.is_exporting():
        node.refuse(_NOT_EXPORTED)


def _scripted_loop(body: Any) -> Any:
    """Return the loop around a traced body, as TorchScript."""
    import torch

    def repeat(
        trips: torch.Tensor,
        state: list[torch.Tensor],
        around: list[torch.Tensor],
        carried: int,
        collected: int,
    ) -> list[torch.Tensor]:
        limit = int(trips)
        columns: list[list[torch.Tensor]] = []
        for _ in range(collected):
            empty: list[torch.Tensor] = []
            columns.append(empty)
        i = 0
        while i < limit and bool(state[0]):
            results = body(torch.tensor(i), state, around)
            state = results[:carried]
            for j in range(collected):
                columns[j].append(results[carried + j])
            i += 1
        found = state[1:]
        for column in columns:
            found.append(torch.stack(column))
        return found

    return torch.jit.script(repeat)


def _scripted_branch(then: Any, otherwise: Any) -> Any:
    """Return the choice between two traced graphs, as TorchScript."""
    import torch

    def choose(condition: torch.Tensor, around: list[torch.Tensor]) -> list[torch.Tensor]:
        found: list[torch.Tensor] = then(around) if bool(condition) else otherwise(around)
        return found

    return torch.jit.script(choose)


def _around(scope: Scope, names: Sequence[str]) -> list[Tensor]:
    return [scope.tensor(name) for name in names]


def _inner(scope: Scope, names: Sequence[str], tensors: Sequence[Tensor]) -> Scope:
    return scope.inner(dict(zip(names, tensors, strict=True)))
