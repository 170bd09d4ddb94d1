"""TensorBoard event files, written without TensorFlow, PyTorch or TensorBoard.

An event file is a sequence of TFRecords, each one serialised ``tensorflow.Event``. Both formats
are frozen and tiny for scalars, and every writer at hand imports a framework (`tensorboardX` loads
PyTorch, which must stay out of a process that trains with Keras).

Sources: the record framing and its masked CRC-32C, "TFRecord and tf.train.Example", section
"TFRecords format details", tensorflow.org; field numbers of ``Event`` and ``Summary``,
tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

_CASTAGNOLI = 0x82F63B78  # the CRC-32C polynomial, reflected (RFC 3720, appendix B.4)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf wire types


class EventFile:
    """Appends scalars to a new event file in a folder; a context manager.

    Every record is flushed, so that TensorBoard shows a training while it runs and an interrupted
    one leaves a readable file.

    Parameters
    ----------
    folder : made if it is missing; point ``tensorboard --logdir`` at it or at a parent.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard takes any name that holds "tfevents".
        self.path = folder / f"events.out.tfevents.{time.time_ns()}"
        self._stream = self.path.open("xb")
        self._append(_field(3, _BYTES, b"brain.Event:2"))  # every file begins with its version

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Append one event with a value for each tag; `step` is non-negative."""
        summary = b"".join(
            _field(1, _BYTES, _field(1, _BYTES, tag.encode()) + _field(2, _FIXED32, value))
            for tag, value in values.items()
        )
        self._append(_field(2, _VARINT, step) + _field(5, _BYTES, summary))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> EventFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, fields: bytes) -> None:
        event = _field(1, _FIXED64, time.time()) + fields
        length = struct.pack("<Q", len(event))
        self._stream.write(length + _masked_crc(length) + event + _masked_crc(event))
        self._stream.flush()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) checksum. Bit by bit: a training writes a few kilobytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _masked_crc(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _field(number: int, wire: int, value: float | bytes) -> bytes:
    key = _varint(number << 3 | wire)
    if isinstance(value, bytes):
        return key + _varint(len(value)) + value
    if wire == _VARINT:
        return key + _varint(int(value))
    return key + struct.pack("<d" if wire == _FIXED64 else "<f", value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
