"""Recurrent layers, kept as one op each while PyTorch traces a model.

PyTorch unrolls ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN`` step by step when it traces them, so that the
sequence's length becomes a constant. They are recorded as two ops of this package instead,
``shipworthy::lstm`` and ``shipworthy::rnn``, which the bridge and the ONNX export write as loops.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from shipworthy.convert.bridge.packed import packed_as

NAMESPACE = "shipworthy"
LSTM = f"{NAMESPACE}.lstm.default"
RNN = f"{NAMESPACE}.rnn.default"
_SETTINGS = (
    "Tensor[] weights, Tensor? lengths, bool biases, int layers, bool bidirectional, "
    "bool batch_first"
)
# The functions behind the layers, which are the kinds of their cells too.
CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@functools.cache
def library() -> Any:
    """Define the two ops; they live as long as the library that is returned."""
    import torch

    own = torch.library.Library(NAMESPACE, "DEF")
    own.define(f"lstm(Tensor x, Tensor h, Tensor c, {_SETTINGS}) -> (Tensor, Tensor, Tensor)")
    own.define(f"rnn(str kind, Tensor x, Tensor h, {_SETTINGS}) -> (Tensor, Tensor)")

    def lstm(x: Any, h: Any, c: Any, *settings: Any) -> Any:
        return _computed("lstm", x, (h, c), *settings)

    def rnn(kind: str, x: Any, h: Any, *settings: Any) -> Any:
        return _computed(kind, x, h, *settings)

    def lstm_shapes(x: Any, h: Any, c: Any, *settings: Any) -> Any:
        return _outputs(x, h, settings[-2]), torch.empty_like(h), torch.empty_like(c)

    def rnn_shapes(kind: str, x: Any, h: Any, *settings: Any) -> Any:
        return _outputs(x, h, settings[-2]), torch.empty_like(h)

    for name, values, shapes in (("lstm", lstm, lstm_shapes), ("rnn", rnn, rnn_shapes)):
        own.impl(name, values, "CompositeExplicitAutograd")
        torch.library.register_fake(f"{NAMESPACE}::{name}", shapes, lib=own)
    return own


def whole_ops() -> dict[str, Any]:
    """Return the two ops by the names they have in a traced graph."""
    import torch

    library()
    own = getattr(torch.ops, NAMESPACE)
    return {LSTM: own.lstm.default, RNN: own.rnn.default}


def _outputs(x: Any, h: Any, bidirectional: bool) -> Any:
    return x.new_empty((x.shape[0], x.shape[1], h.shape[2] * (2 if bidirectional else 1)))


def _computed(
    kind: str,
    x: Any,
    state: Any,
    weights: Sequence[Any],
    lengths: Any,
    biases: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """Compute what the op stands for."""
    import torch
    from torch.nn.utils import rnn as packing

    function = getattr(torch._VF, kind)
    settings = (list(weights), biases, layers, 0.0, False, bidirectional)
    if lengths is None:
        return function(x, state, *settings, batch_first)
    packed = packing.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
    order = packed.sorted_indices
    states = [part.index_select(1, order) for part in (state if kind == "lstm" else [state])]
    given = states if kind == "lstm" else states[0]
    data, *last = function(packed.data, packed.batch_sizes, given, *settings)
    y, _ = packing.pad_packed_sequence(
        packed._replace(data=data), batch_first, total_length=x.shape[1 if batch_first else 0]
    )
    return (y, *(part.index_select(1, packed.unsorted_indices) for part in last))


def record(kind: str, args: Sequence[Any]) -> Any:
    """Record a call of the function behind a layer; NotImplemented if it is none of those.

    Parameters
    ----------
    kind : name of PyTorch's function: one of `CELLS`.
    args : what the layer gives it, see ``torch.nn.RNNBase``: padded sequences and a batch-first
        flag, or the values of a packed sequence, its batch sizes and no flag.
    """
    import torch

    own = getattr(torch.ops, NAMESPACE)
    packed = packed_as(args[1])
    if packed is None:
        x, state, weights, biases, layers, _, _, bidirectional, batch_first = args
        settings = (list(weights), None, biases, layers, bidirectional, batch_first)
    else:
        data, lengths, state, weights, biases, layers, _, _, bidirectional = args
        x = packed.rows(data)
        settings = (list(weights), lengths, biases, layers, bidirectional, False)
    if kind == "lstm":
        y, *last = own.lstm(x, *state, *settings)
    else:
        y, *last = own.rnn(kind, x, state, *settings)
    return (y if packed is None else y.flatten(0, 1), *last)
