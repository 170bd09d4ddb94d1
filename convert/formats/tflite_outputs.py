"""Outputs of a TFLite file that LiteRT's ``CompiledModel`` can write into a buffer of the caller's.

Some operators size their result only when they run (``TOPK_V2``; a ``RESHAPE`` whose shape is
computed, and the like: ``SetTensorToDynamic`` in tensorflow/lite/kernels). The interpreter then
owns the result's memory and refuses a buffer from outside: "Failed to set custom allocation for
output". A tensor behind such an operator is sized before it is written and takes one. So the result
is copied once more where it is an output itself.
"""

from __future__ import annotations

import numpy as np

from shipworthy.convert.formats.tflite_file import (
    LARGEST_BYTES,
    Tree,
    lies_outside,
    operator_names,
    pack,
)

# They size their result as they run, whatever their inputs are.
ALWAYS = {"IF", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "TOPK_V2", "UNIQUE", "WHERE",
          "WHILE"}  # fmt: skip
# They do where an input behind the first is computed.
BY_INPUT = {"BROADCAST_TO", "EXPAND_DIMS", "MIRROR_PAD", "ONE_HOT", "PAD", "PADV2", "RESHAPE",
            "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SPLIT", "SPLIT_V",
            "STRIDED_SLICE", "TILE"}  # fmt: skip
# And these where any input is: they have no data, or it does not come first.
BY_ANY_INPUT = {"FILL", "RANGE", "SCATTER_ND", "TRANSPOSE_CONV"}


def settle_outputs(content: bytes) -> tuple[bytes, int]:
    """Put a copy behind each output of the first subgraph that is sized only as it is computed.

    Parameters
    ----------
    content : a TFLite file.

    Returns
    -------
    The file, and how many outputs were copied; with none, the file is `content` itself. Files above
    2 GB and those with data outside the flatbuffer are left as they are.
    """
    from ai_edge_litert import schema_py_generated as schema

    if len(content) > LARGEST_BYTES:
        return content, 0
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    if lies_outside(model) or not model.subgraphs or not model.subgraphs[0].operators:
        return content, 0
    graph = model.subgraphs[0]
    names = operator_names(model)
    makers = {int(i): op for op in graph.operators for i in op.outputs}
    found = [
        index
        for index in dict.fromkeys(int(i) for i in graph.outputs)
        if index in makers and _is_sized_late(model, names, makers[index])
    ]
    if not found:
        return content, 0
    copies = {index: _append_copy(model, names, index) for index in found}
    graph.outputs = np.array([copies.get(int(i), int(i)) for i in graph.outputs], np.int32)
    for signature in model.signatureDefs or ():
        if signature.subgraphIndex == 0:
            for output in signature.outputs:
                output.tensorIndex = copies.get(output.tensorIndex, output.tensorIndex)
    return pack(model, len(content)), len(found)


def _is_sized_late(model: Tree, names: list[str | None], op: Tree) -> bool:
    name = names[op.opcodeIndex]
    if name in ALWAYS:
        return True
    first = 1 if name in BY_INPUT else 0 if name in BY_ANY_INPUT else None
    if first is None:
        return False
    tensors = model.subgraphs[0].tensors
    given = [tensors[int(i)] for i in op.inputs[first:] if int(i) >= 0]
    return any(model.buffers[tensor.buffer].data is None for tensor in given)


def _append_copy(model: Tree, names: list[str | None], index: int) -> int:
    """Append a tensor and the operator that copies one into it; return the tensor's index.

    The operator is ``CONCATENATION``, which takes every dtype and any number of tensors.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    original = graph.tensors[index]
    copy = schema.TensorT(
        shape=original.shape,
        shapeSignature=original.shapeSignature,
        type=original.type,
        buffer=0,  # empty, by convention
        name=original.name,
        hasRank=original.hasRank,
    )
    original.name = (original.name or b"") + b"/computed"
    graph.tensors.append(copy)
    if "CONCATENATION" not in names:
        code = schema.BuiltinOperator.CONCATENATION
        model.operatorCodes.append(
            schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1)
        )
        names.append("CONCATENATION")
    made = len(graph.tensors) - 1
    graph.operators.append(
        schema.OperatorT(
            opcodeIndex=names.index("CONCATENATION"),
            inputs=np.array([index], np.int32),
            outputs=np.array([made], np.int32),
            builtinOptionsType=schema.BuiltinOptions.ConcatenationOptions,
            builtinOptions=schema.ConcatenationOptionsT(axis=0),
        )
    )
    return made
