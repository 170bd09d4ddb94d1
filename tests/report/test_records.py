from __future__ import annotations

import json

import pytest

from shipworthy.report.records import RecordsError, cell_name, read_records, reason


def read(tmp_path, *lines):
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return read_records(path)


def test_every_record_is_read_and_unknown_keys_are_kept(tmp_path, record):
    (found,) = read(tmp_path, record() | {"later": 1})
    assert found == record() | {"later": 1}


def test_records_come_in_the_order_of_frameworks_and_formats(tmp_path, eight):
    found = read(tmp_path, *reversed(eight))
    assert [(r["framework"], r["format"]) for r in found] == [
        (f, t)
        for f in ("pytorch", "tensorflow")
        for t in ("onnx", "saved_model", "torchscript", "tflite")
    ]


def test_missing_keys_are_none_but_for_those_that_name_the_cell(tmp_path):
    least = {
        "schema": 1, "model": "m", "framework": "pytorch", "format": "onnx", "status": "failed",
    }  # fmt: skip
    (found,) = read(tmp_path, least)
    assert found["latencies_ns"] is None
    assert found["command"] is None
    assert cell_name(found) == "pytorch>onnx"
    assert reason(found) == "no reason was recorded"
    for name in ("model", "framework", "format", "status"):
        with pytest.raises(RecordsError, match=f"line 1: lacks '{name}'"):
            read(tmp_path, {k: v for k, v in least.items() if k != name})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "has schema 2; this version reads 1"),
        ({"status": "ok"}, "has 'status' = \"ok\"; it must be one of passed, failed, skipped"),
        ({"size_bytes": -1}, "has 'size_bytes' = -1; it must be a whole number of at least 0"),
        ({"size_bytes": True}, "has 'size_bytes' = true"),
        ({"latencies_ns": [1, 2.5]}, "must be a list of whole numbers"),
        ({"error_ratio": "1"}, "must be a number of at least 0"),
        ({"python_free": 1}, "must be true or false"),
        ({"machine": []}, "must be an object"),
        ({"comparisons": []}, "has status 'passed' and no comparison"),
        ({"comparisons": None}, "has status 'passed' and no comparison"),
        (
            {"comparisons": [{"case": "*", "output": "y", "passed": False}]},
            "has status 'passed', but its comparison of 'y' in case '\\*' did not pass",
        ),
        ({"comparisons": [{"case": "*", "output": "y"}]}, "did not pass"),
    ],
)
def test_a_bad_record_is_refused_with_its_line_and_value(tmp_path, record, changes, message):
    good = record("tensorflow")
    with pytest.raises(RecordsError, match=f"records.jsonl, line 3: .*{message}"):
        read(tmp_path, good, "", record() | changes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"schema": 1,', "line 1: is not JSON: .* at column"),
        ("[]", "line 1: is a JSON list; a record is an object"),
        ("", "holds no record; export the model again"),
    ],
)
def test_what_is_not_a_record_is_refused(tmp_path, line, message):
    with pytest.raises(RecordsError, match=message):
        read(tmp_path, line)


def test_a_missing_or_unreadable_file_says_what_to_do(tmp_path):
    with pytest.raises(RecordsError, match="does not exist; export the model first"):
        read_records(tmp_path / "records.jsonl")
    (tmp_path / "records.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(RecordsError, match="cannot be read"):
        read_records(tmp_path / "records.jsonl")


def test_nan_and_infinity_are_not_known(tmp_path, record):
    line = json.dumps(record("pytorch", "onnx", status="failed", error_ratio=float("nan")))
    assert "NaN" in line
    (found,) = read(tmp_path, line)
    assert found["error_ratio"] is None


def test_one_cell_has_one_record(tmp_path, record):
    with pytest.raises(RecordsError, match="line 2: is the same cell as line 1: pytorch>onnx"):
        read(tmp_path, record(), record(reason="again"))
    assert len(read(tmp_path, record(), record(threads=2))) == 2


def test_records_of_two_models_are_refused(tmp_path, record):
    message = "line 2: is of the model 'other', line 1 is of 'toycnn'"
    with pytest.raises(RecordsError, match=message):
        read(tmp_path, record(), record("tensorflow", model="other"))


def test_a_reason_is_one_line(failed):
    assert reason(failed("pytorch", "onnx", "two\n  lines")) == "two lines"
