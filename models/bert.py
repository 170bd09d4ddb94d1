"""A small BERT at its real size, untrained, in PyTorch and in Keras.

    words + positions + segments -> LayerNorm       30,522 words, 256 wide, 128 long
    4 x attention -> add -> LayerNorm               4 heads
        dense -> GELU -> dense -> add -> LayerNorm  1,024 hidden
    first word -> dense -> tanh                     256

The encoder of Devlin et al., "BERT", 2018, in the size "mini" of Turc et al., "Well-Read Students
Learn Better", 2019. 11,170,560 weights.
"""

from __future__ import annotations

from typing import Any

from shipworthy.models.spec import Model, Signature, Source, TensorSpec
from shipworthy.models.untrained import fill_keras, fill_pytorch

_WORDS, _POSITIONS, _SEGMENTS = 30_522, 512, 2
_LENGTH = 128
_WIDTH, _HEADS, _HIDDEN, _LAYERS = 256, 4, 1024, 4
_EPSILON = 1e-12
_SCALES = (0.9, 1.1)

# What a framework's embedding takes by default.
_DTYPES = {"pytorch": "int64", "tensorflow": "int32"}


def build_pytorch() -> Any:
    """Return the `torch.nn.Module`, in eval mode.

    Three times (batch, 128) -> (batch, 128, 256), (batch, 256).
    """
    import torch
    from torch import nn
    from torch.nn.functional import gelu, scaled_dot_product_attention

    class Attention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.output = (
                nn.Linear(_WIDTH, _WIDTH) for _ in range(4)
            )

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            query, key, value = (
                layer(x).unflatten(-1, (_HEADS, -1)).transpose(1, 2)
                for layer in (self.query, self.key, self.value)
            )
            mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
            return self.output(mixed.transpose(1, 2).flatten(2))

    class Layer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.attention = Attention()
            self.norm1 = nn.LayerNorm(_WIDTH, eps=_EPSILON)
            self.dense1 = nn.Linear(_WIDTH, _HIDDEN)
            self.dense2 = nn.Linear(_HIDDEN, _WIDTH)
            self.norm2 = nn.LayerNorm(_WIDTH, eps=_EPSILON)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            x = self.norm1(x + self.attention(x, mask))
            return self.norm2(x + self.dense2(gelu(self.dense1(x))))

    class Bert(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(_WORDS, _WIDTH)
            self.positions = nn.Embedding(_POSITIONS, _WIDTH)
            self.segments = nn.Embedding(_SEGMENTS, _WIDTH)
            self.norm = nn.LayerNorm(_WIDTH, eps=_EPSILON)
            self.layer = nn.ModuleList(Layer() for _ in range(_LAYERS))
            self.pooler = nn.Linear(_WIDTH, _WIDTH)

        def forward(
            self,
            input_ids: torch.Tensor,
            token_type_ids: torch.Tensor,
            attention_mask: torch.Tensor,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            places = torch.arange(input_ids.shape[1], device=input_ids.device)
            x = self.words(input_ids) + self.segments(token_type_ids) + self.positions(places)
            x = self.norm(x)
            mask = (attention_mask != 0)[:, None, None, :]
            for layer in self.layer:
                x = layer(x, mask)
            return x, torch.tanh(self.pooler(x[:, 0]))

    return fill_pytorch(Bert(), _SCALES)


def build_keras() -> Any:
    """Return the `keras.Model`; three times (batch, 128) -> (batch, 128, 256), (batch, 256)."""
    from keras import Input, Model, layers, ops

    class Positions(layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.table = self.add_weight(shape=(_POSITIONS, _WIDTH), name="table")

        def call(self, x: Any) -> Any:
            return x + self.table[: ops.shape(x)[1]]

    def norm(x: Any, name: str) -> Any:
        return layers.LayerNormalization(epsilon=_EPSILON, name=name)(x)

    def encoder_layer(x: Any, mask: Any, name: str) -> Any:
        attention = layers.MultiHeadAttention(_HEADS, _WIDTH // _HEADS, name=f"{name}_attention")
        x = norm(layers.add([x, attention(x, x, attention_mask=mask)]), f"{name}_norm1")
        y = layers.Dense(_HIDDEN, activation="gelu", name=f"{name}_dense1")(x)
        y = layers.Dense(_WIDTH, name=f"{name}_dense2")(y)
        return norm(layers.add([x, y]), f"{name}_norm2")

    names = ("input_ids", "token_type_ids", "attention_mask")
    inputs = [Input((_LENGTH,), dtype="int32", name=name) for name in names]
    ids, segments, given = inputs
    x = layers.Embedding(_WORDS, _WIDTH, name="words")(ids)
    x = layers.add([x, layers.Embedding(_SEGMENTS, _WIDTH, name="segments")(segments)])
    x = norm(Positions(name="positions")(x), "norm")
    mask = ops.not_equal(ops.expand_dims(given, 1), 0)
    for number in range(_LAYERS):
        x = encoder_layer(x, mask, f"layer_{number}")
    pooled = layers.Dense(_WIDTH, activation="tanh", name="pooler")(x[:, 0])
    return fill_keras(Model(inputs, [x, pooled], name="bert"), _SCALES)


def _source(framework: str, build: Any) -> Source:
    def whole(name: str, high: int) -> TensorSpec:
        return TensorSpec(name, _DTYPES[framework], ("batch", _LENGTH), low=0, high=high)

    return Source(
        name="bert",
        framework=framework,
        signature=Signature(
            inputs=(
                whole("input_ids", _WORDS - 1),
                whole("token_type_ids", _SEGMENTS - 1),
                whole("attention_mask", 1),
            ),
            outputs=(
                TensorSpec("hidden", "float32", ("batch", _LENGTH, _WIDTH)),
                TensorSpec("pooled", "float32", ("batch", _WIDTH)),
            ),
        ),
        build=build,
    )


MODEL = Model(
    "bert",
    "a small BERT (4 layers, 256 wide, 128 words) at its real size: for speed",
    {
        "pytorch": _source("pytorch", build_pytorch),
        "tensorflow": _source("tensorflow", build_keras),
    },
    untrained=True,
)
