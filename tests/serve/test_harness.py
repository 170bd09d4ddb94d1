"""The C++ harness, tested through the null runtime, which echoes its inputs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shipworthy.serve import build, runners

pytestmark = pytest.mark.matrix

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
MODEL = "x float32 -1,4\n"


@pytest.fixture(scope="session")
def null() -> Path:
    return runners.find("null").path


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sanitized")
    build.configure(folder, ["null"], ["-DSHIPWORTHY_SANITIZE=ON", "-DSHIPWORTHY_WERROR=ON"])
    build.ninja_build(folder, ["shipworthy-run-null"])
    return folder / "bin" / "shipworthy-run-null"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "model.txt").write_text(MODEL)
    np.save(tmp_path / "x.npy", np.arange(24, dtype=np.float32).reshape(6, 4))
    return tmp_path


def call(
    binary: Path, arguments: Sequence[object], folder: Path, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(binary), *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=60, **options,
    )  # fmt: skip


def run(binary: Path, arguments: Sequence[object], folder: Path) -> dict[str, Any]:
    done = call(binary, arguments, folder)
    assert (done.returncode, done.stderr) == (0, "")
    loaded = json.loads(done.stdout)
    assert isinstance(loaded, dict)
    return loaded


def fail(
    binary: Path, arguments: Sequence[object], folder: Path, code: int = 1, **options: Any
) -> str:
    """Run what must fail: empty stdout, one line on stderr."""
    done = call(binary, arguments, folder, **options)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("shipworthy-run-null: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


ONE = ("--model", "model.txt", "--case", "a", "--input", "x=x.npy", "--output", "x=y.npy")


def test_describe_tells_the_runtime_and_its_build(null: Path, work: Path) -> None:
    facts = run(null, ["--describe"], work)
    assert (facts["schema"], facts["runtime"], facts["format"]) == (1, "null", "null")
    assert facts["build"]["standard"] == "c++20"
    assert "-O2" in facts["build"]["flags"]


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3), (2, 1, 3, 1, 2)])
def test_every_dtype_goes_through_unchanged(null: Path, work: Path, shape: tuple[int, ...]) -> None:
    sizes = ",".join(map(str, shape)) or "-"
    (work / "model.txt").write_text("".join(f"{d} {d} {sizes}\n" for d in DTYPES))
    words: list[object] = ["--model", "model.txt", "--case", "a"]
    for seed, dtype in enumerate(DTYPES):
        values = np.random.default_rng(seed).uniform(0, 255, shape)
        np.save(work / f"{dtype}.npy", np.asarray(values).astype(dtype))
        words += ["--input", f"{dtype}={dtype}.npy", "--output", f"{dtype}={dtype}.out"]
    report = run(null, words, work)
    for dtype in DTYPES:
        assert (work / f"{dtype}.out").read_bytes() == (work / f"{dtype}.npy").read_bytes()
    declared = [{"name": d, "dtype": d, "shape": list(shape)} for d in DTYPES]
    assert report["inputs"] == report["outputs"] == declared
    assert report["cases"] == [{"name": "a", "runs": 1, "outputs": declared}]


def test_not_a_number_and_infinity_go_through(null: Path, work: Path) -> None:
    np.save(work / "x.npy", np.float32([[np.nan, np.inf, -np.inf, -0.0]]))
    run(null, ONE, work)
    assert (work / "y.npy").read_bytes() == (work / "x.npy").read_bytes()


def test_version_2_arrays_are_read(null: Path, work: Path) -> None:
    values = np.ones((2, 4), np.float32)
    with (work / "x.npy").open("wb") as stream:
        np.lib.format.write_array(stream, values, version=(2, 0))
    run(null, ONE, work)
    np.testing.assert_array_equal(np.load(work / "y.npy"), values)


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
def test_wrong_usage_is_exit_code_2(null: Path, work: Path, words: list[str], said: str) -> None:
    assert said in fail(null, words, work, code=2)


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
def test_wrong_tensors_are_named(null: Path, work: Path, words: list[str], said: str) -> None:
    (work / "model.txt").write_text(MODEL + "n int64 2\n")
    np.save(work / "n.npy", np.arange(2))
    np.save(work / "w.npy", np.ones((2, 5), np.float32))
    assert said in fail(null, ["--model", "model.txt", "--case", "a", *words], work)


@pytest.mark.parametrize(
    "text", ["", "x float32\n", "x float32 a\n", "x float32 1, 2\n", "\x00\xff"]
)
def test_a_damaged_model_is_an_error(null: Path, work: Path, text: str) -> None:
    (work / "model.txt").write_text(text)
    assert "cannot load model.txt" in fail(null, ONE, work)


def test_folders_and_pipes_are_refused_at_once(null: Path, work: Path) -> None:
    os.mkfifo(work / "pipe")
    for name in (".", "pipe"):
        words = ["--model", "model.txt", "--case", "a", "--input", f"x={name}"]
        assert "not a regular file" in fail(null, words, work)
        assert "not a regular file" in fail(null, ["--model", name], work)


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode()
    size = len(text).to_bytes(2 if version[:1] == b"\x01" else 4, "little")
    return b"\x93NUMPY" + version + size + text + data


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file ends inside the magic string"),
        (b"not an array at all", "does not begin as a .npy file does"),
        (npy(GOOD)[:20], "its header claims"),
        (npy(GOOD, b"0123"), "[1, 4], which is 16 bytes of data; the file has 4"),
        (npy(GOOD, bytes(17)), "which is 16 bytes of data; the file has 17"),
        (npy(GOOD, bytes(16), b"\x03\x00"), "version is 3.0; allowed: 1.0, 2.0"),
        (npy(GOOD.replace("False", "True"), bytes(16)), "Fortran order"),
        (npy(GOOD.replace("<f4", ">f4"), bytes(16)), "'>f4' (big endian); allowed: <f4"),
        (npy(GOOD.replace("<f4", "|O"), bytes(16)), "its dtype is '|O'; allowed"),
        (npy(GOOD.replace("'<f4'", "[('a', '<f4')]"), bytes(16)), "header is not understood"),
        (npy(GOOD.replace("(1, 4)", "(-1, 4)"), bytes(16)), "something but sizes"),
        (npy(GOOD.replace("(1, 4)", "(4611686018427387904, 4)"), bytes(16)), "than any memory"),
        (npy(GOOD.replace("(1, 4)", "(1099511627776, 4)"), bytes(16)), "bytes of data; the file"),
        (npy(GOOD.replace("'shape'", "'shapes'"), bytes(16)), "unexpected key 'shapes'"),
        (npy("{'descr': '<f4'}", bytes(16)), "lacks one of the keys"),
        (npy(GOOD + "{}", bytes(16)), "text after the dict"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "its header claims 4294967295 bytes"),
    ],
)  # fmt: skip
def test_a_faulty_array_is_an_error(null: Path, work: Path, content: bytes, said: str) -> None:
    (work / "x.npy").write_bytes(content)
    line = fail(null, ONE, work)
    assert said in line
    assert "x.npy" in line


def test_a_boolean_is_0_or_1(null: Path, work: Path) -> None:
    (work / "model.txt").write_text("x bool 2\n")
    text = "{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }"
    (work / "x.npy").write_bytes(npy(text, b"\x01\x02"))
    assert "byte 1 of its booleans is 2" in fail(null, ONE, work)


def array_bytes() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(4, dtype=np.float32).reshape(1, 4))
    return stream.getvalue()


def check_mutation(binary: Path, folder: Path, content: bytes) -> None:
    """Whatever the bytes: either what NumPy reads comes out, or one line of error."""
    (folder / "x.npy").write_bytes(content)
    done = call(binary, ONE, folder)
    assert done.returncode in (0, 1), done.stderr
    if done.returncode == 0:
        read = np.load(folder / "x.npy", allow_pickle=False)
        assert np.load(folder / "y.npy").tobytes() == read.tobytes()
    else:
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1


mutations = st.lists(st.tuples(st.integers(0, 143), st.integers(0, 255)), max_size=6)
fuzzed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def mutate(changes: list[tuple[int, int]], length: int) -> bytes:
    content = bytearray(array_bytes())
    for position, value in changes:
        content[position] = value
    return bytes(content[:length])


@fuzzed
@given(changes=mutations, length=st.integers(0, 144))
@example(changes=[], length=144)
def test_random_damage_never_crashes(
    null: Path, work: Path, changes: list[tuple[int, int]], length: int
) -> None:
    check_mutation(null, work, mutate(changes, length))


def test_arguments_come_from_a_file_too(null: Path, work: Path) -> None:
    (work / "a=b.npy").write_bytes((work / "x.npy").read_bytes())
    words = ["--model", "model.txt", "--case", "@home", "--input", "x=a=b.npy"]
    (work / "arguments").write_text("\n".join(words))
    assert run(null, ["@arguments"], work)["cases"][0]["name"] == "@home"


def test_names_of_any_kind_come_through(null: Path, work: Path) -> None:
    name = 'a=%3D"\\\x07é\N{SNOWMAN}'
    (work / "model.txt").write_text(f"{name} float32 -1,4\n")
    case = runners.CaseFiles(name, {name: work / "x.npy"}, {name: work / "y.npy"})
    report = runners.run(runners.find("null"), work / "model.txt", [case])
    assert report.inputs[0]["name"] == report.cases[0]["name"] == name


def test_bytes_that_are_no_text_become_text(null: Path, work: Path) -> None:
    (work / "model.txt").write_bytes(b"a\xff\xc0\x80\xed\xa0\x80b float32 1\n")
    report = run(null, ["--model", "model.txt"], work)
    assert report["inputs"][0]["name"] == "a" + 6 * "\ufffd" + "b"


@pytest.mark.parametrize(("rows", "runs"), [(1, 6), (2, 3), (6, 1)])
def test_rows_are_cut_and_joined(null: Path, work: Path, rows: int, runs: int) -> None:
    (work / "model.txt").write_text(f"x float32 {rows},4\n")
    report = run(null, [*ONE, "--rows", rows], work)
    assert report["cases"][0]["runs"] == runs
    assert report["cases"][0]["outputs"][0]["shape"] == [6, 4]
    assert (work / "y.npy").read_bytes() == (work / "x.npy").read_bytes()


def test_rows_that_do_not_divide_are_an_error(null: Path, work: Path) -> None:
    assert "cannot cut input 'x' of shape [6, 4]" in fail(null, [*ONE, "--rows", 4], work)
    np.save(work / "x.npy", np.float32(1))
    (work / "model.txt").write_text("x float32 -\n")
    assert "it has no axis" in fail(null, [*ONE, "--rows", 1], work)


def test_a_timed_case_must_be_one_slice(null: Path, work: Path) -> None:
    line = fail(null, [*ONE, "--rows", 2, "--bench", "a"], work)
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
    null: Path, work: Path, limits: dict[str, int], least: int, most: int
) -> None:
    words: list[object] = [*ONE, "--null-ns", 1_000_000, "--bench", "a", "--warmup", 3]
    for name, value in limits.items():
        words += [f"--{name}", value, *(("--max-ns", value) if value == 10**10 else ())]
    bench = run(null, words, work)["bench"]
    latencies = bench["latencies_ns"]
    assert least <= len(latencies) <= most
    assert min(latencies) >= 1_000_000
    assert (bench["case"], bench["warmup"]) == ("a", 3)
    assert bench["wall_ns"] >= sum(latencies)
    assert bench["cpu_ns"] > 0


def test_warmup_runs_are_run(null: Path, work: Path) -> None:
    words = [*ONE, "--null-ns", 2_000_000, "--bench", "a", "--min-runs", 1, "--warmup"]
    begin = time.monotonic_ns()
    run(null, [*words, 100], work)
    assert time.monotonic_ns() - begin >= 200_000_000


def test_without_a_case_the_signature_is_told(null: Path, work: Path) -> None:
    report = run(null, ["--model", "model.txt"], work)
    assert report["inputs"] == [{"name": "x", "dtype": "float32", "shape": [-1, 4]}]
    assert (report["cases"], report["first_ns"], report["bench"]) == ([], None, None)


def test_a_cold_start_is_the_sum_of_its_parts(null: Path, work: Path) -> None:
    words = [*ONE, "--null-ns", 3_000_000, "--start-ns", time.monotonic_ns()]
    report = run(null, words, work)
    parts = [report[name] for name in ("process_ns", "load_ns", "first_ns")]
    assert min(parts) > 0
    assert report["first_ns"] >= 3_000_000
    assert sum(parts) <= report["cold_start_ns"] < sum(parts) + 100_000_000
    assert "future" in fail(null, [*ONE, "--start-ns", 2**62], work)


def test_memory_is_this_process_own(null: Path, work: Path) -> None:
    ballast = np.ones(30_000_000)  # a child would inherit this in ru_maxrss
    report = run(null, ONE, work)
    assert 0 < report["loaded_rss_bytes"] <= report["peak_rss_bytes"] < ballast.nbytes / 4
    assert report["os_threads"] == 1
    assert "libc.so.6" in report["mapped_libraries"]
    assert report["python_free"] is True


@pytest.fixture
def preload(tmp_path: Path) -> Callable[[str, str], dict[str, str]]:
    def compile_library(name: str, code: str) -> dict[str, str]:
        (tmp_path / "library.cc").write_text(code)
        words = [build.find_compiler()[0], "-shared", "-fPIC", "library.cc", "-o", name]
        subprocess.run(words, cwd=tmp_path, check=True, timeout=60)
        return {**os.environ, "LD_PRELOAD": str(tmp_path / name)}

    return compile_library


def test_a_python_library_is_seen(
    null: Path, work: Path, preload: Callable[[str, str], dict[str, str]]
) -> None:
    environment = preload("libpython3.99.so.1.0", "int nothing;")
    done = call(null, ONE, work, env=environment)
    report = json.loads(done.stdout)
    assert report["python_free"] is False
    assert "libpython3.99.so.1.0" in report["mapped_libraries"]


@pytest.mark.parametrize(("crash", "name"), [("abort()", "SIGABRT"), ("*(int*)8 = 1", "SIGSEGV")])
def test_a_crash_is_one_line(
    null: Path, work: Path, preload: Callable[[str, str], dict[str, str]], crash: str, name: str
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
    line = fail(null, ONE, work, env=preload("libcrash.so", code))
    assert f"crashed ({name}) while starting; the last it printed: famous last words" in line


def test_what_libraries_print_stays_out(
    null: Path, work: Path, preload: Callable[[str, str], dict[str, str]]
) -> None:
    code = """
    #include <cstdio>
    [[gnu::constructor]] void start() { puts("noise"); fflush(stdout); fputs("noise\\n", stderr); }
    """
    done = call(null, ONE, work, env=preload("libnoise.so", code))
    assert json.loads(done.stdout)["runtime"] == "null"
    assert done.stderr == ""


def test_a_full_disk_is_an_error(null: Path, work: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [null, *ONE], cwd=work, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 1
    assert "stdout could not be written" in done.stderr


def test_outputs_appear_by_rename(null: Path, work: Path) -> None:
    (work / "y.npy").write_text("old")
    before = (work / "y.npy").stat().st_ino
    run(null, [*ONE, "--bench", "a", "--max-runs", 100], work)
    assert (work / "y.npy").stat().st_ino != before
    assert sorted(p.name for p in work.iterdir()) == ["model.txt", "x.npy", "y.npy"]


@pytest.mark.slow
def test_the_sanitizers_find_nothing(sanitized: Path, work: Path) -> None:
    words = [*ONE, "--rows", 6, "--bench", "a", "--max-runs", 100]
    assert run(sanitized, words, work)["cases"][0]["runs"] == 1
    run(sanitized, [*ONE, "--rows", 2], work)
    assert "--frob" in fail(sanitized, ["--frob"], work, code=2)
    for content in (b"", b"\x93NUMPY", npy(GOOD)[:20], npy(GOOD, b"0"), npy("{" * 500)):
        (work / "x.npy").write_bytes(content)
        fail(sanitized, ONE, work)


@pytest.mark.slow
@fuzzed
@given(changes=mutations, length=st.integers(0, 144))
def test_random_damage_does_not_trip_the_sanitizers(
    sanitized: Path, work: Path, changes: list[tuple[int, int]], length: int
) -> None:
    check_mutation(sanitized, work, mutate(changes, length))
