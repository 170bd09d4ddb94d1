"""`torch.export`: from a module to a small graph of ATen ops with symbolic sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shipworthy.convert.bridge.branches import branches
from shipworthy.convert.bridge.table import table
from shipworthy.convert.bridge.tracing import sizes_kept
from shipworthy.convert.calling import adapt_torch
from shipworthy.convert.replay_script import unscript
from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.spec import Arrays, Signature

if TYPE_CHECKING:
    import torch

Program = Any  # torch.export.ExportedProgram


def export_program(module: torch.nn.Module, signature: Signature, example: Arrays) -> Program:
    """Trace a module and decompose what the table lacks.

    Every op that the table has stays whole, even where PyTorch would decompose it. Parameters and
    errors are those of `trace_program`.
    """
    import torch

    program = trace_program(module, signature, example)
    with torch.no_grad(), _explained(signature):
        return program.run_decompositions(_decompositions())


def trace_program(module: torch.nn.Module, signature: Signature, example: Arrays) -> Program:
    """Trace a module, with its sizes kept symbols (`shipworthy.convert.bridge.tracing`).

    The module is called as every other hop calls it (`shipworthy.convert.calling`).

    Parameters
    ----------
    module : in eval mode; takes the inputs of the signature by position, in its order.
    example : one array an input. Sizes of named axes should be 2 or more: PyTorch takes 0 and 1
        for constants.

    Raises
    ------
    UnsupportedModelError : PyTorch cannot trace the module with these dynamic axes, or the module
        chooses its path by one of their sizes.
    """
    import torch

    module = unscript(module)
    training = [name or "the model" for name, m in module.named_modules() if m.training]
    if training:
        raise UnsupportedModelError(
            f"{training[0]} is in training mode; call .eval() on the model before it is exported"
        )
    missing = [spec.name for spec in signature.inputs if spec.name not in example]
    if missing:
        raise ValueError(f"the example lacks {', '.join(missing)}; it has {', '.join(example)}")
    tensors = tuple(torch.from_numpy(example[spec.name].copy()) for spec in signature.inputs)
    dynamic = tuple(
        dict.fromkeys(spec.dynamic_axes, torch.export.Dim.DYNAMIC) for spec in signature.inputs
    )
    adapted = adapt_torch(module, signature)
    with torch.no_grad(), sizes_kept(), _explained(signature):
        program = torch.export.export(adapted, tensors, dynamic_shapes=dynamic)
    chosen = branches(program)
    if chosen:
        raise UnsupportedModelError(
            "the model branches on a size that the signature calls dynamic "
            f"({', '.join(signature.axes)}), and an export keeps one branch only:\n"
            + "\n".join(f"  {branch}" for branch in chosen)
            + "\nfix that axis in the signature, or compute without the branch"
        )
    return program


@contextmanager
def _explained(signature: Signature) -> Iterator[None]:
    """Turn what PyTorch raises into a message for the model's author."""
    try:
        yield
    except UnsupportedModelError:
        raise
    except Exception as e:  # PyTorch raises many kinds, and all of them are about the model
        raise UnsupportedModelError(_explain(e, signature)) from e


def _decompositions() -> Any:
    from torch.export import default_decompositions

    rules = default_decompositions()
    names = table()
    for op in list(rules):
        if str(op).removeprefix("aten.") in names:
            del rules[op]
    return rules


def _explain(error: Exception, signature: Signature) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    lines = [line for line in text.splitlines() if line.strip()][:12]
    axes = ", ".join(signature.axes) or "none"
    return "\n".join(
        [
            f"torch.export cannot trace this model with the dynamic axes {axes}: "
            f"{type(error).__name__}: {lines[0] if lines else ''}",
            *(f"  {line}" for line in lines[1:]),
            "if an axis is fixed in the model, write its size in the signature; a branch on values "
            "has to become torch.where",
        ]
    )
