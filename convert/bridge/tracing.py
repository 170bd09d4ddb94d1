"""What PyTorch's tracer would fix to the traced sizes, replaced while it traces.

Layers and functions of PyTorch that read a size as a Python number, branch on values or unroll a
loop get an equivalent that does not. The user's code is traced as it stands.
"""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from shipworthy.convert.bridge import packed, whole

_POOLS = {f"{kind}_pool{n}d": n for kind in ("max", "avg") for n in (1, 2, 3)}


@contextmanager
def sizes_kept() -> Iterator[None]:
    """Trace in this context: sizes stay symbols, recurrent layers stay whole."""
    import torch
    from torch.nn.modules.rnn import LSTM, RNNBase

    whole.library()
    with ExitStack() as stack:
        # Its search for the best order reads sizes as numbers.
        stack.enter_context(torch.backends.opt_einsum.flags(enabled=False))
        stack.enter_context(masks_kept())
        # They read the batch as a number; the original has run with the same inputs.
        for layer in (RNNBase, LSTM):
            stack.enter_context(mock.patch.object(layer, "check_forward_args", _unchecked))
        # A recurrent layer refreshes its list of weights when they are put in; PyTorch puts the
        # list back in the end.
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message=r"(?s).*_flat_weights.* assigned during export")
        stack.enter_context(_mode()())
        yield


