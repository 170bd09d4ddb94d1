"""One record a cell, from whatever lies in the model's folder."""

import json
import shutil

import pytest

from shipworthy.convert.export import ExportError, read_failure, record_failure
from shipworthy.convert.routes import FORMATS
from shipworthy.report.records import read_records
from shipworthy.report.summary import check_summary, make_summary
from shipworthy.serve.bench import BENCHMARK, Settings
from shipworthy.serve.comparison import Comparison, Validation
from shipworthy.serve.folder import FolderError, ask_for
from shipworthy.serve.judge import VALIDATION
from shipworthy.serve.records import RECORDS, collect, write_records

CELL = ("pytorch", "onnx")
EXPORT, VALIDATE, BENCH = "shipworthy export made --out", "shipworthy validate", "shipworthy bench"


@pytest.fixture
def made(made):
    return type(made)(made.out, cases={"random_b64": 64})


@pytest.fixture
def good(made):
    """One cell, exported, passed and timed."""
    ask_for(made.out, made.model, [CELL])
    made.make_reference()
    made.make_artifact()
    made.make_verdict()
    made.make_benchmark()
    return made


def one(folder):
    """Return the only record, after every reader of it has agreed."""
    (record,) = every(folder)
    return record


def every(folder):
    records = collect(folder.out)
    write_records(folder.out, records)
    read = read_records(folder.out / RECORDS)
    check_summary(make_summary(read))
    for record, again in zip(records, read, strict=True):
        assert {key: again[key] for key in record} == json.loads(json.dumps(record))
    return records


def failed(folder, told, command):
    record = one(folder)
    assert record["status"] == "failed"
    assert told in record["reason"]
    assert record["command"].startswith(command)
    assert str(folder.out) in record["command"] or not command
    for figure in ("latencies_ns", "cold_starts_ns"):
        assert record.get(figure) is None, f"a failed cell has {figure}"
    assert (record["model"], record["framework"], record["format"]) == ("made", *CELL)
    return record


def test_a_cell_that_passed_and_was_timed(good):
    record = one(good)
    assert record["status"] == "passed"
    assert record["reason"] is None
    assert record["route"] == "pytorch>onnx"
    assert record["path"] == "pytorch/onnx/model.onnx"
    assert record["size_bytes"] == 7
    assert record["dynamic_axes"] == ["batch"]
    assert (record["runtime"], record["runtime_version"]) == ("onnxruntime", "1.2.3")
    assert record["yardstick"] == "float64"
    assert 0 < record["error_ratio"] <= record["threshold"]
    assert {c["case"] for c in record["comparisons"]} == {"*", *good.cases}
    assert record["latencies_ns"] == [100] * 20 + [101] * 20
    assert record["cold_starts_ns"] == [3300, 3300]
    assert (record["batch"], record["threads"], record["processes"]) == (1, 1, 2)
    assert record["cpu_per_wall"] == 0.995
    assert record["python_free"] is True
    assert record["command"] == "the hop's command"


def test_what_was_not_timed_has_no_figures_of_speed(good):
    (good.cell() / BENCHMARK).unlink()
    record = one(good)
    assert record["status"] == "passed"
    assert (record["scenario"], record["batch"], record["threads"]) == ("SingleStream", 1, 1)
    assert "latencies_ns" not in record
    (cell,) = make_summary(read_records(good.out / RECORDS))["cells"]
    assert cell["latency_ns"] == {"n": 0, "p50": None, "p90": None, "p99": None}


def test_more_threads_are_told(good):
    good.make_benchmark(settings=Settings(threads=2, processes=2))
    assert one(good)["threads"] == 2


def test_a_benchmark_of_another_verdict_is_ignored(good):
    good.make_benchmark(verdict="an earlier verdict")
    record = one(good)
    assert record["status"] == "passed"
    assert "latencies_ns" not in record
    assert "machine" not in record


def test_a_benchmark_that_failed(good):
    subject = good.make_benchmark()
    subject.write_failure(Settings(), "the timed runs gave wrong outputs")
    failed(good, "not timed: the timed runs gave wrong outputs", BENCH)


def test_an_artifact_that_was_not_judged(good):
    (good.cell() / VALIDATION).unlink()
    failed(good, "exported and not judged", VALIDATE)


def test_an_artifact_that_was_judged_wrong(good):
    wrong = Comparison("*", "y", False, "worst at (3, 1)", 2944.0, 9000.0, 5.0, 8.0)
    good.make_verdict(validation=Validation((wrong,)))
    record = failed(good, "output y of all cases: worst at (3, 1)", VALIDATE)
    assert record["error_ratio"] == 2944.0


def test_an_artifact_with_another_problem(good):
    good.make_verdict(problems=("Python is in the process",))
    record = failed(good, "Python is in the process", VALIDATE)
    assert len(record["comparisons"]) == len(good.cases) + 1


def test_an_artifact_of_which_nothing_was_compared(good):
    good.make_verdict(validation=Validation(()))
    failed(good, "nothing was compared", VALIDATE)


def test_an_artifact_of_other_weights(good):
    good.make_artifact(weights_sha256="older weights")
    failed(good, "other weights", EXPORT)


def test_a_failed_export(good):
    error = ExportError("pytorch>onnx: no such operator", "shipworthy hop made", "logs/x.log")
    record_failure(good.cell(), "made", "pytorch>onnx", error)
    record = one(good)
    assert (record["status"], record["reason"]) == ("failed", "pytorch>onnx: no such operator")
    assert record["command"] == "shipworthy hop made"
    assert record["route"] == "pytorch>onnx"
    assert "path" not in record


