"""The ledger decides: every verdict of every claim, on evidence made by hand."""

import importlib
import io
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from shipworthy.report.claims.claim import (
    VERDICTS,
    Effect,
    Part,
    above,
    below,
    combine,
    pool,
    pool_fit,
)
from shipworthy.report.claims.counts import mcnemar, share
from shipworthy.report.claims.ledger import claims, make_ledger, read_ledger, write_ledger
from shipworthy.report.claims.show import make_markdown, print_ledger
from shipworthy.serve.experiments.conduct import experiments
from shipworthy.serve.experiments.evidence import Evidence, write_evidence

MACHINE = {"cpu": "a processor", "cores": 2}
FORMATS = ("onnx", "saved_model", "torchscript", "tflite")


def decide(number, **evidence):
    (claim,) = [claim for claim in claims() if claim.number == number]
    assert set(evidence) == set(claim.needs)
    return claim.decide(evidence)


def verdicts(finding):
    return [part.verdict for part in finding.parts]


def ratio(value, spread=0.01):
    return {"value": value, "low": value / (1 + spread), "high": value * (1 + spread)}


WIDE = ratio(1.0, 0.5)


# Every claim


def test_there_are_ten_claims_and_each_says_how_it_is_decided():
    assert [claim.number for claim in claims()] == list(range(1, 11))
    assert len({claim.slug for claim in claims()}) == 10
    for claim in claims():
        assert claim.claim.endswith(".")
        assert len(claim.measurable) > 60
        assert any(verdict in claim.rule for verdict in VERDICTS)
        assert bool(claim.needs) != bool(claim.untested)


def test_every_need_is_an_experiment_and_every_experiment_is_needed():
    known = experiments()
    wanted = {name for claim in claims() for name in claim.needs}
    assert wanted <= known.keys()
    needed = wanted | {need for experiment in known.values() for need in experiment.needs}
    assert needed == known.keys()


@pytest.mark.parametrize(
    ("number", "module", "names"),
    [
        (5, "c05_eager", ["MARGIN"]),
        (6, "c06_training", ["MARGIN"]),
        (7, "c07_code", ["CODE_MARGIN", "SIZE_MARGIN", "LATENCY_MARGIN"]),
        (10, "c10_accuracy", ["ALPHA", "MOST_CHANGED", "SAME_METRIC"]),
    ],
)
def test_margins_are_printed_in_the_rules(number, module, names):
    rule = claims()[number - 1].rule
    file = importlib.import_module(f"shipworthy.report.claims.{module}")
    for value in (getattr(file, name) for name in names):
        assert any(told in rule for told in (f"{value:.0%}", f"{value:.1%}", f"{value:g}"))


def test_the_margins_of_claim_2_are_printed_by_metric():
    from shipworthy.report.claims.c02_mobile import MARGINS

    assert all(f"{metric} {margin:.0%}" in claims()[1].rule for metric, margin in MARGINS.items())


def test_a_claim_without_evidence_is_not_tested_and_says_what_runs_it():
    entries = make_ledger({})
    assert {entry.finding.verdict for entry in entries} == {"NOT TESTED"}
    assert [entry.claim.number for entry in entries if entry.answered] == [3]
    needing = [entry for entry in entries if entry.claim.needs]
    assert all("was not run" in entry.finding.reasons[0] for entry in needing)


def test_a_failed_experiment_is_told_and_not_decided_on():
    failed = Evidence(
        "models", "models", "quick", "key", "2026-01-01", 1.0, MACHINE, None, ("boom",)
    )
    entry = make_ledger({"models": failed})[0]
    assert entry.finding.verdict == "NOT TESTED"
    assert entry.finding.reasons == ("models: boom",)
    assert not entry.answered


# Parts and effects


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["SUPPORTED", "SUPPORTED"], "SUPPORTED"),
        (["REFUTED", "NOT TESTED"], "REFUTED"),
        (["SUPPORTED", "REFUTED"], "MIXED"),
        (["SUPPORTED", "MIXED"], "MIXED"),
        (["SUPPORTED", "REFUTED", "INCONCLUSIVE"], "MIXED"),
        (["SUPPORTED", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["INCONCLUSIVE", "NOT TESTABLE"], "INCONCLUSIVE"),
        (["NOT TESTED", "NOT TESTABLE"], "NOT TESTED"),
        (["NOT TESTABLE"], "NOT TESTABLE"),
    ],
)
def test_parts_make_a_whole(parts, whole):
    assert combine(Part("t", verdict, "") for verdict in parts) == whole
    beside = Part("t", "REFUTED", "", decides=False)
    assert combine([*(Part("t", verdict, "") for verdict in parts), beside]) == whole