@contextmanager
def masks_kept() -> Iterator[None]:
    """Trace transformers so that they do what a mask says, not what the traced one said.

    For inference `torch.nn.TransformerEncoder` leaves padding out where it is all at the end of its
    rows, so that zeros are in its place afterwards, and not elsewhere. Tracing would keep one way.
    All transformers look whether a mask is the causal one, to choose between equivalent kernels.
    """
    from torch.nn.modules import transformer
    from torch.nn.modules.transformer import TransformerEncoder

    usual = TransformerEncoder.forward

    def forward(
        self: Any,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Any:
        import torch

        packs = getattr(self, "use_nested_tensor", False) and not self.layers[0].training
        packs = packs and torch.backends.mha.get_fastpath_enabled()
        if not packs or src_key_padding_mask is None or mask is not None or src.dim() != 3:
            return usual(self, src, mask, src_key_padding_mask, is_causal)
        plain = copy.copy(self)
        plain.__dict__ |= {"use_nested_tensor": False, "_modules": {**self._modules, "norm": None}}
        y = usual(plain, src, None, src_key_padding_mask, is_causal)
        kept = src_key_padding_mask.logical_not()
        blank = ~kept
        if getattr(self, "mask_check", True):
            places = torch.arange(kept.shape[1], device=kept.device)
            blank = blank & (kept == (places < kept.sum(1, keepdim=True))).all()
        y = y.masked_fill(blank.unsqueeze(-1), 0.0)
        return y if self.norm is None else self.norm(y)

    with (
        mock.patch.object(TransformerEncoder, "forward", forward),
        mock.patch.object(transformer, "_detect_is_causal_mask", _told_to_be_causal),
    ):
        yield


def _told_to_be_causal(mask: Any, is_causal: bool | None = None, size: Any = None) -> bool:
    return is_causal is True


def _unchecked(*arguments: Any) -> None:
    return None


@functools.cache
def _mode() -> Any:
    from torch.overrides import TorchFunctionMode

    class Replacing(TorchFunctionMode):  # type: ignore[misc]
        """Stands between the model and PyTorch's functions."""

        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            found = NotImplemented
            if replace := _replacement(function):
                found = replace(args, kwargs)
            return function(*args, **kwargs) if found is NotImplemented else found

    return Replacing


Replacement = Callable[[Sequence[Any], Mapping[str, Any]], Any]


def _replacement(function: Any) -> Replacement | None:
    name = getattr(function, "__name__", "")
    if name in whole.CELLS and _is_pytorchs(function):
        return lambda args, kwargs: whole.record(name, args)
    if name in ("size", "__getitem__"):
        return lambda args, kwargs: packed.question(name, args)
    if name == "_pack_padded_sequence":
        return lambda args, kwargs: packed.pack(*args)
    if name == "_pad_packed_sequence":
        return lambda args, kwargs: packed.unpack(*args)
    if name == "embedding_bag" and _is_pytorchs(function):
        return _embedding_bag
    if name == "take_along_dim":
        return lambda args, kwargs: _take_along_dim(*args, **kwargs)
    if name in ("adaptive_avg_pool2d", "adaptive_avg_pool3d") and _is_pytorchs(function):
        return lambda args, kwargs: _global_mean(int(name[-2]), *args, **kwargs)
    if name == "max_pool1d" and _is_pytorchs(function):
        return lambda args, kwargs: _max_pool1d(*args, **kwargs)
    if name in _POOLS and _is_pytorchs(function):
        return lambda args, kwargs: _pool(name, *args, **kwargs)
    return None


def _is_pytorchs(function: Any) -> bool:
    """Tell whether a function is PyTorch's own, not one of the user's with the same name."""
    import torch

    homes = (torch, torch._VF, torch.nn.functional, torch._C._nn)
    return any(getattr(home, function.__name__, None) == function for home in homes)


def _pool(
    name: str,
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *rest: Any,
    return_indices: bool = False,
    **others: Any,
) -> Any:
    """Pool over all there is (``F.max_pool1d(x, x.size(2))``), which tracing takes for a number."""
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    count = _POOLS[name]
    windows = list(kernel_size) if isinstance(kernel_size, list | tuple) else [kernel_size] * count
    sizes = x.shape[-count:]
    if all(isinstance(window, int) for window in windows) or return_indices:
        return NotImplemented
    pads = padding if isinstance(padding, list | tuple) else [padding]
    whole_axes = all(statically_known_true(w == s) for w, s in zip(windows, sizes, strict=True))
    if any(pads) or not whole_axes:
        return NotImplemented
    dims = list(range(-count, 0))
    return x.amax(dims, keepdim=True) if name.startswith("max") else x.mean(dims, keepdim=True)


def _global_mean(count: int, input: Any, output_size: Any) -> Any:
    """Take the mean: of a permuted tensor PyTorch changes the strides too, in a graph of no use."""
    sizes = output_size if isinstance(output_size, list | tuple) else [output_size] * count
    if any(not isinstance(size, int) or size != 1 for size in sizes):
        return NotImplemented
    return input.mean(list(range(-count, 0)), keepdim=True)


def _max_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Pool images of one row: ``max_pool1d`` reads the length as a number."""
    from torch.nn import functional

    settings = (stride, padding, dilation, ceil_mode)
    found = _pool("max_pool1d", x, kernel_size, *settings, return_indices=return_indices)
    if found is not NotImplemented or isinstance(x.shape[-1], int):
        return found

    def single(setting: Any) -> Any:
        return setting[0] if isinstance(setting, list | tuple) else setting

    kernel, step = single(kernel_size), single(stride or kernel_size)
    pool: Any = functional.max_pool2d
    pooled = pool(
        x.unsqueeze(-2), (1, kernel), (1, step), (0, single(padding)), (1, single(dilation)),
        ceil_mode, return_indices,
    )  # fmt: skip
    if return_indices:
        return tuple(part.squeeze(-2) for part in pooled)
    return pooled.squeeze(-2)


def _take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """Gather with broadcasting, which tracing resolves by the traced sizes."""
    if dim is None:
        return x.flatten().gather(0, indices.flatten())

    def wide(tensor: Any, other: Any) -> Any:
        sizes = [-1] * tensor.dim()
        for axis in range(tensor.dim()):
            one = isinstance(tensor.shape[axis], int) and tensor.shape[axis] == 1
            if axis != dim % tensor.dim() and one:
                sizes[axis] = other.shape[axis]
        return tensor.expand(sizes)

    return wide(x, indices).gather(dim, wide(indices, x))


def _embedding_bag(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Take bags that are rows of a matrix as an embedding and a reduction."""
    import inspect

    from torch.nn import functional

    names = inspect.signature(functional.embedding_bag).parameters
    given = dict(zip(names, args, strict=False)) | dict(kwargs)
    index, weight = given["input"], given["weight"]
    if not hasattr(index, "dim") or index.dim() != 2 or given.get("max_norm") is not None:
        return NotImplemented
    mode, factors = given.get("mode", "mean"), given.get("per_sample_weights")
    rows = functional.embedding(index, weight)
    if factors is not None:
        rows = rows * factors.unsqueeze(-1)
    padding = given.get("padding_idx")
    if padding is None:
        return rows.amax(1) if mode == "max" else getattr(rows, mode)(1)
    padding = padding + weight.shape[0] if padding < 0 else padding
    kept = (index != padding).unsqueeze(-1)
    count = kept.sum(1)
    if mode == "max":
        largest = rows.masked_fill(~kept, float("-inf")).amax(1)
        return largest.masked_fill(count == 0, 0.0)
    total = (rows * kept).sum(1)
    return total if mode == "sum" else total / count.clamp(min=1)
