"""What a user gives on the command line, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipworthy.models.given import Given, GivenError, parse, parse_dynamic, parse_spec


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my net.py"
    path.write_text("")
    return path


def test_a_python_file_with_a_space(file: Path) -> None:
    given = parse(f"{file}:make.it", dynamic="x:0=batch", specs=("x:float32:2,3",))
    assert (given.kind, given.name, given.path) == ("python", "make.it", str(file))
    assert given.title == "make_it"
    assert given.words() == [
        f"{file}:make.it", "--dynamic", "x:0=batch", "--input", "x:float32:2,3",
    ]  # fmt: skip
    assert Given.from_json(given.to_json()) == given


@pytest.mark.parametrize(
    ("word", "options", "told"),
    [
        ("{}", {}, "say what in it builds the model"),
        ("{}:f", {"signature": "s"}, "goes with a SavedModel folder"),
        ("{}:f", {"inputs": "{}"}, "takes an .npz file"),
        ("{}:f", {"weights": "/nowhere.pt"}, "--weights /nowhere.pt is no file"),
        ("/nowhere.py:f", {}, "does not exist"),
        ("{}:f", {"dynamic": "x=batch"}, "is not input:axis=name"),
        ("{}:f", {"specs": ("x:float:2",)}, "is none of float32"),
    ],
)
def test_what_does_not_fit_is_said(
    file: Path, word: str, options: dict[str, object], told: str
) -> None:
    filled = {k: v.format(file) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(GivenError, match=told):
        parse(word.format(file), **filled)


def test_an_input_is_declared_with_axes_and_a_range() -> None:
    spec = parse_spec("ids:int64:batch,seq:0..30521")
    assert (spec.name, spec.dtype, spec.shape, spec.low, spec.high) == (
        "ids", "int64", ("batch", "seq"), 0.0, 30521.0,
    )  # fmt: skip
    assert parse_spec("t:float32:").shape == ()


@pytest.mark.parametrize(
    "text", ["x", "x:float32:0", "x:float32:2:9..1", "x:float32:2:low", ":float32:"]
)
def test_a_bad_declaration_is_refused(text: str) -> None:
    with pytest.raises(GivenError, match="--input"):
        parse_spec(text)


def test_dynamic_axes_of_several_inputs() -> None:
    assert parse_dynamic("x:0=batch, x:1=seq,y:0=batch") == {
        "x": {0: "batch", 1: "seq"},
        "y": {0: "batch"},
    }
