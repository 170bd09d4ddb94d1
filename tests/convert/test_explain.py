"""A failed conversion, told: the reason, the user's own line, what to do."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from shipworthy.convert.advice import advise
from shipworthy.convert.explain import explain, first_own, is_own, last_own, trace_notes
from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.errors import first_line
from shipworthy.models.spec import Signature, TensorSpec

CODE = "import torch\n\ndef forward(self, x):\n    if x.sum() > 0:\n        return x\n"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(CODE)
    return path


def raised(net: Path, text: str, kind: type[Exception] = RuntimeError) -> Exception:
    """Return an error that was raised on line 2 of the user's file."""
    try:
        exec(compile(f"\nraise kind({text!r})", str(net), "exec"), {"kind": kind})  # noqa: S102
    except Exception as e:
        return e
    raise AssertionError


TOLD = (
    'File "{0}", line 4, in forward\n    if x.sum() > 0:',  # torch.export, TensorFlow
    "aten.cdist.default at {0}:4: if x.sum() > 0:, in module 'net'",  # the bridge
    "Could not export Python function call 'F':\n{0}(4): forward\n",  # torch.jit
    'in user code:\n\n    File "{0}", line 4, in forward  *\n        if x\n\n    TypeError: no\n',
)


@pytest.mark.parametrize("text", TOLD)
def test_the_line_that_a_message_names(net: Path, text: str) -> None:
    error = ValueError(text.format(net))
    assert explain(error)["where"] == f"{net}:4: if x.sum() > 0:"


def test_the_line_it_was_raised_from_where_no_message_names_one(net: Path) -> None:
    error = RuntimeError("wrapped")
    error.__cause__ = raised(net, "inner")
    assert explain(error)["where"].startswith(f"{net}:2")
    assert explain(ValueError("nothing of the user's"))["where"] == ""


def test_packages_and_this_project_are_not_the_users(net: Path) -> None:
    from shipworthy.convert import routes

    assert is_own(str(net))
    assert not is_own(pytest.__file__)
    assert not is_own(routes.__file__)
    assert not is_own("/nowhere.py")


def test_a_dump_of_frames_has_the_innermost_first(net: Path) -> None:
    frames = [f'  File "{net}", line 4 in f', f'  File "{net}", line 1 in g']
    dump = "\n".join(["Thread 0x1 (most recent call first):", *frames])
    assert first_own(dump).startswith(f"{net}:4")
    assert last_own(dump).startswith(f"{net}:1")


def test_the_reason_leaves_out_what_tells_nobody_anything(net: Path) -> None:
    error = UnsupportedModelError(
        "torch.export cannot trace this model: Could not guard on data-dependent expression\n"
        '  For more information, run with TORCH_LOGS="dynamic"\n'
        f'  The following call raised this error:\n    File "{net}", line 4, in forward\n'
        "      if x.sum() > 0:\n"
        f"supported are 244 ops: {'abs, ' * 400}\n"
        "write it otherwise"
    )
    found = explain(error)
    assert found["reason"] == (
        "torch.export cannot trace this model: Could not guard on data-dependent expression\n"
        "write it otherwise"
    )
    assert found["where"] == f"{net}:4: if x.sum() > 0:"
    assert "torch.where" in found["advice"]
    assert len(explain(UnsupportedModelError("long " * 500))["reason"]) <= 600


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("GuardOnDataDependentSymNode: Could not guard on", "choose with torch.where"),
        ("Using a symbolic `tf.Tensor` as a Python `bool` is not allowed", "choose with"),
        ("UserError: Constraints violated (L['x'].size()[0])!", "fixes an axis"),
        (".numpy() is not supported for tensor subclasses.", "stay outside the export"),
        ("Could not export Python function call 'Custom'", "no runtime has Python"),
        ("requires TensorListReserve (Flex)", "recurrent layer"),
        ("DispatchError: No ONNX function found for <OpOverload", "plainer operations"),
        ("TFLite's builtin operators cannot express SelfAdjointEigV2", "plainer operations"),
        ("something else", "the log has the whole story"),
    ],
)
def test_advice_goes_by_the_cause(text: str, told: str) -> None:
    assert told in advise(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n one\n two", "ValueError: one"),
        (
            "Exception encountered when calling Net.call().\n\n\x1b[1mbad thing\x1b[0m\n",
            "ValueError: bad thing",
        ),
        ('in user code:\n\n  File "x.py", line 1\n    f()\n\n    TypeError: no\n', "TypeError: no"),
        ("", "ValueError: no message"),
    ],
)
def test_the_line_of_a_message_that_tells(text: str, line: str) -> None:
    assert first_line(ValueError(text)) == line


class TracerWarning(Warning):
    """Named as PyTorch's."""


def test_what_was_decided_while_tracing_is_a_note(net: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for file in (str(net), str(net), pytest.__file__):
            warnings.warn_explicit(
                "Converting a tensor to a Python boolean", TracerWarning, file, 4
            )
    dynamic = Signature((TensorSpec("x", "float32", ("batch", 3)),), ())
    (note,) = trace_notes(caught, dynamic)
    assert f"{net}:4: if x.sum() > 0:" in note
    assert "(batch) are judged off their traced sizes" in note
    (fixed,) = trace_notes(caught, Signature((TensorSpec("x", "float32", (2, 3)),), ()))
    assert "every axis is static" in fixed


MODELS: Any = """
import torch
from torch import nn
class Branch(nn.Module):
    def forward(self, x):
        y = x * 2
        if y.sum() > 0:
            return y
        return -y
class Numpy(nn.Module):
    def forward(self, x):
        return torch.from_numpy(x.numpy() * 2)
"""


@pytest.mark.matrix
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit
@pytest.mark.parametrize(
    ("name", "line", "told"),
    [("Branch", "if y.sum() > 0:", "torch.where"), ("Numpy", "x.numpy() * 2", "preprocess")],
)
def test_torch_export_names_the_users_line(tmp_path: Path, name: str, line: str, told: str) -> None:
    import torch

    from shipworthy.models.own.importing import import_file

    path = tmp_path / f"net_{name.lower()}.py"
    path.write_text(MODELS)
    module = getattr(import_file(path), name)().eval()
    with pytest.raises(Exception, match=r".") as caught:
        torch.export.export(module, (torch.ones(2, 3),), strict=False)
    found = explain(caught.value)
    assert found["where"].startswith(f"{path}:")
    assert line in found["where"]
    assert told in found["advice"]
