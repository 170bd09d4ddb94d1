"""Loops and conditions, replayed as `tf.while_loop` and `tf.cond` around replayed bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipworthy.convert.rewrite.body import Body, Replay, call, enter, node_of, scope
from shipworthy.convert.rewrite.table import Node
from shipworthy.convert.rewrite.tensor_list import Reserved, reserve

CONDITIONS = ("If", "StatelessIf")
CHOICES = ("Case", "StatelessCase")
LOOPS = ("While", "StatelessWhile")
# A small constant is written anew inside a loop, so that it is still known there.
_SMALL_BYTES = 1024


def choose(told: Replay, node: Node) -> list[Any]:
    """Replay a condition, or a choice of several as a chain of conditions."""
    import tensorflow as tf

    chosen, *inputs = node.inputs

    def branch(name: str) -> list[Any]:
        with told.part():
            given = [_written_anew(value) for value in inputs]
            return [tf.identity(v) for v in call(told, name, given)]

    if node.kind in CHOICES:
        names = [f.name for f in node.attributes["branches"].list.func]
    else:
        names = [node.attributes[key].func.name for key in ("then_branch", "else_branch")]
    with scope(f"{told.prefix}{node.name}/"):
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


def _written_anew(value: Any) -> Any:
    """Return a small constant as one of the graph that is open; anything else as it is."""
    import tensorflow as tf

    if isinstance(value, Reserved) or not hasattr(value, "op") or value.op.type != "Const":
        return value
    array = tf.get_static_value(value)
    if array is None or array.nbytes > _SMALL_BYTES:
        return value
    return tf.constant(array, value.dtype)


def loop(told: Replay, node: Node) -> list[Any]:
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

    def proceed(*state: Any) -> Any:
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


def _unchanged(body: Body, function: Any, results: Sequence[str]) -> set[int]:
    """Return the places of what a loop's body hands on as it was given."""
    arguments = [arg.name for arg in function.signature.input_arg]
    found = set()
    for i, reference in enumerate(results):
        name = node_of(reference)
        while name in body.nodes and body.nodes[name].op == "Identity":
            name = node_of(body.nodes[name].input[0])
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


CONTROL = {kind: loop for kind in LOOPS} | {kind: choose for kind in (*CONDITIONS, *CHOICES)}
