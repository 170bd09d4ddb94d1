"""The way in: an ONNX file becomes a PyTorch module."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipworthy.convert.bridge.importer.evaluate import SMALL, Scope, as_tensor, run_nodes
from shipworthy.convert.bridge.importer.node import StaticShape
from shipworthy.convert.bridge.importer.number import Numbers, Tensor, torch
from shipworthy.convert.bridge.importer.plan import Plan, Planner, reads
from shipworthy.models.onnx_file import read_onnx

if TYPE_CHECKING:
    from torch.nn import Module

    from shipworthy.convert.artifact import Artifact
    from shipworthy.models.spec import Source

# A weight is what has at least so many elements; fewer are a setting, written into the graph.
_WEIGHT = 2


def import_onnx(
    path: Path, inputs: Sequence[str] | None = None, outputs: Sequence[str] | None = None
) -> Module:
    """Return a module that computes what an ONNX file says.

    Its weights are buffers. It holds no Python object of the file's, and the file is not read
    again.

    Parameters
    ----------
    path : a ``.onnx`` file; weights beside it (external data) are read from its own folder only.
    inputs, outputs : names in the order wanted; None is the file's. Of the outputs some may be left
        out, and what only they need is not computed.

    Returns
    -------
    torch.nn.Module
        In eval mode. Its ``forward`` takes a tensor for every input of the graph that is no
        initializer, by position, and returns a tensor, or a tuple. `torch.jit.trace` and
        `torch.export` keep every size dynamic that the file does not fix.

    Raises
    ------
    OnnxFileError : the file is missing or broken.
    UnsupportedModelError : it uses ops, or settings of ops, that the table lacks.
    ValueError : a name that the file does not have.
    """
    model = _inlined(read_onnx(path))
    _choose(model.graph.output, outputs, path)
    planner = Planner(model, path, _infer_shapes(model))
    if inputs is not None:
        if sorted(inputs) != sorted(planner.plan.inputs):
            raise ValueError(
                f"{path} takes {', '.join(planner.plan.inputs)}; asked for {', '.join(inputs)}"
            )
        planner.plan.inputs = tuple(inputs)
    return _module_class()(planner.plan, planner.constants).eval()


def open_parent(artifact: Artifact, source: Source) -> Module:
    """Return `import_onnx` of an ONNX artifact; it answers in a dict by canonical name.

    A tuple would be ambiguous: its places have names too (``output_0``), which may be those of
    other outputs.
    """
    names = artifact.native_names
    outputs = [spec.name for spec in source.signature.outputs]
    imported = import_onnx(
        artifact.path,
        [names["inputs"][spec.name] for spec in source.signature.inputs],
        [names["outputs"][name] for name in outputs],
    )

    class Named(torch.nn.Module):  # type: ignore[misc]
        """An ONNX graph whose outputs have the names of the signature."""

        def __init__(self) -> None:
            super().__init__()
            self.graph = imported

        def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
            results = self.graph(*tensors)
            return dict(zip(outputs, results if len(outputs) > 1 else [results], strict=True))

    return Named().eval()


def _choose(values: Any, wanted: Sequence[str] | None, path: Path) -> None:
    """Keep the values named, in the order in which they are named."""
    if wanted is None:
        return
    by_name = {value.name: value for value in values}
    lacking = [name for name in wanted if name not in by_name]
    if lacking:
        raise ValueError(f"{path} has no {', '.join(lacking)}; it has {', '.join(by_name)}")
    kept = [type(by_name[name]).FromString(by_name[name].SerializeToString()) for name in wanted]
    del values[:]
    values.extend(kept)


def _module_class() -> Any:
    """Return the module's class; made here, because PyTorch is not imported before."""

    class Imported(torch.nn.Module):  # type: ignore[misc]
        """An ONNX graph."""

        def __init__(self, plan: Plan, constants: Mapping[str, Tensor]) -> None:
            super().__init__()
            self._plan = plan
            self._places: dict[str, str] = {}
            self._read: dict[str, Numbers] = {}
            for name in _used(plan, constants):
                self._keep(name, constants[name])

        def _keep(self, name: str, tensor: Tensor) -> None:
            place = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
            place = f"constant_{place}"
            while hasattr(self, place):
                place += "_"
            self._places[name] = place
            if tensor.is_floating_point() and tensor.numel() >= _WEIGHT:
                self.register_buffer(place, tensor)
            else:
                setattr(self, place, tensor)
            if tensor.numel() <= SMALL:
                self._read[name] = Numbers.read_constant(tensor)

        def forward(self, *tensors: Tensor) -> Any:
            plan = self._plan
            if len(tensors) != len(plan.inputs):
                raise TypeError(
                    f"{len(tensors)} inputs were given; the ONNX graph takes {len(plan.inputs)}: "
                    f"{', '.join(plan.inputs)}"
                )
            constants = {name: getattr(self, place) for name, place in self._places.items()}
            scope = Scope(dict(zip(plan.inputs, tensors, strict=True)), constants, None, self._read)
            run_nodes(plan.nodes, scope)
            results = [as_tensor(scope.value(name)) for name in plan.outputs]
            return results[0] if len(results) == 1 else tuple(results)

    return Imported


def _used(plan: Plan, constants: Mapping[str, Tensor]) -> Iterator[str]:
    """Return the constants that a plan and the plans inside it use."""
    found: dict[str, None] = {}
    waiting = [plan]
    while waiting:
        one = waiting.pop()
        found.update(dict.fromkeys(one.outputs))
        for node in one.nodes:
            found.update(dict.fromkeys(reads(node)))
            waiting += [value for value in node.attributes.values() if isinstance(value, Plan)]
    return (name for name in found if name in constants)


def _inlined(model: Any) -> Any:
    """Put the file's own functions in place of their calls."""
    if not model.functions:
        return model
    import onnx.inliner

    return onnx.inliner.inline_local_functions(model)


def _infer_shapes(model: Any) -> dict[str, StaticShape]:
    """Return what ONNX can say of every value's shape from the inputs' alone.

    Large weights are left out: their shapes are enough, and a copy could be beyond protobuf's 2 GB.
    What the file says of shapes inside it is not believed.
    """
    import onnx

    bare = onnx.ModelProto()
    bare.ir_version = max(model.ir_version, 4)  # from there on, initializers need be no inputs
    bare.opset_import.extend(model.opset_import)
    graph = bare.graph
    graph.name = "shapes"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    for value in model.graph.output:
        graph.output.add().name = value.name
    declared = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL and tensor.ByteSize() <= 16 * SMALL:
            graph.initializer.append(tensor)
        elif tensor.name not in declared:
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
    try:
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    except onnx.shape_inference.InferenceError:
        # Nothing depends on it but a few sizes that could have been constants.
        inferred = bare
    found: dict[str, StaticShape] = {}
    for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        tensor = value.type.tensor_type
        if value.type.WhichOneof("value") == "tensor_type" and tensor.HasField("shape"):
            found[value.name] = tuple(
                dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim
            )
    return found
