"""Writes large ONNX models weight by weight, so that no copy of all weights is made.

A ModelProto with its weights inside is a copy of them, and serialising it is another; beyond 2 GB
protobuf cannot serialise it at all. Here the graph is a small ModelProto, and the weights are
streamed: into the file beside it (https://onnx.ai/onnx/repo-docs/ExternalData.html), or into the
one file, as protobuf's wire format has it (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from shipworthy.models.spec import Array

MOST_BYTES = 2**31 - 2**20  # of a file that protobuf reads
WEIGHTS = "model.onnx.data"
_ALIGNMENT = 64
_CHUNK_BYTES = 2**24
# Field numbers of onnx.proto3.
_MODEL_GRAPH, _GRAPH_INITIALIZER, _TENSOR_RAW = 7, 5, 9
_LENGTH_DELIMITED = 2


def write_beside(model: Any, weights: Mapping[str, Callable[[], Array]], path: Path) -> None:
    """Write a model with its large weights as external data.

    Parameters
    ----------
    model : ModelProto without these weights; gets them as initializers.
    weights : initializer's name -> what gives its array; called once, one after the other.
    path : the model's file; the weights go into `WEIGHTS` beside it.
    """
    import onnx
    from onnx import helper

    with path.with_name(WEIGHTS).open("wb") as data:
        for name, read in weights.items():
            array = read()
            data.write(b"\0" * (-data.tell() % _ALIGNMENT))
            start = data.tell()
            np.ascontiguousarray(array).tofile(data)
            tensor = model.graph.initializer.add(
                name=name, dims=array.shape,
                data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            )  # fmt: skip
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (
                ("location", WEIGHTS), ("offset", start), ("length", data.tell() - start)
            ):  # fmt: skip
                tensor.external_data.add(key=key, value=str(value))
    path.write_bytes(model.SerializeToString())


def take_in(path: Path) -> bool:
    """Move the external weights of a model into its one file, unless it would be too large.

    Returns
    -------
    bool : whether they are in it now.
    """
    import onnx

    data = path.with_name(WEIGHTS)
    if not data.exists() or path.stat().st_size + data.stat().st_size > MOST_BYTES:
        return not data.exists()
    model = onnx.load(path, load_external_data=False)
    outside = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    inside = [t for t in model.graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    places = [{entry.key: entry.value for entry in tensor.external_data} for tensor in outside]
    for tensor in outside:
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    heads = [tensor.SerializeToString() for tensor in outside]
    graph = model.graph
    del graph.initializer[:]
    graph.initializer.extend(inside)
    rest = graph.SerializeToString()
    model.ClearField("graph")
    sizes = [int(place["length"]) for place in places]
    bodies = [
        len(head) + len(_tag(_TENSOR_RAW)) + len(_varint(size)) + size
        for head, size in zip(heads, sizes, strict=True)
    ]
    whole = len(rest) + sum(
        len(_tag(_GRAPH_INITIALIZER)) + len(_varint(body)) + body for body in bodies
    )
    work = path.with_suffix(".part")
    with work.open("wb") as out, data.open("rb") as stream:
        out.write(model.SerializeToString())
        out.write(_tag(_MODEL_GRAPH) + _varint(whole) + rest)
        for head, body, size, place in zip(heads, bodies, sizes, places, strict=True):
            out.write(_tag(_GRAPH_INITIALIZER) + _varint(body) + head)
            out.write(_tag(_TENSOR_RAW) + _varint(size))
            stream.seek(int(place.get("offset", 0)))
            for chunk in _chunks(stream, size):
                out.write(chunk)
    work.replace(path)
    data.unlink()
    return True


def _chunks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        chunk = stream.read(min(size, _CHUNK_BYTES))
        if not chunk:
            raise EOFError(f"the weights' file ends {size} bytes early")
        size -= len(chunk)
        yield chunk


def _tag(field: int) -> bytes:
    return _varint(field << 3 | _LENGTH_DELIMITED)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
