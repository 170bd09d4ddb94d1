"""A SavedModel folder: Keras 3's, Keras 2's, or any `tf.function`'s; one signature of it.

Loading one runs TensorFlow's graph alone, no Python; graphs that read or write files of the
machine's are refused unless the user says ``--trust``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shipworthy.models.given import Given
from shipworthy.models.own import Opened, OwnModelError, declare, plain_names
from shipworthy.models.spec import Array, TensorSpec

USUAL = "serving_default"
TAG = "serve"
_INIT = "__saved_model_init_op"  # TensorFlow's own, in every file
# What a graph can do to the machine it runs on; saving and restoring variables is done by others.
_FILE_OPS = ("ReadFile", "WriteFile")
_PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


class LoadedSignature:
    """One signature of a loaded SavedModel.

    Parameters
    ----------
    root : what `tf.saved_model.load` returns; keeps the variables and tables alive.
    function : the concrete function; takes its inputs by keyword, returns a dict.
    path : the folder.
    key : of the signature.

    Attributes
    ----------
    inputs, outputs : canonical name -> key in the signature.
    specs : key -> `tf.TensorSpec` of every input.
    """

    def __init__(self, root: Any, function: Any, path: Path, key: str) -> None:
        self.root, self.function, self.path, self.key = root, function, path, key
        self.specs: dict[str, Any] = dict(function.structured_input_signature[1])
        self.inputs = plain_names(self.specs)
        self.outputs = plain_names(function.structured_outputs)

    def __call__(self, tensors: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
        """Call the signature with tensors of these canonical names; return such as well."""
        keys = [self.inputs[name] for name in names]
        answer = self.function(**dict(zip(keys, tensors, strict=True)))
        return {name: answer[key] for name, key in self.outputs.items()}

    def call_arrays(self, arrays: Sequence[Array]) -> dict[str, Any]:
        """Call the signature with arrays in the order of its inputs."""
        import tensorflow as tf

        names = list(self.inputs)
        tensors = [
            tf.constant(array, dtype=self.specs[self.inputs[name]].dtype)
            for name, array in zip(names, arrays, strict=True)
        ]
        return self(tensors, names)


def load(given: Given) -> Opened:
    """Load a SavedModel and choose its signature.

    Raises
    ------
    OwnModelError : a damaged folder, no such signature, operators that TensorFlow does not have or
        that call back into Python, or inputs that cannot be given to the runtimes.
    """
    path = Path(given.path)
    saved = _read(path)
    if not given.trust:
        _refuse_ops(saved, path)
    keys = _signature_keys(saved, path)
    key = _choose(given, keys)
    import tensorflow as tf

    try:
        root = tf.saved_model.load(str(path), tags=[TAG])
    except Exception as e:  # of many kinds, each about the folder
        raise OwnModelError(_why(path, e)) from e
    found = LoadedSignature(root, root.signatures[key], path, key)
    _refuse_python(found)
    specs = tuple(_declare(given, name, found.specs[key]) for name, key in found.inputs.items())
    notes = (f"The signature is {key!r}.",) if len(keys) > 1 or key != USUAL else ()
    return Opened("tensorflow", "saved_model", found, specs=specs, notes=notes, files=(path,))


def _read(path: Path) -> Any:
    """Read the graph's description without loading it."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / "saved_model.pb"
    try:
        return saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except (DecodeError, OSError) as e:
        raise OwnModelError(
            f"{file} is no SavedModel, or is damaged: {str(e) or type(e).__name__}; copy or save "
            "it again"
        ) from e


def _refuse_ops(saved: Any, path: Path) -> None:
    for graph in saved.meta_graphs:
        found = sorted(_ops(graph.graph_def) & set(_FILE_OPS))
        if found:
            raise OwnModelError(
                f"{path} reads or writes files of the machine it runs on ({', '.join(found)}); "
                "if you trust where the folder comes from, say --trust"
            )


def _ops(graph: Any) -> set[str]:
    """Return the types of a GraphDef's operators, those of its functions included."""
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {node.op for node in nodes}


def _signature_keys(saved: Any, path: Path) -> list[str]:
    tags = [sorted(graph.meta_info_def.tags) for graph in saved.meta_graphs]
    for graph in saved.meta_graphs:
        if set(graph.meta_info_def.tags) == {TAG}:
            return sorted(key for key in graph.signature_def if key != _INIT)
    raise OwnModelError(
        f"{path} has no graph for serving (tag {TAG!r}); its tags are {tags or 'none'}; save it "
        "with tf.saved_model.save"
    )


def _choose(given: Given, keys: Sequence[str]) -> str:
    shown = ", ".join(keys) or "none"
    if given.signature is not None:
        if given.signature not in keys:
            raise OwnModelError(
                f"{given.path} has no signature {given.signature!r}; it has: {shown}"
            )
        return given.signature
    if USUAL in keys:
        return USUAL
    if not keys:
        raise OwnModelError(
            f"{given.path} has no signature, so nothing says what it computes; save it with one: "
            "tf.saved_model.save(model, path, signatures=function)"
        )
    if len(keys) > 1:
        raise OwnModelError(f"{given.path} has several signatures; choose by --signature: {shown}")
    return keys[0]


def _declare(given: Given, name: str, spec: Any) -> TensorSpec:
    shape = None if spec.shape.rank is None else spec.shape.as_list()
    return declare(given, name, spec.dtype.name, shape)


def _refuse_python(found: LoadedSignature) -> None:
    """Raise for operators that call a Python function, which is not in the folder."""
    python = sorted(_ops(found.function.graph.as_graph_def()) & set(_PYTHON_OPS))
    if python:
        raise OwnModelError(
            f"signature {found.key!r} of {found.path} calls back into Python ({', '.join(python)}: "
            "tf.py_function or tf.numpy_function), and that code is not in the folder; write it "
            "with TensorFlow's own operations and save the model again"
        )


def _why(path: Path, error: Exception) -> str:
    told = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
    if "Op type not registered" in str(error):
        return (
            f"{path} needs an operator that TensorFlow itself does not have: {told}. No runtime "
            "here can run custom operators; write it with TensorFlow's own"
        )
    return f"TensorFlow cannot load {path}: {type(error).__name__}: {told}"
