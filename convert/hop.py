"""One hop, in a process of its own.

Run as ``python -m shipworthy.convert.hop REQUEST.json`` (or forked by
`shipworthy.convert.preload`). Writes the artifact and its manifest into the work folder, or
``failure.json`` with the reason.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from shipworthy.convert.artifact import (
    FAILURE,
    Artifact,
    hash_content,
    read_artifact,
    size_bytes,
    write_json,
)
from shipworthy.convert.explain import explain, trace_notes
from shipworthy.convert.read_reference import read_reference
from shipworthy.convert.routes import FORMATS, Converted, Hop, hops
from shipworthy.convert.versions import versions_of
from shipworthy.models.spec import Signature, Source
from shipworthy.models.subject import Subject


@dataclass(frozen=True)
class HopRequest:
    """All a hop's process needs to know.

    Parameters
    ----------
    subject, framework : which source; the former as `Subject.to_json` gives it.
    hop, route : such as ``"saved_model>onnx"`` and ``"tensorflow>saved_model>onnx"``.
    reference : the reference's folder, with the snapshot of the weights.
    parent : the parent artifact's folder, where the hop starts from a format.
    folder : an empty folder to write into.
    key : recorded in the manifest.
    command : reproduces this hop.
    optimize : see `shipworthy.models.spec.Source`.
    instead_of : key of the optimized artifact that did not pass, where this is the plain one.
    """

    subject: dict[str, Any]
    framework: str
    hop: str
    route: str
    reference: str
    parent: str | None
    folder: str
    key: str
    command: str
    optimize: bool = True
    instead_of: str | None = None

    def write(self, path: Path) -> None:
        """Write the request where the hop's process will read it."""
        write_json(path, asdict(self))


def main(argv: list[str]) -> int:
    """Perform the request in the file named; 0 if the artifact was written."""
    request = HopRequest(**json.loads(Path(argv[0]).read_text()))
    folder = Path(request.folder)
    try:
        _perform(request, folder)
    except Exception as e:
        traceback.print_exc()
        write_json(folder / FAILURE, explain(e))
        return 1
    return 0


def _perform(request: HopRequest, folder: Path) -> None:
    started = time.monotonic()
    hop = hops()[request.hop]
    os.environ["KERAS_BACKEND"] = hop.keras_backend
    source = Subject.from_json(request.subject).source(request.framework)
    source = replace(source, optimize=request.optimize)
    reference = read_reference(Path(request.reference))
    target = FORMATS[hop.target]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        original = _origin(request, source)
        converted = hop.convert(original, source, folder / target.filename)
    _check_names(hop, source.signature, converted)
    parent = read_artifact(Path(request.parent)) if request.parent else None
    fixed = (dict(parent.fixed_axes) if parent else {}) | dict(converted.fixed_axes)
    Artifact(
        model=source.name,
        framework=request.framework,
        route=request.route,
        format=hop.target,
        file=target.filename,
        sha256=hash_content(folder),
        size_bytes=size_bytes(folder),
        signature=source.signature,
        native_names={"inputs": dict(converted.inputs), "outputs": dict(converted.outputs)},
        dynamic_axes=tuple(axis for axis in source.signature.axes if axis not in fixed),
        fixed_axes=fixed,
        weights_sha256=reference.weights_sha256,
        key=request.key,
        tools=(dict(parent.tools) if parent else {}) | versions_of(hop.packages),
        options={"optimize": request.optimize, **converted.options, **source.processing},
        instead_of=request.instead_of,
        notes=(parent.notes if parent else ())
        + converted.notes
        + trace_notes(caught, source.signature),
        warnings=_told(caught),
        parent=parent.key if parent else None,
        command=request.command,
        seconds=round(time.monotonic() - started, 3),
        folder=folder,
    ).write()


def _origin(request: HopRequest, source: Source) -> Any:
    if request.parent is not None:
        return read_artifact(Path(request.parent))
    from shipworthy.convert.snapshot import load_original

    return load_original(source, Path(request.reference))


def _check_names(hop: Hop, signature: Signature, converted: Converted) -> None:
    pairs: tuple[tuple[str, tuple[Any, ...], Mapping[str, str]], ...] = (
        ("inputs", signature.inputs, converted.inputs),
        ("outputs", signature.outputs, converted.outputs),
    )
    for kind, specs, names in pairs:
        expected = [spec.name for spec in specs]
        if sorted(names) != sorted(expected) or len(set(names.values())) != len(expected):
            raise ValueError(
                f"{hop} maps the {kind} {dict(names)}; the signature has {', '.join(expected)}, "
                "each needs a native name of its own"
            )


def _told(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    told = []
    for warning in caught:
        lines = str(warning.message).strip().splitlines() or [""]
        told.append(f"{warning.category.__name__}: {lines[0]}")
    return tuple(dict.fromkeys(told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
