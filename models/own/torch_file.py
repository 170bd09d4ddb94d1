"""``model.pt2``, a saved `torch.export.ExportedProgram`, and ``model.pt``, TorchScript.

Both hold a program and its weights, no Python. A ``.pt`` file that is a pickle instead (a state
dict, a checkpoint, a whole module) is told apart without unpickling it freely.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shipworthy.models.arguments import describe
from shipworthy.models.given import Given, parse_spec
from shipworthy.models.own import Opened, OwnModelError
from shipworthy.models.own.torch_pickle import first_line, load_pickle
from shipworthy.models.own.torch_safety import (
    check_program,
    check_script,
    members,
    plain_pickles,
    refuse,
)
from shipworthy.models.spec import DTYPES, TensorSpec

BATCH = "batch"
_SYMBOL_SIZE = 2  # of an axis without example inputs
_TRAINING = {"dropout": 2, "feature_dropout": 2, "batch_norm": 5, "instance_norm": 5}


def load(given: Given) -> Opened:
    """Load a program, TorchScript, or a pickled module that is trusted.

    Raises
    ------
    OwnModelError : a damaged file, one of another kind, or one that would run code.
    """
    path = Path(given.path)
    kind = _kind(path)
    if kind == "exported_program":
        return _load_program(given, path)
    if kind == "torchscript":
        return _load_script(given, path)
    return load_pickle(given, path)


def _kind(path: Path) -> str:
    """Tell what a file is by what it holds; its suffix may say otherwise."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            head = stream.read(2)
        # The form of PyTorch before 1.6: pickles one after another, or a tar archive.
        if path.suffix != ".pt2" and head[:1] == b"\x80":
            return "pickle"
        raise OwnModelError(
            f"{path} is no file of PyTorch's, or is not whole: it is not a zip archive; copy or "
            "save it again"
        )
    names = members(path)
    if "archive_format" in names or "serialized_exported_program.json" in names:
        return "exported_program"
    if any(name.startswith("code/") for name in names) or "constants.pkl" in names:
        return "torchscript"
    if "data.pkl" in names:
        return "pickle"
    raise OwnModelError(
        f"{path} is a zip archive, but none of PyTorch's; it has "
        f"{', '.join(names[:5]) or 'nothing'}"
    )


def _load_program(given: Given, path: Path) -> Opened:
    import contextlib

    import torch

    if not given.trust:
        check_program(path)
    if _mentions(path, b"transformers."):
        with contextlib.suppress(ImportError):  # registers the classes of its models' answers
            import transformers.modeling_outputs  # noqa: F401
    try:
        guard = contextlib.nullcontext() if given.trust else plain_pickles()
        with guard, path.open("rb") as stream:
            program = torch.export.load(stream)
    except pickle.UnpicklingError:
        refuse(path, "a pickle of more than tensors and plain values")
    except Exception as e:  # of many kinds, each about the file
        raise OwnModelError(
            f"torch.export cannot load {path}: {first_line(e)}; it was perhaps saved by another "
            f"version of PyTorch (here {torch.__version__}): export and save it again"
        ) from e
    _refuse_training(program, path)
    module = program.module()
    for inner in module.modules():
        inner.training = False
    module.train = lambda mode=True: module  # a program has one mode; PyTorch's own raises
    module.eval = lambda: module
    args, kwargs, flat = _example(program)
    return Opened(
        "pytorch", "exported_program", module, args, kwargs,
        specs=_specs(program, module, args, kwargs, flat), files=(path,),
    )  # fmt: skip


def _mentions(path: Path, word: bytes) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(word in archive.read(n) for n in archive.namelist() if n.endswith(".json"))


def _refuse_training(program: Any, path: Path) -> None:
    for node in program.graph.nodes:
        name = str(node.target).removeprefix("aten.").split(".")[0]
        position = _TRAINING.get(name)
        if position is not None and len(node.args) > position and node.args[position] is True:
            raise OwnModelError(
                f"{path} was exported in training mode ({node.target} is told to train); call "
                "model.eval() before torch.export.export"
            )


def _example(program: Any) -> tuple[tuple[Any, ...], dict[str, Any], list[Any]]:
    """Return the example call and its leaves, in the order of the program's placeholders."""
    import torch
    from torch.utils import _pytree as pytree

    if program.example_inputs is not None:
        args, kwargs = program.example_inputs
        flat = pytree.tree_leaves((args, kwargs), is_leaf=lambda value: value is None)
        return tuple(args), dict(kwargs), flat
    flat = []
    for value in _placeholders(program):
        if isinstance(value, torch.Tensor):
            sizes = [s if isinstance(s, int) else _SYMBOL_SIZE for s in value.shape]
            value = torch.zeros(sizes, dtype=value.dtype)
        flat.append(value)
    args, kwargs = pytree.tree_unflatten(flat, program.call_spec.in_spec)
    return tuple(args), dict(kwargs), flat


