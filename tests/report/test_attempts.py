"""What lost a cell is told wherever the cell is."""

from shipworthy.report.attempts import attempt_lines
from shipworthy.report.html import make_html
from shipworthy.report.markdown import make_markdown
from shipworthy.report.records import normalise
from shipworthy.report.scope import of_one
from shipworthy.report.summary import check_summary, make_summary

LOST = [
    {"route": "pytorch>tflite", "status": "passed", "reason": None, "fixed_axes": {"batch": 1},
     "size_bytes": 165_000, "error_ratio": 1.29, "p50_ns": 16_500},
    {"route": "pytorch>onnx>saved_model>tflite", "status": "failed",
     "reason": "onnx>saved_model: no <b>operator</b>\nfor it", "fixed_axes": {},
     "size_bytes": None, "error_ratio": None, "p50_ns": None},
]  # fmt: skip


def test_a_line_a_route(record):
    assert attempt_lines(record(attempts=LOST)) == [
        "pytorch > tflite: passed, batch fixed at 1, error ratio 1.29, p50 16.5 µs, 165 KB",
        "pytorch > onnx > saved_model > tflite: onnx>saved_model: no <b>operator</b> for it",
    ]
    assert attempt_lines(record(attempts=None)) == []


def test_the_reports_tell_them_escaped(record):
    scope = of_one([normalise(record(attempts=LOST))], "out/toycnn")
    page, text = make_html(scope), make_markdown(scope)
    assert "batch fixed at 1" in page
    assert "&lt;b&gt;operator" in page
    assert "Other routes" in text
    assert "&lt;b>operator" in text
    assert "Other routes" not in make_markdown(of_one([normalise(record())], "out/toycnn"))


def test_the_summary_has_them(record):
    summary = make_summary([record(attempts=LOST)])
    check_summary(summary)
    assert summary["cells"][0]["attempts"][0]["p50_ns"] == 16_500
