"""Formats, hops and routes: which export is made of which steps.

A hop is a plain function. The pipeline does isolation, hashing, versions, timing and error
wrapping once for all of them.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipworthy.models.spec import FRAMEWORKS


@dataclass(frozen=True)
class Format:
    """A deployment format.

    Parameters
    ----------
    name : such as ``"onnx"``.
    filename : the artifact's file, or folder, inside its cell.
    runtime : the runtime that ships it.
    title : how people write it.
    max_bytes : of weights that a file can hold; None where there is no such limit.
    """

    name: str
    filename: str
    runtime: str
    title: str
    max_bytes: int | None = None


FORMATS: Mapping[str, Format] = {
    f.name: f
    for f in (
        Format("onnx", "model.onnx", "onnxruntime", "ONNX"),
        Format("saved_model", "saved_model", "tensorflow", "SavedModel"),
        Format("torchscript", "model.pt", "libtorch", "TorchScript"),
        # Offsets in a flatbuffer have 32 bits, of which one is a sign (flatbuffers.dev/internals).
        Format("tflite", "model.tflite", "litert", "TFLite", max_bytes=2**31 - 1),
    )
}


@dataclass(frozen=True)
class Converted:
    """What a hop says of the file it wrote.

    Parameters
    ----------
    inputs, outputs : canonical name -> name in the file, for every tensor of the signature.
    fixed_axes : dynamic axes of the source that the file does not keep, with the size they have.
    options : the settings that shaped the file, JSON.
    notes : facts the user should know, one sentence each.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    fixed_axes: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


Convert = Callable[[Any, Any, Path], Converted]


@dataclass(frozen=True)
class Hop:
    """One step of a route: from a framework or a format to a format.

    Parameters
    ----------
    source, target : names of a framework or format, and of a format.
    convert : ``convert(original, source, path)``. `original` is the loaded model where `source` is
        a framework, the parent `Artifact` where it is a format; `source` is the
        `shipworthy.models.spec.Source`; `path` is the file or folder to write.
    packages : distributions whose versions shape the file.
    keras_backend : backend under which a Keras model is loaded for this hop.
    kinds : kinds of source (`shipworthy.models.spec.Source.kind`) that the hop takes.
    static : it keeps no dynamic axis.
    optimizes : what it makes is plainer where the source says so.
    server : framework of the process it runs in; None is the source's own.
    """

    source: str
    target: str
    convert: Convert
    packages: tuple[str, ...]
    keras_backend: str = "tensorflow"
    kinds: tuple[str, ...] = ("module",)
    static: bool = False
    optimizes: bool = False
    server: str | None = None

    def __str__(self) -> str:
        return f"{self.source}>{self.target}"


@dataclass(frozen=True)
class Route:
    """Hops from a framework to a format; prints as ``tensorflow>saved_model>tflite``."""

    hops: tuple[Hop, ...]

    @property
    def framework(self) -> str:
        """Where the route begins."""
        return self.hops[0].source

    @property
    def format(self) -> str:
        """Where the route ends."""
        return self.hops[-1].target

    def __str__(self) -> str:
        return ">".join([self.framework, *(hop.target for hop in self.hops)])


class UnsupportedModelError(Exception):
    """The model cannot take this hop; the message says what, where, and what to do instead."""


_HOPS: dict[str, Hop] = {}


def hop(
    source: str, target: str, *, packages: tuple[str, ...], **options: Any
) -> Callable[[Convert], Convert]:
    """Register a function as the hop from `source` to `target`.

    Parameters
    ----------
    options : the other fields of `Hop`.
    """

    def register(convert: Convert) -> Convert:
        found = Hop(source, target, convert, packages, **options)
        _HOPS[str(found)] = found
        return convert

    return register


def hops() -> dict[str, Hop]:
    """Return every hop, by its printed name, in order of registration."""
    for name in FORMATS:
        importlib.import_module(f"shipworthy.convert.formats.{name}")
    return dict(_HOPS)


def find_routes(start: str, format_: str, kind: str = "module") -> list[Route]:
    """Return the routes from a framework to a format, best expected quality first.

    Shorter ones first, for every hop can lose something; last those that keep no dynamic axis.

    Parameters
    ----------
    kind : of the source, see `shipworthy.models.spec.Source`.

    Raises
    ------
    ValueError : an unknown framework or format; the message lists the known ones.
    """
    if start not in FRAMEWORKS:
        raise ValueError(f"unknown framework {start!r}; known: {', '.join(FRAMEWORKS)}")
    if format_ not in FORMATS:
        raise ValueError(f"unknown format {format_!r}; known: {', '.join(FORMATS)}")
    found: list[Route] = []
    # A file that is a model of its own begins by being taken in as an artifact.
    first = [h for h in hops().values() if h.source == start and kind in h.kinds]
    paths: list[tuple[Hop, ...]]
    paths = [(h,) for h in first if start not in FORMATS or h.target == start]
    while paths:
        path = paths.pop(0)
        if path[-1].target == format_:
            found.append(Route(path))
            continue
        seen = {h.source for h in path} | {path[-1].target}
        paths += [
            (*path, h)
            for h in hops().values()
            if h.source == path[-1].target and h.target not in seen
        ]
    return sorted(found, key=lambda route: any(h.static for h in route.hops))


def parse_route(text: str) -> Route:
    """Return the route that prints as this text.

    Raises
    ------
    ValueError : it begins at no framework, or holds a hop that there is not; the message lists
        what there is.
    """
    steps = text.split(">")
    if len(steps) < 2 or steps[0] not in FRAMEWORKS:
        raise ValueError(f"route {text!r} must begin at one of {', '.join(FRAMEWORKS)}")
    # A framework that is a format too begins by being taken in.
    if steps[0] in FORMATS and steps[1] != steps[0]:
        raise ValueError(f"route {text!r} must begin with {steps[0]}>{steps[0]}")
    names = [f"{start}>{end}" for start, end in itertools.pairwise(steps)]
    unknown = [name for name in names if name not in hops()]
    if unknown:
        raise ValueError(f"there is no hop {unknown[0]}; there are: {', '.join(hops())}")
    return Route(tuple(hops()[name] for name in names))
