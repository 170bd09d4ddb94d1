"""The reports of a folder of models, and those for machines, of one model and of several."""

from __future__ import annotations

import csv
import io
import json
import re
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from shipworthy.models.errors import WrongUsageError
from shipworthy.report.cells_csv import COLUMNS, make_csv
from shipworthy.report.full_json import make_json, read_json
from shipworthy.report.html import DRAWN, make_html
from shipworthy.report.markdown import make_markdown
from shipworthy.report.records import RecordsError, normalise
from shipworthy.report.scope import Model, Scope, of_one
from shipworthy.report.write import write_zoo
from shipworthy.report.zoo import (
    LedgerError,
    find_models,
    is_zoo,
    read_any,
    read_ledger,
    read_model,
    read_zoo,
)

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reports.md"


def scope_of(*records):
    return of_one([normalise(record) for record in records], "out/toycnn")


def cells(scope):
    return list(csv.DictReader(io.StringIO(make_csv(scope), newline="")))


def test_a_zoo_is_a_folder_of_models(zoo, tmp_path):
    assert is_zoo(zoo)
    assert not is_zoo(zoo / "model0")
    assert not is_zoo(tmp_path)
    assert [path.name for path in find_models(zoo)] == ["model0", "model1", "model2"]
    scope = read_zoo(zoo)
    assert scope.whole
    assert len(scope.records) == 24
    assert [model.page for model in scope] == [f"model{n}/report.html" for n in range(3)]
    assert [claim["number"] for claim in scope.ledger] == [1, 3]
    with pytest.raises(WrongUsageError, match="holds no model's folder"):
        read_zoo(tmp_path)


def test_a_model_shows_the_ledger_beside_it_or_its_own(zoo, tmp_path):
    assert len(read_model(zoo / "model0").ledger) == 2
    assert read_ledger(tmp_path) is None
    (tmp_path / "claims.json").write_text('[{"claim": "c", "verdict": "MIXED"}]')
    assert read_ledger(tmp_path) == [{"claim": "c", "verdict": "MIXED"}]


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]", '[{"claim": "c"}]', '"x"'])
def test_what_is_no_ledger_is_refused_with_its_path(tmp_path, text):
    (tmp_path / "claims.json").write_text(text)
    with pytest.raises(LedgerError, match=r"claims\.json"):
        read_ledger(tmp_path)


@pytest.mark.matrix
@pytest.mark.timeout(600)
def test_as_many_models_as_are_drawn_with_every_measurement_make_a_small_page(tmp_path, zoo_of):
    paths = write_zoo(zoo_of(tmp_path / "zoo", DRAWN))
    assert [path.name for path in paths] == [
        "report.md", "report.html", "report.json", "report.csv",
    ]  # fmt: skip
    sizes = {path.name: path.stat().st_size for path in paths}
    assert sizes["report.html"] < 3_000_000
    assert sizes["report.md"] < 65_536  # what GitHub takes in a comment
    page = paths[1].read_text()
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    referred = re.findall(r'(?:href="#|url\(#|labelledby=")([^")]+)', page)
    assert set(referred) <= set(ids)
    for address in re.findall(r'href="([^#"][^"]*)"', page):
        assert re.fullmatch(r"data:,|model\d+/report\.html(#cell-\d)?", address)


@pytest.mark.matrix
def test_of_very_many_models_the_first_are_drawn_and_all_are_told(record):
    models = [
        Model(f"m{n}", [normalise(record(model=f"m{n}"))], f"out/m{n}", f"m{n}/report.html")
        for n in range(DRAWN + 3)
    ]
    page = make_html(Scope("zoo", models, "out", whole=True))
    assert len(re.findall(r'id="latency-\d+-title"', page)) == DRAWN
    assert f"The figures below are of the first {DRAWN} models" in page
    assert all(f'<a href="m{n}/report.html#cell-1">' in page for n in range(DRAWN + 3))


