"""The bytes of an event file, read back by hand; `test_tensorboard` reads them with TensorBoard."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipworthy.models.events import crc32c
from shipworthy.report.event_log import EventLog, fields, integer, message, single, varint
from shipworthy.report.graphs import read_graph


def frames(data):
    """Return the events of a file; every checksum has to be right."""
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        event = data[at + 12 : at + 12 + size]
        for what, where in ((data[at : at + 8], at + 8), (event, at + 12 + size)):
            crc = crc32c(what)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack_from("<I", data, where) == (masked,)
        found.append(event)
        at += 16 + size
    return found


def test_every_record_is_framed_with_its_checksums_and_the_first_tells_the_version():
    log = EventLog(12.5)
    log.scalars(7, {"a": 1.5, "b": -2.0})
    log.hparams({"format": "onnx", "threads": 2})
    log.graph(b"")
    found = frames(log.to_bytes())
    assert len(found) == 5
    assert dict((n, v) for n, v, _ in fields(found[0]))[3] == b"brain.Event:2"
    assert all(next(fields(event))[1] == struct.pack("<d", 12.5) for event in found)
    values = {n: v for n, v, _ in fields(found[1])}
    assert values[2] == 7
    tags = [{n: v for n, v, _ in fields(one)} for _, one, _ in fields(values[5])]
    assert [(t[1], struct.unpack("<f", t[2])[0]) for t in tags] == [(b"a", 1.5), (b"b", -2.0)]


@given(st.integers(0, 2**64 - 1), st.binary(max_size=300), st.floats(width=32, allow_nan=False))
def test_fields_come_back(number, data, value):
    text = integer(1, number) + message(300, data) + single(3, value)
    found = list(fields(text))
    assert [n for n, _, _ in found] == [1, 300, 3]
    assert found[0][1] == number
    assert found[1][1] == data
    assert struct.unpack("<f", found[2][1])[0] == value
    assert b"".join(whole for _, _, whole in found) == text


@pytest.mark.parametrize("data", [b"\x80", b"\x0a\x05ab", b"\x0b", b"\x09\x00", varint(2**40)])
def test_what_is_no_message_is_refused(data):
    with pytest.raises(ValueError, match="no protobuf message"):
        list(fields(data))


def test_an_onnx_graph_has_its_nodes_weights_and_unique_names(tmp_path):
    def node(op, inputs, outputs, name=""):
        parts = [message(1, i) for i in inputs] + [message(2, o) for o in outputs]
        return message(1, b"".join(parts) + message(3, name) + message(4, op))

    graph = (
        message(5, message(8, "/w:0") + message(9, b"\0" * 5000))
        + message(11, message(1, "x"))
        + message(11, message(1, "/w:0"))
        + node("Conv", ["x", "/w:0", ""], ["a"], "/block/Conv")
        + node("Split", ["a"], ["b", "c"], "/block/Conv")
        + node("Add", ["c", "b"], ["y"])
        + message(12, message(1, "y"))
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(integer(1, 10) + message(7, graph))
    made = read_graph(path, "onnx")
    nodes = []
    for _, data, _ in fields(made):
        parts = [(n, v.decode()) for n, v, _ in fields(data)]
        nodes.append(
            (
                next(v for n, v in parts if n == 1),
                next(v for n, v in parts if n == 2),
                [v for n, v in parts if n == 3],
            )
        )
    assert nodes == [
        ("w_0", "Const", []), ("x", "Placeholder", []),
        ("block/Conv", "Conv", ["x", "w_0"]), ("block/Conv_2", "Split", ["block/Conv"]),
        ("y", "Add", ["block/Conv_2:1", "block/Conv_2"]), ("y (output)", "Output", ["y"]),
    ]  # fmt: skip


def test_a_saved_models_weights_are_left_out_of_its_graph(tmp_path):
    def node(name, size):
        attribute = message(5, message(1, "value") + message(2, b"\0" * size))
        return message(1, name) + message(2, "Const") + attribute

    library = message(1, message(1, b"signature") + message(3, node("inner", 9000)))
    graph = message(1, node("small", 9)) + message(1, node("large", 9000)) + message(2, library)
    (tmp_path / "saved_model.pb").write_bytes(integer(1, 1) + message(2, message(2, graph)))
    made = read_graph(tmp_path, "saved_model")
    assert len(made) < 200
    for name in (b"small", b"large", b"inner", b"signature"):
        assert name in made
    assert b"\0" * 9 in made


@pytest.mark.parametrize(
    ("format_", "content"),
    [("onnx", b"\xff\xff"), ("onnx", b""), ("onnx", None), ("torchscript", b"PK"), ("tflite", b"")],
)
def test_no_graph_is_none(tmp_path, format_, content):
    path = tmp_path / "model"
    if content is not None:
        path.write_bytes(content)
    assert read_graph(path, format_) is None
