"""Every model of the zoo by every route: generated, so that a new one is tested by itself."""

import json

import pytest

from shipworthy.convert.routes import FORMATS, find_routes
from shipworthy.models import zoo
from shipworthy.models.spec import FRAMEWORKS
from shipworthy.report.summary import check_summary

# Real sizes take minutes each.
MODELS = [
    pytest.param(name, marks=[pytest.mark.slow] if zoo.get(name).untrained else [])
    for name in zoo.names()
]
CELLS = [
    pytest.param((name, framework, format_), id=f"{name}-{framework}-{format_}", marks=model.marks)
    for model in MODELS
    for name in model.values
    for framework in FRAMEWORKS
    if framework in zoo.get(name).sources
    for format_ in FORMATS
]
# Cells that the first route does not win, with the reason; a test notices when it does.
OTHER_ROUTE = {
    # Keras' loop over the words is unrolled by tracing, so that the length is baked in.
    ("lstm", "tensorflow", "torchscript"),
}

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(1200)]


@pytest.fixture
def record(exported, request):
    name, framework, format_ = request.param
    lines = (exported(name) / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    (found,) = [r for r in records if (r["framework"], r["format"]) == (framework, format_)]
    return found


@pytest.mark.parametrize("record", CELLS, indirect=True)
def test_a_cell_passes(record):
    source = zoo.source(record["model"], record["framework"])
    assert record["status"] == "passed", record["reason"]
    first = str(find_routes(record["framework"], record["format"])[0])
    cell = (record["model"], record["framework"], record["format"])
    assert (record["route"] != first) == (cell in OTHER_ROUTE), record["attempts"]
    assert record["yardstick"] == "float64"
    assert 0 < record["error_ratio"] <= record["threshold"]
    assert record["python_free"] is True
    batches = {c["case"] for c in record["comparisons"]}
    assert {"*", "random_b1", "random_b2", "random_b5"} <= batches
    if source.task is not None:
        assert "task" in batches
        metric = record["task_metric"]
        assert metric["name"] == source.task.metric
        assert metric["artifact"] == pytest.approx(metric["original"], rel=1e-5)
        assert metric["original"] >= source.train.recipe.required
    assert record["fixed_axes"] == {}
    assert record["dynamic_axes"] == list(source.signature.axes)


@pytest.mark.parametrize("name", MODELS)
def test_the_summary_is_what_its_schema_says(exported, name):
    out = exported(name)
    summary = json.loads((out / "summary.json").read_text())
    check_summary(summary)
    assert summary["model"] == name
    assert len(summary["cells"]) == 4 * len(zoo.get(name).sources)
    for cell in summary["cells"]:
        assert (out / cell["path"]).exists()
        assert cell["latency_ns"] == {"n": 0, "p50": None, "p90": None, "p99": None}


@pytest.mark.parametrize("name", MODELS)
def test_reports_are_written(exported, name):
    out = exported(name)
    for report in ("report.md", "report.html"):
        assert name in (out / report).read_text()
