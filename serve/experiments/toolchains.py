"""How a program in each language is made on this machine, or why it cannot be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shipworthy.models.atomic import lock, publish
from shipworthy.models.cache import cache_dir
from shipworthy.serve.experiments.experiment import ExperimentError
from shipworthy.serve.experiments.programs_folder import PROGRAMS, run_program
from shipworthy.serve.toolchain import BuildError, locate

# Microsoft's package; its prebuilt library for the CPU lies inside, so no script of it is run.
NODE_PACKAGE, NODE_VERSION = "onnxruntime-node", "1.30.0"

Make = Callable[[Path, float], list[str]]


@dataclass(frozen=True)
class Language:
    """A language in which a program runs artifacts.

    Parameters
    ----------
    name, means : the language, and how its program reaches the runtime.
    make : given an empty folder and a time-out in seconds, makes the program and returns the words
        that start it, to which the model and the job are added.
    """

    name: str
    means: str
    make: Make


def _tool(*names: str) -> str:
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    raise ExperimentError(f"no {' or '.join(names)} is on this machine")


def _library() -> str:
    try:
        found = locate("onnxruntime")
    except BuildError as e:
        raise ExperimentError(str(e)) from e
    assert found is not None, "ONNX Runtime is a library"
    return str(found.path)


def _make_c(folder: Path, timeout: float) -> list[str]:
    program = folder / "run"
    sources = [str(PROGRAMS / "run.c"), str(PROGRAMS / "onnx.c")]
    run_program([_tool("gcc", "clang", "cc"), "-O2", "-o", str(program), *sources, "-ldl"], timeout)
    return [str(program), _library()]


def _make_rust(folder: Path, timeout: float) -> list[str]:
    program = folder / "run"
    run_program([_tool("rustc"), "-O", "-o", str(program), str(PROGRAMS / "run.rs")], timeout)
    return [str(program), _library()]


def _make_java(folder: Path, timeout: float) -> list[str]:
    compiler, java = _tool("javac"), _tool("java")
    headers = Path(compiler).resolve().parent.parent / "include"
    if not (headers / "jni.h").is_file():
        raise ExperimentError(f"this machine's Java has no jni.h in {headers.name}/")
    binding = folder / "libbinding.so"
    includes = [f"-I{headers}", f"-I{headers / 'linux'}"]
    sources = [str(PROGRAMS / "run_jni.c"), str(PROGRAMS / "onnx.c")]
    run_program(
        [_tool("gcc", "clang", "cc"), "-O2", "-shared", "-fPIC", *includes, "-o", str(binding),
         *sources, "-ldl"],
        timeout,
    )  # fmt: skip
    run_program([compiler, "-d", str(folder), str(PROGRAMS / "Run.java")], timeout)
    return [java, "-cp", str(folder), "Run", str(binding), _library()]


def _make_javascript(folder: Path, timeout: float) -> list[str]:
    del folder
    return [_tool("node"), str(PROGRAMS / "run.cjs"), str(_node_package(timeout))]


def _node_package(timeout: float) -> Path:
    """Return the package's folder, fetched from npm once and kept."""
    npm = _tool("npm")
    place = cache_dir() / "node" / f"{NODE_PACKAGE}-{NODE_VERSION}"
    with lock(place.parent / ".lock", "another process fetches a package from npm; waiting"):
        if not place.exists():
            with publish(place) as work:
                (work / "package.json").write_text(json.dumps({"private": True}))
                run_program(
                    [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund",
                     "--loglevel=error", f"{NODE_PACKAGE}@{NODE_VERSION}"],
                    timeout,
                    cwd=work,
                )  # fmt: skip
    return place / "node_modules" / NODE_PACKAGE


LANGUAGES = (
    Language("C", "through ONNX Runtime's C ABI", _make_c),
    Language("Java", "through ONNX Runtime's C ABI by JNI", _make_java),
    Language(
        "JavaScript", f"on Node, by the npm package {NODE_PACKAGE} {NODE_VERSION}", _make_javascript
    ),
    Language("Rust", "through ONNX Runtime's C ABI, without a crate", _make_rust),
)

# Languages of the claim for which there is no program here, with what would be needed.
OTHERS = {
    "Go": ("go", "its programs would call the C ABI by cgo"),
    "Swift": ("swift", "TensorFlow's own Swift was archived in 2021; others would call the C ABI"),
}


def why_not(name: str) -> str:
    """Return why a language of `OTHERS` is not tried."""
    tool, told = OTHERS[name]
    if shutil.which(tool) is None:
        return f"no {name} toolchain is on this machine; {told}"
    return f"no program is written for it yet, though this machine has {tool}; {told}"
