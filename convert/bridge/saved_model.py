"""The way in: a PyTorch module becomes a TensorFlow SavedModel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipworthy.convert.bridge.lazy import tf
from shipworthy.convert.bridge.program import Program, export_program
from shipworthy.convert.bridge.translate import Translation
from shipworthy.convert.calling import identifiers
from shipworthy.convert.optimise_saved_model import optimise
from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.spec import Arrays, Signature, TensorSpec

if TYPE_CHECKING:
    import torch


def translate(program: Program, signature: Signature) -> tuple[Any, Any]:
    """Return a TensorFlow function that computes what an exported PyTorch program does.

    Parameters
    ----------
    program : from `shipworthy.convert.bridge.program.export_program`, with the same signature.

    Returns
    -------
    A `tf.Module` that owns the variables, and the concrete function: named inputs to a dict by
    canonical output name, in PyTorch's layout.

    Raises
    ------
    UnsupportedModelError : what the bridge cannot translate, all of it at once, with the line of
        the user's model; or outputs that are not the signature's.
    """
    translation = Translation(program)

    def serve(*inputs: Any) -> dict[str, Any]:
        tensors = translation(*inputs)
        named = zip(signature.outputs, tensors, strict=True)
        return {spec.name: _named(spec, tensor) for spec, tensor in named}

    specs = [
        tf.TensorSpec([s if isinstance(s, int) else None for s in spec.shape], spec.dtype, name)
        for spec, name in zip(signature.inputs, _argument_names(signature), strict=True)
    ]
    function = tf.function(serve, input_signature=specs, autograph=False).get_concrete_function()
    owner = tf.Module(name="model")
    owner.weights = translation.variables
    return owner, function


def _named(spec: TensorSpec, tensor: Any) -> Any:
    shape = tensor.shape.as_list()
    sizes = zip(shape, spec.shape, strict=False)
    fits = len(shape) == len(spec.shape) and all(
        size is None or isinstance(wanted, str) or size == wanted for size, wanted in sizes
    )
    if tensor.dtype.name != spec.dtype or not fits:
        raise UnsupportedModelError(
            f"output {spec.name!r} is {tensor.dtype.name} of shape {shape}, the signature says "
            f"{spec.dtype} of shape {list(spec.shape)}; correct the signature"
        )
    return tf.identity(tensor)


def write_saved_model(
    module: torch.nn.Module,
    signature: Signature,
    example: Arrays,
    path: Path,
    *,
    optimize: bool = False,
) -> dict[str, Any]:
    """Write a PyTorch module as a SavedModel of native TensorFlow ops.

    The file has the one signature ``serving_default`` with the canonical names (an input's that is
    no identifier, such as ``image.1``, becomes one), PyTorch's layout and every named
    axis dynamic; every parameter and buffer in use is one `tf.Variable`. It loads without PyTorch
    and without Python.

    Parameters
    ----------
    module : in eval mode; takes the inputs by position.
    signature : the order of its inputs is that of the module's arguments; outputs are matched as
        `shipworthy.convert.calling` says.
    example : one array an input; named axes of size 2 or more.
    path : the folder to write.
    optimize : see `shipworthy.convert.optimise_saved_model`.

    Returns
    -------
    ``inputs`` and ``outputs``: canonical name -> tensor name in the file (``op:index``);
    ``ops``: how many ops of each type the graph has; ``variables``: how many there are;
    ``optimized``: what was done to make it faster.

    Raises
    ------
    UnsupportedModelError : as for `translate`, or PyTorch cannot trace the module.
    """
    owner, function = translate(export_program(module, signature, example), signature)
    function, owner.weights, done = optimise(function, owner.weights, wanted=optimize)
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(owner, str(path), signatures=function, options=options)
    return {
        **_native_names(path, signature),
        "ops": count_ops(function),
        "variables": len(owner.weights),
        "optimized": done,
    }


def count_ops(function: Any) -> dict[str, int]:
    """Count the ops of a concrete function by type."""
    types = [operation.type for operation in function.graph.get_operations()]
    return {kind: types.count(kind) for kind in sorted(set(types))}


def _native_names(path: Path, signature: Signature) -> dict[str, dict[str, str]]:
    """Read the names back from the file."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((path / "saved_model.pb").read_bytes())
    serving = saved.meta_graphs[0].signature_def["serving_default"]
    names = zip(signature.inputs, _argument_names(signature), strict=True)
    return {
        "inputs": {spec.name: serving.inputs[name].name for spec, name in names},
        "outputs": {spec.name: serving.outputs[spec.name].name for spec in signature.outputs},
    }


def _argument_names(signature: Signature) -> list[str]:
    """Return the keys of the inputs: TensorFlow takes Python's identifiers only."""
    return identifiers([spec.name for spec in signature.inputs])
