import io

import pytest
from rich.console import Console

from shipworthy.report.python_table import print_python


def way(name, **changes):
    return {
        "way": name, "of": "artifact", "package": "onnxruntime 1.32.0",
        "latencies_ns": [[1000] * 50, [1200] * 50], "p50_ns": 1000, "first_ns": [5000, 7000],
        "cold_start_ns": [10**8, 3 * 10**8], "peak_rss_bytes": [10**6, 3 * 10**6], "equal": True,
        "note": "", "ratio": {"value": 2.0, "low": 1.5, "high": 2.5},
        "cpu_ns": [800.0, 900.0], "cpu_ratio": {"value": 1.9, "low": 1.8, "high": 2.1},
        "decision": "slower",
    } | changes  # fmt: skip


def measured(**changes):
    data = {
        "threads": 1, "batch": 1, "case": "random_b1",
        "aa": {"value": 1.01, "low": 0.95, "high": 1.07, "fit": True, "reason": ""},
        "ways": [
            way("runner", ratio=None, cpu_ratio=None, decision=None),
            way("python_package"),
            way("torch_compile", of="original", note="It was compiled."),
        ],
        "unavailable": [],
    }  # fmt: skip
    reasons = changes.pop("reasons", [])
    return {"data": data | changes, "valid": not reasons, "reasons": reasons}


def printed(cell, **options):
    file = io.StringIO()
    print_python([("pytorch/onnx", cell)], Console(file=file, highlight=False, **options))
    return file.getvalue()


def test_a_row_a_way_with_intervals():
    told = printed(measured())
    lines = told.splitlines()
    assert lines[0] == "pytorch/onnx"
    (runner,) = [line for line in lines if line.lstrip().startswith("Python-free runner  ")]
    assert "1.00 µs" in runner
    assert "slower" not in runner
    (package,) = [line for line in lines if line.lstrip().startswith("Python package  ")]
    for part in (
        "850 ns",
        "1.90",
        "1.80 to 2.10",
        "2.00",
        "1.50 to 2.50",
        "slower",
        "2.00 MB",
        "6.00 µs",
        "200 ms",
    ):
        assert part in package
    assert "A/A 1.010 (0.950 to 1.070): fit. Batch 1, 1 thread." in told
    assert "original, torch.compile: It was compiled." in told
    assert all(line == line.rstrip() for line in lines)


def test_what_is_not_there_is_told():
    lost = [{"way": "torch_compile", "of": "original", "reason": "no C++ compiler [here]"}]
    told = printed(measured(unavailable=lost))
    assert "original, torch.compile is unavailable: no C++ compiler [here]" in told


def test_an_original_in_a_package_is_told_apart():
    ways = [
        way("runner", ratio=None, cpu_ratio=None, decision=None),
        way("python_package", of="original"),
    ]
    told = printed(measured(ways=ways))
    assert "original, Python package: onnxruntime 1.32.0" in told


@pytest.mark.parametrize(("aa", "told"), [
    ({"value": 1.4, "low": 1.2, "high": 1.6, "fit": False, "reason": "it differs"},
     "UNFIT, no comparison of this session is to be believed"),
    ({"value": None, "low": None, "high": None, "fit": False, "reason": "too few processes"},
     "A/A: too few processes"),
])  # fmt: skip
def test_an_unfit_session_says_so(aa, told):
    assert told in printed(measured(aa=aa))


def test_invalid_figures_say_why():
    assert "INVALID: the machine was busy" in printed(measured(reasons=["the machine was busy"]))


def test_a_ratio_without_an_interval_and_too_few_runs():
    few = way("eager", latencies_ns=[[1000] * 3],
              ratio={"value": 2.0, "low": None, "high": None}, decision="inconclusive")  # fmt: skip
    told = printed(measured(ways=[few]))
    row = next(line for line in told.splitlines() if line.lstrip().startswith("original, eager  "))
    assert row.count("–") == 3  # noqa: RUF001  no p50, no interval of it, none of the ratio
    assert "inconclusive" in row


def test_a_narrow_terminal_does_not_lose_the_names():
    told = printed(measured(), force_terminal=True, width=60, color_system=None)
    assert "Python-free runner" in told
