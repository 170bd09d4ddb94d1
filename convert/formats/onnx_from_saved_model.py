"""SavedModel to ONNX: tf2onnx, on a graph in operators that it knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import Artifact
from shipworthy.convert.calling import identifiers, keep_names
from shipworthy.convert.formats.onnx_lifted import (
    lift_large,
    with_weights_as_inputs,
    write_with_weights,
)
from shipworthy.convert.lift import Lifted
from shipworthy.convert.original import first_line
from shipworthy.convert.rewrite.prepare import Prepared, prepare
from shipworthy.convert.routes import Converted, UnsupportedModelError, hop
from shipworthy.models.spec import Signature, Source

OPSET_TF2ONNX = 18  # the highest tf2onnx knows


@hop("saved_model", "onnx", packages=("tf2onnx", "onnx", "tensorflow"))
def from_saved_model(original: Artifact, source: Source, path: Path) -> Converted:
    """Convert the parent SavedModel with tf2onnx."""
    import onnx

    prepared = prepare(original.path, "onnx")
    lifted = lift_large(prepared.concrete)
    model = _run_tf2onnx(prepared, lifted)
    if any(kind.startswith("TensorList") for kind in foreign_operators(model)):
        # tf2onnx follows a list of tensors in some loops only.
        prepared = prepare(original.path, "onnx", plain_lists=True)
        lifted = lift_large(prepared.concrete)
        model = _run_tf2onnx(prepared, lifted)
    _refuse(foreign_operators(model))
    _name_axes(model, source.signature)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
        raise UnsupportedModelError(
            f"tf2onnx wrote a graph that is not valid ONNX: {first_line(e)}"
        ) from e
    if lifted:
        external = not write_with_weights(model, lifted, path)
    else:
        onnx.save(model, path)
        external = False
    given = [spec.name for spec in source.signature.inputs]
    aliases = dict(zip(given, identifiers(given), strict=True))  # TensorFlow's arguments
    return Converted(
        inputs=keep_names(source.signature.inputs, names(model.graph.input), path.name, aliases),
        outputs=keep_names(source.signature.outputs, names(model.graph.output), path.name, {}),
        options={
            "opset": OPSET_TF2ONNX,
            "replaced_operators": sorted(prepared.replaced),
            "external_data": external,
        },
    )


def names(values: Any) -> list[str]:
    """Return the names of ONNX values."""
    return [value.name for value in values]


def _run_tf2onnx(prepared: Prepared, lifted: Lifted | None) -> Any:
    import tensorflow as tf
    import tf2onnx.convert

    function = prepared.function
    if lifted:
        specs = function.input_signature
        function = with_weights_as_inputs(prepared.concrete, specs, lifted)
    with _quick_optimizers(), tf.device("/cpu:0"):
        try:
            model, _ = tf2onnx.convert.from_function(
                function,
                function.input_signature,
                opset=OPSET_TF2ONNX,
                custom_op_handlers={
                    "ResizeBilinear": (_resize_to_sizes, []),
                    "ResizeNearestNeighbor": (_resize_to_sizes, []),
                    "Select": (_select, []),
                    "SelectV2": (_select, []),
                },
            )
        except Exception as e:
            raise UnsupportedModelError(f"tf2onnx cannot convert the model: {first_line(e)}") from e
    return model


def _resize_to_sizes(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Tell the answer's sizes; tf2onnx tells a scale where it knows the sizes.

    ONNX multiplies by a scale and rounds down: 12 pixels by ``float32(7 / 12)`` are 6.
    """
    from tf2onnx.onnx_opset.nn import Resize

    hidden = context.make_node("Identity", [node.input[1]])
    context.replace_input(node, node.input[1], hidden.output[0], 1)
    Resize.version_11(context, node)


def _select(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Choose; tf2onnx adds both sides, one of them times zero, which keeps an infinity as NaN."""
    from tf2onnx.onnx_opset.controlflow import Select

    node.set_attr("handles_nan", True)
    Select.version_9(context, node)


@contextmanager
def _quick_optimizers() -> Iterator[None]:
    """Let tf2onnx optimise in place; by default it copies the model for each of its passes."""
    usual = os.environ.get("TF2ONNX_CATCH_ERRORS")
    os.environ["TF2ONNX_CATCH_ERRORS"] = "FALSE"
    try:
        yield
    finally:
        if usual is None:
            del os.environ["TF2ONNX_CATCH_ERRORS"]
        else:
            os.environ["TF2ONNX_CATCH_ERRORS"] = usual


def foreign_operators(model: Any) -> dict[str, str]:
    """Return the operators that ONNX does not define, with the first node of each.

    tf2onnx leaves what it does not know in the graph, and reports success.
    """
    import onnx

    versions = {opset.domain: opset.version for opset in model.opset_import}
    found: dict[str, str] = {}
    for node in _nodes(model.graph):
        domain = "" if node.domain == "ai.onnx" else node.domain
        if not onnx.defs.has(node.op_type, versions.get(domain, 0), domain):
            found.setdefault(node.op_type, node.name)
    return found


def _refuse(foreign: Mapping[str, str]) -> None:
    if foreign:
        told = ", ".join(f"{kind} (at {name})" for kind, name in foreign.items())
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