def test_a_cell_of_which_there_is_nothing(good):
    shutil.rmtree(good.cell())
    failed(good, "does not exist; export the model first", EXPORT)


def test_a_cell_without_a_reference(good):
    shutil.rmtree(good.out / "pytorch" / "reference")
    failed(good, "does not exist", EXPORT)


DAMAGED = ["", "{", "{}", "[]", "null", "\0\1"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_manifest_is_a_failed_cell(good, text):
    (good.cell() / "artifact.json").write_text(text)
    failed(good, "not a manifest shipworthy wrote", EXPORT)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_reference_is_a_failed_cell(good, text):
    (good.out / "pytorch" / "reference" / "reference.json").write_text(text)
    failed(good, "not a reference shipworthy wrote", EXPORT)


@pytest.mark.parametrize("text", [*DAMAGED, '{"reason": 3}', '{"reason": "so"}'])
def test_a_damaged_failure_is_a_failed_cell(good, text):
    (good.cell() / "failure.json").write_text(text)
    assert read_failure(good.cell()) is not None
    record = one(good)
    assert record["status"] == "failed"
    assert record["reason"]
    assert record["route"] in (None, "pytorch>onnx")


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_verdict_is_no_pass(good, text):
    (good.cell() / VALIDATION).write_text(text)
    failed(good, "exported and not judged", VALIDATE)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_benchmark_is_no_timing(good, text):
    (good.cell() / BENCHMARK).write_text(text)
    record = one(good)
    assert record["status"] == "passed"
    assert "latencies_ns" not in record


@pytest.mark.parametrize("kind", ["artifact.json", "../reference/reference.json", VALIDATION])
def test_a_field_of_another_type_is_a_failed_cell(good, kind):
    """Whichever field it is, and whichever type: a record, not a traceback."""
    path = good.cell() / kind
    whole = json.loads(path.read_text())
    crashed = []
    for field in whole:
        for value in (None, 3, "text", [1], {}):
            path.write_text(json.dumps(whole | {field: value}))
            try:
                assert len(collect(good.out)) == 1
            except Exception as e:
                crashed.append(f"{field} = {value!r}: {e!r}")
    assert not crashed


def test_a_verdict_whose_comparisons_do_not_agree_with_it_is_no_pass(good):
    path = good.cell() / VALIDATION
    data = json.loads(path.read_text())
    data["comparisons"][0]["passed"] = False
    assert data["passed"] is True
    path.write_text(json.dumps(data))
    assert one(good)["status"] == "failed"


def test_records_are_of_what_was_asked_for_in_order(made):
    for framework in ("tensorflow", "pytorch"):
        made.make_reference(framework)
        for format_ in FORMATS:
            made.make_artifact(framework, format_)
            made.make_verdict(framework, format_)
    ask_for(made.out, made.model, [("tensorflow", "tflite"), ("pytorch", "tflite")])
    ask_for(made.out, made.model, [("tensorflow", "onnx")])
    records = every(made)
    assert [(r["framework"], r["format"], r["route"], r["status"]) for r in records] == [
        ("pytorch", "tflite", "pytorch>saved_model>tflite", "passed"),
        ("tensorflow", "onnx", "tensorflow>saved_model>onnx", "passed"),
        ("tensorflow", "tflite", "tensorflow>saved_model>tflite", "passed"),
    ]


def test_one_broken_cell_leaves_the_others_alone(made):
    made.make_reference()
    for format_ in FORMATS:
        made.make_artifact("pytorch", format_)
        made.make_verdict("pytorch", format_)
    ask_for(made.out, made.model, [("pytorch", format_) for format_ in FORMATS])
    (made.cell("pytorch", "torchscript") / "artifact.json").write_text("{")
    assert [r["status"] for r in every(made)] == ["passed", "passed", "failed", "passed"]


def test_a_folder_that_was_asked_for_nothing_is_told(tmp_path):
    with pytest.raises(FolderError, match="holds no export"):
        collect(tmp_path)


def test_writing_tells_whether_anything_is_new(good):
    records = collect(good.out)
    assert write_records(good.out, records)
    assert not write_records(good.out, collect(good.out))
    stamp = (good.out / RECORDS).stat().st_mtime_ns
    assert not write_records(good.out, records)
    assert (good.out / RECORDS).stat().st_mtime_ns == stamp
    good.make_verdict(problems=("wrong",))
    assert write_records(good.out, collect(good.out))
    assert "wrong" in (good.out / RECORDS).read_text()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_damaged_records_are_written_anew(good, content):
    (good.out / RECORDS).write_bytes(content)
    assert write_records(good.out, collect(good.out))
    assert one(good)["status"] == "passed"


def test_a_file_that_changed_after_the_verdict_is_no_pass(good):
    (good.cell() / "model.onnx").write_bytes(b"other weights")
    failed(good, "has changed since it was judged", "shipworthy validate")


def test_a_file_that_was_removed_after_the_verdict_is_no_pass(good):
    (good.cell() / "model.onnx").unlink()
    failed(good, "removed; export again", "shipworthy export")


def test_what_was_judged_against_an_earlier_original_is_no_pass(good):
    good.make_reference(key="the original as it is now")
    record = one(good)
    assert record["status"] == "failed"
    assert "judged against an earlier original" in record["reason"]