@pytest.mark.parametrize(
    ("value", "spread", "is_above", "is_below"),
    [
        (1.2, 0.05, "SUPPORTED", "REFUTED"),
        (1.0, 0.01, "REFUTED", "REFUTED"),
        (0.8, 0.05, "REFUTED", "SUPPORTED"),
        (1.06, 0.05, "INCONCLUSIVE", "REFUTED"),
        (1.0, 0.3, "INCONCLUSIVE", "INCONCLUSIVE"),
    ],
)
def test_the_whole_interval_decides(value, spread, is_above, is_below):
    effect = Effect(**ratio(value, spread), unit="ratio")
    assert above(effect, 0.05) == is_above
    assert below(effect, 0.05) == is_below


def test_no_interval_is_no_answer():
    assert above(None, 0.05) == below(None, 0.05) == "INCONCLUSIVE"
    assert pool([], "ratio") is None
    assert pool([ratio(2), {"value": 2, "low": None, "high": None}], "ratio") is None


def test_pooling_narrows_the_interval_by_the_root_of_the_count():
    one, four = pool([ratio(2, 0.1)], "ratio"), pool([ratio(2, 0.1)] * 4, "ratio")
    assert one.value == pytest.approx(2)
    assert four.value == pytest.approx(2)
    assert four.high / 2 == pytest.approx((one.high / 2) ** 0.5)
    assert pool([ratio(2), ratio(0.5)], "ratio").value == pytest.approx(1)


def test_unfit_sessions_are_left_out_and_too_many_are_no_answer():
    def sessions(*fit):
        return [{"ratio": ratio(2 if good else 9), "fit": good} for good in fit]

    effect, told = pool_fit(sessions(True, True, False), "ratio")
    assert effect.value == pytest.approx(2)
    assert told.startswith("1 of 3 sessions are unfit and left out; with them it would be 3.3")
    assert pool_fit(sessions(True, False, False), "ratio")[0] is None
    assert pool_fit([], "ratio")[0] is None


def test_an_effect_outside_its_interval_is_refused():
    with pytest.raises(ValueError, match="outside"):
        Effect(3.0, 1.0, 2.0, "ratio")


# Counts


@pytest.mark.parametrize(
    ("only", "p"),
    [((0, 0), 1.0), ((5, 5), 1.0), ((0, 1), 1.0), ((0, 10), 2 / 1024), ((1, 9), 22 / 1024)],
)
def test_mcnemars_exact_p(only, p):
    assert mcnemar(*only) == pytest.approx(p)
    assert mcnemar(*only[::-1]) == pytest.approx(p)


def test_mcnemar_takes_many_rows_and_no_negative_ones():
    assert 0 < mcnemar(4000, 5000) < 1e-20
    with pytest.raises(ValueError, match="at least 0"):
        mcnemar(-1, 2)


def test_no_hit_in_n_rows_has_the_bound_that_follows_by_hand():
    nothing = share(0, 360, "share")
    assert (nothing.value, nothing.low) == (0, 0)
    assert nothing.high == pytest.approx(1 - 0.005 ** (1 / 360))
    everything = share(360, 360, "share")
    assert everything.low == pytest.approx(1 - nothing.high)


@settings(deadline=None)
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_has_the_interval_of_clopper_and_pearson(counts):
    from scipy.stats import beta

    hits, rows = counts
    found = share(hits, rows, "share")
    low = beta.ppf(0.005, hits, rows - hits + 1) if hits else 0
    high = beta.ppf(0.995, hits + 1, rows - hits) if hits < rows else 1
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)


@pytest.mark.parametrize("counts", [(0, 0), (2, 1), (-1, 5)])
def test_what_is_no_share_is_refused(counts):
    with pytest.raises(ValueError, match="no share"):
        share(*counts, "share")


# 1 and 8: cells


