"""The bytes of a TensorBoard event file: scalars, hyperparameters and a graph.

Written by hand, as `shipworthy.models.events` does for a training, so that no report imports
TensorFlow or TensorBoard. Here the times are given and not the clock's: the same records make the
same bytes.

Sources: the record framing and its masked CRC-32C, "TFRecord and tf.train.Example", section
"TFRecords format details", tensorflow.org; field numbers of ``Event``, ``Summary``, ``GraphDef``,
``NodeDef``, ``AttrValue`` and ``TensorProto``, tensorflow/core/util/event.proto and
tensorflow/core/framework/*.proto; of the hyperparameters, tensorboard/plugins/hparams/api.proto and
plugin_data.proto; of ``Value``, google/protobuf/struct.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

_CASTAGNOLI = 0x82F63B78  # the CRC-32C polynomial, reflected (RFC 3720, appendix B.4)
_SUCCESS = 1  # tensorboard.hparams.Status
# A tensor of no floats: what a summary has that is nothing but its plugin's data.
_NOTHING = b"\x08\x01\x12\x02\x12\x00"


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


def varint(value: int) -> bytes:
    """Return a non-negative integer in protobuf's base 128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(number: int, value: int) -> bytes:
    """Return a field of an integer, an enumeration or a truth value."""
    return varint(number << 3) + varint(value)


def double(number: int, value: float) -> bytes:
    """Return a field of a double."""
    return varint(number << 3 | 1) + struct.pack("<d", value)


def single(number: int, value: float) -> bytes:
    """Return a field of a float."""
    return varint(number << 3 | 5) + struct.pack("<f", value)


def message(number: int, value: bytes | str) -> bytes:
    """Return a field of bytes, text or another message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """Yield number, value and the whole bytes of every field of a message.

    Raises
    ------
    ValueError : it is no protobuf message.
    """
    at = 0
    while at < len(data):
        start = at
        key, at = _read_varint(data, at)
        wire = key & 7
        value: int | bytes
        if wire == 0:
            value, at = _read_varint(data, at)
        else:
            size, at = _read_varint(data, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
            value = data[at : at + size]
            if size < 0 or len(value) != size:
                raise ValueError(f"no protobuf message: field {key >> 3} at byte {start}")
            at += size
        yield key >> 3, value, data[start:at]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("no protobuf message: it ends inside a number")


class EventLog:
    """Collects events; `to_bytes` is the file.

    Parameters
    ----------
    wall_time : of every event, in seconds since 1970.
    """

    def __init__(self, wall_time: float) -> None:
        self._when = double(1, wall_time)
        self._wall_time = wall_time
        self._records: list[bytes] = []
        self._add(message(3, "brain.Event:2"))  # every file begins with its version

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add one event with a value for each tag; `step` is non-negative."""
        summary = b"".join(
            message(1, message(1, tag) + single(2, value)) for tag, value in values.items()
        )
        self._add(integer(2, step) + message(5, summary))

    def hparams(self, values: Mapping[str, float | str]) -> None:
        """Add the hyperparameters of a run that has ended well."""
        entries = b"".join(
            message(1, message(1, name) + message(2, _value(value)))
            for name, value in values.items()
        )
        start = entries + double(5, self._wall_time)
        end = integer(1, _SUCCESS) + double(2, self._wall_time)
        self._plugin("_hparams_/session_start_info", message(3, start))
        self._plugin("_hparams_/session_end_info", message(4, end))

    def graph(self, graph_def: bytes) -> None:
        """Add a graph, a serialised ``GraphDef``."""
        self._add(message(4, graph_def))

    def to_bytes(self) -> bytes:
        """Return the file."""
        return b"".join(self._records)

    def _plugin(self, tag: str, content: bytes) -> None:
        data = message(1, message(1, "hparams") + message(2, content))
        value = message(1, tag) + message(9, data) + message(8, _NOTHING)
        self._add(message(5, message(1, value)))

    def _add(self, content: bytes) -> None:
        event = self._when + content
        length = struct.pack("<Q", len(event))
        self._records.append(length + _masked_crc(length) + event + _masked_crc(event))


def _value(value: float | str) -> bytes:
    return message(3, value) if isinstance(value, str) else double(2, float(value))


def _masked_crc(data: bytes) -> bytes:
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
