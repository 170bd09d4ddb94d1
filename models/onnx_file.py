"""Reads ONNX files that may come from anywhere: nothing outside the file's folder is opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.models.errors import ShipworthyError

Model = Any  # onnx.ModelProto
Graph = Any  # onnx.GraphProto
TensorProto = Any  # onnx.TensorProto


class OnnxFileError(ShipworthyError):
    """A file that is missing, is no ONNX, or breaks ONNX's rules."""


@dataclass(frozen=True)
class OnnxTensor:
    """One input or output as the file declares it.

    Parameters
    ----------
    name : in the file.
    dtype : NumPy's.
    shape : an int is fixed, a name is a ``dim_param``, None is unnamed and dynamic; None in place
        of the tuple is an unknown rank.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...] | None


def read_onnx(path: Path) -> Model:
    """Return a checked ``onnx.ModelProto``; weights that lie in other files are not read.

    `read_tensor` reads those.

    Raises
    ------
    OnnxFileError : no such file, not ONNX, external data outside the file's folder, or what
        ``onnx.checker`` says.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise OnnxFileError(f"{path} is not a file; give the path of a .onnx file")
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError) as e:
        raise OnnxFileError(f"{path} is not an ONNX model: {e}") from e
    if not model.opset_import or not model.graph.output:
        raise OnnxFileError(
            f"{path} is not an ONNX model: it has no op set or no outputs; export it again"
        )
    external_files(model, path)
    try:
        # By path: a model above 2 GB cannot be checked in memory.
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, ValueError) as e:
        lines = [line.strip() for line in str(e).splitlines() if line.strip()]
        raise OnnxFileError(
            f"{path} breaks ONNX's rules: {' '.join(lines[:3])}; export it again"
        ) from e
    return model


def read_tensor(tensor: TensorProto, path: Path) -> np.ndarray[Any, Any]:
    """Return a constant of a model, read from the file beside it where it lies there.

    Parameters
    ----------
    path : the model's file.
    """
    import onnx

    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        _external_file(tensor, path)
        folder = str(path.resolve().parent)
        return np.asarray(onnx.numpy_helper.to_array(tensor, base_dir=folder))
    return np.asarray(onnx.numpy_helper.to_array(tensor))


def external_files(model: Model, path: Path) -> list[Path]:
    """Return the files that hold the weights which lie outside a model's own.

    Raises
    ------
    OnnxFileError : one is outside the model's folder, or is not there.
    """
    import onnx

    inner = [tensor for f in model.functions for tensor in _of_nodes(f.node)]
    tensors = [*_tensors(model.graph), *inner]
    external = [t for t in tensors if t.data_location == onnx.TensorProto.EXTERNAL]
    return list(dict.fromkeys(_external_file(tensor, path) for tensor in external))


def signature_of(path: Path) -> tuple[list[OnnxTensor], list[OnnxTensor]]:
    """Return the inputs a model needs and the outputs it gives, in the file's order.

    Initializers that are listed as inputs, as ONNX did before IR version 4, are none.

    Raises
    ------
    OnnxFileError : as `read_onnx`; or an input or output is no tensor.
    """
    model = read_onnx(path)
    return _declared(inputs_of(model.graph), path), _declared(model.graph.output, path)


def inputs_of(graph: Graph) -> list[Any]:
    """Return the inputs of a graph that are no initializers."""
    given = {tensor.name for tensor in graph.initializer}
    given |= {tensor.values.name for tensor in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in given]


def _declared(values: Any, path: Path) -> list[OnnxTensor]:
    import onnx

    found = []
    for value in values:
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            told = (kind or "value of no type").removesuffix("_type")
            raise OnnxFileError(
                f"{path}: {value.name!r} is a {told}; the runtimes here are given tensors only"
            )
        tensor = value.type.tensor_type
        shape = None
        if tensor.HasField("shape"):
            shape = tuple(
                dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
                for dim in tensor.shape.dim
            )
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        found.append(OnnxTensor(value.name, dtype, shape))
    return found


def _tensors(graph: Graph) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (tensor for tensor in (attribute.t, *attribute.tensors))
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _external_file(tensor: TensorProto, path: Path) -> Path:
    """Return where a tensor's data lies; raise unless in the model's own folder, links followed."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    folder = path.resolve().parent
    file = (folder / told.get("location", "")).resolve()
    if not file.is_relative_to(folder) or file == folder:
        raise OnnxFileError(
            f"{path}: the weights of {tensor.name!r} are said to lie in "
            f"{told.get('location', '')!r}, outside the model's folder; nothing outside it is read"
        )
    if not file.is_file():
        raise OnnxFileError(
            f"{path}: the weights of {tensor.name!r} should lie in {file.name}, which is not "
            "there; keep it beside the model"
        )
    return folder / str(told["location"])
