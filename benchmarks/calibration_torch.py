"""PyTorch models for the calibration, their correct exports, and faults put into them."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from calibration import Answer, batched, measure_all, quiet
from torch import nn

from shipworthy.models.spec import Arrays, Signature


class Attention(nn.Module):  # type: ignore[misc]
    """One attention block over eight tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, 8, 16) to itself."""
        query, key, value = self.mix(x).chunk(3, dim=-1)
        weights = torch.softmax(query @ key.transpose(1, 2) / 4.0, dim=-1)
        return self.norm(x + self.out(weights @ value))


class Residual(nn.Module):  # type: ignore[misc]
    """A dense block with a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32), nn.SiLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the block to its input."""
        return x + self.inner(x)


class Scale(nn.Module):  # type: ignore[misc]
    """Multiplies, so that what follows saturates."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scaled input."""
        return x * self.by


class Exp(nn.Module):  # type: ignore[misc]
    """A head with a wide range."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return exp(3 x)."""
        return torch.exp(3.0 * x)


class Bag(nn.Module):  # type: ignore[misc]
    """Embedding, mean and a dense layer over integer tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 24)
        self.out = nn.Linear(24, 6)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (batch, 12) to (batch, 6)."""
        return self.out(self.table(tokens).mean(dim=1))


class TwoHeads(nn.Module):  # type: ignore[misc]
    """Scores and the best class."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(20, 40), nn.ELU(), nn.Linear(40, 8))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (scores, best)."""
        scores = self.body(x)
        return scores, scores.argmax(dim=-1)


def _cnn(activation: nn.Module, pool: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), activation, pool,
        nn.Conv2d(12, 24, 3, stride=2, padding=1, groups=3), nn.BatchNorm2d(24), activation,
        nn.Flatten(), nn.Linear(24 * 9, 7),
    )  # fmt: skip


def _vector(*sizes: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.Tanh()]
    return layers[:-1]


_FLAT = (batched("x", "float32", 20),)
_IMAGE = (batched("x", "float32", 3, 12, 12),)


def _out(*shape: int) -> tuple[Any, ...]:
    return (batched("y", "float32", *shape),)


MODELS: dict[str, tuple[Signature, Callable[[], nn.Module]]] = {
    "one_output": (Signature(_FLAT, _out(1)), lambda: nn.Sequential(*_vector(20, 32, 16, 1))),
    "sigmoid_head": (
        Signature(_FLAT, _out(1)),
        lambda: nn.Sequential(*_vector(20, 32, 1), Scale(8.0), nn.Sigmoid()),
    ),
    "saturated_softmax": (
        Signature(_FLAT, _out(10)),
        lambda: nn.Sequential(*_vector(20, 40, 10), Scale(60.0), nn.Softmax(-1)),
    ),
    "relu_head": (Signature(_FLAT, _out(12)), lambda: nn.Sequential(*_vector(20, 12), nn.ReLU())),
    "lone_relu": (Signature(_FLAT, _out(20)), lambda: nn.Sequential(nn.ReLU())),
    "exp_head": (Signature(_FLAT, _out(4)), lambda: nn.Sequential(*_vector(20, 30, 4), Exp())),
    "gelu_norm": (
        Signature(_FLAT, _out(9)),
        lambda: nn.Sequential(
            nn.Linear(20, 40), nn.LayerNorm(40), nn.GELU(), nn.Linear(40, 9)
        ),
    ),
    "deep_residual": (
        Signature(_FLAT, _out(3)),
        lambda: nn.Sequential(nn.Linear(20, 32), *(Residual() for _ in range(24)),
                              nn.Linear(32, 3)),
    ),
    "cnn_max": (Signature(_IMAGE, _out(7)), lambda: _cnn(nn.ReLU(), nn.MaxPool2d(2))),
    "cnn_average": (Signature(_IMAGE, _out(7)), lambda: _cnn(nn.Hardswish(), nn.AvgPool2d(2))),
    "upsample": (
        Signature(_IMAGE, _out(2, 24, 24)),
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Conv2d(6, 2, 1),
        ),
    ),
    "wide_dense": (
        Signature((batched("x", "float32", 2048),), _out(4)),
        lambda: nn.Sequential(nn.Linear(2048, 128), nn.ReLU(), nn.Linear(128, 4)),
    ),
    "wide_cnn": (
        Signature((batched("x", "float32", 96, 6, 6),), _out(5)),
        lambda: nn.Sequential(
            nn.Conv2d(96, 96, 3, padding=1), nn.ReLU(), nn.Conv2d(96, 32, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 16, 5),
        ),
    ),
    "attention": (
        Signature((batched("x", "float32", 8, 16),), _out(8, 16)),
        Attention,
    ),
    "bag_of_tokens": (
        Signature((batched("x", "int64", 12, low=0, high=49),), _out(6)),
        Bag,
    ),
    "two_heads": (
        Signature(_FLAT, (batched("y", "float32", 8), batched("best", "int64"))),
        TwoHeads,
    ),
}  # fmt: skip


