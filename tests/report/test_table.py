from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from shipworthy.report.table import print_table
from shipworthy.report.units import UNKNOWN

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def no_wishes_of_the_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def to_terminal(records, width):
    stream = io.StringIO()
    print_table(
        records,
        Console(file=stream, width=width, force_terminal=True, color_system="standard",
                legacy_windows=False),
    )  # fmt: skip
    return stream.getvalue()


def to_pipe(records, encoding="utf-8"):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_table(records, Console(file=stream))
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


def rows(text):
    """The table's lines below its rule, split where two spaces or more stand."""
    body = text.split("\n\n")[0].splitlines()
    rule = next(i for i, line in enumerate(body) if set(line.strip()) <= {"─", "-"})
    return [re.split(r"\s{2,}", line.strip()) for line in body[rule + 1 :]]


def test_a_pipe_gets_eight_full_rows_without_escapes(eight):
    text = to_pipe(eight)
    assert "\x1b" not in text
    head = re.split(r"\s{2,}", text.splitlines()[0].strip())
    assert head == [
        "Framework", "Format", "Route", "Size", "Verdict", "Error ratio", "Runtime", "p50", "p90",
        "Cold start", "Peak memory",
    ]  # fmt: skip
    found = rows(text)
    assert [row[:3] for row in found] == [[r["framework"], r["format"], r["route"]] for r in eight]
    assert all(len(row) == len(head) for row in found)
    assert found[0][3:7] == ["243 KB", "passed", "1.11 ≤ 4.10", "onnxruntime 1.32.0"]
    assert all(re.fullmatch(r"[\d.]+ [µm]s", figure) for row in found for figure in row[7:10])
    assert text.endswith("All 8 exports pass. Latency at batch 1, 1 thread.\n")


def test_a_wide_terminal_gets_the_same_table_in_colour(eight):
    text = to_terminal(eight, 160)
    assert "\x1b[32mpassed" in text
    assert rows(ESCAPE.sub("", text)) == rows(to_pipe(eight))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 125, 160])
def test_every_figure_survives_every_width_whole(eight, width):
    text = ESCAPE.sub("", to_terminal(eight, width))
    assert max(map(len, text.splitlines())) <= width
    for row in rows(to_pipe(eight)):
        route, size, runtime, p50, p90, cold, peak = (row[i] for i in (2, 3, 6, 7, 8, 9, 10))
        lines = text.splitlines()
        (start,) = [i for i, line in enumerate(lines) if line.startswith(route + "  ")
                    or f"  {route}  " in line]  # fmt: skip
        near = "\n".join(lines[start : start + 7])
        for figure in (size, runtime, p50, p90, cold, peak, "passed", row[5].split(" ")[0]):
            assert figure in near, f"{figure} is missing at width {width}:\n{near}"


def test_narrower_terminals_get_other_layouts(eight):
    at = {w: ESCAPE.sub("", to_terminal(eight, w)) for w in (60, 80, 130, 160)}
    assert "Framework" in at[160]
    assert "Framework" not in at[130]
    assert len(rows(at[130])) == 8
    assert len(rows(at[80])) == 16
    assert "Route" not in at[60]


def test_failures_tell_their_reason_and_command_below(mixed):
    text = to_pipe(mixed)
    below = text.split("\n\n")[1].splitlines()
    killed = "the hop's process was killed by signal 9 (out of memory?)"
    assert f"failed pytorch>tflite: {killed}" in below
    assert "  reproduce: shipworthy hop toycnn 'pytorch>tflite' --out out/toycnn" in below
    assert "skipped tensorflow>torchscript: the LibTorch runner is not built" in below
    assert below[-1].startswith("5 of 8 exports pass: 2 failed, 1 skipped.")
    (wrong,) = [row for row in rows(text) if row[2] == "tensorflow>saved_model"]
    assert wrong[3:] == ["253 KB", "failed", "2,944 > 4.10", "tensorflow 2.21.0", *[UNKNOWN] * 4]


def test_a_pipe_keeps_a_long_reason_on_one_line_and_a_terminal_does_not(failed):
    records = [failed("pytorch", "onnx", "a reason " * 60)]
    assert any(len(line) > 500 for line in to_pipe(records).splitlines())
    # Commands alone may be longer than the terminal is wide: they are there to be copied.
    lines = [x for x in to_terminal(records, 60).splitlines() if "reproduce" not in x]
    assert max(len(ESCAPE.sub("", line)) for line in lines) <= 60


def test_an_axis_that_was_lost_is_told(eight):
    assert "note pytorch>tflite: batch is fixed at 2; judged at that size" in to_pipe(eight)


def test_no_color_is_honoured(eight, mixed, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    colours = re.compile(r"\x1b\[(?:\d+;)*[349][0-7][;m]")
    for records in (eight, mixed):
        assert not colours.search(to_terminal(records, 100))
    monkeypatch.delenv("NO_COLOR")
    assert colours.search(to_terminal(eight, 100))


def test_an_ascii_terminal_gets_ascii(mixed):
    text = to_pipe(mixed, encoding="ascii")
    assert " us " in text
    assert "1.11 <= 4.10" in text


def test_markup_and_control_characters_are_text(failed):
    hostile = "[red]x[/red] [/] \x1b[31m \x07"
    text = to_pipe([failed("pytorch", "onnx", hostile, route=None, command=hostile)])
    assert "[red]x[/red] [/]" in text
    assert "\x1b" not in text
    assert "\x07" not in text


def test_one_cell_without_a_benchmark(record):
    text = to_pipe([record(latencies_ns=[], cold_starts_ns=[], peak_rss_bytes=None)])
    assert rows(text)[0][7:] == [UNKNOWN] * 4
    assert text.endswith("\nThe export passes.\n")
