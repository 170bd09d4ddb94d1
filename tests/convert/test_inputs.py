"""What a model takes: from its example, from an .npz, from declarations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.inputs import Inputs, find_inputs
from shipworthy.models.given import Given, GivenError
from shipworthy.models.own import Opened


class Net:
    """Stands for a `torch.nn.Module`; nothing here runs it."""

    def forward(self, left: Any, right: Any, scale: float = 1.0) -> None: ...

    def parameters(self) -> Iterator[Any]:
        return iter(())


class Single(Net):
    def forward(self, batch: Any) -> None: ...  # type: ignore[override]


def find(
    *args: Any, model: Any = None, npz: Path | None = None, specs: tuple[str, ...] = (),
    dynamic: str | None = None, **kwargs: Any,
) -> Inputs:  # fmt: skip
    given = Given("/net.py", "python", "f", inputs=npz and str(npz), specs=specs, dynamic=dynamic)
    called = bool(args or kwargs)
    opened = Opened(
        "pytorch", "module", model or Net(), args if called else None, kwargs if called else None
    )
    return find_inputs(given, opened)


LEFT, RIGHT = np.ones((2, 4), np.float32), np.arange(10).reshape(2, 5)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_an_example_names_the_inputs_as_the_author_does() -> None:
    found = find(LEFT, RIGHT, 2.0)
    assert [(s.name, s.dtype, s.shape) for s in found.specs] == [
        ("left", "float32", (2, 4)), ("right", "int64", (2, 5)),
    ]  # fmt: skip
    assert found.arguments is not None
    assert found.arguments["args"][2] == {"value": 2.0}
    assert list(found.cases) == ["example"]


def test_float64_out_of_numpy_is_a_slip() -> None:
    found = find(np.ones((2, 4)), np.float64(2.5))
    assert [s.dtype for s in found.specs] == ["float32", "float32"]
    assert found.notes[0] == "Input left was given as float64 and is taken as float32."


def test_integers_keep_to_what_the_examples_show(tmp_path: Path) -> None:
    npz = save(tmp_path / "c.npz", **{"a/left": LEFT, "a/right": RIGHT + 30})
    found = find(LEFT, RIGHT, npz=npz)
    assert (found.specs[1].low, found.specs[1].high) == (0, 39)
    assert list(found.cases) == ["example", "a"]
    narrower = find(LEFT, RIGHT, specs=("right:int64:batch,seq:2..5",))
    assert narrower.specs[1].shape == ("batch", "seq")
    assert (narrower.specs[1].low, narrower.specs[1].high) == (2, 5)
    assert narrower.asked == ("batch", "seq")


def test_an_npz_alone_is_enough(tmp_path: Path) -> None:
    found = find(npz=save(tmp_path / "c.npz", left=LEFT, right=RIGHT))
    assert found.arguments == {
        "args": [], "kwargs": {"left": {"tensor": "left"}, "right": {"tensor": "right"}},
    }  # fmt: skip
    assert list(found.cases) == ["real"]
    bundled = find(npz=save(tmp_path / "d.npz", a=LEFT, b=RIGHT), model=Single())
    assert bundled.arguments == {
        "args": [{"dict": {"a": {"tensor": "a"}, "b": {"tensor": "b"}}}], "kwargs": {},
    }  # fmt: skip


def test_arrays_without_names_are_taken_in_order(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    np.savez(path, LEFT, RIGHT)
    assert list(find(npz=path).cases["real"]) == ["left", "right"]


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"left": LEFT}, "case 'real' of --inputs has left; the model's inputs are left, right"),
        ({"left": LEFT, "rihgt": RIGHT}, "has left, rihgt; the model's inputs are left, right"),
        ({"left": LEFT, "right": RIGHT + 0.5}, "'right' is float64; the model takes int64"),
        ({"left": LEFT[:0], "right": RIGHT}, "'left' has no value"),
        ({"left": np.array(["a"]), "right": RIGHT}, "is of strings or objects"),
        ({"left": np.array([None]), "right": RIGHT}, "cannot be read as an .npz of plain arrays"),
        ({}, "holds no array"),
    ],
)
def test_cases_that_do_not_fit_say_why(tmp_path: Path, arrays: Any, told: str) -> None:
    with pytest.raises(GivenError, match=told):
        find(LEFT, RIGHT, npz=save(tmp_path / "c.npz", **arrays))


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04 broken", b"not an archive"):
        (tmp_path / "c.npz").write_bytes(content)
        with pytest.raises(GivenError, match=r"cannot be read.*numpy\.savez"):
            find(LEFT, RIGHT, npz=tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("kwargs", "told"),
    [
        ({"specs": ("x:float32:2",)}, "--input names 'x'; the model's inputs are left, right"),
        ({"dynamic": "x:0=batch"}, "--dynamic names 'x'"),
        ({"dynamic": "left:2=t"}, r"axis 2 of 'left', which has 2 axes: \[2, 4\]"),
    ],
)
def test_declarations_that_do_not_fit_say_why(kwargs: Any, told: str) -> None:
    with pytest.raises(GivenError, match=told):
        find(LEFT, RIGHT, **kwargs)


def test_more_or_other_inputs_than_the_model_takes(tmp_path: Path) -> None:
    with pytest.raises(GivenError, match="4 example inputs; the model takes 3: left"):
        find(LEFT, LEFT, LEFT, LEFT)
    with pytest.raises(GivenError, match="called a, b; the model's forward takes left, right"):
        find(npz=save(tmp_path / "c.npz", a=LEFT, b=LEFT))
    with pytest.raises(GivenError, match=r"'left' is float16; allowed: .* give it as float32"):
        find(LEFT.astype(np.float16), RIGHT)
    with pytest.raises(GivenError, match="nothing says what the model's inputs are"):
        find()
