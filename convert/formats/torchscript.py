"""TorchScript: a traced, frozen program for LibTorch.

Load it with ``torch.jit.load(path)`` or ``torch::jit::load``; no source is needed. The file holds
one ``forward``. Its argument names are the inputs' names; outputs
have none: they are ``output_0``, ``output_1``, ... in the signature's order, a tuple if there is
more than one. Inputs and outputs keep the original's layout. How the weights are held, see
`shipworthy.convert.optimise_torchscript`.

TorchScript is deprecated upstream; `torch.export` with AOTInductor succeeds it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import Artifact
from shipworthy.convert.bridge.importer.module import open_parent
from shipworthy.convert.bridge.tracing import masks_kept
from shipworthy.convert.calling import (
    adapt_torch,
    call_keras,
    example_tensors,
    fixed_sizes,
    one_by_one,
    traced_sizes,
)
from shipworthy.convert.layout import clean
from shipworthy.convert.optimise_torchscript import keep_fastest
from shipworthy.convert.routes import Converted, hop
from shipworthy.convert.traceable import follow_sizes
from shipworthy.models.spec import Source

DEPRECATED = "TorchScript is deprecated upstream; its successor is torch.export with AOTInductor."


@hop(
    "pytorch",
    "torchscript",
    packages=("torch",),
    kinds=("module", "exported_program", "torchscript"),
    optimizes=True,
)
def from_pytorch(original: Any, source: Source, path: Path) -> Converted:
    """Trace and freeze a `torch.nn.Module`."""
    if source.kind == "exported_program":
        original = follow_sizes(original)
    return _write(adapt_torch(original, source.signature), source, path)


@hop(
    "tensorflow",
    "torchscript",
    packages=("keras", "torch"),
    keras_backend="torch",
    server="pytorch",
    optimizes=True,
)
def from_keras(original: Any, source: Source, path: Path) -> Converted:
    """Trace and freeze a Keras model that runs under the torch backend."""
    return _write(adapt_torch(original, source.signature, call=call_keras), source, path)


@hop("onnx", "torchscript", packages=("onnx", "torch"), server="pytorch", optimizes=True)
def from_onnx(original: Artifact, source: Source, path: Path) -> Converted:
    """Import the parent ONNX file into PyTorch, trace and freeze it."""
    source = one_by_one(source)
    return _write(adapt_torch(open_parent(original, source), source.signature), source, path)


def _write(module: Any, source: Source, path: Path) -> Converted:
    import torch

    sizes = traced_sizes(source.signature)
    example = example_tensors(source.signature, sizes)
    with torch.no_grad(), masks_kept():
        # check_trace would compare a second trace at the same sizes; the judge compares with the
        # original, at others.
        traced = torch.jit.trace(module, tuple(example), check_trace=False)
    options: dict[str, Any] = {"traced_sizes": sizes, "optimized": source.optimize}
    notes: tuple[str, ...] = ()
    if source.optimize:
        traced, told, notes = _optimised(traced, example, source, path)
        options |= told
    else:
        torch.jit.save(traced, path)
    return Converted(
        inputs=_argument_names(traced, source),
        outputs={spec.name: f"output_{i}" for i, spec in enumerate(source.signature.outputs)},
        options=options,
        notes=(DEPRECATED, *notes),
    )


def _optimised(
    traced: Any, example: list[Any], source: Source, path: Path
) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    """Write the fastest form of a traced module; return its frozen form, options and notes."""
    import torch

    frozen = torch.jit.freeze(traced, optimize_numerics=False)
    cleaned = clean(frozen, example)
    torch.jit.run_frozen_optimizations(frozen)
    torch.jit.save(frozen, path)
    options = {
        "transpositions_traced": cleaned.before,
        "transpositions_left": cleaned.after,
        "batch_norms_folded": cleaned.folded,
    }
    if cleaned.reason:
        return frozen, options, (f"The layout was left as traced: {cleaned.reason}.",)
    single = example_tensors(source.signature, fixed_sizes(source.signature))
    return frozen, options | keep_fastest(path, example, single), ()


def _argument_names(module: Any, source: Source) -> dict[str, str]:
    arguments = [argument.name for argument in module.forward.schema.arguments[1:]]
    return dict(zip((spec.name for spec in source.signature.inputs), arguments, strict=True))
