"""Recurrent layers as ONNX's own: nodes LSTM, GRU and RNN, at any batch and length.

What `shipworthy.convert.bridge.whole` keeps in a traced graph is written here for `torch.onnx`.
ONNX orders gates in its own way (LSTM: i, o, f, c; GRU: z, r, h;
https://onnx.ai/onnx/operators/onnx__LSTM.html), and knows no projection: see `_Projected`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from shipworthy.convert.bridge.whole import LSTM, RNN, whole_ops
from shipworthy.convert.routes import UnsupportedModelError

# Of PyTorch's gates, in their order, the ones that ONNX wants first, second, ...
_GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn_tanh": (0,), "rnn_relu": (0,)}
_NODES = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
# What puts weights together, and can be done before the file is written.
_OF_WEIGHTS = ("Concat", "Gather", "MatMul", "Unsqueeze")

Tensor = Any  # a value in the ONNX graph


def translations() -> dict[Any, Callable[..., Any]]:
    """Return, by op, the function that writes it; for ``custom_translation_table``."""

    def lstm(x, h, c, weights, lengths, biases, layers, bidirectional, batch_first):  # type: ignore[no-untyped-def]
        layout = (biases, layers, bidirectional, batch_first)
        return _stacked("lstm", x, [h, c], weights, lengths, *layout)

    def rnn(kind, x, h, weights, lengths, biases, layers, bidirectional, batch_first):  # type: ignore[no-untyped-def]
        layout = (biases, layers, bidirectional, batch_first)
        return _stacked(kind, x, [h], weights, lengths, *layout)

    ops = whole_ops()
    return {ops[LSTM]: lstm, ops[RNN]: rnn}


def fold_weights(model: Any) -> None:
    """Compute once what puts the weights of recurrent layers together, however large they are.

    Parameters
    ----------
    model : an `onnx_ir.Model`; is changed.
    """
    from onnxscript import optimizer

    optimizer.fold_constants(model, should_fold=lambda node: node.op_type in _OF_WEIGHTS or None)


def _stacked(
    kind: str,
    x: Tensor,
    states: Sequence[Tensor],
    weights: Sequence[Tensor],
    lengths: Tensor | None,
    biases: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    from onnxscript import opset20 as op

    directions = 2 if bidirectional else 1
    each = len(weights) // (layers * directions)
    y = op.Transpose(x, perm=[1, 0, 2]) if batch_first else x
    valid = None if lengths is None else op.Cast(lengths, to=6)  # int32
    last: list[Sequence[Tensor]] = []
    for i in range(layers):
        places = range(i * directions, (i + 1) * directions)
        mine = [weights[p * each : (p + 1) * each] for p in places]
        first = [_rows(state, i * directions, directions, layers) for state in states]
        layer = _Projected if len(mine[0]) % 2 else _Layer
        y, final = layer(kind, mine, biases).written(y, first, valid)
        last.append(final)
    ends = [
        op.Concat(*parts, axis=0) if layers > 1 else parts[0] for parts in zip(*last, strict=True)
    ]
    return (op.Transpose(y, perm=[1, 0, 2]) if batch_first else y, *ends)


def _rows(state: Tensor, start: int, count: int, layers: int) -> Tensor:
    from onnxscript import opset20 as op

    if layers == 1:
        return state
    return op.Slice(state, _ints(start), _ints(start + count), _ints(0))


def _ints(*numbers: int) -> Tensor:
    from onnxscript import opset20 as op

    return op.Constant(value_ints=list(numbers))


class _Layer:
    """One layer as one node.

    Parameters
    ----------
    weights : for each direction PyTorch's own: input, hidden, then the two biases.
    """

    def __init__(self, kind: str, weights: Sequence[Sequence[Tensor]], biases: bool) -> None:
        self.kind = kind
        self.weights = weights
        self.biases = biases
        self.hidden = weights[0][1].shape[0] // len(_GATES[kind])

    def written(
        self, x: Tensor, first: Sequence[Tensor], lengths: Tensor | None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the outputs, steps first, and the last states."""
        of_input = self._joined([w[0] for w in self.weights])
        of_hidden = self._joined([w[1] for w in self.weights])
        return self._node(x, of_input, of_hidden, first, lengths)

    def _node(
        self,
        x: Tensor,
        of_input: Tensor,
        of_hidden: Tensor,
        first: Sequence[Tensor],
        lengths: Tensor | None,
    ) -> tuple[Tensor, Sequence[Tensor]]:
        from onnxscript import opset20 as op

        directions = len(self.weights)
        settings: dict[str, Any] = {
            "hidden_size": self.hidden,
            "direction": "bidirectional" if directions == 2 else "forward",
        }
        if self.kind == "gru":
            settings["linear_before_reset"] = 1
        if self.kind == "rnn_relu":
            settings["activations"] = ["Relu"] * directions
        y, *last = getattr(op, _NODES[self.kind])(
            x, of_input, of_hidden, self._bias(), lengths, *first, **settings
        )
        if directions == 1:
            return op.Squeeze(y, _ints(1)), last
        # [steps, directions, batch, hidden] -> [steps, batch, both]
        return op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), _ints(0, 0, -1)), last

    def _joined(self, matrices: Sequence[Tensor]) -> Tensor:
        """Return the weights of all directions, each with its gates in ONNX's order."""
        from onnxscript import opset20 as op

        turned = [op.Unsqueeze(self._ordered(matrix), _ints(0)) for matrix in matrices]
        return op.Concat(*turned, axis=0) if len(turned) > 1 else turned[0]

    def _ordered(self, matrix: Tensor) -> Tensor:
        from onnxscript import opset20 as op

        if self.kind.startswith("rnn"):
            return matrix
        gates = list(_GATES[self.kind])
        places = np.arange(len(gates) * self.hidden).reshape(len(gates), self.hidden)
        return op.Gather(matrix, _ints(*places[gates].ravel().tolist()), axis=0)

    def _bias(self) -> Tensor | None:
        from onnxscript import opset20 as op

        if not self.biases:
            return None
        both = [
            op.Unsqueeze(op.Concat(self._ordered(w[2]), self._ordered(w[3]), axis=0), _ints(0))
            for w in self.weights
        ]
        return op.Concat(*both, axis=0) if len(both) > 1 else both[0]


