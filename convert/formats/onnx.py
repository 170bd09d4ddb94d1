"""ONNX: a graph of standard operators for ONNX Runtime, one file with the weights inside.

Load it with ``onnxruntime.InferenceSession(path)``. Inputs and outputs keep the canonical names,
dynamic axes are named in the file. Models above 2 GB, protobuf's limit, keep their weights beside
the file as ``model.onnx.data``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shipworthy.convert.bridge.problems import op_name, where
from shipworthy.convert.bridge.program import trace_program
from shipworthy.convert.calling import keep_names, traced_sizes
from shipworthy.convert.formats import (  # noqa: F401  registers their hops
    onnx_from_file,
    onnx_from_saved_model,
    onnx_ops,
)
from shipworthy.convert.formats.onnx_recurrent import fold_weights, translations
from shipworthy.convert.formats.onnx_weights import take_in
from shipworthy.convert.original import first_line
from shipworthy.convert.routes import Converted, UnsupportedModelError, hop
from shipworthy.models.spec import Signature, Source, synthesise

OPSET_TORCH = 20


@hop(
    "pytorch",
    "onnx",
    packages=("torch", "onnx", "onnxscript", "onnx-ir"),
    kinds=("module", "exported_program", "torchscript"),
)
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
                custom_translation_table=onnx_ops.translations() | translations(),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as e:
            raise UnsupportedModelError(_why(e, traced)) from e
    fold_weights(program.model)
    _name_symbols(program.model, signature)
    _free_names(program.model)
    # Beside the file first: inside, the weights would stand in memory once more, and once again.
    program.save(path, external_data=True)
    external = not take_in(path)
    options = {
        "opset": OPSET_TORCH,
        "exporter": "dynamo",
        "traced_sizes": sizes,
        "external_data": external,
    }
    graph = program.model.graph  # not its protobuf, which would be one more copy of the weights
    return Converted(
        inputs=keep_names(signature.inputs, _names(graph.inputs), path.name, {}),
        outputs=keep_names(signature.outputs, _names(graph.outputs), path.name, {}),
        options=options,
    )


def _names(values: Any) -> list[str]:
    return [value.name for value in values]


def _why(error: Exception, traced: Any) -> str:
    """Tell what `torch.onnx` stumbled over: the op, the line of the user's model, the cause."""
    causes: list[BaseException] = [error]
    while (inner := causes[-1].__cause__) is not None:
        causes.append(inner)
    own = [cause for cause in causes if isinstance(cause, UnsupportedModelError)]
    told = own[0] if own else first_line(causes[-1])
    # PyTorch prints the node with its target.
    target = re.search(r"target=torch\.ops\.([\w.]+)", " ".join(map(str, causes)))
    if target is None:
        return f"torch.onnx cannot export the model: {told}"
    nodes = [node for node in traced.graph.nodes if op_name(node.target) == target[1]]
    place = f" at {where(nodes[0])}" if len(nodes) == 1 else ""
    return f"torch.onnx cannot write {target[1]}{place}: {told}"


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


def _free_names(model: Any) -> None:
    """Rename what inside the graph is called like one of its inputs or outputs.

    `torch.onnx` gives inputs and outputs the names it is told, whatever else has them already.

    Parameters
    ----------
    model : an `onnx_ir.Model`; is changed.
    """
    graph = model.graph
    shown = {id(value) for value in (*graph.inputs, *graph.outputs)}
    taken = {value.name for value in (*graph.inputs, *graph.outputs)}
    inside = [value for node in model.graph.all_nodes() for value in node.outputs]
    used = {value.name for value in inside} | taken | set(graph.initializers)

    def free(name: str) -> str:
        while name in used:
            name += "_"
        used.add(name)
        return name

    for value in inside:
        if value.name in taken and id(value) not in shown:
            value.name = free(value.name)
    for name in taken & set(graph.initializers):
        if id(graph.initializers[name]) not in shown:
            weight = graph.initializers.pop(name)
            weight.name = free(name)
            graph.initializers[weight.name] = weight


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
