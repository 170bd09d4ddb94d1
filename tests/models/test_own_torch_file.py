"""``.pt2`` and ``.pt`` files: what they are is told by what they hold, and none runs code."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipworthy.models.given import parse
from shipworthy.models.own import Opened, OwnModelError, open_own

pytestmark = [
    pytest.mark.matrix,
    # A pickle that is none of PyTorch's is told so by a warning of its reader.
    pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning"),
]
X = "x:float32:batch,3,8,8"


def load(path: Path, **options: Any) -> Opened:
    return open_own(parse(str(path), **options))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(OwnModelError) as caught:
        load(path, **options)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.fixture(scope="module")
def net() -> Any:
    import torch

    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Dropout()
    return torch.nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def program(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    path = tmp_path_factory.mktemp("program") / "net.pt2"
    dynamic = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(net, (torch.randn(2, 3, 8, 8),), dynamic_shapes=dynamic)
    torch.export.save(exported, path)
    return path


@pytest.fixture(scope="module")
def script(net: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    path = tmp_path_factory.mktemp("script") / "net.pt"
    torch.jit.trace(net, torch.randn(2, 3, 8, 8)).save(str(path))
    return path


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_a_program_declares_its_inputs_and_runs(program: Path) -> None:
    import torch

    opened = load(program)
    assert (opened.framework, opened.kind, opened.files) == (
        "pytorch", "exported_program", (program,),
    )  # fmt: skip
    assert [spec.shape for spec in opened.specs] == [("batch", 3, 8, 8)]
    assert opened.model(torch.randn(5, 3, 8, 8)).shape == (5, 4, 6, 6)
    assert not any(module.training for module in opened.model.eval().modules())
    with pytest.raises(Exception, match=r"size\(\)\[2\] == 8"):
        opened.model(torch.randn(5, 3, 9, 8))


def test_computed_sizes_are_fixed_and_the_others_named(tmp_path: Path) -> None:
    import torch

    class Two(torch.nn.Module):
        def forward(self, x: Any, tables: Any) -> Any:
            return {"a": torch.cat([x, tables["y"]], 1), "b": x[:, ::2]}

    batch, half = torch.export.Dim("rows"), torch.export.Dim("half", max=50)
    sizes = {0: batch, 1: 2 * half}, {"y": {0: batch, 1: torch.export.Dim("length")}}
    example = torch.randn(4, 6, 3), {"y": torch.randn(4, 5, 3)}
    path = tmp_path / "two.pt2"
    torch.export.save(torch.export.export(Two(), example, dynamic_shapes=sizes), path)
    opened = load(path)
    shapes = {spec.name: spec.shape for spec in opened.specs}
    assert shapes == {"x": ("batch", 6, 3), "tables_y": ("batch", "dim_1", 3)}
    assert opened.args is not None
    assert set(opened.model(*opened.args)) == {"a", "b"}


def test_without_examples_the_call_is_made_from_the_program(net: Any, tmp_path: Path) -> None:
    import torch

    exported = torch.export.export(net, (torch.randn(2, 3, 8, 8),))
    exported.example_inputs = None
    path = tmp_path / "net.pt2"
    torch.export.save(exported, path)
    opened = load(path)
    assert opened.args is not None
    assert opened.args[0].shape == (2, 3, 8, 8)
    assert opened.specs[0].shape == (2, 3, 8, 8)


def test_a_program_in_training_mode_is_refused(net: Any, tmp_path: Path) -> None:
    import copy

    import torch

    path = tmp_path / "net.pt2"
    training = copy.deepcopy(net).train()
    torch.export.save(torch.export.export(training, (torch.randn(2, 3, 8, 8),)), path)
    assert "call model.eval() before torch.export.export" in refusal(path)


def test_torchscript_wants_its_inputs_told(script: Path) -> None:
    told = refusal(script)
    assert "--input" in told
    assert "Tensor" in told
    opened = load(script, specs=("input:float32:batch,3,8,8",))
    assert (opened.kind, [spec.shape for spec in opened.specs]) == (
        "torchscript", [("batch", 3, 8, 8)],
    )  # fmt: skip


def test_declared_inputs_take_the_order_of_the_arguments(tmp_path: Path) -> None:
    import torch

    class Two(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return first - second.sum()

    path = tmp_path / "two.pt"
    torch.jit.script(Two()).save(str(path))
    opened = load(path, specs=("second:float32:3", "first:float32:batch,2"))
    assert [spec.name for spec in opened.specs] == ["first", "second"]


def test_torchscript_that_takes_numbers_is_refused(tmp_path: Path) -> None:
    import torch

    class Scaled(torch.nn.Module):
        def forward(self, x: torch.Tensor, n: int) -> torch.Tensor:
            return x * n

    path = tmp_path / "scaled.pt"
    torch.jit.script(Scaled()).save(str(path))
    assert "x: Tensor, n: int" in refusal(path, specs=("x:float32:batch",))


def test_suffixes_do_not_deceive(program: Path, script: Path, tmp_path: Path) -> None:
    one = rewritten(program, tmp_path / "program.pt", lambda _, content: content)
    other = rewritten(script, tmp_path / "script.pt2", lambda _, content: content)
    assert load(one).kind == "exported_program"
    assert load(other, specs=(X,)).kind == "torchscript"


def test_a_state_dict_lacks_its_model(net: Any, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "state.pt"
    torch.save(net.state_dict(), path)
    told = refusal(path)
    assert "'0.weight'" in told
    assert "file.py:NAME --weights" in told


@pytest.mark.parametrize("new", [True, False])
def test_a_pickled_module_needs_trust(net: Any, new: bool, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "whole.pt"
    torch.save(net, path, _use_new_zipfile_serialization=new)
    told = refusal(path)
    assert "torch.nn" in told
    assert "--trust" in told
    opened = load(path, trust=True)
    assert (opened.kind, opened.files) == ("module", ())
    assert "--trust" in opened.notes[0]


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_pickle_that_would_run_code_does_not(form: str, tmp_path: Path) -> None:
    import torch

    mark, path = tmp_path / "ran", tmp_path / "model.pt"
    if form == "bare":
        path.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        torch.save({"w": Bomb(mark)}, path, _use_new_zipfile_serialization=form == "zip")
    assert "--trust" in refusal(path)
    assert not mark.exists()


def test_a_pickle_inside_a_program_does_not_run(program: Path, tmp_path: Path) -> None:
    import torch

    mark, bomb = tmp_path / "ran", tmp_path / "bomb.pt"
    torch.save(Bomb(mark), bomb)

    def plant(name: str, content: bytes) -> bytes:
        return bomb.read_bytes() if "sample_inputs" in name else content

    told = refusal(rewritten(program, tmp_path / "net.pt2", plant))
    assert "--trust" in told
    assert not mark.exists()


def planted(kind: str, code: str) -> Callable[[str, bytes], bytes]:
    """Put a call where a program has an expression, a condition, an operator or a name."""

    def plant(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        if kind == "operator":
            return content.replace(b"torch.ops.aten.relu.default", b"torch.os.system")
        if kind == "expression":
            data = content.decode()
            start = data.index("Symbol('")
            end = data.index(")", start) + 1
            return data.replace(data[start:end], code).encode()
        data = json.loads(content)
        if kind == "condition":
            data["guards_code"] = [f"{code} == 0"]
        if kind == "range":
            data["range_constraints"][code] = {"min_val": 0, "max_val": None}
        if kind == "name":
            data["graph_module"]["graph"]["nodes"][0]["inputs"][0]["name"] = f"x={code}"
        return json.dumps(data).encode()

    return plant


@pytest.mark.parametrize("kind", ["operator", "expression", "condition", "range", "name"])
def test_code_in_a_program_does_not_run(kind: str, program: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = f"__import__('os').system('touch {mark}')"
    path = rewritten(program, tmp_path / "net.pt2", planted(kind, code))
    assert "--trust" in refusal(path)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["data/aotinductor/model/m.so", "data/constants/opaque_obj_0"])
def test_native_code_and_foreign_objects_are_not_loaded(
    name: str, program: Path, tmp_path: Path
) -> None:
    path = rewritten(program, tmp_path / "net.pt2", lambda _, content: content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"net/{name}", b"")
    assert "--trust" in refusal(path)


def test_torchscript_that_writes_files_is_not_loaded(tmp_path: Path) -> None:
    import torch

    class Writing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.save(x, "somewhere")
            return x

    path = tmp_path / "writing.pt"
    torch.jit.script(Writing()).save(str(path))
    assert "torch.save" in refusal(path, specs=("x:float32:batch",))


@pytest.mark.parametrize("name", ["cut.pt2", "cut.pt", "text.pt", "empty.pt2", "other.pt"])
def test_what_is_no_whole_file_of_pytorchs(
    name: str, program: Path, script: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    whole = (program if name.endswith("pt2") else script).read_bytes()
    if name.startswith("cut"):
        path.write_bytes(whole[: len(whole) * 2 // 3])
    elif name == "other.pt":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    else:
        path.write_text("hello" if name == "text.pt" else "")
    assert str(path) in refusal(path, specs=(X,))
