"""The models of real size: the same function in both frameworks, the same in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from shipworthy.models import zoo

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(600)]

# Weights: trainable ones and BatchNorm's statistics; Keras' own documentation has the first two.
SIZES = {"resnet50": 25_636_712, "mobilenetv2": 3_538_984, "bert": 11_170_560}

# Runs a model on the inputs that Keras' signature gives, and prints its size.
RUN = """
import json, sys
import numpy as np
from shipworthy.models import zoo
from shipworthy.models.spec import synthesise

name, framework, path = sys.argv[1:]
inputs = list(synthesise(zoo.source(name, "tensorflow").signature, {"batch": 2}, 0).values())
model = zoo.source(name, framework).build()
if framework == "tensorflow":
    size = model.count_params()
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
else:
    import torch
    tensors = [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]
    size = sum(t.numel() for t in tensors)
    assert not model.training
    inputs = [np.moveaxis(x, -1, 1) if x.ndim == 4 else x.astype(np.int64) for x in inputs]
    with torch.inference_mode():
        outputs = model(*map(torch.from_numpy, map(np.ascontiguousarray, inputs)))
outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
np.savez(path, *(np.asarray(output) for output in outputs))
print(json.dumps(size))
"""


@pytest.mark.parametrize(
    "name",
    ["bert", "mobilenetv2", pytest.param("resnet50", marks=pytest.mark.slow)],
)
def test_both_frameworks_compute_the_same(name, tmp_path):
    assert zoo.get(name).untrained
    outputs = {}
    for framework in ("pytorch", "tensorflow"):
        path = tmp_path / f"{framework}.npz"
        done = subprocess.run(
            [sys.executable, "-c", RUN, name, framework, str(path)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == SIZES[name]
        outputs[framework] = list(np.load(path).values())
    specs = zoo.source(name, "pytorch").signature.outputs
    for spec, ours, theirs in zip(specs, *outputs.values(), strict=True):
        assert ours.shape == spec.resolve({"batch": 2})
        assert 0.3 < theirs.std() < 10  # of a size through all that depth
        assert np.abs(theirs[0] - theirs[1]).max() > 0.01 * theirs.std()  # it looks at its inputs
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_the_zoo_has_nothing_to_train_for_them():
    for name in SIZES:
        zoo.ensure_trained(name, ["pytorch", "tensorflow"])
        assert all(zoo.weights(source) is None for source in zoo.get(name).sources.values())
