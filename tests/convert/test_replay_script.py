"""TorchScript run from Python, and exported programs traced: at sizes that were not traced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.matrix


def models() -> dict[str, tuple[Any, Any, Any, set[int]]]:
    """Return models with inputs at the traced sizes, at others, and the dynamic axes."""
    import torch
    from torch import nn

    class Convolutions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.norm = nn.ConvTranspose2d(3, 4, 2, 2), nn.GroupNorm(2, 4)
            self.act = nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            y = self.act(self.norm(self.up(x)))
            if y.size(1) > 3:
                y = y * 2
            for i in range(3):
                y = y + i
            wide = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")
            count = torch.zeros(x.size(0), dtype=torch.long)
            return torch.cat([y, wide], 1), count + x.size(2), x.double().float()

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(20, 8), nn.Linear(8, 3)
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, ids: torch.Tensor) -> dict[str, torch.Tensor]:
            batch, length = ids.shape
            places = torch.arange(length)[:, None] / (length * 2)
            y = self.layer(self.embed(ids) + places)
            flat = self.out(y).reshape(batch * length, 3)
            return {"flat": flat, "last": y[:, -1], "rest": y[:, 1:]}

    torch.manual_seed(0)
    ids = torch.randint
    return {
        "convolutions": (
            Convolutions().eval(), torch.randn(2, 3, 8, 8), torch.randn(5, 3, 8, 8), {0},
        ),
        "attention": (Attention().eval(), ids(0, 20, (2, 8)), ids(0, 20, (3, 11)), {0, 1}),
    }  # fmt: skip


def leaves(answer: Any) -> list[Any]:
    if isinstance(answer, dict):
        return list(answer.values())
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def assert_alike(found: Any, expected: Any) -> None:
    import torch

    for one, other in zip(leaves(found), leaves(expected), strict=True):
        torch.testing.assert_close(one, other)


def traced(model: Any, x: Any) -> Any:
    import torch

    return torch.jit.trace(model, x, strict=False, check_trace=False)


def scripted(model: Any, x: Any) -> Any:
    import torch

    return torch.jit.script(model)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize(
    ("name", "make"),
    [("convolutions", traced), ("convolutions", scripted), ("attention", traced)],
)
def test_a_replayed_script_keeps_its_sizes_dynamic(
    name: str, make: Callable[[Any, Any], Any], freeze: bool, tmp_path: Path
) -> None:
    import torch

    from shipworthy.convert.replay_script import replay

    model, x, other, dynamic = models()[name]
    make(model, x).save(str(tmp_path / "model.pt"))
    script = torch.jit.load(str(tmp_path / "model.pt")).eval()
    script = torch.jit.freeze(script) if freeze else script
    module = replay(script)
    with torch.no_grad():
        assert_alike(module(other), script(other))
        sizes = (dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC),)
        program = torch.export.export(module, (x,), dynamic_shapes=sizes)
        assert_alike(program.module()(other), script(other))


def test_scripted_layers_inside_a_module_are_replaced() -> None:
    import torch

    from shipworthy.convert.replay_script import unscript

    inner = torch.jit.script(torch.nn.Linear(4, 3))
    outer = torch.nn.Sequential(torch.nn.ReLU(), inner).eval()
    x = torch.randn(2, 4)
    expected = outer(x)
    plain = unscript(outer)
    assert plain is outer
    assert not any(isinstance(m, torch.jit.ScriptModule) for m in plain.modules())
    assert_alike(plain(x), expected)


def test_what_only_the_interpreter_runs_is_named() -> None:
    import torch

    from shipworthy.convert.replay_script import replay
    from shipworthy.convert.routes import UnsupportedModelError

    class Forked(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            future = torch.jit.fork(torch.relu, x)
            return torch.jit.wait(future)

    with pytest.raises(UnsupportedModelError, match=r"(?s)prim::fork.*file.py:NAME"):
        replay(torch.jit.script(Forked()))(torch.ones(2))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_program_follows_its_sizes() -> None:
    import torch

    from shipworthy.convert.traceable import drop_checks, follow_sizes

    class Sizes(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            rows, columns = x.shape[0], x.shape[1]
            return (
                x.reshape(rows * 2, -1),
                x[: rows // 2 + 1, 1:],
                torch.arange(columns) + torch.full((rows, columns), 0.5),
                x[:1].expand(rows, columns, 4) * columns,
                x.new_zeros(columns, 2).sum(1) + x.mean((0, 2)),
            )

    dim = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        Sizes(), (torch.randn(2, 6, 4),), dynamic_shapes=({0: dim, 1: dim},)
    )
    module = program.module()
    drop_checks(module)
    follow_sizes(module)
    script = torch.jit.trace(module, torch.randn(2, 6, 4), check_trace=False)
    other = torch.randn(5, 8, 4)
    assert_alike(script(other), Sizes()(other))
