"""The signature that stands in the file, against the model's."""

from dataclasses import replace

import pytest

from shipworthy.convert.artifact import Artifact
from shipworthy.models.spec import Signature, TensorSpec
from shipworthy.serve.readback import check_signature

SIGNATURE = Signature(
    inputs=(
        TensorSpec("image", "float32", ("batch", 3, "height", 8)),
        TensorSpec("length", "int64", ("batch",)),
    ),
    outputs=(
        TensorSpec("logits", "float32", ("batch", 10)),
        TensorSpec("best", "int32", ("batch",)),
    ),
)
ARTIFACT = Artifact(
    model="two", framework="pytorch", route="pytorch>onnx", format="onnx", file="model.onnx",
    sha256="0", size_bytes=1, signature=SIGNATURE,
    native_names={
        "inputs": {"image": "args_0", "length": "args_1"},
        "outputs": {"logits": "output_0", "best": "output_1"},
    },
    dynamic_axes=("batch", "height"), fixed_axes={}, weights_sha256="0", key="k", tools={},
    options={}, notes=(), warnings=(), parent=None, command="c", seconds=1.0, folder=None,
)  # fmt: skip
IMAGE = {"name": "args_0", "dtype": "float32", "shape": [-1, 3, -1, 8]}
LENGTH = {"name": "args_1", "dtype": "int64", "shape": [-1]}
LOGITS = {"name": "output_0", "dtype": "float32", "shape": [-1, 10]}
BEST = {"name": "output_1", "dtype": "int32", "shape": [-1]}


class Declared:
    """What a runner reads from the file."""

    def __init__(self, inputs=(IMAGE, LENGTH), outputs=(LOGITS, BEST)):
        self.inputs, self.outputs = list(inputs), list(outputs)


def test_a_file_that_agrees_has_no_problem():
    assert check_signature(ARTIFACT, Declared()) == []


def test_another_order_is_no_problem():
    assert check_signature(ARTIFACT, Declared([LENGTH, IMAGE], [BEST, LOGITS])) == []


def test_what_a_format_does_not_store_is_no_problem():
    blank = {"dtype": None, "shape": None}
    run = Declared([IMAGE | blank, LENGTH | blank], [LOGITS | blank, BEST | blank])
    assert check_signature(ARTIFACT, run) == []


def problem(**changes):
    (told,) = check_signature(ARTIFACT, Declared(**changes))
    return told


def test_a_missing_name_is_told_with_those_there_are():
    told = problem(inputs=[IMAGE])
    assert told == "input 'length' ('args_1') is not in the file: args_0"
    told = problem(outputs=[LOGITS])
    assert told == "output 'best' ('output_1') is not in the file: output_0"


def test_a_file_without_outputs_is_told():
    told = check_signature(ARTIFACT, Declared(outputs=[]))
    assert told == [
        "output 'logits' ('output_0') is not in the file: none",
        "output 'best' ('output_1') is not in the file: none",
    ]


@pytest.mark.parametrize(
    ("kind", "declared"), [("input", [IMAGE, LENGTH]), ("output", [LOGITS, BEST])]
)
def test_an_extra_tensor_is_told(kind, declared):
    told = problem(**{f"{kind}s": [*declared, LOGITS | {"name": "hidden"}]})
    assert told == f"{kind} 'hidden' of the file is not in the model's signature"


def test_a_renamed_tensor_is_both_missing_and_extra():
    told = check_signature(ARTIFACT, Declared(outputs=[LOGITS, BEST | {"name": "top"}]))
    assert len(told) == 2
    assert "'top' of the file" in told[0]
    assert "'best'" in told[1]


def test_another_dtype_is_told():
    told = problem(outputs=[LOGITS, BEST | {"dtype": "int64"}])
    assert told == "output 'best' has dtype int64 in the file, not int32"


@pytest.mark.parametrize("shape", [[-1], [-1, 10, 1], []])
def test_another_rank_is_told_with_both_shapes(shape):
    told = problem(outputs=[LOGITS | {"shape": shape}, BEST])
    assert told == f"output 'logits' has shape {shape} in the file, not ['batch', 10]"


def test_a_baked_batch_is_told():
    told = problem(outputs=[LOGITS | {"shape": [2, 10]}, BEST])
    assert told == "output 'logits' has axis 0 (batch) fixed at 2 in the file"


def test_another_baked_axis_is_told():
    told = problem(inputs=[IMAGE | {"shape": [-1, 3, 8, 8]}, LENGTH])
    assert told == "input 'image' has axis 2 (height) fixed at 8 in the file"


def test_every_wrong_axis_is_told():
    told = check_signature(ARTIFACT, Declared([IMAGE | {"shape": [2, 3, 8, 9]}, LENGTH]))
    assert len(told) == 3


def test_another_fixed_size_is_told():
    told = problem(inputs=[IMAGE | {"shape": [-1, 1, -1, 8]}, LENGTH])
    assert told == "input 'image' has 1 at axis 1 in the file, not 3"


def test_an_axis_that_is_fixed_in_the_model_may_be_dynamic_in_the_file():
    assert check_signature(ARTIFACT, Declared([IMAGE | {"shape": [-1] * 4}, LENGTH])) == []


FIXED = replace(ARTIFACT, dynamic_axes=("height",), fixed_axes={"batch": 1})


ONE_IMAGE, ONE_LENGTH = IMAGE | {"shape": [1, 3, -1, 8]}, LENGTH | {"shape": [1]}
ONE_LOGITS, ONE_BEST = LOGITS | {"shape": [1, 10]}, BEST | {"shape": [1]}


def test_an_axis_the_manifest_says_is_fixed_is_no_problem():
    run = Declared([ONE_IMAGE, ONE_LENGTH], [ONE_LOGITS, ONE_BEST])
    assert check_signature(FIXED, run) == []
    assert len(check_signature(ARTIFACT, run)) == 4


def test_an_axis_that_is_fixed_at_another_size_than_the_manifest_says_is_told():
    run = Declared([ONE_IMAGE, ONE_LENGTH], [LOGITS | {"shape": [2, 10]}, ONE_BEST])
    assert check_signature(FIXED, run) == ["output 'logits' has 2 at axis 0 in the file, not 1"]


def test_one_fixed_axis_excuses_no_other():
    run = Declared([IMAGE | {"shape": [1, 3, 8, 8]}, ONE_LENGTH], [ONE_LOGITS, ONE_BEST])
    assert check_signature(FIXED, run) == [
        "input 'image' has axis 2 (height) fixed at 8 in the file"
    ]


def test_a_manifest_cannot_call_a_dynamic_axis_fixed():
    # Cases of other sizes would be left out.
    run = Declared([IMAGE, ONE_LENGTH], [ONE_LOGITS, ONE_BEST])
    assert check_signature(FIXED, run) == [
        "input 'image' has axis 0 (batch) dynamic in the file, not 1"
    ]
