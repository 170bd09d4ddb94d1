"""Reading and writing of .npy files by the C++ harness."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.matrix

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }"
ONE = ("--model", "model.txt", "--case", "a", "--input", "x=x.npy", "--output", "x=y.npy")


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3), (2, 1, 3, 1, 2)])
def test_every_dtype_goes_through_unchanged(harness: Any, shape: tuple[int, ...]) -> None:
    sizes = ",".join(map(str, shape)) or "-"
    (harness.folder / "model.txt").write_text("".join(f"{d} {d} {sizes}\n" for d in DTYPES))
    words: list[object] = ["--model", "model.txt", "--case", "a"]
    for seed, dtype in enumerate(DTYPES):
        values = np.random.default_rng(seed).uniform(0, 255, shape)
        np.save(harness.folder / f"{dtype}.npy", np.asarray(values).astype(dtype))
        words += ["--input", f"{dtype}={dtype}.npy", "--output", f"{dtype}={dtype}.out"]
    report = harness.run(words)
    for dtype in DTYPES:
        assert (harness.folder / f"{dtype}.out").read_bytes() == (
            harness.folder / f"{dtype}.npy"
        ).read_bytes()
    declared = [{"name": d, "dtype": d, "shape": list(shape)} for d in DTYPES]
    assert report["inputs"] == report["outputs"] == declared
    assert report["cases"] == [{"name": "a", "runs": 1, "outputs": declared}]


def test_not_a_number_and_infinity_go_through(harness: Any) -> None:
    np.save(harness.folder / "x.npy", np.array([[np.nan, np.inf, -np.inf, -0.0]], np.float32))
    harness.run(ONE)
    assert (harness.folder / "y.npy").read_bytes() == (harness.folder / "x.npy").read_bytes()


def test_version_2_arrays_are_read(harness: Any) -> None:
    values = np.ones((2, 4), np.float32)
    with (harness.folder / "x.npy").open("wb") as stream:
        np.lib.format.write_array(stream, values, version=(2, 0))
    harness.run(ONE)
    np.testing.assert_array_equal(np.load(harness.folder / "y.npy"), values)


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode()
    size = len(text).to_bytes(2 if version[:1] == b"\x01" else 4, "little")
    return b"\x93NUMPY" + version + size + text + data


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
def test_a_faulty_array_is_an_error(harness: Any, content: bytes, said: str) -> None:
    (harness.folder / "x.npy").write_bytes(content)
    line = harness.fail(ONE)
    assert said in line
    assert "x.npy" in line


def test_a_boolean_is_0_or_1(harness: Any) -> None:
    (harness.folder / "model.txt").write_text("x bool 2\n")
    text = "{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }"
    (harness.folder / "x.npy").write_bytes(npy(text, b"\x01\x02"))
    assert "byte 1 of its booleans is 2" in harness.fail(ONE)


def array_bytes() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(4, dtype=np.float32).reshape(1, 4))
    return stream.getvalue()


def check_mutation(harness: Any, content: bytes) -> None:
    """Whatever the bytes: either what NumPy reads comes out, or one line of error."""
    folder = harness.folder
    (folder / "x.npy").write_bytes(content)
    done = harness.call(ONE)
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
    harness: Any, changes: list[tuple[int, int]], length: int
) -> None:
    check_mutation(harness, mutate(changes, length))


@pytest.mark.slow
@fuzzed
@given(changes=mutations, length=st.integers(0, 144))
def test_random_damage_does_not_trip_the_sanitizers(
    sanitized: Any, changes: list[tuple[int, int]], length: int
) -> None:
    check_mutation(sanitized, mutate(changes, length))


@pytest.mark.slow
def test_the_sanitizers_find_nothing(sanitized: Any) -> None:
    words = [*ONE, "--rows", 6, "--bench", "a", "--max-runs", 100]
    assert sanitized.run(words)["cases"][0]["runs"] == 1
    sanitized.run([*ONE, "--rows", 2])
    assert "--frob" in sanitized.fail(["--frob"], code=2)
    for content in (b"", b"\x93NUMPY", npy(GOOD)[:20], npy(GOOD, b"0"), npy("{" * 500)):
        (sanitized.folder / "x.npy").write_bytes(content)
        sanitized.fail(ONE)
