"""Names and inputs out of files that may come from anywhere."""

from __future__ import annotations

import pytest

from shipworthy.models.given import Given
from shipworthy.models.own import OwnModelError, declare, plain_names
from shipworthy.models.spec import TensorSpec

GIVEN = Given("model.onnx", "onnx")


def test_names_of_files_become_plain_ones_in_order() -> None:
    names = ["input.1", "onnx::Add_0", "/a/Conv:0", "../../x", "0", "", "input_1", "größe"]
    assert plain_names(names) == {
        "input_1": "input.1",
        "onnx_Add_0": "onnx::Add_0",
        "a_Conv_0": "/a/Conv:0",
        "x": "../../x",
        "_0": "0",
        "tensor": "",
        "input_1_": "input_1",
        "gr_e": "größe",
    }


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("N", 3, "height", "unk__6"), ("batch", 3, "height", "unk__6")),
        ((None, None, 8), ("batch", "dim_1", 8)),
        ((2, "a+b", "batch", "2x"), (2, "a_b", "dim_2", "dim_3")),
        ((), ()),
    ],
)
def test_the_first_dynamic_axis_is_the_batch(shape: tuple[object], expected: tuple[object]) -> None:
    assert declare(GIVEN, "x", "float32", shape).shape == expected  # type: ignore[arg-type]


def test_pixels_have_their_range() -> None:
    assert declare(GIVEN, "x", "uint8", (None,)) == TensorSpec("x", "uint8", ("batch",), 0, 255)


@pytest.mark.parametrize("dtype", ["string", "float16", "complex64"])
def test_a_dtype_that_no_runtime_is_given(dtype: str) -> None:
    with pytest.raises(OwnModelError, match=f"input 'x' of model.onnx is {dtype}"):
        declare(GIVEN, "x", dtype, (2,))


def test_an_unknown_rank_has_to_be_told() -> None:
    with pytest.raises(OwnModelError, match="--input x:float32:batch,8"):
        declare(GIVEN, "x", "float32", None)
    told = Given("model.onnx", "onnx", specs=("y:int64:3", "x:float32:batch,4"))
    assert declare(told, "x", "float32", None).shape == ("batch", 4)