def models(*names, failed=(), with_python=()):
    """Models exported from both frameworks; cells are named by framework and format."""

    def cell(framework, format_):
        return {
            "framework": framework, "format": format_, "route": f"{framework}>{format_}",
            "status": "failed" if (framework, format_) in failed else "passed",
            "reason": "why" if (framework, format_) in failed else None,
            "python_free": framework not in with_python,
        }  # fmt: skip

    cells = [cell(f, t) for f in ("pytorch", "tensorflow") for t in FORMATS]
    return {"models": [{"model": name, "cells": cells} for name in names]}


def every(framework):
    return {(framework, format_) for format_ in FORMATS}


@pytest.mark.parametrize(
    ("evidence", "parts", "verdict"),
    [
        (models("mlp"), ["SUPPORTED", "REFUTED"], "MIXED"),
        (models("mlp", with_python=["pytorch"]), ["SUPPORTED", "SUPPORTED"], "SUPPORTED"),
        (models("mlp", with_python=["tensorflow"]), ["REFUTED", "REFUTED"], "REFUTED"),
        (models("mlp", failed=every("pytorch")), ["SUPPORTED", "INCONCLUSIVE"], "INCONCLUSIVE"),
    ],
)
def test_no_python(evidence, parts, verdict):
    finding = decide(1, models=evidence)
    assert (verdicts(finding), finding.verdict) == (parts, verdict)


def test_the_effect_of_no_python_is_a_share_of_pytorch_born_artifacts():
    effect = decide(1, models=models("mlp", "cnn")).effect
    assert (effect.value, effect.high) == (1, 1)
    assert effect.low == share(8, 8, "").low


@pytest.mark.parametrize(
    ("failed", "parts", "verdict"),
    [
        ((), ["SUPPORTED", "REFUTED", "NOT TESTABLE"], "MIXED"),
        ({("pytorch", "onnx")}, ["SUPPORTED", "SUPPORTED", "NOT TESTABLE"], "SUPPORTED"),
        (every("tensorflow"), ["REFUTED", "REFUTED", "NOT TESTABLE"], "REFUTED"),
        (
            {("pytorch", "onnx"), ("tensorflow", "tflite")},
            ["MIXED", "MIXED", "NOT TESTABLE"],
            "MIXED",
        ),
    ],
)
def test_networks_that_are_no_chain(failed, parts, verdict):
    finding = decide(8, models=models("recommender", "gan", failed=failed))
    assert (verdicts(finding), finding.verdict) == (parts, verdict)
    assert len(finding.reasons) == 2 * len(failed)


def test_without_the_models_of_claim_8_nothing_is_said():
    assert decide(8, models=models("mlp")).verdict == "INCONCLUSIVE"


# 2: artifacts of either birth


def births(fit=True, **ratios):
    comparisons = [
        {"metric": metric.replace("_", " "), "format": format_, "ratio": found, "fit": fit}
        for metric, found in ratios.items()
        for format_ in FORMATS
    ]
    return {"comparisons": comparisons, "unfit": [] if fit else ["a cell"]}


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (births(size=ratio(1, 0), latency=ratio(1.0)), "REFUTED"),
        (births(size=ratio(0.5, 0), latency=ratio(0.7), cold_start=ratio(0.5)), "SUPPORTED"),
        (births(size=ratio(0.5, 0), latency=ratio(1.0)), "MIXED"),
        (births(size=ratio(1, 0), latency=WIDE), "INCONCLUSIVE"),
        (births(fit=False, latency=ratio(0.5)), "INCONCLUSIVE"),
        (births(), "NOT TESTED"),
    ],
)
def test_mobile(evidence, verdict):
    finding = decide(2, birth=evidence)
    assert finding.verdict == verdict
    assert [p.verdict for p in finding.parts if "phone" in p.title] == ["NOT TESTED"] * 2


# 3 and 4


def test_the_web_waits_for_a_browser():
    finding = decide(3)
    assert finding.verdict == "NOT TESTED"
    assert "browser" in finding.reasons[0]


