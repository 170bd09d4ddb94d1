"""What a runtime can be told with --setting, and that an unknown one is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.serve import runners


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--setting", "speed=9"], "null has no setting 'speed'; known: none"),
        (["--setting", "speed"], "--setting is 'speed'; it must be NAME=VALUE"),
        (["--setting", "=1"], "--setting is '=1'; it must be NAME=VALUE"),
        (["--setting"], "--setting needs a value"),
    ],
)
def test_wrong_settings_are_usage_errors(harness: Any, words: list[str], said: str) -> None:
    assert said in harness.fail(["--model", "model.txt", *words], 2)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU()).eval()
    with torch.no_grad():
        torch.jit.save(torch.jit.freeze(torch.jit.trace(net, torch.zeros(2, 3, 9, 9))),
                       tmp_path / "net.pt")  # fmt: skip
    return tmp_path / "net.pt"


@pytest.mark.matrix
@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
def test_fusion_is_right_at_any_size(network: Path, tmp_path: Path) -> None:
    runner = runners.find("libtorch")
    cases = []
    for i, size in enumerate(((2, 9), (1, 9), (5, 12), (2, 9), (3, 7), (1, 9), (2, 16))):
        values = np.random.default_rng(i).standard_normal((size[0], 3, size[1], size[1]))
        np.save(tmp_path / f"{i}.npy", values.astype(np.float32))
        for again in range(3):  # compiled after the first run, used from the second on
            name = f"{i}-{again}"
            out = {"output_0": tmp_path / f"{name}.out.npy"}
            cases.append(runners.CaseFiles(name, {"input": tmp_path / f"{i}.npy"}, out))
    found = runners.run(runner, network, [])
    given = found.inputs[0]["name"]
    cases = [runners.CaseFiles(c.name, {given: c.inputs["input"]}, c.outputs) for c in cases]
    results = {}
    for fusion in ("0", "1"):
        run = runners.run(runner, network, cases, settings={"onednn_fusion": fusion})
        assert run.settings["onednn_fusion"] == fusion
        results[fusion] = [np.load(case.outputs["output_0"]) for case in cases]
    for plain, fused in zip(results["0"], results["1"], strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.matrix
@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fusion": "1"}, "libtorch has no setting 'fusion'; known: onednn_fusion"),
        ({"onednn_fusion": "yes"}, "--setting onednn_fusion is 'yes'; allowed: 0, 1"),
    ],
)
def test_libtorch_knows_its_settings(network: Path, settings: dict[str, str], said: str) -> None:
    with pytest.raises(runners.RunnerError, match=said):
        runners.run(runners.find("libtorch"), network, [], settings=settings)
