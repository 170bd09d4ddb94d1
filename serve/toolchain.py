"""What the runners are built with: the compiler, CMake, and the Python packages' native libraries.

No package is imported to find its library.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from shipworthy.convert.process import capture


class BuildError(Exception):
    """A runner cannot be built; the message says why and what to do."""


@dataclass(frozen=True)
class Library:
    """Where a runtime's native library comes from.

    Parameters
    ----------
    packages : distributions that may carry it, in order of preference.
    path : its file or folder below site-packages; a pattern may stand for a version.
    variable : the CMake variable that is told the path.
    """

    packages: tuple[str, ...]
    path: str
    variable: str


LIBRARIES = {
    "null": None,
    "onnxruntime": Library(
        ("onnxruntime",),
        "onnxruntime/capi/libonnxruntime.so.*",
        "SHIPWORTHY_ONNXRUNTIME_LIBRARY",
    ),
    "libtorch": Library(("torch",), "torch", "SHIPWORTHY_TORCH_ROOT"),
    "tensorflow": Library(
        ("tensorflow-cpu", "tensorflow"), "tensorflow", "SHIPWORTHY_TENSORFLOW_ROOT"
    ),
    "litert": Library(
        ("ai-edge-litert",), "ai_edge_litert/libLiteRt.so", "SHIPWORTHY_LITERT_LIBRARY"
    ),
}


@dataclass(frozen=True)
class Found:
    """A native library on this machine: version of its package, file or folder."""

    version: str
    path: Path


def locate(runtime: str) -> Found | None:
    """Find a runtime's native library without importing its package; None where it needs none.

    Raises
    ------
    BuildError : the package is not installed, or carries no such library.
    """
    library = LIBRARIES[runtime]
    if library is None:
        return None
    for package in library.packages:
        try:
            distribution = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        root = Path(str(distribution.locate_file("")))
        paths = sorted(root.glob(library.path))
        if not paths:
            raise BuildError(
                f"{package} {distribution.version} has no {library.path} in {root}; "
                f"install its build for Linux x86-64"
            )
        return Found(distribution.version, paths[0].resolve())
    names = " or ".join(library.packages)
    raise BuildError(f"the package {names} is not installed; `pip install {library.packages[0]}`")


@functools.lru_cache(maxsize=1)
def find_compiler() -> tuple[str, str]:
    """Return the C++ compiler's path and its version line.

    Raises
    ------
    BuildError : there is none.
    """
    wanted = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    for name in wanted:
        path = shutil.which(name)
        if path is None:
            continue
        try:
            done = capture([path, "--version"], timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and done.stdout:
            return path, done.stdout.splitlines()[0]
    raise BuildError(
        f"no C++ compiler (looked for {', '.join(wanted)}); install one that knows C++20, "
        "such as g++ 10 or later (`apt install g++`), or name it in the variable CXX"
    )


def find_tool(name: str) -> str:
    """Return the path of ``cmake`` or ``ninja``, which come as Python packages.

    Raises
    ------
    BuildError : it is not installed.
    """
    folders = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    path = shutil.which(name, path=folders)
    if path is None:
        raise BuildError(f"{name} is not installed; `pip install {name}`")
    return path