def test_markdown_of_a_zoo_is_a_row_a_model_and_framework(zoo):
    text = make_markdown(read_zoo(zoo))
    lines = text.splitlines()
    assert lines[0].endswith(": 21 of 24 exports pass: 2 failed, 1 skipped.")
    assert lines[2] == "| Model | From | ONNX | SavedModel | TorchScript | TFLite |"
    assert [line.split(" | ")[:2] for line in lines[4:10]] == [
        [f"| model{n}", framework] for n in range(3) for framework in ("pytorch", "tensorflow")
    ]
    assert "❌ failed" in lines[6]
    assert "**model1 pytorch>tflite failed:** the hop's process was killed" in text
    assert "| 1 | No Python at deployment | REFUTED | 1.03 (0.99 to 1.08) ratio |" in text


def test_csv_is_as_rfc_4180_has_it(record, failed):
    bad = failed("pytorch", "tflite", 'it said "no",\nand more')
    text = make_csv(scope_of(record(), bad))
    lines = text.split("\r\n")
    assert len(lines) == 4
    assert lines[-1] == ""
    assert "\n" not in text.replace("\r\n", "")
    assert '"it said ""no"", and more"' in lines[2]
    first, second = cells(scope_of(record(), bad))
    assert len(first) == len(COLUMNS) == len({name for name, _, _ in COLUMNS})
    assert second["status"] == "failed"
    assert second["p50_ns"] == second["peak_rss_bytes"] == second["python_eager_ratio"] == ""


def test_csv_holds_the_figures(record, measured):
    (row,) = cells(scope_of(measured(record())))
    one = record()
    assert row["p50_ns"] == str(sorted(one["latencies_ns"])[599])
    assert int(row["p90_low_ns"]) <= int(row["p90_ns"]) <= int(row["p90_high_ns"])
    assert row["cold_start_ns"] == str(sorted(one["cold_starts_ns"])[2])
    assert (row["runs"], row["processes"], row["valid"]) == ("1200", "5", "true")
    assert (row["single_stream_valid"], row["offline_valid"]) == ("true", "false")
    assert (row["best_threads"], row["best_batch"]) == ("2", "128")
    assert (row["python_eager_ratio"], row["python_keras_call_ratio"]) == ("8.0", "")
    assert row["footprint_bytes"] == str(24_000_000 + one["size_bytes"])
    assert row["cpu"] == "Imaginary 9000 @ 2.50GHz"


def test_the_columns_are_those_of_the_docs():
    listed = re.findall(r"^\| `([^|]*)` \| ([^|]*) \|$", DOCS.read_text(), re.M)
    assert [(n, meaning) for n, meaning, _ in COLUMNS] == listed


def test_json_holds_every_record_and_comes_back(tmp_path, zoo):
    scope = read_zoo(zoo)
    path = tmp_path / "report.json"
    path.write_text(make_json(scope))
    data = json.loads(path.read_text())
    schema = json.loads((files("shipworthy.report") / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)
    again = read_json(path)
    assert [m.name for m in again] == [m.name for m in scope]
    assert again.records == [dict(record) for record in scope.records]
    assert again.ledger == scope.ledger
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data | {"schema": 2}, schema)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ("[]", "is no report.json"),
        ('{"kind": "shipworthy report", "schema": 2}', "has schema 2; this version reads 1"),
        ('{"kind": "shipworthy report", "schema": 1, "models": []}', "holds no record"),
        (
            '{"kind": "shipworthy report", "schema": 1, "models": [{"model": "m", "records": '
            '[{"schema": 1}]}]}',
            "a record lacks 'status', which every record has",
        ),
        ('{"kind": "shipworthy report", "schema": 1, "models": [3]}', "a record"),
    ],
)
def test_another_json_is_refused(tmp_path, text, told):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(RecordsError, match=re.escape(told)):
        read_json(path)
    with pytest.raises(WrongUsageError, match=re.escape(told)):
        read_any(path)


def test_anything_reported_can_be_read(zoo, tmp_path):
    assert len(read_any(zoo).models) == 3
    assert len(read_any(zoo / "model1").models) == 1
    path = tmp_path / "report.json"
    path.write_text(make_json(read_zoo(zoo)))
    assert len(read_any(path).models) == len(read_any(tmp_path).models) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(WrongUsageError, match="is neither a model's folder nor"):
        read_any(tmp_path / "empty")
