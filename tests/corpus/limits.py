"""What cannot work: (file, model, format) -> a part of the reason that the cell tells.

``static: `` in front of a reason means that the cell passes at the traced sizes only.
"""

# Keras' Hashing layer hashes the digits of a number as a string (FarmHash); of the four formats
# SavedModel alone has strings. Keras' torch backend has no such layer: what it traces is wrong.
_NO_STRINGS = "StringToHashBucketStrong"

LIMITS: dict[tuple[str, str, str], str] = {
    ("keras_models", "hashed", "onnx"): _NO_STRINGS,
    ("keras_models", "hashed", "tflite"): _NO_STRINGS,
    ("keras_models", "hashed", "torchscript"): "expected shape",
    # Raw tf.* operations cannot run on Keras' torch tensors, and the ONNX of its loop over the
    # matrix's rows is not imported right (the judge of the ONNX runtime passes it).
    ("keras_tf_ops", "solver", "torchscript"): "Can't call numpy() on Tensor",
}
