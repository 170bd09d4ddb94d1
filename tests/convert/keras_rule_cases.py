"""Rows for test_keras_rules.py: name, operators whose rules it needs, function, inputs.

An input is one text: ``[dtype] axes [low..high]``, where N is the batch, H and W are dynamic axes
too. A function gets one tensor an input.
"""

from __future__ import annotations

from typing import Any

from shipworthy.convert.bridge.lazy import Lazy

tf: Any = Lazy("tensorflow")
BOTH, ONNX, TFLITE = ("onnx", "tflite"), ("onnx",), ("tflite",)


def raw(kind: str, **options: Any) -> Any:
    return getattr(tf.raw_ops, kind)(**options)


def unary(kind: str, given: str = "N 5", formats: tuple[str, ...] = TFLITE) -> tuple[Any, ...]:
    return kind, {kind: formats}, lambda x: raw(kind, x=x), given


def integer(kind: str, formats: tuple[str, ...], dtype: str = "int32") -> tuple[Any, ...]:
    low = 0 if dtype == "uint8" else -100
    given = f"{dtype} N 5 {low}..200", f"{dtype} N 5 1..7"
    return f"{kind} {dtype}", {kind: formats}, lambda x, y: raw(kind, x=x, y=y), *given


def resize(kind: str, size: Any = (5, 11), **options: Any) -> tuple[Any, ...]:
    def compute(x: Any) -> Any:
        return raw(kind, images=x, size=list(size), **options)

    return f"{kind} {options}", {kind: BOTH}, compute, "N 8 6 3"


def image_resize(method: str, *, antialias: bool, dynamic: bool) -> tuple[Any, ...]:
    kind = {"bicubic": "ResizeBicubic", "area": "ResizeArea"}.get(method, "ScaleAndTranslate")
    kind = "ScaleAndTranslate" if antialias and method != "area" else kind

    def compute(x: Any) -> Any:
        size = tf.shape(x)[1:3] * 5 // 3 if dynamic else [5, 4]
        return tf.image.resize(x, size, method=method, antialias=antialias)

    name = f"{method} {'smooth' if antialias else 'sharp'} {'dynamic' if dynamic else 'static'}"
    return name, {kind: BOTH}, compute, "N H W 3" if dynamic else "N 8 6 3"


def sign_of_zero(x: Any) -> Any:
    bits = tf.bitcast(tf.where(x > 0.5, x, tf.math.sign(x) * 0.0), tf.int32)
    return tf.bitwise.bitwise_and(bits, tf.int32.min) < 0


def transposed(strides: int, padding: str, size: tuple[int, int], dilation: int = 1) -> Any:
    def compute(x: Any) -> Any:
        kernel = tf.reshape(tf.range(216, dtype=tf.float32) / 100 - 1, [3, 3, 4, 6])
        shape = [tf.shape(x)[0], *size, 4]
        return tf.nn.conv2d_transpose(x, kernel, shape, strides, padding, dilations=dilation)

    return compute


def in_a_loop(x: Any) -> Any:
    """A rule inside a loop, and another inside a condition inside it."""

    def step(i: Any, y: Any) -> Any:
        return i + 1, tf.cond(i > 1, lambda: tf.math.expm1(y), lambda: tf.roll(y, 1, 1) * 0.3)

    return tf.while_loop(lambda i, y: i < 4, step, [tf.constant(0), x])[1]


def filled_before_the_loop(x: Any) -> Any:
    return tf.scan(lambda before, row: before * 0.5 + row, tf.transpose(x))


def read_backwards(x: Any) -> Any:
    rows = tf.TensorArray(tf.float32, tf.shape(x)[1]).unstack(tf.transpose(x, [1, 0, 2]))
    done = tf.TensorArray(tf.float32, tf.shape(x)[1])

    def step(i: Any, array: Any, state: Any) -> Any:
        state = tf.tanh(state + rows.read(tf.shape(x)[1] - 1 - i))
        return i + 1, array.write(i, state), state

    _, done, _ = tf.while_loop(
        lambda i, *_: i < tf.shape(x)[1], step, [tf.constant(0), done, tf.zeros_like(x[:, 0])]
    )
    return done.stack()


def chosen(x: Any) -> Any:
    which = tf.shape(x)[0] - 3
    return tf.switch_case(which, [lambda: x, lambda: x * 2, lambda: tf.math.erf(x)])


