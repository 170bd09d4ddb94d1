"""The floor of the house: what is exported, in plain values.

NumPy only. A `Source` holds callables and stays inside a process; everything else is JSON in and
out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

# Where a model can come from. "onnx" is a file that is a model of its own.
FRAMEWORKS = ("pytorch", "tensorflow", "onnx")
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype and shape of one input or output.

    Parameters
    ----------
    name : canonical name, the same in every format.
    dtype : one of `DTYPES` (NumPy's names).
    shape : an int is a fixed size; a name such as ``"batch"`` is a dynamic axis, and the same name
        means the same size wherever it stands.
    low, high : range of sensible values, for synthesised inputs; None is the dtype's default.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(
                f"tensor {self.name!r} has dtype {self.dtype!r}; allowed: {', '.join(DTYPES)}"
            )

    @property
    def dynamic_axes(self) -> dict[int, str]:
        """Position -> name of every dynamic axis."""
        return {i: size for i, size in enumerate(self.shape) if isinstance(size, str)}

    def resolve(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape with every named axis replaced by its size.

        Raises
        ------
        KeyError : a named axis has no size.
        """
        return tuple(sizes[size] if isinstance(size, str) else size for size in self.shape)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "name": self.name, "dtype": self.dtype, "shape": list(self.shape),
            "low": self.low, "high": self.high,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TensorSpec:
        """Read what `to_json` wrote."""
        return cls(
            data["name"], data["dtype"], tuple(data["shape"]), data.get("low"), data.get("high")
        )


@dataclass(frozen=True)
class Signature:
    """Canonical inputs and outputs, in order.

    Parameters
    ----------
    arguments : how the inputs are handed to the model, see `shipworthy.models.arguments`; None is
        one by one, in order.
    sizes : of a dynamic axis, the sizes that are known to work: the first is for tracing, the rest
        are for cases off the traced size. An axis without any has the usual ones.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    arguments: Mapping[str, Any] | None = None
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the dynamic axes, in order of first appearance in the inputs."""
        names = [name for spec in self.inputs for name in spec.dynamic_axes.values()]
        return tuple(dict.fromkeys(names))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "arguments": self.arguments,
            "sizes": {axis: list(sizes) for axis, sizes in self.sizes.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """Read what `to_json` wrote."""
        return cls(
            tuple(TensorSpec.from_json(spec) for spec in data["inputs"]),
            tuple(TensorSpec.from_json(spec) for spec in data["outputs"]),
            data.get("arguments"),
            {axis: tuple(sizes) for axis, sizes in data.get("sizes", {}).items()},
        )


@dataclass(frozen=True)
class Case:
    """One set of inputs, by canonical name."""

    name: str
    inputs: Arrays


@dataclass(frozen=True)
class Task:
    """What the model is for: a test set and a score.

    Parameters
    ----------
    metric : the score's name, such as ``"accuracy"``.
    inputs : returns the test set's inputs by canonical name, in the source's own layout.
    score : maps the outputs on those inputs, by canonical name, to one number.
    """

    metric: str
    inputs: Callable[[], Arrays]
    score: Callable[[Arrays], float]


@dataclass(frozen=True)
class Source:
    """A model as its author wrote it.

    Parameters
    ----------
    name : the model's name.
    framework : one of `FRAMEWORKS`.
    signature : canonical names, dtypes and dynamic axes.
    build : returns the untrained `torch.nn.Module` (in eval mode) or `keras.Model`.
    cases : returns inputs of the user's own (real data); synthesised ones are added elsewhere.
    task : a test set and its score, if there is one.
    train : trains the model and writes ``weights.safetensors`` (PyTorch) or ``weights.weights.h5``
        (Keras) into the folder given, with a progress bar on stderr; returns what is worth keeping
        (the score, epochs, seconds). None for a model that has its weights from `build`.
    kind : what `build` gives: ``"module"`` is a `torch.nn.Module` or `keras.Model`, whose weights
        are taken out and put back; any other is a file's own, see `shipworthy.models.own`.
    files : what holds a model of another kind; the first is what `load` takes.
    load : loads a copy of the files, where the kind is another.
    identity : hash of what else shapes the model, such as the user's own files.
    processing : what is declared around the model: ``preprocess`` and ``postprocess``, each with
        ``inside`` (the export does it), ``source`` (file and line) and ``raw`` (what it takes).
    """

    name: str
    framework: str
    signature: Signature
    build: Callable[[], Any]
    cases: Callable[[], list[Case]] = field(default=list)
    task: Task | None = None
    train: Callable[[Path], dict[str, Any]] | None = None
    kind: str = "module"
    files: tuple[Path, ...] = ()
    load: Callable[[Path], Any] | None = None
    identity: str = ""
    optimize: bool = True
    processing: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """One architecture, written in one or more frameworks.

    Parameters
    ----------
    name, about : the model's name and one line about it.
    sources : framework -> the model written in it.
    untrained : it is there for its size and speed only: its weights are drawn by its `build`, the
        same in every process, and it has no task.
    """

    name: str
    about: str
    sources: Mapping[str, Source]
    untrained: bool = False


def synthesise(signature: Signature, sizes: Mapping[str, int], seed: int) -> dict[str, Array]:
    """Make seeded random inputs.

    Floats are standard normal (uniform where a range is given), integers uniform over their range
    (0..7 where none is given), booleans fair coins. Every input has values of its own, so that two
    swapped inputs are noticed.

    Parameters
    ----------
    sizes : size of every dynamic axis, by name.
    seed : the same seed gives the same inputs.
    """
    rng = np.random.default_rng(seed)
    return {spec.name: _draw(spec, spec.resolve(sizes), rng) for spec in signature.inputs}


def synthesise_one(spec: TensorSpec, sizes: Mapping[str, int], seed: int) -> Array:
    """Make one seeded random input, as `synthesise` does."""
    return _draw(spec, spec.resolve(sizes), np.random.default_rng(seed))


def _draw(spec: TensorSpec, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    dtype = np.dtype(spec.dtype)
    if spec.dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        low = 0 if spec.low is None else int(spec.low)
        high = low + 7 if spec.high is None else int(spec.high)
        return rng.integers(low, high, size=shape, endpoint=True).astype(dtype)
    if spec.low is None and spec.high is None:
        return np.asarray(rng.standard_normal(shape), dtype=dtype)
    low_f = 0.0 if spec.low is None else spec.low
    high_f = low_f + 1.0 if spec.high is None else spec.high
    return np.asarray(rng.uniform(low_f, high_f, shape), dtype=dtype)
