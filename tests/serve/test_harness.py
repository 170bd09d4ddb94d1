"""The C++ harness, tested through the null runtime, which echoes its inputs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.serve import runners, toolchain

pytestmark = pytest.mark.matrix

MODEL = "x float32 -1,4\n"
ONE = ("--model", "model.txt", "--case", "a", "--input", "x=x.npy", "--output", "x=y.npy")


def test_describe_tells_the_runtime_and_its_build(harness: Any) -> None:
    facts = harness.run(["--describe"])
    assert (facts["schema"], facts["runtime"], facts["format"]) == (1, "null", "null")
    assert facts["build"]["standard"] == "c++20"
    assert "-O2" in facts["build"]["flags"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--frob"], "unknown argument '--frob'; allowed: --describe"),
        (["--model"], "--model needs a value"),
        ([], "--model is missing"),
        (["--model", "m", "--threads", "0"], "allowed: whole numbers from 1 to 1024"),
        (["--model", "m", "--threads", "two"], "--threads is 'two'"),
        (["--model", "m", "--rows", "99999999999999999999"], "--rows is '99999999999999999999'"),
        (["--model", "m", "--input", "x=x.npy"], "stands before any --case"),
        (["--model", "m", "--case", "a", "--input", "x.npy"], "it must be NAME=PATH"),
        (["--model", "m", "--case", "a", "--input", "=x.npy"], "it must be NAME=PATH"),
        (["--model", "m", "--case", "a", "--case", "a"], "case 'a' is given twice"),
        ([*ONE, "--input", "x=z.npy"], "gives --input 'x' twice"),
        ([*ONE, "--bench", "b"], "--bench names the case 'b'; given: a"),
        ([*ONE, "--bench", "a", "--min-runs", "9", "--max-runs", "8"], "--min-runs 9 is more than"),
        (["@nowhere"], "cannot read arguments from nowhere"),
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(harness: Any, words: list[str], said: str) -> None:
    assert said in harness.fail(words, code=2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input", "z=x.npy"], "unknown input 'z'; the model has 'x', 'n'"),
        (["--input", "x=x.npy"], "input 'n' is missing; given: 'x'"),
        (["--input", "x=x.npy", "--input", "n=x.npy"],
         "input 'n' is float32; the model takes int64"),
        (["--input", "x=n.npy", "--input", "n=n.npy"],
         "input 'x' is int64; the model takes float32"),
        (["--input", "x=w.npy", "--input", "n=n.npy"],
         "input 'x' has the shape [2, 5]; the model takes [-1, 4] (-1 is any size)"),
        (["--input", "x=x.npy", "--input", "n=n.npy", "--output", "y=y.npy"],
         "asks for output 'y'; the model has 'x', 'n'"),
        (["--input", "x=gone.npy", "--input", "n=n.npy"], "cannot open gone.npy: No such file"),
        (["--input", "x=x.npy", "--input", "n=n.npy", "--output", "x=gone/y.npy"],
         "cannot write gone/y.npy: No such file"),
    ],
)  # fmt: skip
def test_wrong_tensors_are_named(harness: Any, words: list[str], said: str) -> None:
    (harness.folder / "model.txt").write_text(MODEL + "n int64 2\n")
    np.save(harness.folder / "n.npy", np.arange(2))
    np.save(harness.folder / "w.npy", np.ones((2, 5), np.float32))
    assert said in harness.fail(["--model", "model.txt", "--case", "a", *words])


@pytest.mark.parametrize(
    "text", ["", "x float32\n", "x float32 a\n", "x float32 1, 2\n", "\x00\xff"]
)
def test_a_damaged_model_is_an_error(harness: Any, text: str) -> None:
    (harness.folder / "model.txt").write_text(text)
    assert "cannot load model.txt" in harness.fail(ONE)


def test_folders_and_pipes_are_refused_at_once(harness: Any) -> None:
    os.mkfifo(harness.folder / "pipe")
    for name in (".", "pipe"):
        words = ["--model", "model.txt", "--case", "a", "--input", f"x={name}"]
        assert "not a regular file" in harness.fail(words)
        assert "not a regular file" in harness.fail(["--model", name])


def test_arguments_come_from_a_file_too(harness: Any) -> None:
    (harness.folder / "a=b.npy").write_bytes((harness.folder / "x.npy").read_bytes())
    words = ["--model", "model.txt", "--case", "@home", "--input", "x=a=b.npy"]
    (harness.folder / "arguments").write_text("\n".join(words))
    assert harness.run(["@arguments"])["cases"][0]["name"] == "@home"


def test_names_of_any_kind_come_through(harness: Any) -> None:
    name = 'a=%3D"\\\x07é\N{SNOWMAN}'
    (harness.folder / "model.txt").write_text(f"{name} float32 -1,4\n")
    case = runners.CaseFiles(
        name, {name: harness.folder / "x.npy"}, {name: harness.folder / "y.npy"}
    )
    report = runners.run(runners.find("null"), harness.folder / "model.txt", [case])
    assert report.inputs[0]["name"] == report.cases[0]["name"] == name


def test_bytes_that_are_no_text_become_text(harness: Any) -> None:
    (harness.folder / "model.txt").write_bytes(b"a\xff\xc0\x80\xed\xa0\x80b float32 1\n")
    report = harness.run(["--model", "model.txt"])
    assert report["inputs"][0]["name"] == "a" + 6 * "\ufffd" + "b"


@pytest.mark.parametrize(("rows", "runs"), [(1, 6), (2, 3), (6, 1)])
def test_rows_are_cut_and_joined(harness: Any, rows: int, runs: int) -> None:
    (harness.folder / "model.txt").write_text(f"x float32 {rows},4\n")
    report = harness.run([*ONE, "--rows", rows])
    assert report["cases"][0]["runs"] == runs
    assert report["cases"][0]["outputs"][0]["shape"] == [6, 4]
    assert (harness.folder / "y.npy").read_bytes() == (harness.folder / "x.npy").read_bytes()


def test_rows_that_do_not_divide_are_an_error(harness: Any) -> None:
    assert "cannot cut input 'x' of shape [6, 4]" in harness.fail([*ONE, "--rows", 4])
    np.save(harness.folder / "x.npy", np.float32(1))
    (harness.folder / "model.txt").write_text("x float32 -\n")
    assert "it has no axis" in harness.fail([*ONE, "--rows", 1])


def test_a_timed_case_must_be_one_slice(harness: Any) -> None:
    line = harness.fail([*ONE, "--rows", 2, "--bench", "a"])
    assert "a timed case must be one slice" in line


@pytest.mark.parametrize(
    ("limits", "least", "most"),
    [
        ({"min-runs": 7, "max-runs": 7}, 7, 7),
        ({"min-runs": 5, "max-runs": 1000}, 5, 5),
        ({"min-runs": 1, "max-runs": 40, "min-ns": 10**10}, 40, 40),
        ({"min-runs": 10, "max-runs": 1000, "max-ns": 1}, 1, 1),
        ({"min-runs": 1, "max-runs": 1000, "min-ns": 20_000_000}, 2, 20),
    ],
)
def test_the_timed_loop_obeys_its_limits(
    harness: Any, limits: dict[str, int], least: int, most: int
) -> None:
    words: list[object] = [*ONE, "--null-ns", 1_000_000, "--bench", "a", "--warmup", 3]
    for name, value in limits.items():
        words += [f"--{name}", value, *(("--max-ns", value) if value == 10**10 else ())]
    bench = harness.run(words)["bench"]
    latencies = bench["latencies_ns"]
    assert least <= len(latencies) <= most
    assert min(latencies) >= 1_000_000
    assert (bench["case"], bench["warmup"]) == ("a", 3)
    assert bench["wall_ns"] >= sum(latencies)
    assert bench["cpu_ns"] > 0


def test_warmup_runs_are_run(harness: Any) -> None:
    words = [*ONE, "--null-ns", 2_000_000, "--bench", "a", "--min-runs", 1, "--warmup"]
    begin = time.monotonic_ns()
    harness.run([*words, 100])
    assert time.monotonic_ns() - begin >= 200_000_000


def test_without_a_case_the_signature_is_told(harness: Any) -> None:
    report = harness.run(["--model", "model.txt"])
    assert report["inputs"] == [{"name": "x", "dtype": "float32", "shape": [-1, 4]}]
    assert (report["cases"], report["first_ns"], report["bench"]) == ([], None, None)


def test_a_cold_start_is_the_sum_of_its_parts(harness: Any) -> None:
    words = [*ONE, "--null-ns", 3_000_000, "--start-ns", time.monotonic_ns()]
    report = harness.run(words)
    parts = [report[name] for name in ("process_ns", "load_ns", "first_ns")]
    assert min(parts) > 0
    assert report["first_ns"] >= 3_000_000
    assert sum(parts) <= report["cold_start_ns"] < sum(parts) + 100_000_000
    assert "future" in harness.fail([*ONE, "--start-ns", 2**62])


def test_memory_is_this_process_own(harness: Any) -> None:
    ballast = np.ones(30_000_000)  # a child would inherit this in ru_maxrss
    report = harness.run(ONE)
    assert 0 < report["loaded_rss_bytes"] <= report["peak_rss_bytes"] < ballast.nbytes / 4
    assert report["os_threads"] == 1
    assert "libc.so.6" in report["mapped_libraries"]
    assert report["python_free"] is True


@pytest.fixture
def preload(tmp_path: Path) -> Callable[[str, str], dict[str, str]]:
    def compile_library(name: str, code: str) -> dict[str, str]:
        (tmp_path / "library.cc").write_text(code)
        words = [toolchain.find_compiler()[0], "-shared", "-fPIC", "library.cc", "-o", name]
        subprocess.run(words, cwd=tmp_path, check=True, timeout=60)
        return {**os.environ, "LD_PRELOAD": str(tmp_path / name)}

    return compile_library


def test_a_python_library_is_seen(
    harness: Any, preload: Callable[[str, str], dict[str, str]]
) -> None:
    environment = preload("libpython3.99.so.1.0", "int nothing;")
    done = harness.call(ONE, env=environment)
    report = json.loads(done.stdout)
    assert report["python_free"] is False
    assert "libpython3.99.so.1.0" in report["mapped_libraries"]


@pytest.mark.parametrize(("crash", "name"), [("abort()", "SIGABRT"), ("*(int*)8 = 1", "SIGSEGV")])
def test_a_crash_is_one_line(
    harness: Any, preload: Callable[[str, str], dict[str, str]], crash: str, name: str
) -> None:
    code = f"""
    #include <cstdio>
    #include <cstdlib>
    [[gnu::constructor]] void start() {{
      puts("a word\\nfamous last words");
      fflush(stdout);
      {crash};
    }}
    """
    line = harness.fail(ONE, env=preload("libcrash.so", code))
    assert f"crashed ({name}) while starting; the last it printed: famous last words" in line


def test_what_libraries_print_stays_out(
    harness: Any, preload: Callable[[str, str], dict[str, str]]
) -> None:
    code = """
    #include <cstdio>
    [[gnu::constructor]] void start() { puts("noise"); fflush(stdout); fputs("noise\\n", stderr); }
    """
    done = harness.call(ONE, env=preload("libnoise.so", code))
    assert json.loads(done.stdout)["runtime"] == "null"
    assert done.stderr == ""


def test_a_full_disk_is_an_error(harness: Any) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [harness.binary, *ONE],
            cwd=harness.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert "stdout could not be written" in done.stderr


def test_outputs_appear_by_rename(harness: Any) -> None:
    (harness.folder / "y.npy").write_text("old")
    (harness.folder / "other.npy").hardlink_to(harness.folder / "y.npy")
    harness.run([*ONE, "--bench", "a", "--max-runs", 100])
    assert (harness.folder / "other.npy").read_text() == "old"
    assert sorted(p.name for p in harness.folder.iterdir()) == [
        "model.txt",
        "other.npy",
        "x.npy",
        "y.npy",
    ]
