"""Recurrent layers: one op of PyTorch's each, never unrolled where the length is dynamic.

The gates' order is ``onnx.ai/onnx/operators``' in the file and `torch.nn.LSTM`'s, `torch.nn.GRU`'s
here; constants are brought into it when the file is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipworthy.convert.bridge.importer.indexing import reversed_places
from shipworthy.convert.bridge.importer.node import Node
from shipworthy.convert.bridge.importer.number import Tensor, is_plain, sizes, torch
from shipworthy.convert.bridge.importer.table import onnx_op
from shipworthy.convert.bridge.whole import LSTM, RNN, whole_ops

# Place of each of PyTorch's gates among ONNX's.
_GATES = {"lstm": (0, 2, 3, 1), "gru": (1, 0, 2), "rnn": (0,)}
_ACTIVATIONS = {"lstm": ["Sigmoid", "Tanh", "Tanh"], "gru": ["Sigmoid", "Tanh"], "rnn": ["Tanh"]}


def _gates(one: Tensor, kind: str) -> Tensor:
    parts = one.chunk(len(_GATES[kind]), 0)
    return torch.cat([parts[i] for i in _GATES[kind]], 0)


def _weights(kind: str, w: Tensor, r: Tensor, b: Tensor | None) -> list[Tensor]:
    """Return input weights, state weights and both biases, direction after direction."""
    found = []
    for direction in range(w.dim() and len(w.unbind(0))):
        found += [_gates(w[direction], kind), _gates(r[direction], kind)]
        if b is not None:
            found += [_gates(half, kind) for half in b[direction].chunk(2, 0)]
    return found


def _prepare(kind: str) -> Any:
    def prepare(
        node: Node, x: Any, w: Any, r: Any, b: Any = None, *rest: Any
    ) -> Sequence[Any] | None:
        has_bias = len(node.inputs) > 3 and node.inputs[3] != ""
        if w is None or r is None or (has_bias and b is None):
            return None
        # Peepholes, the eighth input of an LSTM, stay where they are.
        return [None, "", "", "", None, None, None, None, *_weights(kind, w, r, b)]

    return prepare


@onnx_op("LSTM", since=7, prepare=_prepare("lstm"))
def lstm(
    node: Node, x: Tensor, w: Any = None, r: Any = None, b: Any = None, lengths: Any = None,
    h: Any = None, c: Any = None, peepholes: Any = None, *weights: Tensor,
) -> Any:  # fmt: skip
    """Long short-term memory."""
    _refuse_settings(node, "lstm")
    if peepholes is not None:
        node.refuse("peepholes; PyTorch's LSTM has none")
    if node.get("input_forget", 0):
        node.refuse("input_forget=1; PyTorch's LSTM does not couple these gates")
    weights = weights if node.prepared else _weights("lstm", w, r, b)  # type: ignore[assignment]
    return _Layer(node, "lstm", weights).run(x, [h, c], lengths)


@onnx_op("GRU", since=7, prepare=_prepare("gru"))
def gru(
    node: Node, x: Tensor, w: Any = None, r: Any = None, b: Any = None, lengths: Any = None,
    h: Any = None, unused: Any = None, unused_too: Any = None, *weights: Tensor,
) -> Any:  # fmt: skip
    """Gated recurrent unit; PyTorch's is the one that resets after the product."""
    _refuse_settings(node, "gru")
    weights = weights if node.prepared else _weights("gru", w, r, b)  # type: ignore[assignment]
    kind = "gru" if node.get("linear_before_reset", 0) else "gru_reset_before"
    return _Layer(node, kind, weights).run(x, [h], lengths)


@onnx_op("RNN", since=7, prepare=_prepare("rnn"))
def rnn(
    node: Node, x: Tensor, w: Any = None, r: Any = None, b: Any = None, lengths: Any = None,
    h: Any = None, unused: Any = None, unused_too: Any = None, *weights: Tensor,
) -> Any:  # fmt: skip
    """Plain recurrent layer."""
    _refuse_settings(node, "rnn", ["Tanh"], ["Relu"])
    names = node.get("activations") or ["Tanh"]
    weights = weights if node.prepared else _weights("rnn", w, r, b)  # type: ignore[assignment]
    return _Layer(node, f"rnn_{names[0].lower()}", weights).run(x, [h], lengths)


def _refuse_settings(node: Node, kind: str, *allowed: list[str]) -> None:
    usual = allowed or (_ACTIVATIONS[kind],)
    directions = 2 if node.get("direction") == "bidirectional" else 1
    names = node.get("activations")
    if names and names not in [one * directions for one in usual]:
        told = " or ".join(str(one * directions) for one in usual)
        node.refuse(f"activations={names}; PyTorch has {told}")
    if node.get("clip", 0.0):
        node.refuse("clip; PyTorch's cells do not clip")