def language(name, pytorch=True, tensorflow=True, reason=None):
    results = [
        {"model": "mlp", "framework": framework, "format": "onnx", "passed": passed,
         "detail": "" if passed else "wrong"}
        for framework, passed in (("pytorch", pytorch), ("tensorflow", tensorflow))
    ]  # fmt: skip
    return {
        "language": name, "means": "somehow", "reason": reason,
        "results": [] if reason else results,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("languages", "parts", "verdict"),
    [
        ([language("C++"), language("JavaScript")], ["SUPPORTED", "REFUTED"], "MIXED"),
        ([language("C++"), language("C", pytorch=False)], ["SUPPORTED"] * 2, "SUPPORTED"),
        ([language("C++", False, False), language("C")], ["REFUTED"] * 2, "REFUTED"),
        ([language("Java", pytorch=False)], ["MIXED"], "MIXED"),
        ([language("Go", reason="no go toolchain")], ["NOT TESTED"], "NOT TESTED"),
        ([language("C", False, False)], ["INCONCLUSIVE"], "INCONCLUSIVE"),
    ],
)
def test_languages(languages, parts, verdict):
    finding = decide(4, languages={"languages": languages})
    assert (verdicts(finding), finding.verdict) == (parts, verdict)


def test_a_language_that_is_not_tried_says_why():
    finding = decide(4, languages={"languages": [language("C"), language("Go", reason="no go")]})
    assert finding.reasons == ("Go: no go",)
    assert finding.parts[0].told == "no go" or finding.parts[1].told == "no go"


# 5 and 6: speed in Python


def sessions(eager, graph=None, fit=True):
    found = {"eager": eager, "graph": graph}
    comparisons = [
        {
            "model": "mlp",
            "work": work,
            "batch": 1,
            "kind": kind,
            "ratio": one,
            "fit": fit,
            "processor": one,
        }
        for kind, ones in found.items()
        if ones is not None
        for work, one in zip(("inference", "train_step"), ones, strict=True)
    ]
    return {"comparisons": comparisons, "unavailable": []}


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (sessions([ratio(3), ratio(2)], [ratio(1), ratio(0.5)]), "SUPPORTED"),
        (sessions([ratio(0.9), ratio(1)], [ratio(3), ratio(3)]), "REFUTED"),
        (sessions([ratio(3), ratio(0.5)]), "MIXED"),
        (sessions([WIDE, ratio(2)]), "INCONCLUSIVE"),
        (sessions([ratio(3), ratio(3)], fit=False), "INCONCLUSIVE"),
    ],
)
def test_eager(evidence, verdict):
    finding = decide(5, eager=evidence)
    assert finding.verdict == verdict
    assert [part.decides for part in finding.parts] == ["eager" in p.title for p in finding.parts]


def test_a_busy_machine_is_told():
    evidence = sessions([ratio(3), ratio(3)], fit=False)
    evidence["comparisons"][0]["busy"] = ["other processes kept 2.00 cores busy"]
    (told,) = decide(5, eager=evidence).reasons
    assert told.endswith("1 of 2 sessions: other processes kept 2.00 cores busy")


def trainings(quality, throughput, fit=True):
    one = {"model": "mlp", "quality": quality, "throughput": throughput, "fit": fit}
    return {"models": [one, one | {"model": "cnn"}], "unavailable": []}


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (trainings(ratio(2), ratio(2)), "SUPPORTED"),
        (trainings(ratio(1), ratio(0.8)), "REFUTED"),
        (trainings(ratio(2), ratio(1)), "MIXED"),
        (trainings(WIDE, ratio(2)), "INCONCLUSIVE"),
        (trainings(ratio(2), ratio(2), fit=False), "INCONCLUSIVE"),
        ({"models": [], "unavailable": ["mlp: it failed"]}, "INCONCLUSIVE"),
    ],
)
def test_training(evidence, verdict):
    finding = decide(6, training=evidence)
    assert finding.verdict == verdict
    assert verdicts(finding)[-1] == "NOT TESTABLE"


# 7: code


def code(pytorch=20, tensorflow=10, classes=0, fit=(False, True), reached=0.97):
    def counted(statements, defined=0):
        return {"statements": statements, "lines": statements, "classes": defined}

    def program(statements):
        return {"statements": statements, "quality": reached, "required": 0.95}

    model = {"pytorch": counted(pytorch, classes), "tensorflow": counted(tensorflow)}
    return {
        "models": [{"model": "mlp", **model}], "loops": {"pytorch": 30, "tensorflow": 30},
        "programs": {"pytorch": program(16), "tensorflow": program(5)},
        "fit": dict(zip(("pytorch", "tensorflow"), fit, strict=True)),
    }  # fmt: skip


