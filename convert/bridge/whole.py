"""Recurrent layers, kept as one op each while PyTorch traces a model.

PyTorch unrolls ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN`` step by step when it traces them, so that the
sequence's length becomes a constant. Under `keep_whole` they are recorded as two ops of this
package instead, ``shipworthy::lstm`` and ``shipworthy::rnn``, which the bridge and the ONNX export
write as loops. Packed sequences are recorded as what they are: padded sequences and their lengths.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

NAMESPACE = "shipworthy"
LSTM = f"{NAMESPACE}.lstm.default"
RNN = f"{NAMESPACE}.rnn.default"
_SETTINGS = (
    "Tensor[] weights, Tensor? lengths, bool biases, int layers, bool bidirectional, "
    "bool batch_first"
)
# The function behind a layer -> the kind of its cells.
_CELLS = {"lstm": "lstm", "gru": "gru", "rnn_tanh": "rnn_tanh", "rnn_relu": "rnn_relu"}


@functools.cache
def _library() -> Any:
    """Define the two ops; they live as long as the library that is returned."""
    import torch

    library = torch.library.Library(NAMESPACE, "DEF")
    library.define(f"lstm(Tensor x, Tensor h, Tensor c, {_SETTINGS}) -> (Tensor, Tensor, Tensor)")
    library.define(f"rnn(str kind, Tensor x, Tensor h, {_SETTINGS}) -> (Tensor, Tensor)")

    def lstm(x: Any, h: Any, c: Any, *settings: Any) -> Any:
        return _computed("lstm", x, (h, c), *settings)

    def rnn(kind: str, x: Any, h: Any, *settings: Any) -> Any:
        return _computed(kind, x, h, *settings)

    def lstm_shapes(x: Any, h: Any, c: Any, *settings: Any) -> Any:
        return _outputs(x, h, settings[-2]), torch.empty_like(h), torch.empty_like(c)

    def rnn_shapes(kind: str, x: Any, h: Any, *settings: Any) -> Any:
        return _outputs(x, h, settings[-2]), torch.empty_like(h)

    for name, values, shapes in (("lstm", lstm, lstm_shapes), ("rnn", rnn, rnn_shapes)):
        library.impl(name, values, "CompositeExplicitAutograd")
        torch.library.register_fake(f"{NAMESPACE}::{name}", shapes, lib=library)
    return library


def whole_ops() -> dict[str, Any]:
    """Return the two ops by the names they have in a traced graph."""
    import torch

    _library()
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


@contextmanager
def keep_whole() -> Iterator[None]:
    """Record recurrent layers as one op each in everything that is traced in this context."""
    _library()
    with _mode()():
        yield


@functools.cache
def _mode() -> Any:
    from torch.overrides import TorchFunctionMode

    class Whole(TorchFunctionMode):
        """Stands between the layers and the functions that would be unrolled."""

        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kind = _CELLS.get(getattr(function, "__name__", ""))
            if kind and _is_builtin(function) and not kwargs:
                return _recorded(kind, args)
            return function(*args, **(kwargs or {}))

    return Whole


def _is_builtin(function: Any) -> bool:
    """Tell whether a function is PyTorch's own, not one of the user's with the same name."""
    import torch

    name = function.__name__
    return function is getattr(torch, name, None) or function == getattr(torch._VF, name, None)


def _recorded(kind: str, args: Sequence[Any]) -> Any:
    import torch

    x, state, weights, biases, layers, _, _, bidirectional, batch_first = args
    settings = (list(weights), None, biases, layers, bidirectional, batch_first)
    own = getattr(torch.ops, NAMESPACE)
    if kind == "lstm":
        return own.lstm(x, *state, *settings)
    return own.rnn(kind, x, state, *settings)
