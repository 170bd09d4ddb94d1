"""Subclassed Keras models that compute with keras.ops or with raw TensorFlow; see MODELS."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


def floats(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal((2, *shape)).astype("float32")


class Relational(keras.Model):
    """einsum, top-k, gathering along an axis, cumulative sums, masks: keras.ops alone."""

    def __init__(self):
        super().__init__()
        self.project = layers.Dense(8)
        self.table = self.add_weight(shape=(8, 4, 3), initializer="glorot_uniform", name="table")

    def call(self, x):
        h = self.project(x)
        scores = ops.einsum("bld,bmd->blm", h, h)
        mixed = ops.einsum("bld,dhk->bhlk", h, self.table)
        best, where = ops.top_k(scores, k=3)
        picked = ops.take_along_axis(h, where[..., :1], axis=1)
        running = ops.cumsum(h, axis=1)
        masked = ops.where(h > 0, running, ops.zeros_like(h))
        first = ops.argmax(scores, axis=-1)
        hot = ops.one_hot(first, 12, dtype="float32")
        padded = ops.pad(masked, [[0, 0], [1, 2], [0, 0]], constant_values=0.5)
        return {
            "best": best,
            "picked": picked,
            "mixed": mixed,
            "hot": hot,
            "padded": padded,
            "first": first,
        }


class Images(keras.Model):
    """Resizing of every kind, flips, rolls and patches: keras.ops alone."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(6, 3, padding="same", groups=2)

    def call(self, x):
        x = self.conv(x)
        cubic = ops.image.resize(x, (15, 9), interpolation="bicubic")
        linear = ops.image.resize(x, (7, 21), interpolation="bilinear")
        near = ops.image.resize(x, (5, 17), interpolation="nearest")
        flipped = ops.roll(ops.flip(x, axis=2), 2, axis=1)
        patches = ops.image.extract_patches(flipped, (3, 3), strides=(2, 2), padding="valid")
        return [cubic, linear, near, ops.mean(patches, axis=(1, 2)), ops.clip(flipped, -0.3, 0.4)]


