"""An LSTM that reads sentences of any length, written in PyTorch and in Keras.

    embedding                       16 words, 32 wide; 0 is padding
    LSTM, left to right             64 units
    state at the last word -> dense 64, 4

Keras skips padding by the mask that its embedding makes; PyTorch reads on and takes the state at
the last word, which for padding behind the words is the same. The LSTMs have no biases, because
PyTorch's would have two a gate and Keras' one.
"""

from __future__ import annotations

from typing import Any

from shipworthy.models.language import COLOURS, PADDING, WORDS, sentence_classifier
from shipworthy.models.training import Recipe

_WIDTH = 32
_UNITS = 64


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode: (batch, seq) -> (batch, 4)."""
    import torch
    from torch import nn

    class Reader(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, _WIDTH)
            self.lstm = nn.LSTM(_WIDTH, _UNITS, batch_first=True, bias=False)
            self.head = nn.Linear(_UNITS, COLOURS)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            states, _ = self.lstm(self.embedding(tokens))
            last = ((tokens != PADDING).sum(dim=1) - 1).clamp(min=0)
            index = last[:, None, None].expand(-1, 1, _UNITS)
            return self.head(states.gather(1, index).squeeze(1))

    return Reader().eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`: (batch, seq) -> (batch, 4)."""
    from keras import Input, Model, layers

    tokens = Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(WORDS, _WIDTH, mask_zero=True)(tokens)
    x = layers.LSTM(_UNITS, use_bias=False)(x)
    return Model(tokens, layers.Dense(COLOURS, name="logits")(x), name="lstm")


MODEL = sentence_classifier(
    "lstm",
    "sentences of any length: embedding, LSTM with masked padding, dense layer",
    builds={"pytorch": build_pytorch, "tensorflow": build_keras},
    recipe=Recipe(epochs=5, learning_rate=5e-3),
)
