"""PyTorch originals: in float32 as they are, and widened by ``.double()``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.calling import call_torch
from shipworthy.convert.cases import SignatureError
from shipworthy.convert.original import (
    Float64RefusedError,
    Original,
    first_line,
    first_of,
    name_outputs,
    widen,
)
from shipworthy.convert.snapshot import load_snapshot
from shipworthy.models.spec import Array, Arrays, Signature, Source


class TorchOriginal:
    """A `torch.nn.Module` in eval mode."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self.model = model
        self._signature = signature

    def run(self, inputs: Arrays, *, threads: int = 1) -> dict[str, Array]:
        """Call the module as the signature says."""
        import torch

        torch.set_num_threads(threads)
        # Copied: a module may write to its inputs.
        tensors = [
            torch.from_numpy(np.array(inputs[spec.name], order="C"))
            for spec in self._signature.inputs
        ]
        # Not inference mode: it hides what composite operations are made of from the watch below.
        with torch.no_grad():
            answer = call_torch(self.model, tensors, self._signature)
            return name_outputs(answer, self._signature, _to_array)

    def nudge_weights(self, nudge: Callable[[Array], Array]) -> Callable[[], None]:
        """Replace every float parameter; return what puts them back."""
        import torch

        parameters = [p for p in self.model.parameters() if p.is_floating_point()]
        kept = [p.detach().clone() for p in parameters]

        def fill(values: Sequence[Any]) -> None:
            with torch.no_grad():
                for parameter, value in zip(parameters, values, strict=True):
                    parameter.copy_(value)

        fill([torch.from_numpy(nudge(value.numpy())) for value in kept])
        return lambda: fill(kept)


def run_float64(
    source: Source, snapshot: Path, inputs: Sequence[Arrays], check: Callable[[Original], None]
) -> list[dict[str, Array]]:
    """Run a second instance after ``.double()``; see `shipworthy.convert.original.run_float64`."""
    import torch

    module = load_snapshot(source, snapshot)
    check(TorchOriginal(module, source.signature))
    usual = torch.get_default_dtype()
    try:
        wide = TorchOriginal(module.double(), source.signature)
        # What the model creates as it runs has to be float64 as well.
        torch.set_default_dtype(torch.float64)
        with _watch_precision() as narrow:
            outputs = [wide.run(widen(case)) for case in inputs]
    except Exception as e:
        raise Float64RefusedError(f"it does not run in float64: {first_line(e)}") from e
    finally:
        torch.set_default_dtype(usual)
    if narrow:
        raise Float64RefusedError(first_of(narrow))
    return outputs


def _watch_precision() -> Any:
    """Return a context that lists the operations whose results are narrower than float64."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Watch(TorchDispatchMode):  # type: ignore[misc]
        """Sees every ATen operation, also those of scripted and autograd functions."""

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            # Nothing is compiled here; guarding against it would import torch._dynamo, 2 s.
            return False

        def __enter__(self) -> list[str]:
            self.narrow: list[str] = []
            super().__enter__()
            return self.narrow

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            for leaf in tree_leaves(result):
                if _is_narrow(leaf):
                    told = f"{func} answers in {str(leaf.dtype).removeprefix('torch.')}"
                    if told not in self.narrow:
                        self.narrow.append(told)
            return result

    return Watch()


def _is_narrow(leaf: Any) -> bool:
    import torch

    if not isinstance(leaf, torch.Tensor):
        return False
    wide = torch.complex128 if leaf.is_complex() else torch.float64
    return bool((leaf.is_floating_point() or leaf.is_complex()) and leaf.dtype != wide)


def _to_array(value: Any) -> Array:
    import torch

    if not isinstance(value, torch.Tensor):
        raise SignatureError(
            f"the model returns a {type(value).__name__} where a tensor is expected; "
            "let its forward return tensors, in a tuple or a dict"
        )
    return np.array(value.detach().numpy())
