"""What a user asks to export, in words: a model of the zoo, or a model of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shipworthy.models.errors import WrongUsageError
from shipworthy.models.spec import DTYPES, TensorSpec

ACCEPTED = (
    "a model of the zoo (`shipworthy list`), file.py:NAME, a .keras, .h5, .pt2, .pt or .onnx file, "
    "a SavedModel folder, or a Hugging Face folder (config.json beside its weights)"
)
_SUFFIXES = {
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
    ".pt2": "exported_program",
    ".pt": "torchscript",
    ".pth": "torchscript",
    ".ts": "torchscript",
    ".onnx": "onnx",
}


class GivenError(WrongUsageError):
    """What was given is no model, or an option does not fit it."""


@dataclass(frozen=True)
class Given:
    """A model of the user's own and how they want it looked at; every path is absolute.

    Parameters
    ----------
    path : the file or folder.
    kind : ``"python"``, ``"keras"``, ``"saved_model"``, ``"exported_program"``, ``"torchscript"``,
        ``"huggingface"`` or ``"onnx"``.
    name : of the factory or object in a Python file.
    weights : a file loaded into what a Python file builds.
    inputs : an ``.npz`` file of cases.
    specs : declarations of inputs, as `parse_spec` reads them.
    dynamic : dynamic axes, as `parse_dynamic` reads them.
    signature : which signature of a SavedModel.
    trust : whether what can only be loaded by running code of the file's may be.
    """

    path: str
    kind: str
    name: str = ""
    weights: str | None = None
    inputs: str | None = None
    specs: tuple[str, ...] = ()
    dynamic: str | None = None
    signature: str | None = None
    trust: bool = False

    @property
    def title(self) -> str:
        """What the model is called: the factory's name, else the file's."""
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", self.name or Path(self.path).stem).strip("_")
        return plain or "model"

    def words(self) -> list[str]:
        """Return the command-line words that give the same model again."""
        words = [f"{self.path}:{self.name}" if self.name else self.path]
        options = {
            "--weights": self.weights, "--inputs": self.inputs,
            "--dynamic": self.dynamic, "--signature": self.signature,
        }  # fmt: skip
        for option, value in options.items():
            words += [option, value] if value else []
        for spec in self.specs:
            words += ["--input", spec]
        return [*words, "--trust"] if self.trust else words

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self) | {"specs": list(self.specs)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Given:
        """Read what `to_json` wrote."""
        return cls(**{**data, "specs": tuple(data["specs"])})


def looks_like_a_path(word: str) -> bool:
    """Tell whether a word is meant as a file or folder rather than as a name of the zoo."""
    return "/" in word or "\\" in word or ":" in word or "." in word or Path(word).is_dir()


def parse(word: str, **options: Any) -> Given:
    """Read what was given on the command line.

    Parameters
    ----------
    word : such as ``net.py:Net`` or ``model.keras``.
    options : the other fields of `Given`.

    Raises
    ------
    GivenError : nothing is there, or it is nothing that can be loaded.
    """
    file, name = word, ""
    if re.search(r"\.py:[^/\\]*$", word):
        file, _, name = word.rpartition(":")
    path = _absolute(file)
    if not path.exists():
        raise GivenError(f"{file} does not exist; MODEL is {ACCEPTED}")
    kind = _kind(path, name)
    for option in ("weights", "inputs"):
        options[option] = _existing(option, options.get(option))
    given = Given(str(path), kind, name, **options)
    _check_options(given)
    for spec in given.specs:
        parse_spec(spec)
    if given.dynamic is not None:
        parse_dynamic(given.dynamic)
    return given


def _kind(path: Path, name: str) -> str:
    if path.suffix == ".py":
        if not name:
            raise GivenError(
                f"{path} is a Python file; say what in it builds the model: {path}:NAME"
            )
        return "python"
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return "saved_model"
        if (path / "config.json").is_file():
            return "huggingface"
        raise GivenError(
            f"{path} holds neither saved_model.pb nor config.json; MODEL is {ACCEPTED}"
        )
    if path.suffix not in _SUFFIXES:
        raise GivenError(f"{path} ends in {path.suffix!r}; MODEL is {ACCEPTED}")
    return _SUFFIXES[path.suffix]


def _absolute(file: str) -> Path:
    try:
        return Path(file).expanduser().resolve()
    except RuntimeError as e:  # ~nobody
        raise GivenError(f"{file}: {e}") from e


def _existing(option: str, file: str | None) -> str | None:
    if file is None:
        return None
    path = _absolute(file)
    if not path.is_file():
        raise GivenError(f"--{option} {file} is no file")
    return str(path)


def _check_options(given: Given) -> None:
    if given.weights and given.kind != "python":
        raise GivenError(f"--weights goes with file.py:NAME; {given.path} brings its own")
    if given.signature and given.kind != "saved_model":
        raise GivenError(f"--signature goes with a SavedModel folder; {given.path} is none")
    if given.inputs and not given.inputs.endswith(".npz"):
        raise GivenError(f"--inputs takes an .npz file, as numpy.savez writes it: {given.inputs}")


def parse_spec(text: str) -> TensorSpec:
    """Read an input's declaration ``name:dtype:axes[:low..high]``.

    Parameters
    ----------
    text : such as ``ids:int64:batch,seq:0..30521`` or ``image:float32:batch,3,64,64``; axes are
        sizes or names, comma-separated; a scalar has none (``t:float32:``).

    Raises
    ------
    GivenError : it is not of that form; the message says which part.
    """
    form = "name:dtype:axes[:low..high], such as ids:int64:batch,seq:0..30521"
    parts = text.split(":")
    if len(parts) not in (3, 4) or not parts[0]:
        raise GivenError(f"--input {text!r} is not {form}")
    name, dtype, axes = parts[:3]
    if dtype not in DTYPES:
        raise GivenError(f"--input {text!r}: dtype {dtype!r} is none of {', '.join(DTYPES)}")
    shape = tuple(_size(text, axis) for axis in axes.split(",")) if axes else ()
    low = high = None
    if len(parts) == 4:
        low, high = _range(text, parts[3])
    return TensorSpec(name, dtype, shape, low, high)


def _size(text: str, axis: str) -> int | str:
    if axis.isascii() and axis.isdecimal() and int(axis) > 0:
        return int(axis)
    if not axis.isidentifier():
        raise GivenError(f"--input {text!r}: axis {axis!r} is neither a size nor a name")
    return axis


def _range(text: str, part: str) -> tuple[float, float]:
    low, dots, high = part.partition("..")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (1.0, 0.0)
    if not dots or not all(map(math.isfinite, found)) or found[0] > found[1]:
        raise GivenError(f"--input {text!r}: {part!r} is not low..high")
    return found


def parse_dynamic(text: str) -> dict[str, dict[int, str]]:
    """Read ``x:0=batch,x:1=seq`` into ``{"x": {0: "batch", 1: "seq"}}``.

    Raises
    ------
    GivenError : it is not of that form.
    """
    found: dict[str, dict[int, str]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        matched = re.fullmatch(r"(.+):(\d+)=([A-Za-z_]\w*)", part)
        if matched is None:
            raise GivenError(f"--dynamic {part!r} is not input:axis=name, as in x:0=batch,x:1=seq")
        name, axis, size = matched.groups()
        found.setdefault(name, {})[int(axis)] = size
    return found
