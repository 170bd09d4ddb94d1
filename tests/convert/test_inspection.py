"""What is found in a user's own model becomes cases and a signature."""

import numpy as np

from shipworthy.convert.cases import make_cases
from shipworthy.convert.inputs import Inputs
from shipworthy.convert.inspection import _cases
from shipworthy.models.spec import Signature, Source, TensorSpec

X = TensorSpec("x", "float32", ("batch", 2))
SIGNATURE = Signature((X,), (TensorSpec("y", "float32", ("batch", 2)),))


def test_every_case_gets_a_file_name_of_its_own():
    names = ["day 1", "day_1", "day?1", "random_b2", "task", "..", "/"]
    given = {name: {"x": np.full((3, 2), i, "float32")} for i, name in enumerate(names)}
    found = _cases(Inputs((X,), None, given), SIGNATURE)
    assert [case.name for case in found] == [
        "day_1", "day_1_2", "day_1_3", "given_random_b2", "given_task", "case", "case_2",
    ]  # fmt: skip
    source = Source("own", "pytorch", SIGNATURE, lambda: None, cases=lambda: found)
    planned = {case.name: case for case in make_cases(source)}
    assert planned["given_random_b2"].inputs["x"][0, 0] == 3
    assert planned["random_b2"].inputs["x"].shape == (2, 2)
