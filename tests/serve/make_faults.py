"""Exports the CNN as careless conversions would: by the first route, from a changed original.

Run as ``python make_faults.py REFERENCE FORMAT FOLDER``: all faults of one format, each written as
``FOLDER/<fault>/<file of the format>``. ``none`` is the original itself.
"""

from __future__ import annotations

import copy
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from shipworthy.convert.routes import FORMATS, find_routes
from shipworthy.convert.snapshot import load_original
from shipworthy.models import zoo
from shipworthy.models.spec import Signature, Source

BAKED = 2


def of(module: nn.Module, kind: type) -> list:
    return [child for child in module.modules() if isinstance(child, kind)]


class Then(nn.Module):
    """A module, and then a function of what it answers."""

    def __init__(self, module: nn.Module, function) -> None:
        super().__init__()
        self.module, self.function = module, function

    def forward(self, image):
        return self.function(self.module(image))


def nothing(module: nn.Module) -> nn.Module:
    return module


def epsilon(module: nn.Module) -> nn.Module:
    for norm in of(module, nn.BatchNorm2d):
        norm.eps = 1e-3
    return module


def weight(module: nn.Module) -> nn.Module:
    """Move the greatest weight of a convolution by 1e-4."""
    values = of(module, nn.Conv2d)[1].weight.data.view(-1)
    values[values.abs().argmax()] += 1e-4
    return module


def bias(module: nn.Module) -> nn.Module:
    of(module, nn.Linear)[-1].bias.data[7] += 1e-4
    return module


def half(module: nn.Module) -> nn.Module:
    last = of(module, nn.Linear)[-1]
    last.weight.data = last.weight.data.half().float()
    return module


def transposed(module: nn.Module) -> nn.Module:
    first = of(module, nn.Conv2d)[0]
    first.weight.data = first.weight.data.transpose(2, 3).contiguous()
    return module


def replace_flatten(module: nn.Module, replacement: nn.Module) -> nn.Module:
    for parent in module.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Flatten):
                setattr(parent, name, replacement)
                return module
    raise AssertionError("the model has no Flatten")


def layout(module: nn.Module) -> nn.Module:
    """Flatten as if the channels were last."""
    return replace_flatten(module, Then(nn.Identity(), lambda x: x.permute(0, 2, 3, 1).flatten(1)))


def shape(module: nn.Module) -> nn.Module:
    return Then(module, lambda logits: logits.unsqueeze(1))


def constant_batch(module: nn.Module) -> nn.Module:
    """Split the features for the traced number of rows, whatever the batch is."""
    return replace_flatten(module, Then(nn.Identity(), lambda x: x.reshape(BAKED, 256)))


FAULTS = {
    "none": nothing,
    "epsilon": epsilon,
    "weight": weight,
    "bias": bias,
    "half": half,
    "transposed": transposed,
    "layout": layout,
    "shape": shape,
}


def with_shapes(source: Source, change) -> Source:
    """Return a source whose author is mistaken about its shapes."""
    inputs, outputs = (
        tuple(replace(spec, shape=change(kind, spec.shape)) for spec in specs)
        for kind, specs in (("in", source.signature.inputs), ("out", source.signature.outputs))
    )
    return replace(source, signature=Signature(inputs, outputs))


def one_more_axis(kind: str, shape: tuple) -> tuple:
    return (shape[0], 1, *shape[1:]) if kind == "out" else shape


def fixed_batch(kind: str, shape: tuple) -> tuple:
    return (BAKED, *shape[1:])


def trace(module: nn.Module, answer, path: Path) -> None:
    """Write TorchScript that its hop refuses to write."""
    whole = Then(module, answer).eval()
    traced = torch.jit.trace(whole, torch.zeros(BAKED, 1, 8, 8), check_trace=False)
    torch.jit.save(torch.jit.freeze(traced), path)


def main(reference: Path, format_: str, folder: Path) -> None:
    route = find_routes("pytorch", format_)[0]
    source = zoo.source("cnn", "pytorch")
    original = load_original(source, reference)

    def place(fault: str, target: str = format_) -> Path:
        path = folder / fault / FORMATS[target].filename
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def convert(model: nn.Module, said: Source, fault: str) -> None:
        given = model
        for hop in route.hops:
            path = place(fault, hop.target)
            hop.convert(given, said, path)
            given = SimpleNamespace(path=path)

    for fault, change in FAULTS.items():
        said = with_shapes(source, one_more_axis) if fault == "shape" else source
        convert(change(copy.deepcopy(original)).eval(), said, fault)
    if format_ == "torchscript":
        trace(constant_batch(copy.deepcopy(original)), lambda logits: logits, place("baked"))
        trace(original, lambda logits: (logits, logits * 2), place("extra"))
        trace(original, lambda logits: (), place("dropped"))
    else:
        convert(original, with_shapes(source, fixed_batch), "baked")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
