"""What the sections show of every kind of measurement, and say where there is none."""

from __future__ import annotations

import copy

import pytest

from shipworthy.report.curves import spread
from shipworthy.report.doubts import latency_doubts, tell_doubts
from shipworthy.report.measurements import KINDS, read_measurement, unreadable
from shipworthy.report.records import normalise
from shipworthy.report.scope import Model, Scope, of_one
from shipworthy.report.sections import (
    cold_start,
    environment,
    ledger,
    memory,
    python_cost,
    scaling,
    scenarios,
    verdicts,
)
from shipworthy.report.sections.tradeoff import pareto_front

MEASURED = {
    "threads": (scaling.make_threads, "shipworthy bench out/toycnn --also threads"),
    "batches": (scaling.make_batches, "shipworthy bench out/toycnn --also batches"),
    "sustained": (scaling.make_sustained, "shipworthy bench out/toycnn --also sustained"),
    "python": (python_cost.make, "shipworthy python out/toycnn"),
}


def one(*records):
    return of_one([normalise(record) for record in records], "out/toycnn")


def rows_of(table):
    return {row[0]: dict(zip(table.head, row, strict=True)) for row in table.rows}


@pytest.mark.parametrize("kind", MEASURED)
def test_a_section_without_data_is_one_line_with_its_command(record, kind):
    make, command = MEASURED[kind]
    section = make(one(record()))
    assert not section.figures
    assert not section.tables
    assert [missing.command for missing in section.missing] == [command]


def test_the_other_sections_name_their_commands_too(record, failed):
    nothing = one(failed("pytorch", "onnx", "it crashed"))
    assert [m.command for m in cold_start.make(nothing).missing] == [
        "shipworthy bench out/toycnn --also cold_start"
    ]
    assert [m.command for m in scenarios.make(nothing).missing] == [
        "shipworthy bench out/toycnn --scenario single_stream",
        "shipworthy bench out/toycnn --scenario multi_stream,offline,server",
    ]
    assert [m.command for m in memory.make(one(record(memory_empty_bytes=None))).missing] == [
        "shipworthy bench out/toycnn --also memory", "shipworthy bench out/toycnn --also footprint",
    ]  # fmt: skip
    assert [m.command for m in ledger.make(nothing).missing] == [
        "shipworthy claims --out out/claims"
    ]


def test_a_zoo_names_the_models_that_lack_a_measurement(record):
    models = [Model(name, [normalise(record(model=name))], f"out/{name}") for name in "abcdef"]
    (missing,) = scaling.make_threads(Scope("zoo", models, "out", whole=True)).missing
    assert missing.told == "Thread scaling was not measured"
    models[1] = Model("b", models[1].records, "out/my b")
    with_one = [Model("x", [normalise(measured_threads(record()))], "out/x"), *models[1:]]
    scope = Scope("zoo", with_one, "out", whole=True)
    (missing,) = find_threads(scope)
    assert missing.told == "Thread scaling was not measured of b, c, d and 2 more"
    assert missing.command == "shipworthy bench 'out/my b' --also threads"


def measured_threads(record):
    points = [{"threads": 1, "p50_ns": 5000}, {"threads": 2, "p50_ns": 3000}]
    kind = {"valid": True, "reasons": [], "mode": "quick", "data": {"points": points}}
    return record | {"measurements": {"threads": kind}}


def find_threads(scope):
    from shipworthy.report.sections.section import find_missing, measured

    return find_missing(
        scope, "bench --also threads", lambda m: bool(measured(m, "threads")),
        "Thread scaling was not measured", "threads",
    )  # fmt: skip


def test_every_kind_is_read_and_none_of_a_cell_that_failed(record, measured):
    passed = measured(record())
    assert all(read_measurement(passed, kind) for kind in KINDS)
    wrong = passed | {"status": "failed"}
    assert not any(read_measurement(wrong, kind) for kind in KINDS)
    assert read_measurement(record(), "threads") is None
    assert read_measurement(normalise({"status": "passed"}), "threads") is None


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("kind", "place", "value", "told"),
    [
        ("threads", ("data",), None, "data is no object"),
        ("threads", ("valid",), 1, "threads.valid is '1'"),
        ("threads", ("data", "points", 0, "p50_ns"), -1, "data.points[0].p50_ns is '-1'"),
        ("threads", ("data", "points", 1), 7, "data.points[1] is no object"),
        ("memory", ("data", "peak_rss_bytes"), "1", "data.peak_rss_bytes is '1'"),
        ("server", ("data", "tried"), {}, "data.tried is no list"),
        ("python", ("data", "ways", 1, "ratio"), 2.0, "data.ways[1].ratio is no object"),
        ("footprint", ("data", "libraries", 0, "system"), "no", "system is 'no'"),
    ],
)
def test_what_cannot_be_read_is_told_and_shown_nowhere(record, measured, kind, place, value, told):
    found = copy.deepcopy(measured(record()))
    at = found["measurements"][kind]
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    assert told in unreadable(found, kind)
    assert read_measurement(found, kind) is None
    lines = [m.told for section in (
        scaling.make_threads, memory.make, scenarios.make, python_cost.make,
    ) for m in section(one(found)).missing]  # fmt: skip
    assert any(f"The measurement {kind!r}" in line and told in line for line in lines)


def test_a_missing_field_is_told(record, measured):
    found = copy.deepcopy(measured(record()))
    del found["measurements"]["sustained"]["data"]["windows"]
    assert unreadable(found, "sustained") == "data lacks 'windows'"


