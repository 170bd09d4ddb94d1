"""``model.onnx``: a graph and its weights, with those that lie in files beside it.

Nothing outside the file's folder is read, and no code runs: ONNX has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shipworthy.models.given import Given
from shipworthy.models.onnx_file import (
    OnnxFileError,
    OnnxTensor,
    external_files,
    read_onnx,
    signature_of,
)
from shipworthy.models.own import Opened, OwnModelError, declare, plain_names
from shipworthy.models.spec import Array, TensorSpec


class OnnxModel:
    """An ONNX file, run by ONNX Runtime where it is asked to.

    Parameters
    ----------
    path : the file.

    Attributes
    ----------
    inputs, outputs : canonical name -> name in the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        taken, given = signature_of(path)
        self.specs: dict[str, OnnxTensor] = {tensor.name: tensor for tensor in taken}
        self.inputs = plain_names(self.specs)
        self.outputs = plain_names(tensor.name for tensor in given)
        self._session: Any = None

    def call_arrays(self, arrays: Sequence[Array]) -> dict[str, Any]:
        """Run the graph on arrays in the order of its inputs."""
        if self._session is None:
            self._session = _open(self.path)
        fed = dict(zip(self.inputs.values(), arrays, strict=True))
        answers = self._session.run(list(self.outputs.values()), fed)
        return dict(zip(self.outputs, answers, strict=True))


def load(given: Given) -> Opened:
    """Read an ONNX file; it is checked, and not run yet.

    Raises
    ------
    OwnModelError : a damaged file, weights outside its folder, operators that ONNX Runtime does not
        have, or inputs that cannot be given to the runtimes.
    """
    path = Path(given.path)
    try:
        files = external_files(read_onnx(path), path)
        model = OnnxModel(path)
    except OnnxFileError as e:
        raise OwnModelError(str(e)) from e
    specs = tuple(_declare(given, name, model.specs[n]) for name, n in model.inputs.items())
    return Opened("onnx", "onnx", model, specs=specs, files=(path, *files))


def _declare(given: Given, name: str, tensor: OnnxTensor) -> TensorSpec:
    dtype = "string" if tensor.dtype.kind == "O" else tensor.dtype.name
    return declare(given, name, dtype, tensor.shape)


def _open(path: Path) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as e:  # of many kinds, each about the file
        raise OwnModelError(
            f"ONNX Runtime {ort.__version__} does not take {path}: {_told(e)}; export it again "
            "with standard operators and an operator set that is released"
        ) from e


def _told(error: Exception) -> str:
    """Return what ONNX Runtime says, without where in its own sources it says it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines[0] if lines else type(error).__name__
    for before in ("failed:Fatal error:", "ONNX Runtime only", "failed:"):
        if before in told:
            return told[told.index(before) :].removeprefix("failed:").strip()
    return told
