"""How an original is called while it is exported: canonical names in, canonical names out.

Inputs come in the signature's order and are handed over as its `arguments` say. Outputs are
flattened; they are matched by name where their paths are the signature's names (see
`shipworthy.models.arguments.name_leaves`), else taken in order. The reference and every hop call
the original through here, so that they agree on both.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from shipworthy.convert.routes import UnsupportedModelError
from shipworthy.models.arguments import fill, name_leaves
from shipworthy.models.spec import Signature, Source, TensorSpec, synthesise

TRACED_BATCH = 2  # torch.export and torch.jit.trace take a size of 1 for a constant
FIXED_BATCH = 1
OTHER_SIZE = 8


def traced_sizes(signature: Signature) -> dict[str, int]:
    """Return the size of every dynamic axis for tracing: no 1, and no two alike by accident."""
    others = [axis for axis in signature.axes if axis != "batch"]
    usual = {axis: OTHER_SIZE + 4 * i for i, axis in enumerate(others)} | {"batch": TRACED_BATCH}
    return {
        axis: signature.sizes[axis][0] if axis in signature.sizes else usual[axis]
        for axis in signature.axes
    }


def fixed_sizes(signature: Signature) -> dict[str, int]:
    """Return the size of every dynamic axis for a format that keeps none."""
    sizes = traced_sizes(signature)
    return {axis: FIXED_BATCH if axis == "batch" else size for axis, size in sizes.items()}


def example_tensors(signature: Signature, sizes: Mapping[str, int], seed: int = 0) -> list[Any]:
    """Return synthesised inputs as `torch.Tensor`, in the signature's order."""
    import torch

    arrays = synthesise(signature, sizes, seed)
    return [torch.from_numpy(arrays[spec.name]) for spec in signature.inputs]


def identifiers(names: Sequence[str]) -> list[str]:
    """Turn canonical names into distinct Python argument names, changing as little as possible."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
        if plain[0].isdigit() or keyword.iskeyword(plain) or plain == "self":
            plain = f"_{plain}"
        while plain in found:
            plain += "_"
        found.append(plain)
    return found


def keep_names(
    specs: Iterable[TensorSpec], present: Iterable[str], file: str, aliases: Mapping[str, str]
) -> dict[str, str]:
    """Return ``canonical -> native`` for names that a converter was told and should have kept.

    Parameters
    ----------
    present : the names that stand in the file.
    file : how messages call it.
    aliases : names that stand there in place of the canonical ones, where those do not.

    Raises
    ------
    UnsupportedModelError : a name is not there.
    """
    found, present = {}, list(present)
    for spec in specs:
        native = spec.name if spec.name in present else aliases.get(spec.name, spec.name)
        if native not in present:
            raise UnsupportedModelError(
                f"{file} has no {native!r}; it has {', '.join(present) or 'no names'}. "
                "Name tensors with letters, digits and underscores"
            )
        found[spec.name] = native
    return found


def flatten(outputs: Any, signature: Signature) -> list[Any]:
    """Return a call's output tensors in the signature's order.

    Raises
    ------
    UnsupportedModelError : the number of tensors is not the signature's.
    """
    names = [spec.name for spec in signature.outputs]
    leaves = list(name_leaves(outputs))
    if len(leaves) != len(names):
        raise UnsupportedModelError(
            f"the model returned {len(leaves)} tensors; its signature names {len(names)} outputs "
            f"({', '.join(names)}). Name every output, in the order of the model's own"
        )
    found = dict(leaves)
    return [found[name] for name in names] if found.keys() == set(names) else [v for _, v in leaves]


def one_by_one(source: Source) -> Source:
    """Return a source whose inputs are handed over in order, as a graph made from it takes them."""
    return replace(source, signature=replace(source.signature, arguments=None))


def call_torch(module: Any, tensors: Sequence[Any], signature: Signature) -> Any:
    """Call a `torch.nn.Module` with tensors in the signature's order."""
    if signature.arguments is None:
        return module(*tensors)
    args, kwargs = fill(signature.arguments, _by_name(tensors, signature))
    return module(*args, **kwargs)


def _by_name(tensors: Sequence[Any], signature: Signature) -> dict[str, Any]:
    return {spec.name: value for spec, value in zip(signature.inputs, tensors, strict=True)}


def call_keras(model: Any, tensors: Sequence[Any], signature: Signature) -> Any:
    """Call a Keras model for inference, whatever way it takes its inputs.

    Parameters
    ----------
    tensors : of the backend the model runs under, in the signature's order.

    Raises
    ------
    UnsupportedModelError : the model takes a dict with other keys than the signature's names.
    """
    if signature.arguments is not None:
        args, kwargs = fill(signature.arguments, _by_name(tensors, signature))
        return model(*args, **kwargs, training=False)
    names = [spec.name for spec in signature.inputs]
    inputs = getattr(model, "input", None) if hasattr(model, "inputs") else None
    if isinstance(inputs, Mapping):
        if sorted(inputs) != sorted(names):
            raise UnsupportedModelError(
                f"the model takes a dict of {', '.join(sorted(inputs))}; "
                f"its signature names the inputs {', '.join(names)}. Use the same names"
            )
        return model(dict(zip(names, tensors, strict=True)), training=False)
    if len(names) == 1:
        return model(tensors[0], training=False)
    takes = inspect.signature(model.call).parameters
    if inputs is None and all(name in takes for name in names):
        return model(**dict(zip(names, tensors, strict=True)), training=False)
    return model(list(tensors), training=False)


def adapt_torch(
    module: Any,
    signature: Signature,
    *,
    call: Callable[[Any, Sequence[Any], Signature], Any] = call_torch,
    named: bool = False,
) -> Any:
    """Wrap a `torch.nn.Module` so that it takes and gives what the signature says.

    Parameters
    ----------
    module : the original; its weights are shared.
    call : how to call it; `call_keras` for a Keras model under the torch backend.
    named : give a dict by canonical name; else one tensor, or a tuple in the signature's order.

    Returns
    -------
    torch.nn.Module
        In eval mode. Its ``forward`` has the canonical names as argument names (`identifiers`).
    """
    import torch

    outputs = [spec.name for spec in signature.outputs]
    header = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ("self", *identifiers([spec.name for spec in signature.inputs]))
        ]
    )

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = header.bind(self, *args, **kwargs).args[1:]
        flat = flatten(call(self.original, tensors, signature), signature)
        if named:
            return dict(zip(outputs, flat, strict=True))
        return flat[0] if len(flat) == 1 else tuple(flat)

    # What tracing and torch.export read argument names from.
    forward.__signature__ = header  # type: ignore[attr-defined]
    adapted = type("Adapted", (torch.nn.Module,), {"forward": forward})()
    adapted.original = module
    return adapted.eval()
