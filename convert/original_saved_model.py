"""SavedModels without a model's code behind them as originals: the loaded signature, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.original import Float64RefusedError, Original, name_outputs
from shipworthy.models.spec import Array, Arrays, Signature, Source

_REFUSED = (
    "a SavedModel is a graph whose every value has its dtype fixed; without the code behind it "
    "there is no float64 form of it"
)


class SavedModelOriginal:
    """One signature of a SavedModel.

    Parameters
    ----------
    model : a `shipworthy.models.own.saved_model_folder.LoadedSignature`.
    """

    def __init__(self, model: Any, signature: Signature) -> None:
        self.model = model
        self._signature = signature
        self._names = [spec.name for spec in signature.inputs]
        self._sessions: dict[int, Callable[[Arrays], dict[str, Any]]] = {}
        # In place of the loaded variables' values, where the graph holds its weights as constants.
        self._nudged: Callable[[Arrays], dict[str, Any]] | None = None

    def run(self, inputs: Arrays, *, threads: int = 1) -> dict[str, Array]:
        """Call the loaded signature; at another thread count, the folder in a session of its own.

        TensorFlow fixes a process' thread pool at the first operation, but a session may have its
        own (`ConfigProto.intra_op_parallelism_threads`).
        """
        import tensorflow as tf

        if self._nudged is not None:
            return name_outputs(self._nudged(inputs), self._signature, np.asarray)
        if threads == 1:
            tensors = [tf.constant(inputs[name]) for name in self._names]
            answer = self.model(tensors, self._names)
            return name_outputs(answer, self._signature, lambda value: np.array(value.numpy()))
        if threads not in self._sessions:
            self._sessions[threads] = _open_folder(self.model, threads)
        return name_outputs(self._sessions[threads](inputs), self._signature, np.asarray)

    def nudge_weights(self, nudge: Callable[[Array], Array]) -> Callable[[], None]:
        """Replace every float variable, or constant where there is none; return the way back."""
        variables = [v for v in self.model.function.variables if v.dtype.is_floating]
        if not variables:
            self._nudged = _open_nudged(self.model, nudge)
            return self._restore
        kept = [np.array(v) for v in variables]

        def fill(values: Sequence[Array]) -> None:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

        fill([nudge(value) for value in kept])
        return lambda: fill(kept)

    def _restore(self) -> None:
        self._nudged = None


def run_float64(
    source: Source, snapshot: Path, inputs: Sequence[Arrays], check: Callable[[Original], None]
) -> list[dict[str, Array]]:
    """Refuse: see `shipworthy.convert.original.run_float64`.

    Raises
    ------
    Float64RefusedError : always.
    """
    raise Float64RefusedError(_REFUSED)


def _open_folder(model: Any, threads: int) -> Callable[[Arrays], dict[str, Any]]:
    """Load a SavedModel's folder, variables and tables included, into a session."""
    import tensorflow as tf

    from shipworthy.models.own.saved_model_folder import TAG

    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph, config=_config(threads))
    with graph.as_default():
        loaded = tf.compat.v1.saved_model.loader.load(session, [TAG], str(model.path))
    signature = loaded.signature_def[model.key]
    outputs = {name: signature.outputs[key].name for name, key in model.outputs.items()}

    def run(inputs: Arrays) -> dict[str, Any]:
        fed = {signature.inputs[model.inputs[n]].name: value for n, value in inputs.items()}
        return dict(session.run(outputs, fed))

    return run


def _open_nudged(model: Any, nudge: Callable[[Array], Array]) -> Callable[[Arrays], dict[str, Any]]:
    """Return the frozen graph with its float constants nudged, in a session."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    frozen = convert_variables_to_constants_v2(model.function)
    definition = frozen.graph.as_graph_def()
    for node in definition.node:
        if node.op != "Const":
            continue
        value = tf.make_ndarray(node.attr["value"].tensor)
        # A lone number is a setting more often than a weight.
        if value.dtype.kind == "f" and value.ndim:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(nudge(value)))
    placed = {tensor.name.split(":")[0]: tensor.name for tensor in frozen.inputs}
    feeds = {name: placed[key] for name, key in model.inputs.items()}
    # TensorFlow flattens a dict in the order of its keys.
    given = dict(zip(sorted(model.outputs.values()), [t.name for t in frozen.outputs], strict=True))
    outputs = {name: given[key] for name, key in model.outputs.items()}
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    session = tf.compat.v1.Session(graph=graph, config=_config(1))

    def run(inputs: Arrays) -> dict[str, Any]:
        return dict(session.run(outputs, {feeds[name]: value for name, value in inputs.items()}))

    return run


def _config(threads: int) -> Any:
    import tensorflow as tf

    return tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=1,
        use_per_session_threads=True,
    )
