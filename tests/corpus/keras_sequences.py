"""Keras models for sequences: recurrent layers and attention; see MODELS at the end."""

import keras
import numpy as np
from keras import layers, ops


def floats(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal((2, *shape)).astype("float32")


def tokens(length, top, seed=1, dtype="int64"):
    return np.random.default_rng(seed).integers(0, top, (2, length)).astype(dtype)


def lstm():
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((None, 5), name="x")
    x = layers.LSTM(8, return_sequences=True)(x)
    x = layers.LSTM(6)(x)
    return keras.Model(inputs, layers.Dense(3)(x)), (floats(9, 5),)


def bidirectional_lstm():
    keras.utils.set_random_seed(2)
    x = inputs = keras.Input((None, 5), name="x")
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    y = layers.Bidirectional(layers.LSTM(4), merge_mode="sum")(x)
    return keras.Model(inputs, [layers.Dense(3)(x), y]), (floats(7, 5),)


def gru():
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((None, 5), name="x")
    y, state = layers.GRU(6, return_sequences=True, return_state=True)(x)
    x = layers.GRU(6, reset_after=False, go_backwards=True)(y)
    z = layers.GRU(4, recurrent_activation="hard_sigmoid", use_bias=False)(y)
    return keras.Model(inputs, layers.Concatenate()([x, state, z])), (floats(6, 5),)


def masked_lstm():
    keras.utils.set_random_seed(4)
    ids = keras.Input((None,), dtype="int64", name="ids")
    x = layers.Embedding(30, 8, mask_zero=True)(ids)
    x = layers.LSTM(8, return_sequences=True)(x)
    x = layers.LSTM(6)(x)
    return keras.Model(ids, layers.Dense(1, activation="sigmoid")(x)), (tokens(8, 4),)


def masked_bidirectional_gru():
    keras.utils.set_random_seed(5)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(30, 8, mask_zero=True)(ids)
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True))(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(ids, layers.Dense(2)(x)), (tokens(8, 5, dtype="int32"),)


def stacked_rnn():
    keras.utils.set_random_seed(6)
    x = inputs = keras.Input((10, 4), name="x")
    x = layers.Masking()(x)
    cells = [layers.LSTMCell(6), layers.GRUCell(5), layers.SimpleRNNCell(4)]
    x = layers.RNN(cells, return_sequences=True)(x)
    x = layers.SimpleRNN(5, return_sequences=True, unroll=True)(x)
    x = layers.Conv1D(4, 3)(x)
    return keras.Model(inputs, layers.LSTM(3, unroll=True)(x)), (floats(10, 4),)


def conv_lstm():
    keras.utils.set_random_seed(7)
    film = keras.Input((4, 10, 10, 2), name="film")
    x = layers.ConvLSTM2D(4, 3, padding="same", return_sequences=True)(film)
    x = layers.TimeDistributed(layers.MaxPooling2D())(x)
    x = layers.ConvLSTM2D(3, 3)(x)
    return keras.Model(film, layers.GlobalAveragePooling2D()(x)), (floats(4, 10, 10, 2),)


def encoder_decoder():
    keras.utils.set_random_seed(8)
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    _, h, c = layers.LSTM(8, return_state=True)(layers.Embedding(20, 6)(source))
    x = layers.LSTM(8, return_sequences=True)(layers.Embedding(25, 6)(target), initial_state=[h, c])
    return keras.Model([source, target], layers.Dense(25, activation="softmax")(x)), (
        tokens(7, 20, dtype="int32"),
        tokens(5, 25, seed=2, dtype="int32"),
    )


class TokensAndPlaces(layers.Layer):
    def __init__(self, vocabulary, length, width):
        super().__init__()
        self.tokens = layers.Embedding(vocabulary, width)
        self.places = layers.Embedding(length, width)

    def call(self, ids):
        return self.tokens(ids) + self.places(ops.arange(ops.shape(ids)[-1]))


def transformer():
    keras.utils.set_random_seed(9)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = TokensAndPlaces(40, 64, 16)(ids)
    for _ in range(2):
        y = layers.MultiHeadAttention(4, 4)(x, x)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, layers.Dropout(0.1)(y)]))
        y = layers.Dense(16)(layers.Dense(32, activation="gelu")(x))
        x = layers.LayerNormalization(epsilon=1e-6)(x + y)
    pooled = layers.GlobalAveragePooling1D()(x)
    return keras.Model(ids, [layers.Dense(4)(pooled), x]), (tokens(9, 40, dtype="int32"),)


