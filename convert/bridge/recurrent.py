"""Recurrent layers as one `tf.while_loop` a layer, both directions in it.

The inputs of all steps are multiplied by their weights before the loop. A step writes its result
into a tensor made beforehand, not into a TensorList: TFLite cannot express those where the batch is
dynamic. Gates and their order are PyTorch's (``torch.nn.LSTM``, ``torch.nn.GRU``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.table import aten
from shipworthy.convert.bridge.value import Size, Tensor, Value, fixed, reshape
from shipworthy.convert.bridge.weight import Weight, derived
from shipworthy.convert.bridge.whole import LSTM, RNN

Step = Callable[[Tensor, Sequence[Tensor]], list[Tensor]]


@aten(LSTM)
def lstm(x: Value, h: Value, c: Value, *settings: Any) -> tuple[Value, ...]:
    """Long short-term memory: outputs of the last layer, last h and c of every layer."""
    return _stacked("lstm", x, [h, c], *settings)


@aten(RNN)
def rnn(kind: str, x: Value, h: Value, *settings: Any) -> tuple[Value, ...]:
    """Gated or plain recurrent layer: outputs of the last layer, last h of every layer."""
    return _stacked(kind, x, [h], *settings)


def _stacked(
    kind: str,
    x: Value,
    states: Sequence[Value],
    weights: Sequence[Value],
    lengths: Value | None,
    biases: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Value, ...]:
    """Run layers one after the other."""
    order = (1, 0, 2) if batch_first else (0, 1, 2)
    y = x.arranged(order)
    directions = 2 if bidirectional else 1
    each = len(weights) // (layers * directions)
    valid = None if lengths is None else tf.cast(lengths.tensor, tf.int32)
    last: list[list[Tensor]] = []
    for i in range(layers):
        mine = [
            weights[(i * directions + d) * each : (i * directions + d + 1) * each]
            for d in range(directions)
        ]
        first = [state.plain[i * directions : (i + 1) * directions] for state in states]
        y, final = _layer(kind, y, first, _Parameters(mine, biases, kind), valid)
        last.append(final)
    ends = [tf.concat(parts, 0) if layers > 1 else parts[0] for parts in zip(*last, strict=True)]
    return (Value(y, order), *(Value(end) for end in ends))


class _Parameters:
    """The weights of one layer, put together as the loop wants them.

    A layer with one direction has no axis for directions: TensorFlow multiplies matrices faster
    than stacks of one.
    """

    def __init__(self, weights: Sequence[Sequence[Value]], biases: bool, kind: str) -> None:
        self.directions = len(weights)
        self.inputs = self._joined("input", [[w[0]] for w in weights], _side_by_side)
        self.hidden = self._joined("hidden", [[w[1]] for w in weights], _on_top)
        self.bias = self.late = None
        if biases:
            # A GRU multiplies the hidden part of its third gate, bias included, by the second.
            early = _gru_early if kind == "gru" else _sum_of_biases
            self.bias = self._joined("bias", [w[2:4] for w in weights], early)
            if kind == "gru":
                self.late = self._joined("late", [[w[3]] for w in weights], _gru_late)
        projections = [[w[-1]] for w in weights if len(w) == (5 if biases else 3)]
        self.projection = self._joined("projection", projections, _on_top) if projections else None

    def _joined(
        self, name: str, parts: Sequence[Sequence[Value]], function: Callable[..., Any]
    ) -> Tensor:
        flat = [part for one in parts for part in one]
        stored = [part for part in flat if isinstance(part, Weight)]
        if len(stored) == len(flat):
            prefix = stored[0].stored.name
            return derived(f"{prefix}.{name}", lambda *arrays: function(np, arrays), *stored).plain
        return function(tf.experimental.numpy, [part.plain for part in flat])


def _side_by_side(np_: Any, weights: Sequence[Any]) -> Any:
    """Return what multiplies an input, for all directions at once: inputs x (directions gates)."""
    return np_.concatenate([np_.transpose(weight) for weight in weights], 1)


def _on_top(np_: Any, weights: Sequence[Any]) -> Any:
    """Return what multiplies a state: [directions] x hidden x gates."""
    turned = [np_.transpose(weight) for weight in weights]
    return np_.stack(turned) if len(turned) > 1 else turned[0]


def _sum_of_biases(np_: Any, biases: Sequence[Any]) -> Any:
    pairs = zip(biases[0::2], biases[1::2], strict=True)
    return np_.concatenate([of_input + of_hidden for of_input, of_hidden in pairs], 0)


def _gru_early(np_: Any, biases: Sequence[Any]) -> Any:
    parts = []
    for of_input, of_hidden in zip(biases[0::2], biases[1::2], strict=True):
        third = of_hidden.shape[0] // 3
        parts += [of_input[: 2 * third] + of_hidden[: 2 * third], of_input[2 * third :]]
    return np_.concatenate(parts, 0)


def _gru_late(np_: Any, biases: Sequence[Any]) -> Any:
    third = biases[0].shape[0] // 3
    if len(biases) == 1:
        return biases[0][2 * third :]
    return np_.stack([bias[None, 2 * third :] for bias in biases])


def _layer(
    kind: str,
    x: Tensor,
    first: Sequence[Tensor],
    parameters: _Parameters,
    lengths: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """Run one layer over x, steps first; return its outputs and the last state."""
    steps, rows, width = Value(x).size(0), Value(x).size(1), x.shape[2]
    projected = tf.matmul(reshape(x, [-1, width]), parameters.inputs)
    if parameters.bias is not None:
        projected = tf.nn.bias_add(projected, parameters.bias)
    projected = reshape(projected, [steps, rows, projected.shape[1]])
    both = parameters.directions == 2
    if both:
        ahead, back = tf.split(projected, 2, axis=2)
        projected = tf.stack([ahead, _reversed(back, lengths)], axis=1)
    else:
        first = [state[0] for state in first]
    y, last = _loop(projected, first, _step(kind, parameters), (steps, rows), lengths)
    if both:
        ahead, back = tf.unstack(y, axis=1)
        return tf.concat([ahead, _reversed(back, lengths)], axis=2), last
    return y, [tf.expand_dims(state, 0) for state in last]


def _reversed(t: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return tf.reverse(t, [0])
    return tf.reverse_sequence(t, lengths, seq_axis=0, batch_axis=1)


def _loop(
    projected: Tensor,
    first: Sequence[Tensor],
    step: Step,
    sizes: tuple[Size, Size],
    lengths: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """Take a step for every place along axis 0; return all outputs and the last state."""
    steps, rows = sizes
    *front, _, hidden = first[0].shape
    outputs = tf.zeros(tf.stack([steps, *front, rows, hidden]), first[0].dtype)
    outputs = fixed(outputs, [steps, *front, rows, hidden])
    first = [fixed(state, [*front, rows, state.shape[-1]]) for state in first]
    shapes = [tensor.shape for tensor in (outputs, *first)]

    def body(i: Tensor, outputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        new = step(tf.gather(projected, i), state)
        y = new[0]
        if lengths is not None:
            inside = tf.expand_dims(i < lengths, 1)
            y = tf.where(inside, y, tf.zeros_like(y))
            new = [tf.where(inside, n, old) for n, old in zip(new, state, strict=True)]
        # The one way to write into a tensor that TensorFlow does in place and TFLite has too.
        outputs = tf.tensor_scatter_nd_update(outputs, tf.reshape(i, [1, 1]), tf.expand_dims(y, 0))
        for tensor, shape in zip((outputs, *new), shapes, strict=True):
            tensor.set_shape(shape)
        return (i + 1, outputs, *new)

    _, outputs, *last = tf.while_loop(
        lambda i, *rest: i < steps,
        body,
        (tf.constant(0), outputs, *first),
        shape_invariants=(tf.TensorShape([]), *shapes),
    )
    return outputs, last


def _step(kind: str, parameters: _Parameters) -> Step:
    """Return the function from a step's projected input and the state to the next state."""

    def lstm_step(inputs: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
        h, c = state
        gates = inputs + tf.matmul(h, parameters.hidden)
        i, f, g, o = tf.split(gates, 4, axis=-1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        return [h if parameters.projection is None else tf.matmul(h, parameters.projection), c]

    def gru_step(inputs: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
        (h,) = state
        r, z, n = tf.split(inputs, 3, axis=-1)
        from_r, from_z, from_n = tf.split(tf.matmul(h, parameters.hidden), 3, axis=-1)
        late = from_n if parameters.late is None else from_n + parameters.late
        n = tf.tanh(n + tf.sigmoid(r + from_r) * late)
        return [n + tf.sigmoid(z + from_z) * (h - n)]

    def plain_step(inputs: Tensor, state: Sequence[Tensor]) -> list[Tensor]:
        function = tf.tanh if kind == "rnn_tanh" else tf.nn.relu
        return [function(inputs + tf.matmul(state[0], parameters.hidden))]

    return {"lstm": lstm_step, "gru": gru_step}.get(kind, plain_step)