class _Layer:
    """One layer in one or two directions, steps first."""

    def __init__(self, node: Node, kind: str, weights: Sequence[Tensor]) -> None:
        self.node = node
        self.kind = kind
        self.weights = list(weights)
        self.directions = 2 if node.get("direction") == "bidirectional" else 1
        self.backwards = node.get("direction") == "reverse"
        self.biases = len(self.weights) == 4 * self.directions

    def run(self, x: Tensor, states: Sequence[Tensor | None], lengths: Tensor | None) -> Any:
        """Return all outputs and the last state, as ONNX lays them out."""
        rows_first = bool(self.node.get("layout", 0))
        if rows_first:
            x = x.transpose(0, 1)
            states = [None if one is None else one.transpose(0, 1) for one in states]
        filled = [self._start(x) if one is None else one for one in states]
        if self.backwards:
            x = _turned(x, lengths)
        y, *last = self._computed(x, filled, lengths)
        if self.backwards:
            y = _turned(y, lengths)
        steps, rows, _ = sizes(y)
        y = y.reshape(steps, rows, self.directions, self.node.get("hidden_size"))
        y = y.permute(1, 0, 2, 3) if rows_first else y.permute(0, 2, 1, 3)
        if rows_first:
            last = [one.transpose(0, 1) for one in last]
        return (y, *last)

    def _start(self, x: Tensor) -> Tensor:
        return x.new_zeros([self.directions, x.shape[1], self.node.get("hidden_size")])

    def _computed(self, x: Tensor, states: list[Tensor], lengths: Tensor | None) -> Any:
        if self.kind == "gru_reset_before":
            return self._stepwise(x, states[0], lengths)
        settings = (self.weights, self.biases, 1, 0.0, False, self.directions == 2)
        state = tuple(states) if self.kind == "lstm" else states[0]
        function = getattr(torch._VF, self.kind)
        if lengths is None:
            return function(x, state, *settings, False)
        lengths = lengths.to(torch.int64)
        if torch.compiler.is_exporting():
            own = whole_ops()
            packed = (self.weights, lengths, self.biases, 1, self.directions == 2, False)
            if self.kind == "lstm":
                return own[LSTM](x, *states, *packed)
            return own[RNN](self.kind, x, *states, *packed)
        # PyTorch's packing wants the longest rows first.
        lengths, order = torch.sort(lengths, descending=True)
        back = torch.argsort(order)
        states = [one.index_select(1, order) for one in states]
        state = tuple(states) if self.kind == "lstm" else states[0]
        data, counts = torch._VF._pack_padded_sequence(x.index_select(1, order), lengths, False)
        data, *last = function(data, counts, state, *settings)
        y, _ = torch._VF._pad_packed_sequence(data, counts, False, 0.0, x.shape[0])
        return (y.index_select(1, back), *(one.index_select(1, back) for one in last))

    def _stepwise(self, x: Tensor, h: Tensor, lengths: Tensor | None) -> Any:
        """Run a GRU that resets before the product, which PyTorch has no op for."""
        steps = x.shape[0]
        if torch.compiler.is_exporting() and not is_plain(steps):
            self.node.refuse(
                "linear_before_reset=0 with a dynamic length, which torch.export would unroll; "
                "TorchScript can hold it, or train with reset_after=True"
            )
        function = _scripted_gru() if torch.jit.is_tracing() else _gru_steps
        outputs, ends = [], []
        each = 4 if self.biases else 2
        for d in range(self.directions):
            w, r, *biases = self.weights[d * each : (d + 1) * each]
            if not biases:
                biases = [x.new_zeros([1]), x.new_zeros([1])]
            given = _turned(x, lengths) if d else x
            projected = torch.matmul(given, w.t()) + biases[0] + biases[1]
            y = function(projected, h[d], r)
            if lengths is None:
                ends.append(y[-1])
            else:
                places = torch.arange(steps).unsqueeze(1)
                y = y * (places < lengths).unsqueeze(-1).to(y.dtype)
                row = (lengths.to(torch.int64) - 1).reshape(1, -1, 1).expand_as(y[:1])
                ends.append(y.gather(0, row)[0])
            outputs.append(_turned(y, lengths) if d else y)
        return torch.cat(outputs, -1), torch.stack(ends)


def _turned(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Turn the steps around, those of each row up to its length."""
    if lengths is None:
        return x.flip(0)
    turned = x.transpose(0, 1)
    return turned.gather(1, reversed_places(turned, lengths)).transpose(0, 1)


def _gru_steps(projected: Any, h: Any, r: Any) -> Any:
    """Return every step's state; biases are in the projected input already."""
    early, late = r.split([r.shape[0] // 3 * 2, r.shape[0] // 3], 0)
    found = []
    for step in projected.unbind(0):
        reset, update, new = step.chunk(3, -1)
        from_reset, from_update = torch.matmul(h, early.t()).chunk(2, -1)
        reset, update = torch.sigmoid(reset + from_reset), torch.sigmoid(update + from_update)
        new = torch.tanh(new + torch.matmul(reset * h, late.t()))
        h = new + update * (h - new)
        found.append(h)
    return torch.stack(found)


def _scripted_gru() -> Any:
    """Return `_gru_steps` as TorchScript."""
    import torch

    def steps(projected: torch.Tensor, h: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        third = r.size(0) // 3
        early = r[: 2 * third].t()
        late = r[2 * third :].t()
        found: list[torch.Tensor] = []
        for i in range(projected.size(0)):
            reset, update, new = projected[i].chunk(3, -1)
            from_reset, from_update = torch.matmul(h, early).chunk(2, -1)
            reset = torch.sigmoid(reset + from_reset)
            update = torch.sigmoid(update + from_update)
            new = torch.tanh(new + torch.matmul(reset * h, late))
            h = new + update * (h - new)
            found.append(h)
        return torch.stack(found)

    return torch.jit.script(steps)