class Arithmetic(keras.Model):
    """Elementwise functions and reductions of keras.ops."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(6, activation=ops.gelu)

    def call(self, x):
        h = self.dense(x)
        p = ops.abs(h) + 0.3
        smooth = [
            ops.log(p), ops.sqrt(p), ops.rsqrt(p), ops.expm1(ops.tanh(h)), ops.log1p(p), ops.erf(h),
            ops.power(ops.tanh(p), 1.5), ops.maximum(h, 0.1), ops.tanh(h), ops.arctan2(h, p),
            ops.sin(h), ops.logaddexp(h, p), ops.square(ops.tanh(h)), ops.nan_to_num(h / p),
            ops.cumprod(ops.tanh(p), axis=1),
            ops.sort(h, axis=-1),
        ]  # fmt: skip
        steps = [
            ops.sign(h), ops.floor(h * 3), h // 0.5, ops.round(h * 4), ops.isfinite(h) * 1.0,
            ops.trunc(h * 3), ops.ceil(h),
        ]  # fmt: skip
        reduced = [
            ops.std(h, axis=-1), ops.var(h, axis=-1), ops.logsumexp(h, axis=-1),
            ops.prod(p, axis=-1), ops.median(h, axis=-1), ops.amax(h, axis=-1),
            ops.norm(h, axis=-1), ops.quantile(h, 0.3, axis=-1),
        ]  # fmt: skip
        return (
            ops.concatenate(smooth, axis=-1),
            ops.concatenate(steps, axis=-1),
            ops.mod(h, 0.7),
            ops.stack(reduced, axis=-1),
        )


class Counting(keras.Model):
    """Integers and booleans: comparisons, logic, histograms, arguments of extremes."""

    def call(self, ids, flags):
        even = ops.equal(ids % 2, 0)
        chosen = ops.logical_and(even, ops.logical_not(flags))
        total = ops.sum(ops.cast(chosen, "int32"), axis=1)
        rank = ops.argsort(ids * 8 + ops.arange(6, dtype="int32"), axis=-1)
        lowest = ops.argmin(ids * 8 + ops.arange(6, dtype="int32"), axis=1)
        return {
            "chosen": chosen,
            "total": total,
            "any": ops.any(chosen, axis=1),
            "rank": ops.cast(rank, "int32"),
            "lowest": ops.cast(lowest, "int64"),
            "floor": ids // 3,
            "powers": ops.left_shift(ops.ones_like(ids), ids),
        }


class Detector(keras.Model):
    """Boxes from anchors with raw TensorFlow: constants, ranges, gathering, strided slices."""

    def __init__(self):
        super().__init__()
        self.body = keras.Sequential([layers.Conv2D(8, 3, 2, activation="relu")] * 1)
        self.head = layers.Conv2D(6, 1)
        self.anchors = tf.constant([[1.0, 2.0], [0.5, 3.0]], tf.float32)

    def call(self, image):
        x = tf.nn.relu6(self.body(image / tf.constant(2.0)))
        x = self.head(tf.nn.max_pool2d(x, 3, 2, "SAME"))
        shape = tf.shape(x)
        x = tf.reshape(x, [shape[0], shape[1] * shape[2], 2, 3])
        sizes = tf.exp(tf.clip_by_value(x[..., 0:2], -4.0, 4.0)) * self.anchors
        scores = tf.sigmoid(x[..., 2])
        flat = tf.reshape(scores, [shape[0], -1])
        best, where = tf.math.top_k(flat, k=4)
        boxes = tf.gather(tf.reshape(sizes, [shape[0], -1, 2]), where, batch_dims=1)
        steps = tf.cast(tf.range(shape[1] * shape[2]), tf.float32)
        centre = tf.einsum("bla,l->ba", scores, steps)
        return {"boxes": boxes, "scores": best, "classes": where, "centre": centre}


class TensorFlowMix(keras.Model):
    """Attention, normalisation and masking, in raw TensorFlow with a dynamic length."""

    def __init__(self):
        super().__init__()
        self.q, self.k = layers.Dense(8), layers.Dense(8)
        self.scale = tf.Variable(tf.random.stateless_uniform([8], [1, 2], 0.5, 1.5))

    def call(self, x):
        q, k = self.q(x), self.k(x)
        length = tf.shape(x)[1]
        logits = tf.matmul(q, k, transpose_b=True) / tf.sqrt(tf.cast(tf.shape(q)[-1], tf.float32))
        mask = tf.linalg.band_part(tf.ones([length, length]), -1, 0)
        logits = tf.where(mask > 0.5, logits, tf.fill(tf.shape(logits), -1e9))
        attended = tf.nn.softmax(logits, axis=-1) @ k
        mean, variance = tf.nn.moments(attended, axes=[-1], keepdims=True)
        normal = (attended - mean) * tf.math.rsqrt(variance + 1e-5) * self.scale
        unit = tf.math.l2_normalize(normal, axis=-1)
        places = tf.cast(tf.range(length), tf.float32)[tf.newaxis, :, tf.newaxis]
        waves = tf.concat([tf.sin(places / 10.0), tf.cos(places / 10.0)], -1)
        tiled = tf.tile(waves, [tf.shape(x)[0], 1, 1])
        rolled = tf.roll(tf.reverse(unit, [1]), shift=1, axis=1)
        total = tf.cumsum(tf.nn.gelu(rolled), axis=1, exclusive=True, reverse=True)
        return tf.concat([total, tiled], -1), tf.reduce_logsumexp(normal, axis=[1, 2])


class TensorFlowImages(keras.Model):
    """tf.image and tf.nn on uint8 pixels."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.constant(np.random.default_rng(3).normal(0, 0.2, (3, 3, 3, 4)), tf.float32)
        self.dense = layers.Dense(5)

    def call(self, pixels):
        x = tf.image.convert_image_dtype(pixels, tf.float32)
        x = tf.image.resize(x, [20, 20], method="bicubic")
        x = tf.image.per_image_standardization(x)
        x = tf.nn.conv2d(x, self.kernel, strides=1, padding="SAME", dilations=2)
        x = tf.nn.depthwise_conv2d(x, tf.ones([3, 3, 4, 1]) / 9, [1, 1, 1, 1], "VALID")
        x = tf.nn.space_to_depth(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), 2)
        x = tf.nn.avg_pool2d(tf.nn.elu(x), 2, 2, "VALID")
        x = tf.image.resize(x, [9, 9], method="nearest")
        x = tf.image.resize(x, tf.shape(x)[1:3] * 2, antialias=False)
        return self.dense(tf.reduce_mean(tf.nn.relu(x), axis=[1, 2]))


