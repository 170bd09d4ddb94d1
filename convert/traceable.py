"""An exported program made ready for `torch.jit.trace`, which must see where sizes come from.

The operators of an exported program (``torch.ops.aten``) take sizes as plain numbers, and a trace
through them keeps those of the example. PyTorch's own Python functions record them as sizes.
"""

from __future__ import annotations

from typing import Any

from shipworthy.convert.routes import UnsupportedModelError

_CHECKS = ("_assert", "sym_constrain_range")


def drop_checks(module: Any) -> None:
    """Take the checks of input sizes out of an exported program: traced again, they fix the sizes.

    The reference runs with them, so that every size in the cases is known to fit.

    Parameters
    ----------
    module : a `torch.fx.GraphModule` from `torch.export.ExportedProgram.module`; is changed.
    """
    for node in list(module.graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            module.graph.erase_node(node)
    module._forward_pre_hooks.clear()
    module.recompile()


def follow_sizes(module: Any) -> Any:
    """Let every operator that takes a computed size record it; return the module, changed.

    Parameters
    ----------
    module : a `torch.fx.GraphModule` from `torch.export.ExportedProgram.module`.

    Raises
    ------
    UnsupportedModelError : an operator that takes sizes and has no Python function.
    """
    import torch

    for node in list(module.graph.nodes):
        if node.op != "call_function":
            continue
        name = str(getattr(node.target, "_opname", ""))
        if name.startswith(_CHECKS) and not node.users:
            module.graph.erase_node(node)
        elif name == "sym_size":
            node.target = _size
        elif isinstance(node.target, torch._ops.OpOverload) and _takes_sizes(node):
            node.args = (name, *node.args)
            node.target = _by_function
    module.recompile()
    return module


def _takes_sizes(node: Any) -> bool:
    import torch

    numbers = (torch.SymInt, torch.SymFloat, torch.SymBool)
    return any(isinstance(given.meta.get("val"), numbers) for given in node.all_input_nodes)


def _size(tensor: Any, axis: int) -> Any:
    return tensor.size(axis)


def _by_function(name: str, *args: Any, **kwargs: Any) -> Any:
    """Call an operator by the function that PyTorch has for it in Python."""
    import torch

    if name == "slice":
        return _slice(*args)
    kwargs.pop("layout", None)  # strided is all there is here
    if args and isinstance(args[0], torch.Tensor) and hasattr(args[0], name):
        return getattr(args[0], name)(*args[1:], **kwargs)
    for home in (torch, torch._C._nn, torch._VF):
        if hasattr(home, name):
            return getattr(home, name)(*args, **kwargs)
    raise UnsupportedModelError(
        f"aten.{name} takes a dynamic size, and TorchScript's tracer cannot record that; fix the "
        "axis, or export the model from its code: file.py:NAME"
    )


def _slice(x: Any, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    whole = (slice(None),) * (axis % x.dim())
    # The greatest int64 is how the operator says "to the end".
    stop = None if isinstance(end, int) and end >= 2**63 - 1 else end
    return x[(*whole, slice(start, stop, step))]