def test_tables_have_the_figures_of_the_measurements(record, measured):
    model = one(measured(record()), measured(record("tensorflow", "saved_model"))).models[0]
    threads, batches, sustained = scaling.tables_of(model)
    assert threads.head == ("Export", ">1", ">2", ">4")
    assert rows_of(threads)["pytorch ONNX"][">2"].endswith(" µs")
    assert batches.head[-1] == ">128"
    assert rows_of(sustained)["pytorch ONNX"][">Last over first"] == "1.060 (1.040 to 1.080)"
    (runs,) = scenarios.tables_of(model)
    results = [(row[1], row[2]) for row in runs.rows if row[0] == "pytorch ONNX"]
    assert results == [
        ("SingleStream", "VALID"), ("MultiStream", "VALID"),
        ("Offline", "INVALID: too few queries: 1, at least 24,576"), ("Server", "VALID"),
    ]  # fmt: skip
    (pytorch, tensorflow) = python_cost.tables_of(model)
    ways = {row[1]: row for row in pytorch.rows}
    assert ways["eager"][4] == "\N{MULTIPLICATION SIGN}8.00 (7.44 to 8.80)"
    assert ways["without Python"][4] == "–"  # noqa: RUF001
    assert {row[1] for row in tensorflow.rows} >= {"Keras predict", "tf.function"}
    uses, footprints = memory.tables_of(model)
    assert rows_of(footprints)["pytorch ONNX"][">Libraries"] == "24.0 MB"
    assert rows_of(uses)["pytorch ONNX"][">Peak"] == "30.0 MB"
    (starts,) = cold_start.tables_of(model)
    assert starts.head[-5:] == (
        ">Process",
        ">Libraries",
        ">Model load",
        ">First inference",
        ">Rest",
    )
    assert rows_of(starts)["pytorch ONNX"][">Rest"] == "150 µs"


@pytest.mark.matrix
def test_an_unfit_session_and_an_invalid_run_are_told(record, measured):
    found = copy.deepcopy(measured(record()))
    found["measurements"]["python"]["data"]["aa"]["fit"] = False
    found["measurements"]["threads"] |= {"valid": False, "reasons": ["the load changed"]}
    (figure,) = python_cost.make(one(found)).figures
    assert "Unfit to compare" in figure.caption
    assert "pytorch ONNX" in figure.caption
    (figure,) = scaling.make_threads(one(found)).figures
    assert figure.caption == "INVALID: the load changed (pytorch ONNX)."


def test_the_front_is_what_nothing_beats():
    points = [(1, 9, 5), (2, 8, 5), (3, 8, 5), (2, 8, 5), (9, 1, 5), (1, 9, 6)]
    assert pareto_front(points) == [True, True, False, True, True, False]
    assert pareto_front([]) == []


@pytest.mark.parametrize(
    ("places", "room", "found"),
    [
        ([0.1, 0.9], 1, [0.1, 0.9]),
        ([0.5, 0.5, 0.5], 1, [0.5, 0.7, 0.9]),
        ([0.95, 0.99], 1, [0.8, 1.0]),
        ([-1.0], 1, [0.0]),
        ([0, 0, 0], 0.1, [0, 0.2, 0.4]),
    ],
)
def test_names_keep_apart(places, room, found):
    assert spread(places, room, 0.2) == pytest.approx(found)


def test_differences_of_the_environment_are_told(record):
    other = record("tensorflow", machine=record()["machine"] | {"cpu": "Other", "load_1m": 9.0})
    told = dict(environment.make(one(record(), record(format_="tflite"), other)).data.differences)
    assert told == {
        "CPU": "Imaginary 9000 @ 2.50GHz (toycnn pytorch onnx, toycnn pytorch tflite); "
        "Other (toycnn tensorflow onnx)"
    }
    assert environment.make(one(record())).data.differences == []


def test_the_ledger_tells_verdict_effect_and_reasons(zoo):
    from shipworthy.report.zoo import read_zoo

    first, second = ledger.make(read_zoo(zoo)).data
    assert (first.verdict, first.tone, first.effect) == (
        "REFUTED",
        "failed",
        "1.03 (0.99 to 1.08) ratio",
    )
    assert [(p.title, p.verdict, p.aside) for p in first.parts] == [("ONNX", "SUPPORTED", True)]
    assert (second.verdict, second.tone, second.reasons) == (
        "NOT TESTED", "open", ["there is no browser runtime"],
    )  # fmt: skip


def test_the_best_by_each_measure_passed(mixed):
    scope = one(*mixed)
    labels = {best.label for best in verdicts.make(scope).data.highlights}
    assert labels
    passed = {f"{r['framework']} " for r in mixed if r["status"] == "passed"}
    assert all(any(label.startswith(name) for name in passed) for label in labels)


def test_doubts_are_told_once_for_all_that_share_them():
    one, two = ["kept 1.63 cores busy"], ["kept 1.7 cores busy", "too short"]
    assert tell_doubts([("a", one), ("b", two)], 2) == (
        "INVALID: kept 1.63 cores busy (all; this of a); too short (b)."
    )
    assert tell_doubts([("a", [])], 3) == "INVALID: no reason was recorded (a)."
    assert tell_doubts([], 3) == ""


def test_invalid_latencies_are_told_and_old_records_are_not_doubted(record, eight):
    eight[0] |= {"valid": False, "invalid_reasons": ["the load changed"]}
    assert latency_doubts(eight) == "INVALID: the load changed (pytorch ONNX)."
    assert latency_doubts([record(valid=None)]) == ""