class TensorFlowTables(keras.Model):
    """Integer keys: hashing by modulus, scatter, one-hot, segments by matmul, casts to float64."""

    def __init__(self):
        super().__init__()
        self.table = layers.Embedding(16, 4)

    def call(self, keys, weight):
        buckets = tf.math.floormod(keys * 31 + 7, tf.constant(16, keys.dtype))
        vectors = self.table(buckets) * weight[..., tf.newaxis]
        hot = tf.one_hot(buckets, 16)
        spread = tf.einsum("blk,bld->bkd", hot, vectors)
        mean64 = tf.reduce_mean(tf.cast(vectors, tf.float64), axis=1)
        exact = tf.cast(mean64 - tf.cast(1 / 3, tf.float64), tf.float32)
        first = tf.argmax(weight, axis=1, output_type=tf.int32)
        chosen = tf.gather_nd(vectors, tf.stack([tf.range(tf.shape(first)[0]), first], axis=1))
        changed = tf.tensor_scatter_nd_update(chosen, tf.constant([[0]]), tf.zeros([1, 4]))
        known = tf.reduce_any(tf.equal(keys[:, :, None], keys[:, None, :] + 1), axis=2)
        split, rest = tf.split(vectors, [1, 3], axis=-1)
        left, right = tf.unstack(weight[:, :2], axis=1)
        return {
            "spread": spread,
            "exact": exact,
            "changed": changed,
            "known": known,
            "norms": tf.norm(rest, axis=-1) + tf.squeeze(split, -1),
            "ratio": tf.math.divide_no_nan(left, right),
            "first": first,
        }


class Solver(keras.Model):
    """A fixed number of steps in tf.while_loop, a condition, linear algebra."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(9)

    def call(self, x):
        a = tf.reshape(self.dense(x), [-1, 3, 3])
        a = tf.matmul(a, a, transpose_a=True) + tf.eye(3)
        v = tf.ones_like(a[:, :, :1])

        def step(i, v):
            v = tf.matmul(a, v)
            return i + 1, v / tf.norm(v, axis=1, keepdims=True)

        _, v = tf.while_loop(lambda i, v: i < 8, step, [tf.constant(0), v])
        value = tf.squeeze(tf.matmul(v, tf.matmul(a, v), transpose_a=True), [1, 2])
        trace = tf.linalg.trace(a)
        diagonal = tf.linalg.diag_part(a)
        return value, trace, tf.linalg.matvec(a, diagonal), tf.linalg.set_diag(a, diagonal * 2)


def _numbers():
    rng = np.random.default_rng(1)
    return {"ids": rng.integers(0, 8, (2, 6), "int32"), "flags": rng.random((2, 6)) < 0.5}


def _keyed():
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((2, 5)).astype("float32")
    return {"keys": rng.integers(0, 50, (2, 5), "int32"), "weight": weight}


def _made(build, inputs):
    keras.utils.set_random_seed(1)
    model = build()
    model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    return model, inputs


def relational():
    return _made(Relational, (floats(12, 5),))


def ops_images():
    return _made(Images, (floats(12, 14, 4),))


def arithmetic():
    return _made(Arithmetic, (floats(8),))


def counting():
    return _made(Counting, _numbers())


def detector():
    return _made(Detector, (floats(24, 20, 3),))


def tensorflow_mix():
    return _made(TensorFlowMix, (floats(7, 6),))


def tensorflow_images():
    pixels = np.random.default_rng(1).integers(0, 256, (2, 18, 16, 3), "uint8")
    return _made(TensorFlowImages, (pixels,))


def tensorflow_tables():
    return _made(TensorFlowTables, _keyed())


def solver():
    return _made(Solver, (floats(5),))


MODELS = {
    function.__name__: function
    for function in (
        relational, ops_images, arithmetic, counting, detector, tensorflow_mix,
        tensorflow_images, tensorflow_tables, solver,
    )
}  # fmt: skip

DYNAMIC = {"tensorflow_mix": "x:1=steps"}
