"""What can be done about the commonest causes of a conversion that fails."""

from __future__ import annotations

import re

_PLAINER = (
    "write that line with plainer operations, or deploy a format that has it: the other cells and "
    "`shipworthy routes` show which"
)
# The first pattern that a message matches decides.
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"data-dependent|DataDependent|symbolic `tf\.Tensor`? as a Python `?bool"
        r"|_local_scalar_dense|OperatorNotAllowedInGraph|not allowed in Graph"
        r"|symbolic tensor.*Python (bool|float|int)|only 0-dimensional"
        r"|must be a string or a real number, not '?(Symbolic|Keras|Tensor)",
        "that line decides by a tensor's value, which an export cannot: compute both sides and "
        "choose with torch.where (keras.ops.where, tf.where), or make the value a plain number in "
        "the constructor",
    ),
    (
        r"[Cc]onstraints? [Vv]iolat|specialized it to be a constant|marked .* as dynamic but",
        "the model fixes an axis that was called dynamic: no Python loop over it, no int() or "
        "len() of it, sizes from x.shape only; or make it static with --input name:dtype:SIZE,...",
    ),
    (
        r"\.numpy\(\) is not supported|[Cc]an't call numpy\(\)|NotImplementedError: Cannot convert "
        r"a symbolic|__array__|to a numpy array|numpy_function",
        "NumPy, or another framework's operation, works on a tensor there: use the model's own "
        "framework (keras.ops for every Keras backend), or move it into `preprocess`, which may "
        "stay outside the export",
    ),
    (
        r"Could not export Python function|autograd\.Function|PyFunc|py_function",
        "a Python function is part of the graph there, and no runtime has Python: write it with "
        "the framework's operations",
    ),
    (
        r"TensorList|while_loop|WhileV2|StatefulWhile",
        "a loop with lists of tensors is left in the graph: use a recurrent layer as the framework "
        "has it (return its whole sequence), or fix the axis with --input name:dtype:SIZE,...",
    ),
    (
        r"No ONNX function found|No decompositions registered|cannot translate|cannot write aten"
        r"|ONNX does not have|builtin operators cannot|UnsupportedOperator|no lowering"
        r"|not implemented",
        _PLAINER,
    ),
    (r"ComplexFloat|complex(64|128)|view_as_complex",
     "complex numbers have no place in this format: keep real and imaginary parts as two tensors"),
    (r"MemoryError|out of memory|bad_alloc", "the machine's memory ran out; close what else runs"),
    (r"larger than 2 ?GB|exceeds .*2 ?GiB|2147483647",
     "this format holds 2 GB; deploy one without that limit, or a smaller model"),
)  # fmt: skip
_OTHERWISE = (
    "if the operation at that line is unusual, write it with plainer ones; if an axis that is "
    "called dynamic is fixed in the model, leave it out of --dynamic or give its size by --input; "
    "the log has the whole story"
)


def advise(text: str) -> str:
    """Return advice on a failure, by all that its messages say."""
    for pattern, advice in _CAUSES:
        if re.search(pattern, text):
            return advice
    return _OTHERWISE