def _seeded(build: Callable[[], nn.Module], seed: int) -> Callable[[], nn.Module]:
    def run() -> nn.Module:
        torch.manual_seed(seed)
        model = build()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):  # as after training
                layer.running_mean.normal_(0.0, 0.3)
                layer.running_var.uniform_(0.05, 1.5)
                layer.weight.data.uniform_(0.5, 1.5)
        return model.eval()

    return run


def faults(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the model with one fault at a time, each in a copy, as far as they apply."""
    weighted = [n for n, p in model.named_parameters() if p.dim() > 1]
    biases = [n for n, p in model.named_parameters() if n.endswith("bias") and p.abs().max() > 0]

    def changed(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
        faulty = copy.deepcopy(model)
        parameter = faulty.get_parameter(name)
        parameter.data = change(parameter.data.clone())
        return faulty

    def off_by(amount: float) -> Callable[[torch.Tensor], torch.Tensor]:
        def change(weight: torch.Tensor) -> torch.Tensor:
            flat = weight.view(-1)
            flat[flat.abs().argmax()] += amount
            return weight

        return change

    if weighted:
        middle, last = weighted[len(weighted) // 2], weighted[-1]
        yield "a weight off by 1e-4", changed(middle, off_by(1e-4))
        yield "(a weight off by 1e-5)", changed(middle, off_by(1e-5))
        yield "last layer in float16", changed(last, lambda w: w.half().float())
        yield "last layer in bfloat16", changed(last, lambda w: w.bfloat16().float())
        yield "weights shifted by one", changed(last, lambda w: w.roll(1, 1))
    if biases:
        yield "a bias dropped", changed(biases[0], torch.zeros_like)
    for kind, attribute, value, told in (
        (nn.BatchNorm2d, "eps", 1e-3, "BatchNorm epsilon 1e-3"),
        (nn.LayerNorm, "eps", 1e-3, "LayerNorm epsilon 1e-3"),
        (nn.GELU, "approximate", "tanh", "GELU by tanh"),
        (nn.Upsample, "align_corners", True, "align_corners"),
    ):
        if any(isinstance(layer, kind) for layer in model.modules()):
            faulty = copy.deepcopy(model)
            for layer in faulty.modules():
                if isinstance(layer, kind):
                    setattr(layer, attribute, value)
            yield told, faulty


def answers(
    model: nn.Module, signature: Signature, folder: Path
) -> Iterator[tuple[str, str, Answer]]:
    """Yield correct alternatives, then faults, each as a function of the inputs."""
    names = [spec.name for spec in signature.outputs]

    def through(call: Callable[..., Any]) -> Answer:
        def run(inputs: Arrays) -> Arrays:
            with torch.inference_mode():
                result = call(*(torch.from_numpy(value) for value in inputs.values()))
            flat = result if isinstance(result, tuple | list) else [result]
            return {n: t.numpy() for n, t in zip(names, flat, strict=True)}

        return run

    from shipworthy.models.spec import synthesise

    example = tuple(
        torch.from_numpy(value) for value in synthesise(signature, {"batch": 2}, 99).values()
    )
    yield "TorchScript frozen", "", through(torch.jit.freeze(torch.jit.trace(model, example)))
    off = torch.backends.mkldnn.flags(enabled=False)
    with off, torch.backends.nnpack.flags(enabled=False):
        yield "without oneDNN", "", through(model)
    if any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        last = copy.deepcopy(model).to(memory_format=torch.channels_last)
        yield "channels last", "", through(last)
        with torch.backends.mkldnn.flags(enabled=False):
            yield "eager", "(convolution by Winograd, NNPACK)", through(model)
    path = folder / "model.onnx"
    with quiet():
        torch.onnx.export(
            model, example, path, dynamo=True, verbose=False,
            dynamic_shapes=tuple({0: torch.export.Dim("batch")} for _ in example),
        )  # fmt: skip
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        yield f"ONNX Runtime, {level[4:].lower()}", "", _onnxruntime(path, names, level)
    for fault, faulty in faults(model):
        yield "eager", fault, through(faulty)

    def half_in(inputs: Arrays) -> Arrays:
        rounded = {
            k: v.astype(np.float16).astype(v.dtype) if v.dtype.kind == "f" else v
            for k, v in inputs.items()
        }
        return through(model)(rounded)

    def one_row(inputs: Arrays) -> Arrays:
        found = dict(through(model)(inputs))
        if next(iter(inputs.values())).shape[0] == 5:
            value = np.array(found[names[0]])
            row = value[3].reshape(-1)
            row[np.abs(row).argmax()] *= np.float32(1 + 1e-4)
            found[names[0]] = value
        return found

    if any(spec.dtype == "float32" for spec in signature.inputs):
        yield "eager", "inputs in float16", half_in
    yield "eager", "(one element of one case off by 1e-4)", one_row


def _onnxruntime(path: Path, names: list[str], level: str) -> Answer:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = [given.name for given in session.get_inputs()]

    def run(inputs: Arrays) -> Arrays:
        outputs = session.run(None, dict(zip(feeds, inputs.values(), strict=True)))
        return dict(zip(names, outputs, strict=True))

    return run


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    seeded = {
        f"{name}/{seed}": (signature, _seeded(build, seed))
        for name, (signature, build) in MODELS.items()
        for seed in map(int, sys.argv[1:])
    }
    measure_all("pytorch", seeded, answers)
