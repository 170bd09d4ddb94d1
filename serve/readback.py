"""The signature as the runtime reads it from the artifact, against the source's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipworthy.convert.artifact import Artifact
from shipworthy.models.spec import TensorSpec
from shipworthy.serve.runners import Run

_DYNAMIC = -1


def check_signature(artifact: Artifact, run: Run) -> list[str]:
    """Return what differs in names, dtypes, ranks and axes; nothing if the file agrees.

    What a format does not store (TorchScript: dtypes, shapes, output names) is None in `run` and
    proven by execution instead.
    """
    names = artifact.native_names
    return [
        *_check(artifact.signature.inputs, names["inputs"], run.inputs, artifact, "input"),
        *_check(artifact.signature.outputs, names["outputs"], run.outputs, artifact, "output"),
    ]


def _check(
    specs: Sequence[TensorSpec],
    native: Mapping[str, str],
    declared: Sequence[Mapping[str, Any]],
    artifact: Artifact,
    kind: str,
) -> list[str]:
    found = {entry["name"]: entry for entry in declared}
    problems = [
        f"{kind} {name!r} of the file is not in the model's signature"
        for name in found
        if name not in native.values()
    ]
    for spec in specs:
        entry = found.get(native[spec.name])
        if entry is None:
            has = ", ".join(found) or "none"
            problems.append(
                f"{kind} {spec.name!r} ({native[spec.name]!r}) is not in the file: {has}"
            )
            continue
        what = f"{kind} {spec.name!r}"
        if entry["dtype"] not in (None, spec.dtype):
            problems.append(f"{what} has dtype {entry['dtype']} in the file, not {spec.dtype}")
        problems += _check_shape(what, spec, entry["shape"], artifact.fixed_axes)
    return problems


def _check_shape(
    what: str, spec: TensorSpec, shape: Sequence[int] | None, fixed: Mapping[str, int]
) -> list[str]:
    if shape is None:
        return []
    if len(shape) != len(spec.shape):
        return [f"{what} has shape {list(shape)} in the file, not {list(spec.shape)}"]
    wrong = []
    for axis, (size, declared) in enumerate(zip(spec.shape, shape, strict=True)):
        if isinstance(size, str) and size not in fixed:
            if declared != _DYNAMIC:
                wrong.append(f"{what} has axis {axis} ({size}) fixed at {declared} in the file")
            continue
        if isinstance(size, str) and declared == _DYNAMIC:
            wrong.append(f"{what} has axis {axis} ({size}) dynamic in the file, not {fixed[size]}")
            continue
        wanted = fixed[size] if isinstance(size, str) else size
        if declared not in (wanted, _DYNAMIC):
            wrong.append(f"{what} has {declared} at axis {axis} in the file, not {wanted}")
    return wrong
