"""A transformer encoder that reads sentences of any length, written in PyTorch and in Keras.

    embedding + positions           16 words, 64 wide; 0 is padding
    2 x encoder layer               4 heads, 128 hidden, GELU, LayerNorm in front
    LayerNorm
    mean over the words -> dense    64, 4

Positions are sines and cosines (Vaswani et al., "Attention Is All You Need", 2017, section 3.5),
kept as a table that is not trained. Padding is neither attended to nor averaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipworthy.models.language import COLOURS, PADDING, WORDS, sentence_classifier
from shipworthy.models.training import Recipe

if TYPE_CHECKING:
    from shipworthy.models.spec import Array

_WIDTH = 64
_HEADS = 4
_HIDDEN = 128
_LAYERS = 2
_EPSILON = 1e-5
_POSITIONS = 256  # the longest sentence there is room for
_EMBEDDING_DEVIATION = 0.5  # of the initial embedding: as much as the positions have


def positions() -> Array:
    """Return the table of positions, float32 of shape (256, 64)."""
    angles = np.arange(_POSITIONS)[:, None] / 10_000 ** (np.arange(0, _WIDTH, 2) / _WIDTH)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def build_pytorch() -> Any:
    """Return the untrained `torch.nn.Module`, in eval mode: (batch, seq) -> (batch, 4)."""
    import torch
    from torch import nn

    class Reader(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(WORDS, _WIDTH)
            nn.init.normal_(self.embedding.weight, std=_EMBEDDING_DEVIATION)
            self.register_buffer("positions", torch.from_numpy(positions()))
            layer = nn.TransformerEncoderLayer(
                _WIDTH, _HEADS, _HIDDEN, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True, layer_norm_eps=_EPSILON,
            )  # fmt: skip
            self.encoder = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(_WIDTH, eps=_EPSILON)
            self.head = nn.Linear(_WIDTH, COLOURS)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            padding = tokens == PADDING
            x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
            x = self.norm(self.encoder(x, src_key_padding_mask=padding))
            words = (~padding).unsqueeze(-1).to(x.dtype)
            return self.head((x * words).sum(dim=1) / words.sum(dim=1))

    return Reader().eval()


def build_keras() -> Any:
    """Return the untrained `keras.Model`: (batch, seq) -> (batch, 4)."""
    from keras import Input, Model, initializers, layers, ops

    class Positions(layers.Layer):  # type: ignore[misc]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.supports_masking = True

        def build(self, shape: Any) -> None:
            self.table = self.add_weight(
                shape=(_POSITIONS, _WIDTH), initializer="zeros", trainable=False, name="table"
            )
            self.table.assign(positions())

        def call(self, x: Any) -> Any:
            return x + self.table[: ops.shape(x)[1]]

    def encoder_layer(x: Any) -> Any:
        y = layers.LayerNormalization(epsilon=_EPSILON)(x)
        y = layers.MultiHeadAttention(_HEADS, _WIDTH // _HEADS)(y, y)
        x = layers.add([x, y])
        y = layers.LayerNormalization(epsilon=_EPSILON)(x)
        y = layers.Dense(_HIDDEN, activation="gelu")(y)
        return layers.add([x, layers.Dense(_WIDTH)(y)])

    tokens = Input((None,), dtype="int32", name="tokens")
    x = layers.Embedding(
        WORDS, _WIDTH, mask_zero=True, embeddings_initializer=initializers.RandomNormal(
            stddev=_EMBEDDING_DEVIATION
        )
    )(tokens)  # fmt: skip
    x = Positions()(x)
    for _ in range(_LAYERS):
        x = encoder_layer(x)
    x = layers.LayerNormalization(epsilon=_EPSILON)(x)
    x = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
    return Model(tokens, layers.Dense(COLOURS, name="logits")(x), name="transformer")


MODEL = sentence_classifier(
    "transformer",
    "sentences of any length: two encoder layers with masked padding",
    builds={"pytorch": build_pytorch, "tensorflow": build_keras},
    recipe=Recipe(epochs=10, learning_rate=2e-3),
)