def exports(latency=None, size=1.0, sequential=True, fit=True):
    one = {
        "format": "onnx", "sequential": sequential, "subclass": True, "size": size,
        "latency": latency or ratio(1.0), "fit": fit,
    }  # fmt: skip
    return {"formats": [one]}


SAVED = ["SUPPORTED", "REFUTED", "SUPPORTED", "SUPPORTED"]


@pytest.mark.parametrize(
    ("code_", "exports_", "parts"),
    [
        (code(), exports(), [*SAVED, "REFUTED"]),
        (code(classes=1), exports(latency=ratio(2)), [SAVED[0], "SUPPORTED", *SAVED[2:], SAVED[0]]),
        (code(), exports(sequential=False), [*SAVED, "SUPPORTED"]),
        (code(), exports(size=1.5), [*SAVED, "SUPPORTED"]),
        (code(), exports(latency=WIDE), [*SAVED, "INCONCLUSIVE"]),
        (code(), exports(fit=False), [*SAVED, "INCONCLUSIVE"]),
        (code(10, 20, fit=(True, True)), exports(), ["REFUTED"] * 3 + ["SUPPORTED", "REFUTED"]),
        (code(reached=0.5), exports(), [*SAVED[:3], "INCONCLUSIVE", "REFUTED"]),
    ],
)
def test_code(code_, exports_, parts):
    finding = decide(7, code=code_, sequential=exports_)
    assert verdicts(finding) == [*parts, "NOT TESTABLE"]
    assert finding.verdict == combine(finding.parts)


def test_statements_and_lines_that_disagree_are_mixed():
    evidence = code()
    evidence["models"][0]["pytorch"]["lines"] = 1
    assert verdicts(decide(7, code=evidence, sequential=exports()))[2] == "MIXED"


# 9: TensorBoard


def board(tensorflow=False, pytorch=False, readable=(True, True), alone=False):
    def install(brings):
        return {"package": "p", "version": "1", "closure": ["a"], "brings": brings}

    def written(can):
        beside = {"written": True, "readable": can, "detail": "3 of 3"}
        return {"beside": beside, "alone": {"written": alone, "readable": alone, "detail": "no"}}

    return {
        "installs": {"tensorflow": install(tensorflow), "pytorch": install(pytorch)},
        "files": {"tensorflow": written(readable[0]), "pytorch": written(readable[1])},
    }


@pytest.mark.parametrize(
    ("evidence", "parts", "verdict"),
    [
        (board(), ["REFUTED", "SUPPORTED", "REFUTED"], "MIXED"),
        (board(True, readable=(True, False)), ["SUPPORTED"] * 3, "SUPPORTED"),
        (board(pytorch=True), ["REFUTED"] * 3, "REFUTED"),
        (board(readable=(None, None)), ["REFUTED", "SUPPORTED", "NOT TESTED"], "MIXED"),
        (board(readable=(False, False)), ["REFUTED", "SUPPORTED", "INCONCLUSIVE"], "MIXED"),
    ],
)
def test_tensorboard(evidence, parts, verdict):
    finding = decide(9, tensorboard=evidence)
    assert (verdicts(finding), finding.verdict) == (parts, verdict)


# 10: accuracy


def cells(changed=0, lost=0, won=0, rows=3600, count=4):
    one = {
        "model": "mlp", "framework": "pytorch", "format": "onnx", "rows": rows,
        "only_original": lost, "only_artifact": won, "changed": changed,
    }  # fmt: skip
    return [one] * count


def kept(artifact=0.9):
    return [
        {"model": "gan", "framework": "pytorch", "format": "onnx", "metric": "score",
         "original": 0.9, "artifact": artifact}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "others", "parts", "verdict"),
    [
        (cells(), kept(), ["SUPPORTED", "SUPPORTED"], "SUPPORTED"),
        (cells(changed=30, lost=30), kept(0.8), ["REFUTED", "REFUTED"], "REFUTED"),
        (cells(changed=30, lost=30), kept(), ["REFUTED", "SUPPORTED"], "MIXED"),
        (cells(rows=100), kept(), ["INCONCLUSIVE", "SUPPORTED"], "INCONCLUSIVE"),
        (cells(changed=100, lost=50, won=50), [], ["INCONCLUSIVE", "NOT TESTED"], "INCONCLUSIVE"),
        ([], [], ["NOT TESTED", "NOT TESTED"], "NOT TESTED"),
    ],
)
def test_accuracy(classes, others, parts, verdict):
    finding = decide(10, accuracy={"cells": classes, "others": others, "left_out": []})
    assert (verdicts(finding), finding.verdict) == (parts, verdict)