CASES: list[tuple[Any, ...]] = [
    unary("Acos", "N 5 -0.99..0.99"),
    unary("Acosh", "N 5 1.001..9"),
    unary("Asin", "N 5 -0.99..0.99"),
    unary("Asinh", "N 5 -0.01..0.01"),
    unary("Atan"),
    unary("Atanh", "N 5 -0.9..0.9"),
    unary("Cosh"),
    unary("Erf", "N 50 -5..5"),
    unary("Erfc", "N 5", BOTH),
    unary("Expm1", "N 50 -0.02..0.02", BOTH),
    unary("Log1p", "N 50 -0.02..0.02", BOTH),
    unary("Sinh", "N 5 -0.01..0.01"),
    unary("Tan"),
    ("wide expm1", {"Expm1": BOTH}, lambda x: tf.math.expm1(x), "N 50 -9..5"),
    ("wide log1p", {"Log1p": BOTH}, lambda x: tf.math.log1p(x), "N 50 -0.9..50"),
    ("gelu stays", {"Erfc": ONNX}, lambda x: tf.nn.gelu(x), "N 5"),
    ("normal cdf", {"Erfc": BOTH}, lambda x: 0.5 * tf.math.erfc(-x * 0.5**0.5), "N 5"),
    ("Xlogy", {"Xlogy": BOTH}, lambda x, y: tf.math.xlogy(tf.nn.relu(x), y), "N 5", "N 5 0..1"),
    ("Xlog1py", {"Xlog1py": BOTH}, lambda x, y: tf.math.xlog1py(x, y), "N 5", "N 5 0..1"),
    ("Xdivy", {"Xdivy": BOTH}, lambda x, y: tf.math.xdivy(tf.nn.relu(x), y), "N 5", "N 5"),
    ("MulNoNan", {"MulNoNan": BOTH},
     lambda x, y: tf.math.multiply_no_nan(1 / tf.nn.relu(x), tf.nn.relu(x) * y), "N 5", "N 5"),
    integer("TruncateMod", BOTH),
    integer("TruncateDiv", ()),
    integer("FloorMod", ONNX),
    integer("FloorMod", ONNX, "int64"),
    integer("FloorDiv", ONNX),
    ("floor of floats", {}, lambda x, y: tf.stack([x // y, x % y]), "N 5", "N 5 -3..-1"),
    ("truncate", {"TruncateDiv": ONNX}, lambda x, y: tf.truncatediv(x, y), "N 5", "N 5 0.2..1"),
    integer("BitwiseAnd", TFLITE),
    integer("BitwiseAnd", TFLITE, "uint8"),
    integer("BitwiseOr", TFLITE),
    integer("LeftShift", BOTH),
    integer("LeftShift", BOTH, "int64"),
    integer("RightShift", ONNX),
    ("Invert", {"Invert": TFLITE}, lambda x: tf.bitwise.invert(x), "int32 N 5"),
    ("sign of zero", {"BitwiseAnd": BOTH}, sign_of_zero, "N 9"),
    ("MatrixDiagPartV3", {"MatrixDiagPartV3": TFLITE}, lambda x: tf.linalg.diag_part(x), "N 4 5"),
    ("diag part above", {"MatrixDiagPartV3": TFLITE},
     lambda x: tf.linalg.diag_part(x, k=2), "N H W"),
    ("diag part below", {"MatrixDiagPartV3": TFLITE},
     lambda x: tf.linalg.diag_part(x, k=-1), "N 4 3"),
    ("MatrixDiagV3", {"MatrixDiagV3": TFLITE}, lambda x: tf.linalg.diag(x, k=-2), "N 5"),
    ("MatrixSetDiagV3", {"MatrixSetDiagV3": BOTH},
     lambda x, y: tf.linalg.set_diag(x, y), "N 4 5", "N 4"),
    ("set diag below", {"MatrixSetDiagV3": BOTH},
     lambda x, y: tf.linalg.set_diag(x, y, k=-1), "N 4 5", "N 3"),
    ("Cross", {"Cross": BOTH}, lambda x, y: tf.linalg.cross(x, y), "N 4 3", "N 4 3"),
    ("EuclideanNorm", {"EuclideanNorm": BOTH},
     lambda x: tf.math.reduce_euclidean_norm(x, 1), "N 4 3"),
    ("sum of squares", {"Sum": TFLITE}, lambda x: tf.math.l2_normalize(x), "N 5"),
    ("sum of squares, outer axes", {"Sum": TFLITE},
     lambda x: tf.math.l2_normalize(x, axis=[0, 2]), "N 4 5"),
    ("Cumprod", {"Cumprod": BOTH}, lambda x: tf.math.cumprod(x, 1), "N 7"),
    ("cumprod before, backwards", {"Cumprod": BOTH},
     lambda x: tf.math.cumprod(x, -1, exclusive=True, reverse=True), "N 3 6"),
    ("Roll", {"Roll": TFLITE}, lambda x: tf.roll(x, [1, -2, 9], [0, 2, 1]), "N 4 5"),
    ("Bucketize", {"Bucketize": ONNX},
     lambda x: raw("Bucketize", input=x, boundaries=[-1.0, 0.0, 1.0]), "N 5"),
    ("LowerBound", {"LowerBound": BOTH},
     lambda x, y: tf.searchsorted(tf.sort(x), y), "N 5", "N 3"),
    ("UpperBound", {"UpperBound": BOTH},
     lambda x, y: tf.searchsorted(tf.sort(x), y, side="right", out_type=tf.int64), "N 5", "N 3"),
    ("InTopKV2", {"InTopKV2": BOTH},
     lambda x, y: tf.math.in_top_k(y, x, 2), "N 5", "int32 N 0..4"),
    ("DenseBincount", {"DenseBincount": BOTH},
     lambda x: tf.math.bincount(x, minlength=9, maxlength=9, axis=-1), "int32 N 5"),
    ("bincount, weighted", {"DenseBincount": BOTH},
     lambda x, y: tf.math.bincount(x, weights=y, minlength=9, maxlength=9, axis=-1),
     "int32 N 5", "N 5"),
    ("bincount, binary", {"DenseBincount": BOTH},
     lambda x: tf.math.bincount(x, minlength=9, maxlength=9, axis=-1, binary_output=True),
     "int32 N 5"),
    ("StridedSlice", {"StridedSlice": BOTH},
     lambda x: x[:, ::-2, tf.newaxis, ..., 1:, tf.newaxis, 1], "N 5 3 4 6"),
    ("Einsum", {"Einsum": BOTH}, lambda x: tf.einsum("bii->bi", x), "N 5 5"),
    ("einsum, ellipsis", {"Einsum": BOTH},
     lambda x, y: tf.einsum("...ij,...jk->...ik", x, y), "N 3 5 4", "N 3 4 2"),
    ("AvgPool3D", {"AvgPool3D": TFLITE},
     lambda x: tf.nn.avg_pool3d(x, 3, 2, "SAME"), "N 7 5 6 3"),
    ("MaxPool3D", {"MaxPool3D": TFLITE},
     lambda x: tf.nn.max_pool3d(x, [2, 3, 2], [1, 2, 2], "VALID"), "N 7 H W 3"),
    ("MaxPool", {"MaxPool": TFLITE},
     lambda x: tf.nn.max_pool2d(x, 3, 2, [[0, 0], [1, 0], [0, 1], [0, 0]]), "N 7 6 3"),
    ("patches", {"ExtractImagePatches": BOTH},
     lambda x: tf.image.extract_patches(x, [1, 3, 2, 1], [1, 2, 1, 1], [1, 1, 2, 1], "SAME"),
     "N 8 7 3"),
    ("tiles", {"ExtractImagePatches": BOTH},
     lambda x: tf.image.extract_patches(x, [1, 3, 3, 1], [1, 3, 3, 1], [1, 1, 1, 1], "VALID"),
     "N 8 7 3"),
    ("transposed, padded", {"Conv2DBackpropInput": ONNX},
     transposed(2, "VALID", (20, 18)), "N 9 8 6"),
    ("transposed, dilated", {"Conv2DBackpropInput": TFLITE},
     transposed(1, "SAME", (9, 8), dilation=2), "N 9 8 6"),
    resize("ResizeBicubic", half_pixel_centers=True),
    resize("ResizeBicubic", align_corners=True),
    resize("ResizeBicubic", size=(17, 3)),
    resize("ResizeArea"),
    image_resize("bicubic", antialias=False, dynamic=True),
    image_resize("bicubic", antialias=True, dynamic=False),
    image_resize("bilinear", antialias=True, dynamic=True),
    image_resize("lanczos3", antialias=False, dynamic=False),
    image_resize("mitchellcubic", antialias=True, dynamic=False),
    image_resize("area", antialias=False, dynamic=True),
    ("RGBToHSV", {"RGBToHSV": BOTH}, lambda x: tf.image.rgb_to_hsv(x), "N 4 4 3 0..1"),
    ("HSVToRGB", {"HSVToRGB": BOTH}, lambda x: tf.image.hsv_to_rgb(x), "N 4 4 3 0..1"),
    ("AdjustSaturation", {"AdjustSaturation": BOTH},
     lambda x: tf.image.adjust_saturation(x, 1.5), "N 4 4 3 0..1"),
    ("AdjustHue", {"AdjustHue": BOTH}, lambda x: tf.image.adjust_hue(x, 0.2), "N 4 4 3 0..1"),
    ("AdjustContrastv2", {"AdjustContrastv2": BOTH},
     lambda x: tf.image.adjust_contrast(x, 0.5), "N 4 5 3"),
    ("loop", {"Expm1": BOTH, "Roll": TFLITE}, in_a_loop, "N 5 -1..1"),
    ("case", {"Erf": TFLITE}, chosen, "N 5"),
    ("scan", {"TensorListSetItem": TFLITE, "TensorListLength": ()},
     filled_before_the_loop, "N 5"),
    ("array", {"TensorListReserve": TFLITE, "TensorListGetItem": TFLITE,
               "TensorListFromTensor": TFLITE, "TensorListStack": TFLITE, "Identity": TFLITE},
     read_backwards, "N H 3"),
    ("no scale, nearest", {},
     lambda x: tf.image.resize(x, [7, 5], method="nearest"), "N 12 9 3"),
    ("no scale", {"ResizeBilinear": BOTH},
     lambda x: tf.image.resize(x, [7, 5]), "N 12 9 3"),
    ("ResizeBilinear", {"ResizeBilinear": BOTH},
     lambda x: raw("ResizeBilinear", images=x, size=[7, 21]), "N 12 14 3"),
]  # fmt: skip