def _placeholders(program: Any) -> list[Any]:
    """Return what stands for each of the user's inputs: a fake tensor, or a constant."""
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    return [values.get(name) for name in program.graph_signature.user_inputs]


def _specs(
    program: Any,
    module: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    flat: Sequence[Any],
) -> tuple[TensorSpec, ...]:
    """Declare the inputs with the axes that the program keeps dynamic.

    A size that is computed from another (``2*n``) is fixed, with the one it is computed from:
    nothing says so in other formats.
    """
    import inspect

    import torch

    parameters = [
        p.name for p in inspect.signature(module.forward).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    names = [*parameters, *(f"input_{i}" for i in range(len(args)))][: len(args)]
    _, tensors = describe(args, kwargs, names, lambda value: isinstance(value, torch.Tensor))
    called = {id(value): name for name, value in tensors.items()}
    fakes = [
        (called[id(leaf)], fake, leaf)
        for leaf, fake in zip(flat, _placeholders(program), strict=True)
        if id(leaf) in called and isinstance(fake, torch.Tensor)
    ]
    axes = _name_symbols([fake for _, fake, _ in fakes])
    found = []
    for name, fake, leaf in fakes:
        dtype = str(leaf.dtype).removeprefix("torch.")
        if dtype not in DTYPES:
            raise OwnModelError(
                f"input {name!r} is {dtype}; what can be given to every runtime is "
                f"{', '.join(DTYPES)}: convert to one of these inside the model"
            )
        shape = [
            int(here) if isinstance(size, int) else axes.get(str(size.node.expr), int(here))
            for size, here in zip(fake.shape, leaf.shape, strict=True)
        ]
        found.append(TensorSpec(name, dtype, tuple(shape)))
    return tuple(found)


def _name_symbols(fakes: Sequence[Any]) -> dict[str, str]:
    """Name the symbols that stand alone as sizes: the first axis is the batch."""
    import torch

    sizes = [
        (position, size.node.expr)
        for fake in fakes
        for position, size in enumerate(fake.shape)
        if isinstance(size, torch.SymInt)
    ]
    derived = {str(s) for _, expr in sizes if not expr.is_symbol for s in expr.free_symbols}
    found: dict[str, str] = {}
    for position, expr in sizes:
        symbol = str(expr)
        if not expr.is_symbol or symbol in derived or symbol in found:
            continue
        name = f"dim_{position}" if position else BATCH
        while name in found.values():
            name = f"{name if name != BATCH else 'dim_0'}_"
        found[symbol] = name
    return found


def _load_script(given: Given, path: Path) -> Opened:
    import torch

    if not given.trust:
        check_script(path)
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as e:  # of many kinds, each about the file
        raise OwnModelError(f"TorchScript {path} cannot be loaded: {first_line(e)}") from e
    if not hasattr(module, "forward"):
        raise OwnModelError(f"TorchScript {path} has no forward method, so nothing to export")
    wanted = [
        argument for argument in module.forward.schema.arguments[1:]
        if not argument.has_default_value()
    ]  # fmt: skip
    told = ", ".join(f"{a.name}: {a.type}" for a in wanted) or "none"
    odd = [a for a in wanted if str(a.type) not in ("Tensor", "Optional[Tensor]")]
    if odd:
        raise OwnModelError(
            f"TorchScript {path} takes {told}; only tensors can be given to every runtime: wrap "
            "the module in one that takes tensors, and save that"
        )
    if not given.specs and not given.inputs:
        first = wanted[0].name if wanted else "x"
        raise OwnModelError(
            f"TorchScript {path} does not say the shapes of its inputs ({told}); say them, as in "
            f"--input {first}:float32:batch,3,32,32 for each of them, in this order, or give real "
            "ones by --inputs cases.npz"
        )
    return Opened("pytorch", "torchscript", module, specs=_in_order(given, wanted), files=(path,))


def _in_order(given: Given, arguments: Sequence[Any]) -> tuple[TensorSpec, ...]:
    """Return the declared inputs in the order of the arguments that bear their names."""
    specs = {spec.name: spec for spec in map(parse_spec, given.specs)}
    names = [argument.name for argument in arguments]
    if set(specs) <= set(names):
        return tuple(specs[name] for name in names if name in specs)
    return tuple(specs.values())
