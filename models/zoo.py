"""The models that come with shipworthy, found by themselves, and their trained weights.

A module of this folder that has a ``MODEL`` is a model. Its weights are trained once, in a process
of their own, and kept under ``cache_dir()/models/<name>/<framework>/<key>/``: ``weights.*``,
``training.json`` (the result) and ``events/``. Nothing here imports a framework.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata, util
from pathlib import Path
from types import ModuleType

import shipworthy.models
from shipworthy.models.atomic import lock, publish, sweep
from shipworthy.models.cache import cache_dir, hash_json, hash_path
from shipworthy.models.errors import WrongUsageError
from shipworthy.models.spec import Model, Source
from shipworthy.models.training import TrainingError
from shipworthy.models.weights import FILENAMES

RESULT = "training.json"

_PACKAGE = "shipworthy.models"

# Words and folders only: no change there makes other weights.
_SHAPE_NOTHING = frozenset({"spec", "atomic", "cache", "errors"})

# Distributions whose versions shape all weights; a training names others that it uses. TensorFlow
# goes by two names.
_TOOLS: Mapping[str, tuple[str, ...]] = {
    "pytorch": ("numpy", "torch", "safetensors"),
    "tensorflow": ("numpy", "tensorflow-cpu", "tensorflow", "keras", "h5py"),
}

# A training process is asked to stop, and given that long to take its folder away.
_GRACE_SECONDS = 3.0


class ZooError(WrongUsageError):
    """A model that does not exist, cannot be imported, or has nothing to train."""


def names() -> list[str]:
    """Return the names of all models, sorted.

    Raises
    ------
    ZooError : a module that cannot be imported, or two models of one name.
    """
    return sorted(_modules())


def get(name: str) -> Model:
    """Return a model by name.

    Raises
    ------
    ZooError : no such model; the message lists the known ones and the nearest.
    """
    model: Model = _module(name).MODEL
    return model


def source(name: str, framework: str) -> Source:
    """Return a model's source in one framework.

    Raises
    ------
    ZooError : no such model, or it is not written in that framework.
    """
    sources = get(name).sources
    if framework not in sources:
        raise ZooError(
            f"model {name!r} is not written in {framework!r}; it is in: {', '.join(sources)}"
        )
    return sources[framework]


def is_trained(source: Source) -> bool:
    """Tell whether `trained` would return at once; True where there is nothing to train."""
    return source.train is None or _is_whole(_folder(source), source.framework)


def trained(source: Source) -> Path:
    """Return the folder of a source's weights, after training it here if need be.

    The folder appears whole or not at all. Of several processes one trains, the others wait.
    A training imports the framework, seeds it and sets its threads: see `ensure_trained` for one
    in a process of its own.

    Raises
    ------
    ZooError : the source has no training.
    TrainingError : the training did not reach the accuracy it must.
    """
    if source.train is None:
        raise ZooError(
            f"model {source.name!r} ({source.framework}) has no training; its weights come from "
            "its `build`"
        )
    folder = _folder(source)
    if _is_whole(folder, source.framework):
        return folder
    title = f"{source.name} ({source.framework})"
    with lock(folder.parent / ".lock", f"{title} is being trained by another process; waiting"):
        if _is_whole(folder, source.framework):
            return folder
        sweep(folder.parent)
        with publish(folder) as work:
            result = source.train(work) | {
                "model": source.name, "framework": source.framework,
                "tools": _versions(source),
            }  # fmt: skip
            (work / RESULT).write_text(json.dumps(result, indent=1) + "\n")
            if not _is_whole(work, source.framework):
                raise TrainingError(
                    f"the training of {title} wrote no {FILENAMES[source.framework]}; its folder "
                    f"holds: {', '.join(sorted(p.name for p in work.iterdir()))}"
                )
    return folder


def weights(source: Source) -> Path | None:
    """Return the file of a source's trained weights; None where its `build` gives them.

    Raises
    ------
    ZooError, TrainingError : as `trained`.
    """
    return None if source.train is None else trained(source) / FILENAMES[source.framework]


def ensure_trained(name: str, frameworks: Sequence[str]) -> None:
    """Train what is not trained yet, one framework after another, each in its own process.

    Progress goes to this process' stderr. When this process is interrupted the training is stopped
    too, and leaves nothing behind.

    Raises
    ------
    ZooError : no such model, or not written in a framework.
    TrainingError : a training failed; its own message stands on stderr.
    """
    wanted = [source(name, framework) for framework in frameworks]
    for missing in (s for s in wanted if not is_trained(s)):
        arguments = ["-m", "shipworthy.models.train", name, missing.framework]
        # -P: a file of the user's in the working folder must not stand in for a package.
        code = _run([sys.executable, "-P", *arguments])
        if code != 0:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise TrainingError(
                f"the training of {name} ({missing.framework}) {how}; the lines above say more. "
                f"To repeat it: {sys.executable} {' '.join(arguments)}"
            )


def _run(command: Sequence[str]) -> int:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            return process.wait()
        except BaseException:  # Ctrl-C above all, which may have reached only this process
            process.terminate()
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def _modules() -> dict[str, ModuleType]:
    """Import every module of the folder; return those with a ``MODEL``, by the model's name."""
    found: dict[str, ModuleType] = {}
    for info in pkgutil.iter_modules(shipworthy.models.__path__):
        try:
            module = importlib.import_module(f"{_PACKAGE}.{info.name}")
        except Exception as e:
            raise ZooError(
                f"models/{info.name}.py cannot be imported: {type(e).__name__}: {e}; "
                "correct it or take it out of the folder"
            ) from e
        model = getattr(module, "MODEL", None)
        if not isinstance(model, Model):
            continue
        if model.name in found:
            raise ZooError(
                f"two models are called {model.name!r}: {found[model.name].__file__} and "
                f"{module.__file__}; rename one"
            )
        found[model.name] = module
    return found


def _module(name: str) -> ModuleType:
    modules = _modules()
    if name in modules:
        return modules[name]
    nearest = difflib.get_close_matches(name, modules, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise ZooError(f"unknown model {name!r}; known: {', '.join(sorted(modules))}{hint}")


def _folder(source: Source) -> Path:
    """Where a source's weights belong; the last part is the key of what shapes them."""
    files = _shaping_files(_module(source.name).__name__.removeprefix(f"{_PACKAGE}."))
    key = hash_json(
        {
            "files": [[file.name, hash_path(file)] for file in files],
            "tools": _versions(source),
        }
    )
    return cache_dir() / "models" / source.name / source.framework / key[:16]


def _is_whole(folder: Path, framework: str) -> bool:
    return all((folder / name).is_file() for name in (FILENAMES[framework], RESULT))


def _versions(source: Source) -> dict[str, str]:
    versions = {}
    for name in (*_TOOLS[source.framework], *getattr(source.train, "tools", ())):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _shaping_files(module: str) -> list[Path]:
    """Return a model's file and all it imports from this folder, directly or not."""
    files: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in files or name in _SHAPE_NOTHING:
            continue
        spec = util.find_spec(f"{_PACKAGE}.{name}")
        if spec is None or spec.origin is None:  # a name from a module, not a module
            continue
        files[name] = Path(spec.origin)
        waiting += _imports(files[name])
    return [files[name] for name in sorted(files)]


def _imports(file: Path) -> Iterator[str]:
    """Yield the names of this folder's modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            paths = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for path in paths:
            if path.startswith(f"{_PACKAGE}."):
                yield path.removeprefix(f"{_PACKAGE}.").split(".")[0]
