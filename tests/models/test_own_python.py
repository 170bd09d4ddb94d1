"""``file.py:NAME``: imports as in the user's repository, whatever the factory gives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from shipworthy.models.given import parse
from shipworthy.models.own import Opened, OwnModelError
from shipworthy.models.own.call import arrange
from shipworthy.models.own.importing import import_file, public_names, resolve


@pytest.fixture(autouse=True)
def _clean_imports(tmp_path: Path) -> Iterator[None]:
    """Forget the test's own modules; a package's must stay, imported once."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


def test_a_file_beside_a_models_package_of_the_users_own(tmp_path: Path) -> None:
    write(tmp_path / "models/__init__.py", "NAME = 'theirs'")
    file = write(tmp_path / "my net.v2.py", "from models import NAME\n")
    assert import_file(file).NAME == "theirs"


def test_relative_imports_within_a_package(tmp_path: Path) -> None:
    write(tmp_path / "pack/__init__.py", "")
    write(tmp_path / "pack/sub/__init__.py", "")
    write(tmp_path / "pack/layers.py", "WIDTH = 3")
    file = write(tmp_path / "pack/sub/net.py", "from ..layers import WIDTH\n")
    assert import_file(file).WIDTH == 3


def test_imports_from_the_projects_folder(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "")
    write(tmp_path / "lib/parts.py", "WIDTH = 4")
    file = write(tmp_path / "train/net.py", "from lib.parts import WIDTH\n")
    assert import_file(file).WIDTH == 4


def test_a_name_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    file = write(
        tmp_path / "net.py", "import os\nclass Net: pass\ndef make(): pass\nnet = 1\n_x = 2\n"
    )
    assert public_names(file) == ["Net", "make", "net"]
    with pytest.raises(OwnModelError, match=r"net.py has no 'Nett'; it has: Net, make, net"):
        resolve(import_file(file), "Nett", file)


def _two(left: Any, right: Any, scale: float = 1.0, *, bias: Any = None) -> None: ...
def _one(batch: Any) -> None: ...
def _any(*tensors: Any, **named: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "example", "call"),
    [
        (_two, (1, 2), ((1, 2), {})),
        (_two, [1, 2, 3.0], ((1, 2, 3.0), {})),
        (_two, {"left": 1, "right": 2, "bias": 3}, ((), {"left": 1, "right": 2, "bias": 3})),
        (_two, ((1, 2), {"bias": 3}), ((1, 2), {"bias": 3})),
        (_one, [1, 2], (([1, 2],), {})),
        (_one, (1,), ((1,), {})),
        (_one, {"left": 1}, (({"left": 1},), {})),
        (_one, 5, ((5,), {})),
        (_any, (1, 2, 3), ((1, 2, 3), {})),
        (_any, {"x": 1}, ((), {"x": 1})),
        (abs, -1, ((-1,), {})),
    ],
)
def test_how_an_example_becomes_a_call(function: Any, example: Any, call: Any) -> None:
    assert arrange(function, example) == call


TORCH = """
    import argparse, random, sys
    import numpy as np
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, width=3):
            super().__init__()
            self.f = nn.Linear(4, width)
            self.drop = nn.Dropout()
        def forward(self, x, scale=1.0):
            return self.drop(self.f(x)) * scale

    def made(): return Net().train(), torch.ones(2, 4)
    instance = Net()
    def gives_class(): return Net
    def compiled(): return torch.compile(Net()), torch.ones(2, 4)
    def parsed():
        parser = argparse.ArgumentParser()
        parser.add_argument("--width", default=5)
        return Net(parser.parse_args().width)
    def needs(width): return Net(width)
    def fails(): raise ValueError("no checkpoint")
    def ends(): sys.exit("usage")
    def missing(): open("weights/best.pt")
    def weights(): return Net().state_dict()
    def triple(): return Net(), 1, 2
    def scripted(): return torch.jit.script(nn.Linear(4, 3))
    def odd_key(): return {"model": Net(), "input": 3}
    def nothing(): pass
    if __name__ == "__main__":
        raise SystemExit("is not run")
"""


