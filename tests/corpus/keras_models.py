"""Keras models for images, volumes and tables, as people write them; see MODELS at the end."""

import keras
import numpy as np
from keras import layers, ops


def settle(model, seed=0):
    """Give BatchNorm (and what starts at zero or one) the statistics of a trained model."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.moving_mean.assign(rng.normal(0, 0.1, size))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, size))
            if layer.gamma is not None:
                layer.gamma.assign(rng.uniform(0.8, 1.2, size))
            if layer.beta is not None:
                layer.beta.assign(rng.normal(0, 0.1, size))
    for variable in model.trainable_weights:
        if variable.path.endswith("bias"):
            variable.assign(rng.normal(0, 0.05, variable.shape))
    return model


def images(*shape, seed=1, scale=1.0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((2, *shape)) * scale).astype("float32")


def sequential_cnn():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same"),
            layers.LeakyReLU(negative_slope=0.1),
            layers.AveragePooling2D(3, strides=2, padding="same"),
            layers.SpatialDropout2D(0.2),
            layers.GaussianNoise(0.1),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return settle(model), (images(28, 28, 1),)


def functional_resnet():
    keras.utils.set_random_seed(2)

    def block(x, width, stride):
        short = x
        y = layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(width, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        if stride != 1 or x.shape[-1] != width:
            short = layers.Conv2D(width, 1, stride, use_bias=False)(x)
            short = layers.BatchNormalization()(short)
        return layers.ReLU()(layers.Add()([y, short]))

    image = keras.Input((32, 32, 3), name="image")
    x = layers.ZeroPadding2D(((3, 2), (2, 3)))(image)
    x = layers.Conv2D(8, 7, 2)(x)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for width, stride in [(8, 1), (16, 2), (16, 1)]:
        x = block(x, width, stride)
    features = layers.GlobalAveragePooling2D()(x)
    return settle(keras.Model(image, layers.Dense(10)(features))), (images(32, 32, 3),)


def _application(name, size=64, scale=50.0, **options):
    keras.utils.set_random_seed(3)
    build = getattr(keras.applications, name)
    model = build(
        weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None, **options
    )
    return settle(model), (images(size, size, 3, scale=scale),)


def mobilenet_v3_small():
    return _application("MobileNetV3Small")


def mobilenet_v2():
    return _application("MobileNetV2", scale=1.0)


def efficientnet_v2_b0():
    return _application("EfficientNetV2B0")


def resnet50():
    return _application("ResNet50")


def convnext_tiny():
    return _application("ConvNeXtTiny", size=32)


def densenet121():
    return _application("DenseNet121", scale=1.0)


def xception():
    return _application("Xception", size=72, scale=1.0)


def nasnet_mobile():
    return _application("NASNetMobile", size=32, scale=1.0)


def unet():
    keras.utils.set_random_seed(4)
    image = keras.Input((32, 32, 3))
    skips, x = [], image
    for width in (8, 16):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.BatchNormalization()(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(24, 3, padding="same", activation="swish")(x)
    x = layers.Conv2DTranspose(16, 3, strides=2, padding="same")(x)
    x = layers.Concatenate()([x, skips.pop()])
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Concatenate()([x, skips.pop()])
    coarse = layers.UpSampling2D(2, interpolation="nearest")(layers.AveragePooling2D(2)(x))
    x = layers.Add()([layers.Conv2D(8, 1)(x), layers.Conv2D(8, 1)(coarse)])
    mask = layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x)
    return settle(keras.Model(image, mask)), (images(32, 32, 3),)


def convolutions():
    keras.utils.set_random_seed(5)
    image = keras.Input((20, 18, 4))
    x = layers.Conv2D(8, 3, groups=2, padding="same")(image)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
    x = layers.SeparableConv2D(12, 5, strides=2, padding="same", activation="gelu")(x)
    x = layers.Conv2D(12, 3, dilation_rate=(2, 3), padding="same", groups=3)(x)
    x = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x)
    x = layers.Cropping2D(((1, 0), (0, 2)))(x)
    x = layers.Conv2DTranspose(6, (4, 3), strides=(2, 3), output_padding=(1, 1))(x)
    x = layers.Conv2DTranspose(6, 3, padding="same", dilation_rate=2)(x)
    return keras.Model(image, x), (images(20, 18, 4),)


def activations():
    keras.utils.set_random_seed(6)
    x = inputs = keras.Input((12,))
    names = (
        "gelu", "mish", "celu", "elu", "selu", "softplus", "softsign", "hard_sigmoid",
        "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid", "log_softmax", "exponential",
        "tanh_shrink", "soft_shrink", "squareplus", "swish", "relu6", "glu", "sparse_plus",
    )  # fmt: skip
    outputs = [layers.Activation(name)(layers.Dense(6)(x)) for name in names]
    shifted = layers.PReLU(alpha_initializer="random_uniform", shared_axes=None)(x)
    outputs.append(layers.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.2)(shifted))
    outputs.append(layers.ELU(alpha=0.7)(x))
    outputs.append(ops.gelu(x, approximate=True))
    return keras.Model(inputs, layers.Concatenate()(outputs)), (images(12),)


def normalizations():
    keras.utils.set_random_seed(7)
    image = keras.Input((10, 8, 12))
    x = layers.GroupNormalization(groups=4)(layers.Conv2D(12, 3, padding="same")(image))
    x = layers.LayerNormalization()(x)
    x = layers.LayerNormalization(axis=[1, 2])(x)
    x = layers.GroupNormalization(groups=-1)(x)  # instance normalisation
    x = layers.UnitNormalization(axis=-1)(x)
    x = layers.RMSNormalization()(layers.SpectralNormalization(layers.Conv2D(6, 1))(x))
    return settle(keras.Model(image, layers.GlobalMaxPooling2D()(x))), (images(10, 8, 12),)


def volumes():
    keras.utils.set_random_seed(8)
    scan = keras.Input((12, 10, 8, 2))
    x = layers.Conv3D(6, 3, padding="same", activation="relu")(scan)
    x = layers.BatchNormalization()(x)
    y = layers.MaxPooling3D(2)(x)
    z = layers.AveragePooling3D(2, padding="same")(layers.Conv3D(6, (3, 1, 3), padding="same")(x))
    x = layers.UpSampling3D(2)(layers.Add()([y, z]))
    x = layers.ZeroPadding3D(1)(layers.Cropping3D(((1, 0), (0, 1), (1, 1)))(x))
    x = layers.Conv3DTranspose(4, 2, strides=2)(layers.MaxPooling3D(3, 2, padding="same")(x))
    vector = layers.Concatenate()([layers.GlobalAveragePooling3D()(x), layers.Flatten()(y)])
    return settle(keras.Model(scan, [layers.Dense(3)(vector), x])), (images(12, 10, 8, 2),)


def signals():
    keras.utils.set_random_seed(9)
    signal = keras.Input((None, 3), name="signal")
    x = signal
    for rate in (1, 2, 4):
        y = layers.Conv1D(8, 3, padding="causal", dilation_rate=rate, activation="tanh")(x)
        x = layers.Concatenate()([x, layers.SpatialDropout1D(0.1)(y)])
    x = layers.SeparableConv1D(8, 3, padding="same", activation="elu")(x)
    x = layers.DepthwiseConv1D(3, padding="valid")(x)
    x = layers.Conv1DTranspose(6, 3, strides=2, padding="same")(layers.UpSampling1D(2)(x))
    x = layers.AveragePooling1D(2)(layers.MaxPooling1D(2)(layers.ZeroPadding1D((2, 1))(x)))
    pooled = [layers.GlobalMaxPooling1D()(x), layers.GlobalAveragePooling1D()(x)]
    pooled = layers.Concatenate()(pooled)
    return keras.Model(signal, {"score": layers.Dense(1)(pooled), "features": x}), (images(20, 3),)


def recommender():
    keras.utils.set_random_seed(10)
    user = keras.Input((), dtype="int32", name="user")
    item = keras.Input((1,), dtype="int64", name="item")
    left = layers.Dense(8, activation="relu")(layers.Embedding(50, 12)(user))
    right = layers.Dense(8)(layers.Flatten()(layers.Embedding(80, 12)(item)))
    match = layers.Dot(axes=1, normalize=True)([left, right])
    rating = layers.Dense(1, name="rating")(layers.Concatenate()([left * right, match]))
    rng = np.random.default_rng(1)
    inputs = {"user": rng.integers(0, 50, 2, "int32"), "item": rng.integers(0, 80, (2, 1))}
    return keras.Model([user, item], [rating, match]), inputs


def dict_model():
    keras.utils.set_random_seed(11)
    given = {
        "age": keras.Input((1,), name="age"),
        "colour": keras.Input((1,), dtype="int32", name="colour"),
        "flags": keras.Input((4,), dtype="bool", name="flags"),
    }
    colour = layers.CategoryEncoding(num_tokens=6, output_mode="one_hot")(given["colour"])
    age = layers.Normalization(mean=40.0, variance=90.0)(given["age"])
    bins = layers.Discretization([20.0, 35.0, 50.0], output_mode="one_hot")(given["age"])
    flags = ops.where(given["flags"], 1.0, -0.5)
    x = layers.Concatenate()([age, colour, bins, flags])
    x = layers.Dense(8, activation="silu")(x)
    outputs = {"risk": layers.Dense(1, activation="sigmoid")(x), "embedding": x}
    rng = np.random.default_rng(1)
    inputs = {
        "age": rng.uniform(18, 80, (2, 1)).astype("float32"),
        "colour": rng.integers(0, 6, (2, 1), "int32"),
        "flags": rng.random((2, 4)) < 0.5,
    }
    return keras.Model(given, outputs), inputs


def preprocessing():
    keras.utils.set_random_seed(12)
    pixels = keras.Input((40, 36, 3), dtype="uint8", name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.Resizing(24, 28)(x)
    x = layers.CenterCrop(20, 20)(x)
    x = layers.RandomFlip()(layers.RandomRotation(0.1)(x))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 0.6, 0.7])(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = layers.Resizing(7, 13, interpolation="nearest")(x)
    x = layers.GlobalAveragePooling2D()(x)
    rng = np.random.default_rng(1)
    return keras.Model(pixels, layers.Dense(4)(x)), (rng.integers(0, 256, (2, 40, 36, 3), "uint8"),)


def tabular():
    keras.utils.set_random_seed(13)
    zones = keras.Input((2,), dtype="int64", name="zones")
    words = keras.Input((5,), dtype="int32", name="words")
    known = layers.IntegerLookup(vocabulary=[7, 3, 42, 11, 60], num_oov_indices=1)(zones)
    x = layers.Flatten()(layers.Embedding(7, 4)(known))
    counts = layers.CategoryEncoding(num_tokens=9, output_mode="count")(words)
    multi = layers.CategoryEncoding(num_tokens=9, output_mode="multi_hot")(words)
    x = layers.Concatenate()([x, counts, multi, layers.RepeatVector(2)(x)[:, 1]])
    wide = layers.Dense(6, kernel_regularizer="l2", activity_regularizer="l2")(x)
    x = layers.Maximum()([wide, layers.Minimum()([x[:, :6], -wide])])
    x = layers.Permute((2, 1))(layers.Reshape((2, 3))(layers.Average()([x, wide])))
    rng = np.random.default_rng(1)
    inputs = {"zones": rng.integers(0, 99, (2, 2)), "words": rng.integers(0, 9, (2, 5), "int32")}
    return keras.Model([zones, words], layers.Softmax(axis=1)(x)), inputs


def hashed():
    keras.utils.set_random_seed(17)
    zone = keras.Input((1,), dtype="int64", name="zone")
    x = layers.Embedding(7, 4)(layers.Hashing(num_bins=7, salt=[3, 9])(zone))
    return keras.Model(zone, layers.Dense(2)(x)), (np.array([[5], [81]]),)


def shared_nested():
    keras.utils.set_random_seed(14)
    tower = keras.Sequential(
        [
            layers.Conv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
        ],
        name="tower",
    )
    one, two = keras.Input((16, 16, 3), name="one"), keras.Input((16, 16, 3), name="two")
    a, b = tower(one), tower(two)
    inner_input = keras.Input((5,))
    inner = keras.Model(inner_input, layers.Dense(4, activation="tanh")(inner_input), name="inner")
    distance = layers.Lambda(lambda t: ops.norm(t[0] - t[1], axis=1, keepdims=True))([a, b])
    model = keras.Model([one, two], [distance, inner(a) + inner(b)])
    return settle(model), (images(16, 16, 3), images(16, 16, 3, seed=2))


def gan_generator():
    keras.utils.set_random_seed(15)
    noise = keras.Input((16,), name="noise")
    x = layers.Dense(4 * 4 * 16, use_bias=False)(noise)
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.Reshape((4, 4, 16))(x)
    x = layers.Conv2DTranspose(8, 5, strides=1, padding="same", use_bias=False)(x)
    x = layers.Conv2DTranspose(8, 5, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="tanh")(x)
    return settle(keras.Model(noise, x)), (images(16),)


def any_size_segmenter():
    keras.utils.set_random_seed(16)
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.BatchNormalization()(x)
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = x * layers.Conv2D(8, 1, activation="hard_sigmoid")(y)
    x = layers.UpSampling2D(2)(x)
    x = layers.Conv2DTranspose(4, 3, padding="same")(x)
    return settle(keras.Model(image, layers.Softmax()(x))), (images(24, 16, 3),)


MODELS = {
    function.__name__: function
    for function in (
        sequential_cnn, functional_resnet, mobilenet_v3_small, mobilenet_v2, efficientnet_v2_b0,
        resnet50, convnext_tiny, densenet121, xception, nasnet_mobile, unet, convolutions,
        activations, normalizations, volumes, signals, recommender, dict_model, preprocessing,
        tabular, hashed, shared_nested, gan_generator, any_size_segmenter,
    )
}  # fmt: skip

DYNAMIC = {
    "signals": "signal:1=steps",
    "any_size_segmenter": "image:1=height,image:2=width",
}
