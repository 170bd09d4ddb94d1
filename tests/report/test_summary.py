from __future__ import annotations

import copy
import json
import subprocess
import sys

import jsonschema
import pytest

from shipworthy.report.summary import (
    SummaryError,
    check_summary,
    load_schema,
    make_summary,
    write_summary,
)

# The interface as it was promised. It may grow; a change to this list breaks somebody's CI.
FIELDS = {
    "framework", "format", "route", "precision", "device", "scenario", "batch", "threads",
    "status", "reason", "yardstick", "error_ratio", "threshold", "dynamic_axes", "task_metric",
    "path", "size_bytes", "runtime", "runtime_version", "latency_ns", "cold_start_ns", "load_ns",
    "first_ns", "peak_rss_bytes", "python_free", "valid", "invalid_reasons", "attempts",
}  # fmt: skip
SPEED = ("cold_start_ns", "load_ns", "first_ns", "peak_rss_bytes")


def test_the_schema_is_a_schema_and_every_field_is_required_and_described():
    schema = load_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    cell = schema["$defs"]["cell"]
    assert set(cell["required"]) == set(cell["properties"]) == FIELDS
    assert all(field["description"] for field in cell["properties"].values())
    assert cell.get("additionalProperties", True) is True


def test_a_cell_holds_the_figures_of_its_record(record):
    latencies = [*range(1000, 2000)]
    made = make_summary(
        [record(latencies_ns=latencies, cold_starts_ns=[30, 10, 21, 20], loads_ns=[5, 7, 6])]
    )
    check_summary(made)
    (cell,) = made["cells"]
    assert (made["schema"], made["model"]) == (1, "toycnn")
    assert cell["latency_ns"] == {"n": 1000, "p50": 1499, "p90": 1899, "p99": 1989}
    assert (cell["cold_start_ns"], cell["load_ns"]) == (20, 6)
    assert cell["task_metric"] == {"name": "accuracy", "original": 0.9861, "artifact": 0.9861}
    assert (cell["path"], cell["runtime_version"]) == ("pytorch/onnx/model.onnx", "1.32.0")
    assert (cell["status"], cell["reason"], cell["python_free"]) == ("passed", None, True)
    assert (cell["valid"], cell["invalid_reasons"]) == (True, [])


def test_percentiles_are_null_without_enough_runs(record):
    def points(runs):
        return make_summary([record(latencies_ns=[7] * runs)])["cells"][0]["latency_ns"]

    assert points(661) == {"n": 661, "p50": 7, "p90": 7, "p99": None}
    assert points(63) == {"n": 63, "p50": 7, "p90": None, "p99": None}
    assert points(0) == {"n": 0, "p50": None, "p90": None, "p99": None}


def test_cells_that_did_not_pass_have_reasons_and_no_figures_of_speed(mixed):
    made = make_summary(mixed)
    check_summary(made)
    assert len(made["cells"]) == 8
    bad = [cell for cell in made["cells"] if cell["status"] != "passed"]
    assert [cell["status"] for cell in bad] == ["failed", "failed", "skipped"]
    for cell in bad:
        assert cell["reason"]
        assert cell["latency_ns"] == {"n": 0, "p50": None, "p90": None, "p99": None}
        assert [cell[name] for name in SPEED] == [None] * 4
        assert cell["valid"] is None
    assert bad[1]["error_ratio"] == 2944.2


def test_a_wrong_artifact_that_was_timed_all_the_same_shows_no_speed(record):
    wrong = record(status="failed", reason="wrong")
    assert wrong["latencies_ns"]
    (cell,) = make_summary([wrong])["cells"]
    assert cell["latency_ns"]["n"] == 0
    assert [cell[name] for name in SPEED] == [None] * 4


def test_without_a_benchmark_the_summary_still_holds(record):
    untimed = dict.fromkeys(
        ("cold_starts_ns", "process_starts_ns", "loads_ns", "firsts_ns", "scenario", "batch")
    )
    check_summary(make_summary([record(latencies_ns=[], **untimed)]))


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_the_schema_rejects_a_missing_and_a_changed_field(record, name):
    made = make_summary([record()])
    missing, changed = copy.deepcopy(made), copy.deepcopy(made)
    del missing["cells"][0][name]
    with pytest.raises(SummaryError, match=rf"\$.cells\[0\]: .*{name}"):
        check_summary(missing)
    changed["cells"][0][name] = {"not": "this"}
    with pytest.raises(SummaryError, match=name):
        check_summary(changed)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("schema",), 2), (("model",), ""), (("cells",), []),
        (("cells", 0, "framework"), "caffe"), (("cells", 0, "status"), "ok"),
        (("cells", 0, "scenario"), "Batch"), (("cells", 0, "yardstick"), "atol"),
        (("cells", 0, "reason"), "passed, with a reason"), (("cells", 0, "path"), None),
        (("cells", 0, "latency_ns", "p50"), 1.5), (("cells", 0, "latency_ns", "n"), None),
        (("cells", 0, "cold_start_ns"), -1), (("cells", 0, "error_ratio"), "1.0"),
    ],
)  # fmt: skip
def test_the_schema_rejects_other_values(record, where, value):
    made = make_summary([record()])
    place = made
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    with pytest.raises(SummaryError):
        check_summary(made)


def test_the_schema_rejects_a_failed_cell_with_speed_or_without_reason(failed):
    made = make_summary([failed("pytorch", "onnx", "it crashed")])
    check_summary(made)
    for name, value in (("cold_start_ns", 5), ("reason", None), ("latency_ns", {"n": 3})):
        wrong = copy.deepcopy(made)
        cell = wrong["cells"][0]
        cell[name] = cell[name] | value if isinstance(value, dict) else value
        with pytest.raises(SummaryError, match=name):
            check_summary(wrong)


def test_later_fields_are_allowed(record):
    made = make_summary([record()])
    made["later"] = made["cells"][0]["later"] = made["cells"][0]["latency_ns"]["p999"] = 1
    check_summary(made)


def test_what_the_schema_refuses_is_not_written(tmp_path, record):
    path = tmp_path / "summary.json"
    with pytest.raises(SummaryError, match="framework"):
        write_summary([record() | {"framework": "caffe"}], path)
    assert list(tmp_path.iterdir()) == []


def test_the_summary_is_written_once_and_again_only_if_it_changed(tmp_path, eight):
    path = write_summary(eight, tmp_path / "summary.json")
    assert json.loads(path.read_text()) == make_summary(eight)
    inode = path.stat().st_ino
    write_summary(eight, path)
    assert path.stat().st_ino == inode
    path.write_text(path.read_text().replace('"passed"', '"failed"', 1))
    write_summary(eight, path)
    assert json.loads(path.read_text()) == make_summary(eight)


def test_a_repeat_with_nothing_changed_imports_nothing_slow(tmp_path, eight, write):
    write(tmp_path, eight)
    write_summary(eight, tmp_path / "summary.json")
    program = """
import sys
from pathlib import Path
from shipworthy.report.records import read_records
from shipworthy.report.summary import write_summary
folder = Path(sys.argv[1])
write_summary(read_records(folder / "records.jsonl"), folder / "summary.json")
slow = {"jsonschema", "matplotlib", "jinja2", "rich", "scipy", "torch", "tensorflow"}
print(sorted(slow & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
