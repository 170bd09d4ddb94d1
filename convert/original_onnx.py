"""ONNX files as originals: run by ONNX Runtime, one thread pool a thread count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.original import Float64RefusedError, Original, first_line
from shipworthy.models.onnx_file import OnnxFileError, read_onnx, read_tensor
from shipworthy.models.spec import Array, Arrays, Signature, Source

_REFUSED = (
    "ONNX Runtime has no float64 kernels for convolutions, transposed convolutions, pooling and "
    "others, and an ONNX file fixes the dtype of every value"
)


class OnnxOriginal:
    """An ONNX model in sessions of ONNX Runtime, executed sequentially.

    Parameters
    ----------
    model : the file.
    inputs, outputs : name in the signature -> name in the file, where they differ.

    Raises
    ------
    OnnxFileError : the file is broken, or ONNX Runtime refuses it.
    """

    def __init__(
        self,
        model: Path,
        signature: Signature,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        taken = [spec.name for spec in signature.inputs]
        given = [spec.name for spec in signature.outputs]
        self._inputs = {name: (inputs or {}).get(name, name) for name in taken}
        self._outputs = {name: (outputs or {}).get(name, name) for name in given}
        self._weights = _float_weights(model)
        self._nudged: dict[str, Array] = {}
        self._sessions: dict[int, Any] = {}
        self._session(1)

    def run(self, inputs: Arrays, *, threads: int = 1) -> dict[str, Array]:
        """Run a session that has that many threads."""
        fed = {file: inputs[name] for name, file in self._inputs.items()}
        answers = self._session(threads).run(list(self._outputs.values()), fed)
        return {name: np.array(one) for name, one in zip(self._outputs, answers, strict=True)}

    def nudge_weights(self, nudge: Callable[[Array], Array]) -> Callable[[], None]:
        """Replace every float initializer; return what puts them back."""
        self._replace({name: nudge(read()) for name, read in self._weights.items()})
        return lambda: self._replace({})

    def _replace(self, weights: dict[str, Array]) -> None:
        self._nudged = weights
        self._sessions.clear()

    def _session(self, threads: int) -> Any:
        if threads not in self._sessions:
            self._sessions[threads] = _open(self.model, threads, self._nudged)
        return self._sessions[threads]


def run_float64(
    source: Source, snapshot: Path, inputs: Sequence[Arrays], check: Callable[[Original], None]
) -> list[dict[str, Array]]:
    """Refuse: see `shipworthy.convert.original.run_float64`.

    Raises
    ------
    Float64RefusedError : always.
    """
    raise Float64RefusedError(_REFUSED)


def _open(model: Path, threads: int, weights: dict[str, Array]) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    values = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in weights.items()}
    for name, value in values.items():
        options.add_initializer(name, value)
    try:
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as e:  # of many kinds, each about the file
        raise OnnxFileError(f"ONNX Runtime does not take {model}: {first_line(e)}") from e
    # The session reads the values it was given for as long as it lives.
    return _Session(session, values)


class _Session:
    def __init__(self, session: Any, values: dict[str, Any]) -> None:
        self._session = session
        self._values = values

    def run(self, names: Sequence[str], inputs: Arrays) -> list[Array]:
        return list(self._session.run(list(names), dict(inputs)))


def _float_weights(path: Path) -> dict[str, Callable[[], Array]]:
    """Return how to read each float initializer, by name; they are not kept in memory."""
    import onnx

    model = read_onnx(path)
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    given = {value.name for value in model.graph.input}
    return {
        tensor.name: lambda tensor=tensor: read_tensor(tensor, path)  # type: ignore[misc]
        for tensor in model.graph.initializer
        # ONNX Runtime replaces initializers that no caller may set.
        if tensor.data_type in floats and tensor.name not in given
    }
