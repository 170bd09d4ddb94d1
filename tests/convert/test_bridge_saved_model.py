"""The bridge as a whole: the file it writes, its layout, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.bridge.lazy import Lazy
from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.spec import Signature, TensorSpec, synthesise

torch: Any = Lazy("torch")
nn: Any = Lazy("torch.nn")
F: Any = Lazy("torch.nn.functional")

pytestmark = [
    pytest.mark.matrix,
    # PyTorch, inside torch.export and run_decompositions.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
]

IMAGE = TensorSpec("image", "float32", ("batch", 3, 8, 8))
LOGITS = TensorSpec("logits", "float32", ("batch", 5))


def module(forward: Any, **parts: Any) -> Any:
    """A module with these parts and this forward."""
    made = type("Made", (nn.Module,), {"forward": forward})()
    for name, part in parts.items():
        setattr(made, name, part)
    return made.eval()


def residual(pooled: bool) -> Any:
    def forward(self: Any, x: Any) -> Any:
        x = self.pool(torch.relu(self.norm(self.stem(x))))
        x = torch.relu(x + self.norm2(self.conv(x)))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        x = torch.cat([x, F.pad(x, (0, 0, 0, 0, 0, 2))], 1)
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1) if pooled else x, 1))

    return module(
        forward, stem=nn.Conv2d(3, 6, 3, padding=1), norm=nn.BatchNorm2d(6),
        pool=nn.MaxPool2d(3, 2, 1), conv=nn.Conv2d(6, 6, 3, padding=1, bias=False),
        norm2=nn.BatchNorm2d(6), gate=nn.Linear(6, 6),
        head=nn.Linear(14 * (1 if pooled else 16), 5),
    )  # fmt: skip


def write(model: Any, folder: Path, inputs: Any = (IMAGE,), outputs: Any = (LOGITS,)) -> Any:
    from shipworthy.convert.bridge.saved_model import write_saved_model

    signature = Signature(tuple(inputs), tuple(outputs))
    sizes = {axis: 2 if axis == "batch" else 9 for axis in signature.axes}
    return write_saved_model(model, signature, synthesise(signature, sizes, 0), folder)


def refused(model: Any, folder: Path, **specs: Any) -> str:
    with pytest.raises(UnsupportedModelError) as caught:
        write(model, folder / "model", **specs)
    assert not (folder / "model").exists()
    return str(caught.value)


@pytest.mark.parametrize(("pooled", "transposes"), [(False, 2), (True, 1)])
def test_transposes_only_where_the_layout_changes(
    tmp_path: Path, pooled: bool, transposes: int
) -> None:
    # One at the input; one more before flattening, unless a single place is left by then.
    told = write(residual(pooled), tmp_path)
    assert told["ops"]["Transpose"] == transposes
    assert told["ops"]["Conv2D"] == 2


def test_layout_survives_channel_shuffle_and_permuted_linear(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        x = self.conv(x)
        y = self.wide(F.layer_norm(x.permute(0, 2, 3, 1), (6,)))
        x = x + y.permute(0, 3, 1, 2)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return F.adaptive_avg_pool2d(self.conv2(x), 1).flatten(1)

    model = module(forward, conv=nn.Conv2d(3, 6, 3), wide=nn.Linear(6, 6), conv2=nn.Conv2d(6, 5, 3))
    # One at the input, one for the shuffle itself: both convolutions, the linear layer and the
    # normalisation share one layout.
    assert write(model, tmp_path)["ops"]["Transpose"] == 2


def test_one_channel_needs_no_transpose(tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    told = write(model.eval(), tmp_path, [TensorSpec("image", "float32", ("batch", 1, 8, 8))])
    assert "Transpose" not in told["ops"]


READER = """
import json, sys
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