class CausalBlock(layers.Layer):
    def __init__(self, width, heads, **options):
        super().__init__(**options)
        self.attention = layers.MultiHeadAttention(heads, width // heads)
        self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
        self.wide, self.narrow = layers.Dense(4 * width, activation="gelu"), layers.Dense(width)
        self.supports_masking = True

    def call(self, x):
        y = self.norms[0](x)
        x = x + self.attention(y, y, use_causal_mask=True)
        return x + self.narrow(self.wide(self.norms[1](x)))


def masked_gpt():
    keras.utils.set_random_seed(10)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(30, 16, mask_zero=True)(ids)
    x = CausalBlock(16, 2)(x)
    x = CausalBlock(16, 4)(x)
    return keras.Model(ids, layers.Dense(30)(x)), (tokens(8, 6, dtype="int32"),)


def attentions():
    keras.utils.set_random_seed(11)
    query = keras.Input((None, 8), name="query")
    value = keras.Input((None, 8), name="value")
    a = layers.Attention(use_scale=True)([query, value])
    b = layers.AdditiveAttention()([query, value])
    c = layers.GroupQueryAttention(4, 4, 2)(query, value)
    d = layers.Attention(score_mode="concat")([query, value], use_causal_mask=True)
    return keras.Model([query, value], layers.Concatenate()([a, b, c, d])), (
        floats(6, 8),
        floats(5, 8, seed=2),
    )


def text_classifier():
    keras.utils.set_random_seed(12)
    ids = keras.Input((16,), dtype="int32", name="ids")
    x = layers.Embedding(100, 12)(ids)
    branches = [
        layers.GlobalMaxPooling1D()(layers.Conv1D(8, size, activation="relu")(x))
        for size in (2, 3, 4)
    ]
    x = layers.Concatenate()([*branches, layers.GlobalAveragePooling1D()(x)])
    return keras.Model(ids, layers.Dense(5, activation="softmax")(x)), (
        tokens(16, 100, dtype="int32"),
    )


def vision_transformer():
    keras.utils.set_random_seed(13)
    image = keras.Input((24, 24, 3))
    x = layers.Reshape((16, 24))(layers.Conv2D(24, 6, 6)(image))
    x = x + layers.Embedding(16, 24)(ops.arange(16))
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.MultiHeadAttention(3, 8)(y, y)
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.Dense(24)(layers.Dense(48, activation="gelu")(y))
    return keras.Model(image, layers.Dense(5)(x[:, 0])), (floats(24, 24, 3),)


def recurrent_resets():
    keras.utils.set_random_seed(14)
    signal = keras.Input((None, 4), name="signal")
    x = layers.Conv1D(6, 3, padding="same")(signal)
    x = layers.GRU(6, return_sequences=True)(x)
    x = layers.LSTM(6, return_sequences=True, go_backwards=True, activation="relu")(x)
    x = layers.Bidirectional(layers.SimpleRNN(4, return_sequences=True), merge_mode="mul")(x)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(x))
    return keras.Model(signal, ops.sum(x * weights, axis=1)), (floats(10, 4),)


MODELS = {
    function.__name__: function
    for function in (
        lstm, bidirectional_lstm, gru, masked_lstm, masked_bidirectional_gru, stacked_rnn,
        conv_lstm, encoder_decoder, transformer, masked_gpt, attentions, text_classifier,
        vision_transformer, recurrent_resets,
    )
}  # fmt: skip

DYNAMIC = {
    "lstm": "x:1=steps",
    "bidirectional_lstm": "x:1=steps",
    "gru": "x:1=steps",
    "masked_lstm": "ids:1=steps",
    "masked_bidirectional_gru": "ids:1=steps",
    "encoder_decoder": "source:1=heard,target:1=said",
    "transformer": "ids:1=steps",
    "masked_gpt": "ids:1=steps",
    "attentions": "query:1=asked,value:1=known",
    "recurrent_resets": "signal:1=steps",
}
