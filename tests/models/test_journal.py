from __future__ import annotations

import os
import pty
import struct
import subprocess
import sys

import pytest

from shipworthy.models.events import EventFile, crc32c
from shipworthy.models.journal import open_journal

TAGS = ("loss/train", "loss/test", "accuracy/train", "accuracy/test")
VALUES = dict(zip(TAGS, (0.5, 0.25, 0.75, 0.875), strict=True))


def records(path):
    """Take a TFRecord file apart, checking both checksums of every record."""
    data, found = path.read_bytes(), []
    while data:
        length = struct.unpack("<Q", data[:8])[0]
        body = data[12 : 12 + length]
        for part, stored in ((data[:8], data[8:12]), (body, data[12 + length : 16 + length])):
            crc = crc32c(part)
            rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
            assert struct.unpack("<I", stored)[0] == (rotated + 0xA282EAD8) % 2**32
        found.append(body)
        data = data[16 + length :]
    return found


def test_crc32c_known_answers():
    # RFC 3720, appendix B.4, and the polynomial's usual check value.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(b"") == 0


def test_event_file_has_a_version_then_one_event_a_step(tmp_path):
    with EventFile(tmp_path / "new") as events:
        events.scalars(1, VALUES)
        events.scalars(300, {"loss/train": 1.5})
    assert "tfevents" in events.path.name
    version, first, second = records(events.path)
    assert version.endswith(b"\x1a\x0dbrain.Event:2")
    for tag, value in VALUES.items():
        assert bytes([len(tag)]) + tag.encode() + b"\x15" + struct.pack("<f", value) in first
    assert second[9:12] == b"\x10\xac\x02"  # field 2: 300 as a varint


def test_events_are_readable_while_the_file_is_open(tmp_path):
    with EventFile(tmp_path) as events:
        events.scalars(1, VALUES)
        assert len(records(events.path)) == 2


def test_journal_prints_plain_lines_into_a_log(tmp_path, capsys):
    with open_journal("training this", 20, tmp_path, TAGS) as journal:
        for number in range(1, 21):
            journal.epoch(number, VALUES)
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert len(lines) == 5
    assert lines[-1] == "training this: epoch 20/20  loss/train 0.5  accuracy/test 0.875"
    assert len(records(next(tmp_path.iterdir()))) == 21


def test_journal_refuses_other_values(tmp_path):
    with (
        open_journal("x", 1, tmp_path, TAGS) as journal,
        pytest.raises(ValueError, match=r"accuracy/test.*got \['loss'\]"),
    ):
        journal.epoch(1, {"loss": 1.0})


def test_journal_draws_a_bar_on_a_terminal(tmp_path):
    ours, theirs = pty.openpty()
    script = (
        "import sys; from pathlib import Path\n"
        "from shipworthy.models.journal import open_journal\n"
        "with open_journal('training this', 2, Path(sys.argv[1]), ('loss',)) as journal:\n"
        "    for number in (1, 2): journal.epoch(number, {'loss': 0.5})\n"
    )
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
    ) as process:
        os.close(theirs)
        shown = bytearray()
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # how Linux tells that the other end is closed
                break
        assert process.communicate()[0] == b""
    os.close(ours)
    assert process.returncode == 0
    assert "━" in shown.decode()
    assert "2/2" in shown.decode()
    assert "loss 0.5" in shown.decode()
