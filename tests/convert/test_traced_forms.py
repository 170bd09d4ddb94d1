"""What PyTorch's exporters lack or fix to the traced values, seen in ONNX and TorchScript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.bridge.lazy import Lazy
from shipworthy.models.spec import Signature, Source, TensorSpec, synthesise

torch: Any = Lazy("torch")
nn: Any = Lazy("torch.nn")

pytestmark = [
    pytest.mark.matrix,
    # PyTorch, inside torch.export and run_decompositions.
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning"),
    # PyTorch, of tracing as such; of nested tensors, in eager mode.
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning"),
]

X = TensorSpec("x", "float32", ("batch", "seq", 4))


def several(self: Any, x: Any) -> Any:
    return (
        x.mean(1), x.median(), x.median(1, keepdim=True)[0], x.kthvalue(2, -1).indices,
        x.cumprod(1), x.cumprod(0), torch.cdist(x, x), torch.cdist(x, x, p=1.0),
        torch.cdist(x, x, p=3.0), torch.cdist(x, x, p=float("inf")), torch.tensor(2.5),
    )  # fmt: skip


def test_onnx_has_what_torch_lacks_under_the_names_given(tmp_path: Path) -> None:
    import onnxruntime

    from shipworthy.convert.formats.onnx import from_pytorch

    model = type("Several", (nn.Module,), {"forward": several})().eval()
    # PyTorch calls values inside the graph so too: the mean, and the second of two medians.
    names = ["mean", "median", "median_1", *(f"output_{i}" for i in range(3, 11))]
    answers = model(torch.ones(2, 8, 4))
    outputs = tuple(
        TensorSpec(name, str(t.dtype).removeprefix("torch."), tuple("abcd"[: t.dim()]))
        for name, t in zip(names, answers, strict=True)
    )
    signature = Signature((X,), outputs)
    path = tmp_path / "model.onnx"
    from_pytorch(model, Source("m", "pytorch", signature, build=lambda: model), path)
    session = onnxruntime.InferenceSession(path)
    assert [value.name for value in session.get_outputs()] == names
    assert session.get_inputs()[0].shape == ["batch", "seq", 4]
    for sizes in ({"batch": 3, "seq": 5}, {"batch": 1, "seq": 11}):
        arrays = synthesise(signature, sizes, 1)
        expected = model(torch.from_numpy(arrays["x"]))
        for actual, wanted in zip(session.run(None, arrays), expected, strict=True):
            np.testing.assert_allclose(actual, wanted.numpy(), rtol=2e-6, atol=2e-6)


def test_a_traced_encoder_does_what_the_mask_says() -> None:
    from shipworthy.convert.bridge.tracing import masks_kept

    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8)).eval()

    class Padded(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, x: Any, padding: Any) -> Any:
            return self.encoder(x, src_key_padding_mask=padding)

    model, x = Padded().eval(), torch.randn(3, 6, 8)
    at_the_end = torch.tensor([[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1], [0] * 6]).bool()
    masks = {"none": torch.zeros(3, 6).bool(), "end": at_the_end, "begin": at_the_end.flip(1)}
    with torch.no_grad():
        expected = {name: model(x, mask) for name, mask in masks.items()}
        # Zeros in place of padding, after the last norm its bias: at the end only.
        assert not expected["end"][0, 4:].any()
        assert expected["begin"][0, :2].any()
        for example in masks.values():
            with masks_kept():
                traced = torch.jit.trace(model, (x, example), check_trace=False)
            for name, mask in masks.items():
                torch.testing.assert_close(traced(x, mask), expected[name], rtol=0, atol=2e-6)