@pytest.mark.matrix
@pytest.mark.filterwarnings("ignore:`torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is not supported:DeprecationWarning")
class TestTorch:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return write(tmp_path / "net.py", TORCH)

    @staticmethod
    def load(file: Path, name: str, **options: Any) -> Opened:
        from shipworthy.models.own import open_own

        return open_own(parse(f"{file}:{name}", **options))

    @pytest.mark.parametrize(
        "name", ["Net", "made", "instance", "gives_class", "compiled", "parsed"]
    )
    def test_what_works(self, file: Path, name: str) -> None:
        opened = self.load(file, name)
        assert opened.framework == "pytorch"
        assert not opened.model.training
        assert type(opened.model).__name__ == "Net"
        assert "is your own code" in opened.notes[0]

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("needs", r"missing 1 required.*give its parameters defaults"),
            ("fails", r"ValueError: no checkpoint at .*net\.py:\d+: def fails"),
            ("ends", r"SystemExit: usage at .*ends the process"),
            ("missing", r"Relative paths count from the working folder"),
            ("weights", r"weights alone .*--weights"),
            ("triple", r"a tuple of 3 \(Net, int, int\)"),
            ("scripted", r"TorchScript already"),
            ("odd_key", r"'input'; known keys are model, inputs"),
            ("nothing", r"None \(does it return the model\?\)"),
        ],
    )
    def test_what_does_not_says_why(self, file: Path, name: str, told: str) -> None:
        with pytest.raises(OwnModelError, match=told):
            self.load(file, name)

    def test_every_load_builds_the_same_model(self, file: Path) -> None:
        one, two = (self.load(file, "made").model.f.weight.detach().numpy() for _ in range(2))
        assert np.array_equal(one, two)

    def test_weights_are_filled_in(self, file: Path, tmp_path: Path) -> None:
        import torch

        net = self.load(file, "Net").model
        state = {name: torch.full_like(value, 2.0) for name, value in net.state_dict().items()}
        torch.save({"state_dict": state, "epoch": 3}, tmp_path / "best.pt")
        filled = self.load(file, "Net", weights=str(tmp_path / "best.pt")).model
        assert (filled.f.weight == 2).all()
        torch.save({"odd": 1}, tmp_path / "odd.pt")
        with pytest.raises(OwnModelError, match="does not fit Net"):
            self.load(file, "Net", weights=str(tmp_path / "odd.pt"))


PROCESSED = """
    import numpy as np
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.f = nn.Linear(3, 2)
        def forward(self, x): return self.f(x.mean((2, 3)))

    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("shift", torch.tensor(0.5))
        def forward(self, pixels): return pixels.permute(0, 3, 1, 2).float() / 255 - self.shift

    RAW = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    def plain(pixels): return (pixels.transpose(0, 3, 1, 2) / 255 - 0.5).astype(np.float32)

    def inside():
        return {
            "model": Net(), "inputs": RAW, "preprocess": Scale(), "postprocess": torch.sigmoid,
        }
    def outside(): return {"model": Net(), "inputs": RAW, "preprocess": plain}
    def asked_out(): return {"model": Net(), "inputs": RAW, "preprocess": Scale(), "inside": False}
    def no_raw(): return {"model": Net(), "preprocess": plain}

    class Methods(Net):
        def preprocess(self, pixels): return Scale()(pixels)
    def methods(): return Methods(), RAW
    def prepared(): return Methods(), torch.ones(2, 3, 4, 4)

    class Inner(Net):
        def preprocess(self, x): return x / 255
        def forward(self, x): return super().forward(self.preprocess(x))
    def inner(): return Inner(), torch.ones(2, 3, 4, 4)
"""


@pytest.mark.matrix
class TestProcessing:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return write(tmp_path / "net.py", PROCESSED)

    load = staticmethod(TestTorch.load)

    def test_the_frameworks_own_operations_go_inside(self, file: Path) -> None:
        import torch

        opened = self.load(file, "inside")
        declared = opened.processing["preprocess"]
        assert declared["inside"]
        assert declared["source"].startswith(f"{file}:")
        assert declared["raw"] == [{"name": "pixels", "dtype": "uint8", "shape": [2, 4, 4, 3]}]
        assert opened.processing["postprocess"]["inside"]
        pixels = torch.from_numpy(opened.args[0])
        answer = opened.model(pixels)
        net, scale = opened.model.model, opened.model.pre
        assert torch.equal(answer, torch.sigmoid(net(scale(pixels))))
        assert "pre.shift" in opened.model.state_dict()

    @pytest.mark.parametrize("name", ["outside", "asked_out"])
    def test_what_is_not_stays_outside_and_makes_the_golden_case(
        self, file: Path, name: str
    ) -> None:
        opened = self.load(file, name)
        assert not opened.processing["preprocess"]["inside"]
        assert opened.args is not None
        golden = np.asarray(opened.args[0])
        raw = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
        assert np.allclose(golden, raw.transpose(0, 3, 1, 2) / 255 - 0.5, atol=1e-6)
        assert "stays outside" in " ".join(opened.notes)

    def test_methods_that_the_model_does_not_call_itself(self, file: Path) -> None:
        assert self.load(file, "methods").processing["preprocess"]["inside"]
        assert not self.load(file, "inner").processing
        prepared = self.load(file, "prepared")
        assert not prepared.processing
        assert "prepared already" in " ".join(prepared.notes)

    def test_a_raw_example_is_needed(self, file: Path) -> None:
        with pytest.raises(OwnModelError, match="give raw example inputs"):
            self.load(file, "no_raw")
