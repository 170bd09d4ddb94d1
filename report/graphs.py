"""The graph of an artifact as TensorBoard draws it, read from the file without any framework.

ONNX and SavedModel are protobuf messages that hold a graph of named nodes. TFLite (a flat buffer
of numbered tensors) and TorchScript (source text in an archive) have no such graph: left out.

Sources: field numbers of ``ModelProto``, ``GraphProto`` and ``NodeProto``, onnx/onnx.proto; of
``SavedModel`` and ``MetaGraphDef``, saved_model.proto and meta_graph.proto in
tensorflow/core/protobuf; of ``GraphDef``, ``NodeDef`` and ``FunctionDef``,
tensorflow/core/framework/*.proto.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from shipworthy.report.event_log import fields, message

_LARGEST = 1024  # bytes of an attribute; weights are larger, and nobody reads them in a graph
_MOST = 4_000_000  # bytes of a graph; above, a browser draws it no more


def read_graph(path: Path, format_: str) -> bytes | None:
    """Return an artifact's graph as a serialised ``GraphDef``.

    None if its format has none, or it is missing, damaged or too large to be drawn.
    """
    read = _READERS.get(format_)
    if read is None:
        return None
    try:
        graph = read(path)
    except (OSError, ValueError):
        return None
    return graph if 0 < len(graph) <= _MOST else None


def _read_onnx(path: Path) -> bytes:
    """Translate the nodes; a weight or an input is a node of its own, as in a ``GraphDef``."""
    graph = _only(path.read_bytes(), 7)
    used: Counter[str] = Counter()
    made: dict[str, str] = {}  # tensor -> node that makes it
    nodes = []
    for number, op in ((5, "Const"), (11, "Placeholder")):
        for data in _inner(graph, number):
            tensor = _text(data, 8 if op == "Const" else 1)
            if tensor not in made:
                made[tensor] = _unique(tensor, used)
                nodes.append(_node(made[tensor], op, []))
    found = list(_inner(graph, 1))
    names = []
    for data in found:
        outputs = [_decode(value) for value in _inner(data, 2)]
        names.append(_unique(_text(data, 3) or (outputs or ["node"])[0], used))
        for place, tensor in enumerate(outputs):
            made[tensor] = f"{names[-1]}:{place}" if place else names[-1]
    for data, name in zip(found, names, strict=True):
        inputs = [_decode(value) for value in _inner(data, 1)]
        nodes.append(_node(name, _text(data, 4), [made[t] for t in inputs if t in made]))
    for data in _inner(graph, 12):
        tensor = _text(data, 1)
        nodes.append(_node(_unique(f"{tensor} (output)", used), "Output", [made.get(tensor, "")]))
    return b"".join(message(1, node) for node in nodes)


def _read_saved_model(path: Path) -> bytes:
    """Take the graph as it is, but for large attributes: those are weights."""
    meta = _only((path / "saved_model.pb").read_bytes(), 2)
    return _rebuilt(_only(meta, 2), {1: _light_node, 2: _light_library})


def _light_library(data: bytes) -> bytes:
    return _rebuilt(data, {1: lambda function: _rebuilt(function, {3: _light_node})})


def _light_node(data: bytes) -> bytes:
    return b"".join(
        whole for number, value, whole in fields(data)
        if number != 5 or not isinstance(value, bytes) or len(value) <= _LARGEST
    )  # fmt: skip


def _rebuilt(data: bytes, change: dict[int, Callable[[bytes], bytes]]) -> bytes:
    """Return a message in which some fields' messages are changed."""
    return b"".join(
        message(number, change[number](value))
        if number in change and isinstance(value, bytes)
        else whole
        for number, value, whole in fields(data)
    )


def _node(name: str, op: str, inputs: list[str]) -> bytes:
    given = b"".join(message(3, one) for one in inputs if one)
    return message(1, name) + message(2, op) + given


def _unique(name: str, used: Counter[str]) -> str:
    """Return a name of its own; ``:`` and ``^`` have a meaning in a graph, ``/`` makes groups."""
    plain = name.replace(":", "_").replace("^", "_").strip("/") or "node"
    used[plain] += 1
    return plain if used[plain] == 1 else f"{plain}_{used[plain]}"


def _inner(data: bytes, number: int) -> Iterator[bytes]:
    return (value for n, value, _ in fields(data) if n == number and isinstance(value, bytes))


def _only(data: bytes, number: int) -> bytes:
    """Return the first message of a field; empty if there is none."""
    return next(_inner(data, number), b"")


def _text(data: bytes, number: int) -> str:
    return _decode(_only(data, number))


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")


_READERS: dict[str, Callable[[Path], bytes]] = {
    "onnx": _read_onnx,
    "saved_model": _read_saved_model,
}
