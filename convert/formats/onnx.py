"""ONNX: a graph of standard operators for ONNX Runtime, one file with the weights inside.

Load it with ``onnxruntime.InferenceSession(path)``. Inputs and outputs keep the canonical names,
dynamic axes are named in the file. Models above 2 GB, protobuf's limit, keep their weights beside
the file as ``model.onnx.data``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import Artifact
from shipworthy.convert.bridge.program import trace_program
from shipworthy.convert.calling import keep_names, traced_sizes
from shipworthy.convert.formats.onnx_recurrent import fold_weights, translations
from shipworthy.convert.formats.saved_model import SIGNATURE, TAG
from shipworthy.convert.original import first_line
from shipworthy.convert.routes import Converted, UnsupportedModelError, hop
from shipworthy.models.spec import Signature, Source, synthesise

OPSET_TORCH = 20
OPSET_TF2ONNX = 18  # the highest tf2onnx knows
_PROTOBUF_LIMIT_BYTES = 2**31 - 2**20


@hop("pytorch", "onnx", packages=("torch", "onnx", "onnxscript", "onnx-ir"))
def from_pytorch(original: Any, source: Source, path: Path) -> Converted:
    """Export a `torch.nn.Module` through `torch.export`."""
    import torch

    signature = source.signature
    sizes = traced_sizes(signature)
    traced = trace_program(original, signature, synthesise(signature, sizes, seed=0))
    with _without_torchvision_advice(), torch.no_grad():
        try:
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=OPSET_TORCH,
                input_names=[spec.name for spec in signature.inputs],
                output_names=[spec.name for spec in signature.outputs],
                custom_translation_table=translations(),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as e:
            why = first_line(e.__cause__ or e)
            raise UnsupportedModelError(f"torch.onnx cannot export the model: {why}") from e
    fold_weights(program.model)
    _name_symbols(program.model, signature)
    weights = (*original.parameters(), *original.buffers())
    external = sum(tensor.nbytes for tensor in weights) > _PROTOBUF_LIMIT_BYTES
    program.save(path, external_data=external)
    options = {
        "opset": OPSET_TORCH,
        "exporter": "dynamo",
        "traced_sizes": sizes,
        "external_data": external,
    }
    return _converted(signature, program.model_proto, path, options)


def _name_symbols(model: Any, signature: Signature) -> None:
    """Give the sizes that PyTorch calls s27 the names of the signature, wherever they stand.

    Parameters
    ----------
    model : an `onnx_ir.Model`; is changed.
    """
    names: dict[str, str] = {}
    for value, spec in zip(model.graph.inputs, signature.inputs, strict=True):
        for position, axis in spec.dynamic_axes.items():
            if isinstance(size := value.shape[position], int):
                raise UnsupportedModelError(
                    f"axis {position} of input {spec.name!r}, which the signature calls {axis}, "
                    f"became the constant {size}; fix it in the signature, or compute without it"
                )
            names.setdefault(size.value, axis)
    results = [value for node in model.graph for value in node.outputs]
    for value in (*model.graph.inputs, *results):
        if value.shape is not None:
            value.shape = type(value.shape)(
                size if isinstance(size, int) else _renamed(size.value, names)
                for size in value.shape
            )


def _renamed(size: str | None, names: Mapping[str, str]) -> str | None:
    return size and re.sub(r"\w+", lambda word: names.get(word[0], word[0]), size)


@contextmanager
def _without_torchvision_advice() -> Iterator[None]:
    """Silence the exporter's advice to install torchvision, and nothing else."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")

    def keep(record: logging.LogRecord) -> bool:
        return "torchvision" not in record.getMessage()

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


@hop("saved_model", "onnx", packages=("tf2onnx", "onnx", "tensorflow"))
def from_saved_model(original: Artifact, source: Source, path: Path) -> Converted:
    """Convert the parent SavedModel with tf2onnx."""
    import onnx

    _run_tf2onnx(original.path, path)
    model = onnx.load(path)
    _refuse_foreign_operators(model)
    _name_axes(model, source.signature)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return _converted(source.signature, model, path, {"opset": OPSET_TF2ONNX})


def _converted(
    signature: Signature, model: Any, path: Path, options: Mapping[str, Any]
) -> Converted:
    """Say what the file holds, from the names that stand in it."""
    return Converted(
        inputs=keep_names(signature.inputs, [v.name for v in model.graph.input], path.name, {}),
        outputs=keep_names(signature.outputs, [v.name for v in model.graph.output], path.name, {}),
        options=options,
    )


def _run_tf2onnx(saved_model: Path, path: Path) -> None:
    """Run tf2onnx's command line here: its functions for SavedModels are not public."""
    from tf2onnx import convert

    arguments = {
        "saved-model": saved_model,
        "tag": TAG,
        "signature_def": SIGNATURE,
        "opset": OPSET_TF2ONNX,
        "output": path,
    }
    usual = sys.argv
    sys.argv = ["tf2onnx", *(str(a) for k, v in arguments.items() for a in (f"--{k}", v))]
    try:
        convert.main()
    finally:
        sys.argv = usual


def _refuse_foreign_operators(model: Any) -> None:
    """Raise for operators that ONNX does not define: tf2onnx leaves them in and reports success."""
    import onnx

    versions = {opset.domain: opset.version for opset in model.opset_import}
    foreign: dict[str, str] = {}
    for node in _nodes(model.graph):
        domain = "" if node.domain == "ai.onnx" else node.domain
        if not onnx.defs.has(node.op_type, versions.get(domain, 0), domain):
            foreign.setdefault(node.op_type, node.name)
    if foreign:
        told = ", ".join(f"{kind} (node {name})" for kind, name in foreign.items())
        raise UnsupportedModelError(
            f"tf2onnx left operators in the graph that ONNX does not have: {told}. Write the "
            "layers they come from with other operations, or deploy another format"
        )


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _name_axes(model: Any, signature: Signature) -> None:
    """Give the dynamic axes the names they have in the signature."""
    specs = {spec.name: spec for spec in (*signature.inputs, *signature.outputs)}
    for value in (*model.graph.input, *model.graph.output):
        spec = specs.get(value.name)
        dims = value.type.tensor_type.shape.dim
        if spec is None or len(dims) != len(spec.shape):
            continue
        for position, axis in spec.dynamic_axes.items():
            if not dims[position].HasField("dim_value"):
                dims[position].dim_param = axis
