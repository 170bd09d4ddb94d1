"""``model.onnx`` taken in as an artifact: the same graph, checked, in today's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shipworthy.convert.routes import Converted, hop
from shipworthy.models.onnx_file import external_files, inputs_of, read_onnx
from shipworthy.models.spec import Signature, Source

_PROTOBUF_LIMIT_BYTES = 2**31 - 2**20
_IR_WITHOUT_WEIGHTS_AS_INPUTS = 4
WEIGHTS = "model.onnx.data"


@hop("onnx", "onnx", packages=("onnx", "onnxruntime"), kinds=("onnx",))
def from_file(original: Any, source: Source, path: Path) -> Converted:
    """Check the file, name its axes as the signature does, and write it with its weights.

    Weights that are listed as inputs, as before ONNX's IR version 4, become plain constants.
    """
    import onnx

    checked = read_onnx(original.path)
    files = external_files(checked, original.path)
    held = original.path.stat().st_size + sum(file.stat().st_size for file in files)
    model = onnx.load(original.path)
    needed = inputs_of(model.graph)
    if len(needed) < len(model.graph.input):
        model.ir_version = max(model.ir_version, _IR_WITHOUT_WEIGHTS_AS_INPUTS)
        del model.graph.input[:]
        model.graph.input.extend(needed)
    _name_axes(model, source.signature, original)
    external = held > _PROTOBUF_LIMIT_BYTES
    onnx.save(
        model, path, save_as_external_data=external, all_tensors_to_one_file=True, location=WEIGHTS
    )
    read_onnx(path)
    opsets = {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
    return Converted(
        inputs=dict(original.inputs),
        outputs=dict(original.outputs),
        options={"opset": opsets, "external_data": external},
    )


def _name_axes(model: Any, signature: Signature, original: Any) -> None:
    """Give the dynamic axes of inputs and outputs the names they have in the signature."""
    pairs = (
        (signature.inputs, original.inputs, model.graph.input),
        (signature.outputs, original.outputs, model.graph.output),
    )
    for specs, names, values in pairs:
        by_name = {value.name: value.type.tensor_type for value in values}
        for spec in specs:
            tensor = by_name[names[spec.name]]
            if not tensor.HasField("shape") or len(tensor.shape.dim) != len(spec.shape):
                tensor.shape.Clear()
                tensor.shape.dim.extend(type(tensor.shape)().dim.add() for _ in spec.shape)
            for dim, size in zip(tensor.shape.dim, spec.shape, strict=True):
                if isinstance(size, str):
                    dim.dim_param = size