folder = sys.argv[1]
loaded = tf.saved_model.load(folder)
serving = loaded.signatures["serving_default"]
inputs = np.load(folder + "/../inputs.npz")
outputs = serving(**{name: tf.constant(inputs[name]) for name in inputs.files})
np.savez(folder + "/../outputs.npz", **{name: t.numpy() for name, t in outputs.items()})
saved = saved_model_pb2.SavedModel.FromString(open(folder + "/saved_model.pb", "rb").read())
graph = saved.meta_graphs[0].graph_def
nodes = list(graph.node) + [n for f in graph.library.function for n in f.node_def]
inputs = serving.structured_input_signature[1]
print(json.dumps({
    "inputs": {k: [t.dtype.name, t.shape.as_list()] for k, t in inputs.items()},
    "outputs": {k: [t.dtype.name, t.shape.as_list()]
                for k, t in serving.structured_outputs.items()},
    "signatures": sorted(loaded.signatures),
    "variables": sorted([v.name, v.shape.as_list()] for v in serving.variables),
    "ops": sorted({n.op for n in nodes}),
    "torch": "torch" in sys.modules,
}))
"""


def test_file_loads_in_tensorflow_alone(tmp_path: Path) -> None:
    def forward(self: Any, image: Any, scale: Any) -> Any:
        x = self.body(image)
        again = self.again(x.flatten(1))
        return {"logits": again * scale, "extra": (again.argmax(1), self.tied(again) > 0)}

    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    model = module(
        forward, body=body, again=nn.Linear(4, 4), tied=nn.Linear(4, 4), unused=nn.Linear(2, 2)
    )
    model.tied.weight = model.again.weight
    inputs = (
        TensorSpec("pixel.values", "float32", ("batch", 3, "height", 8)),
        TensorSpec("scale", "float64", ("batch", 1)),
    )
    outputs = (
        TensorSpec("logits", "float64", ("batch", 4)),
        TensorSpec("class", "int64", ("batch",)),
        TensorSpec("is.positive", "bool", ("batch", 4)),
    )
    folder = tmp_path / "model"
    told = write(model, folder, inputs, outputs)
    arrays = synthesise(Signature(inputs, outputs), {"batch": 5, "height": 11}, seed=3)
    np.savez(tmp_path / "inputs.npz", pixel_values=arrays["pixel.values"], scale=arrays["scale"])
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["torch"] is False
    assert read["signatures"] == ["serving_default"]
    assert read["inputs"] == {
        "pixel_values": ["float32", [None, 3, None, 8]], "scale": ["float64", [None, 1]],
    }  # fmt: skip
    assert read["outputs"] == {
        "logits": ["float64", [None, 4]], "class": ["int64", [None]],
        "is.positive": ["bool", [None, 4]],
    }  # fmt: skip
    # Convolution 2, BatchNorm 4, the shared weight 1, biases 2; no counter, nothing unused.
    names = [name.split(":")[0] for name, _ in read["variables"]]
    assert len(names) == told["variables"] == 9
    assert not [name for name in names if "num_batches_tracked" in name or "unused" in name]
    foreign = [op for op in read["ops"] if "Xla" in op or "PyFunc" in op or "Py" in op]
    assert not foreign
    assert sorted(told["inputs"]) == ["pixel.values", "scale"]
    assert all(":" in native for native in told["outputs"].values())

    actual = np.load(tmp_path / "outputs.npz")
    with torch.no_grad():
        expected = model(*(torch.from_numpy(arrays[spec.name]) for spec in inputs))
    np.testing.assert_allclose(actual["logits"], expected["logits"].numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(actual["class"], expected["extra"][0].numpy())
    np.testing.assert_array_equal(actual["is.positive"], expected["extra"][1].numpy())


def test_unsupported_ops_are_all_named_with_their_lines(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        y = torch.fft.rfft(x.flatten(1)).abs()  # line with the first op
        z = torch.linalg.svdvals(x.flatten(1))  # line with the second op
        return y, z

    text = refused(module(forward), tmp_path, outputs=(LOGITS, LOGITS))
    assert "aten._fft_r2c.default" in text
    assert "aten._linalg_svd.default" in text
    assert "# line with the first op" in text
    assert "# line with the second op" in text
    assert f"{Path(__file__).name}:" in text
    assert "docs/coverage.md" in text
    assert "convolution" in text  # the list of what is supported


def test_unsupported_use_of_an_op_tells_what_is_missing(tmp_path: Path) -> None:
    class Noisy(nn.Module):
        def forward(self, x: Any) -> Any:
            return F.dropout(x, 0.5, training=True)

    model = nn.Sequential(Noisy(), nn.Flatten()).eval()
    text = refused(model, tmp_path)
    assert "dropout" in text
    assert "is random" in text
    assert "module '0'" in text


def test_indices_of_adaptive_pooling_are_refused(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        return F.adaptive_max_pool2d(x, 2, return_indices=True)[1]

    assert "indices" in refused(module(forward), tmp_path)


def test_branch_on_a_dynamic_size_is_refused_with_its_line(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        if x.shape[0] % 2 == 0:  # the branch
            return x.mean((2, 3)) * 2
        return x.mean((2, 3))

    assert "# the branch" in refused(module(forward), tmp_path)


def test_baked_batch_is_refused(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        return x.view(2, -1)[:, :5]

    text = refused(module(forward), tmp_path)
    assert "batch" in text
    assert "signature" in text


def test_branch_on_values_is_refused(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        return x.flatten(1)[:, :5] if x.sum() > 0 else -x.flatten(1)[:, :5]

    assert "torch.where" in refused(module(forward), tmp_path)


def test_training_mode_is_refused(tmp_path: Path) -> None:
    model = residual(True)
    model.norm.train()
    text = refused(model, tmp_path)
    assert "norm" in text
    assert ".eval()" in text


def test_changed_buffer_is_refused(tmp_path: Path) -> None:
    def forward(self: Any, x: Any) -> Any:
        self.count.add_(1)
        return x.flatten(1)[:, :5] * self.count

    model = module(forward)
    model.register_buffer("count", torch.zeros(1))
    assert "count" in refused(model, tmp_path)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ((LOGITS, TensorSpec("more", "float32", ("batch", 5))), ["1 tensors", "more"]),
        ((TensorSpec("logits", "int64", ("batch", 5)),), ["float32", "int64"]),
        ((TensorSpec("logits", "float32", ("batch", 6)),), ["[None, 5]", "6"]),
    ],
)
def test_signature_that_is_not_the_models_is_refused(
    tmp_path: Path, outputs: Any, words: list[str]
) -> None:
    text = refused(residual(True), tmp_path, outputs=outputs)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (lambda x: x.like(x.tensor[:, :1]), "fault of the bridge"),
        (lambda x: x.like(Lazy("tensorflow").cast(x.tensor, "float64")), "float64"),
        (lambda x: x.like(Lazy("tensorflow").reshape(x.tensor, [7, 7])), "ValueError"),
    ],
)
def test_wrong_function_in_the_table_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Any, word: str
) -> None:
    from shipworthy.convert.bridge.table import Entry, table

    monkeypatch.setitem(table(), "relu.default", Entry("relu.default", wrong, "activation"))
    flat = TensorSpec("image", "float32", ("batch", 3))
    model = module(lambda self, x: torch.relu(x))
    text = refused(model, tmp_path, inputs=(flat,), outputs=(flat,))
    assert "aten.relu.default" in text
    assert word in text