class _Projected(_Layer):
    """An LSTM whose h is projected (``proj_size``), which ONNX's LSTM cannot do by itself.

    With m the state before the projection P, h = P m, PyTorch multiplies h by R; R P multiplied by
    m is the same. What is projected after the loop are its outputs. The first h is given, its m
    is not: it enters the first step as further inputs, with the weights R, which are 0 later.
    """

    def __init__(self, kind: str, weights: Sequence[Sequence[Tensor]], biases: bool) -> None:
        super().__init__(kind, weights, biases)
        self.projections = [w[-1] for w in weights]

    def written(
        self, x: Tensor, first: Sequence[Tensor], lengths: Tensor | None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the outputs, steps first, and the last states."""
        from onnxscript import opset20 as op

        if lengths is not None:
            raise UnsupportedModelError(
                "ONNX's LSTM has no projection, and a packed sequence with proj_size cannot be "
                "written around it; use padded sequences, or an LSTM without proj_size"
            )
        h, c = first
        size = self.projections[0].shape[0]
        directions = len(self.weights)
        of_input, of_hidden = [], []
        for place, weights in enumerate(self.weights):
            blank = op.Constant(value=_zeros(4 * self.hidden, size))
            extra = [weights[1] if other == place else blank for other in range(directions)]
            of_input.append(op.Concat(weights[0], *extra, axis=1))
            of_hidden.append(op.MatMul(weights[1], self.projections[place]))
        x = op.Concat(x, *self._starts(x, h, directions), axis=2)
        zeros = op.ConstantOfShape(op.Shape(c), value=_zeros(1))
        y, (m, last_c) = self._node(
            x, self._joined(of_input), self._joined(of_hidden), (zeros, c), None
        )
        stacked = op.Concat(*(op.Unsqueeze(p, _ints(0)) for p in self.projections), axis=0)
        last_h = op.MatMul(m, op.Transpose(stacked, perm=[0, 2, 1]))
        parts = [
            op.Slice(y, _ints(place * self.hidden), _ints((place + 1) * self.hidden), _ints(2))
            for place in range(directions)
        ]
        outputs = [
            op.MatMul(part, op.Transpose(p, perm=[1, 0]))
            for part, p in zip(parts, self.projections, strict=True)
        ]
        y = op.Concat(*outputs, axis=2) if directions > 1 else outputs[0]
        return y, (last_h, last_c)

    def _starts(self, x: Tensor, h: Tensor, directions: int) -> list[Tensor]:
        """Return, for each direction, its first h at the step it begins with, and zeros beside."""
        from onnxscript import opset20 as op

        steps = op.Shape(x, start=0, end=1)
        rest = op.Sub(steps, _ints(1))
        found = []
        for place in range(directions):
            one = op.Slice(h, _ints(place), _ints(place + 1), _ints(0)) if directions > 1 else h
            sides = (_ints(0), rest) if place == 0 else (rest, _ints(0))
            pads = op.Concat(sides[0], sides[1], axis=0)
            found.append(op.Pad(one, pads, None, _ints(0)))
        return found


def _zeros(*shape: int) -> Any:
    import onnx_ir

    return onnx_ir.tensor(np.zeros(shape, np.float32))