# The ledger


def evidence_of(experiment, data):
    return Evidence(
        experiment, f"what {experiment} does", "quick", "key", "2026-01-02T03:04:05+00:00", 60.0,
        MACHINE, data, (), (("records", "models/mlp/records.jsonl"),),
    )  # fmt: skip


EVERYTHING = {
    "models": models("recommender", "gan"),
    "birth": births(size=ratio(1, 0), latency=ratio(1.0)),
    "languages": {"languages": [language("C++"), language("C")]},
    "eager": sessions([ratio(3), ratio(2)]),
    "training": trainings(ratio(2), ratio(2)),
    "code": code(),
    "sequential": exports(),
    "tensorboard": board(),
    "accuracy": {"cells": cells(), "others": kept(), "left_out": []},
}


def test_the_ledger_is_the_same_when_its_evidence_is_read_back(tmp_path):
    evidence = {name: evidence_of(name, data) for name, data in EVERYTHING.items()}
    for one in evidence.values():
        write_evidence(tmp_path, one)
    entries = read_ledger(tmp_path)
    # The key is made up, so that all of it is of another version.
    told = [e.to_json() for e in make_ledger(evidence, EVERYTHING)]
    assert [e.to_json() for e in entries] == told
    assert all(entry.answered for entry in entries)
    markdown = make_markdown(entries)
    write_ledger(tmp_path, entries, markdown)
    written = json.loads((tmp_path / "claims.json").read_text())
    assert written == [entry.to_json() for entry in entries]
    assert (tmp_path / "claims.md").read_text() == markdown


def test_old_evidence_is_decided_on_and_called_old():
    evidence = {"models": evidence_of("models", EVERYTHING["models"])}
    fresh, old = (make_ledger(evidence, names)[0].finding for names in ((), ("models",)))
    assert (fresh.verdict, fresh.reasons) == (old.verdict, old.reasons[:-1])
    assert "'models' is of an earlier version" in old.reasons[-1]


def test_an_entry_has_the_fields_that_reports_read():
    (entry,) = [e for e in make_ledger({"models": evidence_of("models", EVERYTHING["models"])})
                if e.claim.number == 1]  # fmt: skip
    told = entry.to_json()
    assert set(told) == {
        "number", "slug", "claim", "measurable", "rule", "verdict", "effect", "evidence", "meaning",
        "reasons", "parts",
    }  # fmt: skip
    assert set(told["effect"]) == {"value", "low", "high", "unit"}
    assert told["evidence"] == [
        {"title": "what models does", "path": "evidence/models.json"},
        {"title": "records", "path": "models/mlp/records.jsonl"},
    ]


def test_people_are_shown_every_claim_its_rule_and_its_origin():
    entries = make_ledger({name: evidence_of(name, data) for name, data in EVERYTHING.items()})
    markdown = make_markdown(entries)
    console = Console(width=140, file=io.StringIO())
    print_ledger(entries, console)
    printed = console.file.getvalue()
    assert "a processor, 2 cores" in markdown
    assert "mode quick" in markdown
    for entry in entries:
        assert f"## {entry.claim.number}. {entry.finding.verdict}" in markdown
        assert entry.finding.verdict in printed
    flat = " ".join(markdown.split())
    for entry in entries:
        assert entry.finding.meaning in flat
    for line in markdown.splitlines():
        assert line.startswith("|") or len(line) <= 100 or " " not in line[20:]


def test_text_of_evidence_cannot_break_the_table():
    (entry,) = [e for e in make_ledger({}) if e.claim.number == 1]
    evil = replace(entry, finding=replace(entry.finding, meaning="a | b\n<b>c</b> *d*\x1b[31m"))
    markdown = make_markdown([evil])
    assert "\x1b" not in markdown
    assert "\\<b>" in markdown
    assert "a \\| b \\<b>" in markdown
