"""SavedModel: TensorFlow's own format, a folder with a graph and its variables.

Load it with ``tf.saved_model.load(path)`` or ``TF_LoadSessionFromSavedModel`` (tag ``serve``). It
has one signature, ``serving_default``, whose keys are the canonical names; dynamic axes are
unknown dimensions. It holds inference alone: no optimizer, no training function, no Keras
metadata.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import Artifact
from shipworthy.convert.bridge.importer.module import open_parent
from shipworthy.convert.calling import call_keras, flatten, keep_names, one_by_one, traced_sizes
from shipworthy.convert.optimise_saved_model import optimise
from shipworthy.convert.routes import Converted, hop
from shipworthy.models.spec import Signature, Source, synthesise

SIGNATURE = "serving_default"
TAG = "serve"


@hop(
    "pytorch",
    "saved_model",
    packages=("torch", "tensorflow"),
    kinds=("module", "exported_program", "torchscript"),
    optimizes=True,
)
def from_pytorch(original: Any, source: Source, path: Path) -> Converted:
    """Translate a `torch.nn.Module` operator by operator; see `shipworthy.convert.bridge`."""
    from shipworthy.convert.bridge.saved_model import write_saved_model

    sizes = traced_sizes(source.signature)
    example = synthesise(source.signature, sizes, seed=0)
    told = write_saved_model(original, source.signature, example, path, optimize=source.optimize)
    options = {key: told[key] for key in ("ops", "variables", "optimized")}
    return Converted(
        inputs=told["inputs"],
        outputs=told["outputs"],
        options={"signature": SIGNATURE, "tag": TAG, "traced_sizes": sizes, **options},
    )


@hop(
    "onnx",
    "saved_model",
    packages=("onnx", "torch", "tensorflow"),
    server="pytorch",
    optimizes=True,
)
def from_onnx(original: Artifact, source: Source, path: Path) -> Converted:
    """Import the parent ONNX file into PyTorch and translate that."""
    source = one_by_one(source)
    return from_pytorch(open_parent(original, source), source, path)


@hop(
    "tensorflow",
    "saved_model",
    packages=("tensorflow", "keras"),
    kinds=("module", "saved_model"),
    optimizes=True,
)
def from_keras(original: Any, source: Source, path: Path) -> Converted:
    """Trace a Keras model, or the chosen signature of a SavedModel, and save what it reads."""
    import tensorflow as tf

    plain = _inference(original, source)
    tables = _tables(plain)
    function, variables, done = optimise(plain, wanted=source.optimize and not tables)
    module = tf.Module()
    module.weights = variables
    if tables:
        module.original = original.root if source.kind == "saved_model" else tables
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: function}, options=options)
    inputs, outputs = native_names(path)
    taken = keep_names(source.signature.inputs, inputs, path.name, {})
    given = keep_names(source.signature.outputs, outputs, path.name, {})
    return Converted(
        inputs={name: inputs[key] for name, key in taken.items()},
        outputs={name: outputs[key] for name, key in given.items()},
        options={"signature": SIGNATURE, "tag": TAG, "optimized": done},
    )


def _tables(function: Any) -> list[Any]:
    """Return the lookup tables, with their files, and other resources that a function reads.

    A function knows the handles alone, and a model keeps the owners wherever it likes.
    """
    import tensorflow as tf

    variables = {id(variable.handle) for variable in function.graph.variables}
    captured = [t for t, _ in function.graph.captures if t.dtype == tf.resource]
    wanted = {id(tensor) for tensor in captured} - variables
    if not wanted:
        return []
    kind = tf.saved_model.experimental.TrackableResource
    # Of whatever else is alive nothing is called: isinstance would ask a proxy for its class.
    owners = [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]
    return [owner for owner in owners if id(owner.resource_handle) in wanted]


def _call_signature(model: Any, tensors: Any, signature: Signature) -> Any:
    return model(tensors, [spec.name for spec in signature.inputs])


def _inference(model: Any, source: Source) -> Any:
    """Return a concrete function: canonical names as keywords in, a dict by canonical name out."""
    import tensorflow as tf

    signature = source.signature
    names = [spec.name for spec in signature.outputs]
    call = _call_signature if source.kind == "saved_model" else call_keras

    def infer(*tensors: Any) -> dict[str, Any]:
        flat = flatten(call(model, tensors, signature), signature)
        return dict(zip(names, flat, strict=True))

    specs = [
        tf.TensorSpec(
            [None if isinstance(size, str) else size for size in spec.shape],
            spec.dtype,
            name=spec.name,
        )
        for spec in signature.inputs
    ]
    return tf.function(infer).get_concrete_function(*specs)


def native_names(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Read ``key -> tensor name`` of the inputs and outputs of ``serving_default``.

    Parameters
    ----------
    path : a SavedModel's folder. The model is not loaded.

    Returns
    -------
    tuple of dict
        Such as ``{"image": "serving_default_image:0"}`` and
        ``{"logits": "StatefulPartitionedCall:0"}``: names in the main graph, which the C API takes.

    Raises
    ------
    ValueError : there is no such signature; the message lists those there are.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    found = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in found.meta_graphs:
        if TAG in graph.meta_info_def.tags and SIGNATURE in graph.signature_def:
            signature = graph.signature_def[SIGNATURE]
            return (
                {key: info.name for key, info in signature.inputs.items()},
                {key: info.name for key, info in signature.outputs.items()},
            )
    present = sorted(key for graph in found.meta_graphs for key in graph.signature_def)
    raise ValueError(
        f"{file} has no signature {SIGNATURE!r} under the tag {TAG!r}; it has: "
        f"{', '.join(present) or 'none'}"
    )
