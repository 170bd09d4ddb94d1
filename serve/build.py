"""Builds the runners from the native libraries that the Python packages carry.

Each runner lies in a folder of its own, named by a hash of everything that went in: the C++
sources, the runtime's version and place, and the compiler. The folder appears by rename, whole or
not at all.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shipworthy.models.cache import cache_dir, hash_json, hash_path
from shipworthy.serve.toolchain import LIBRARIES, BuildError, find_compiler, find_tool, locate

SOURCES = Path(__file__).resolve().parent
FACTS = "runner.json"
BUILD_TIMEOUT_SECONDS = 900

Log = Callable[[str], None]


RUNTIMES = tuple(LIBRARIES)


def folder_of(runtime: str) -> Path:
    """Return the folder in which the runner lies, or would lie once it is built.

    Raises
    ------
    BuildError : the library or the compiler is missing.
    """
    found = locate(runtime)
    others = {f"{name}.cc" for name in RUNTIMES if name != runtime}
    own = sorted(p for p in (SOURCES / "runtimes").iterdir() if p.name not in others)
    shared = sorted(p for p in (SOURCES / "runner").iterdir() if p.suffix in (".h", ".cc"))
    files = [SOURCES / "CMakeLists.txt", *own, *shared]
    key = hash_json(
        {
            "sources": [[file.name, hash_path(file)] for file in files],
            "library": None if found is None else [found.version, str(found.path)],
            "compiler": find_compiler(),
        }
    )
    return cache_dir() / "runners" / f"{runtime}-{key[:16]}"


def binary_name(runtime: str) -> str:
    """Return the file name of a runner."""
    return f"shipworthy-run-{runtime}"


def configure(folder: Path, runtimes: Sequence[str], options: Sequence[str] = ()) -> None:
    """Run CMake for some runtimes; `ninja_build` makes the targets afterwards.

    Raises
    ------
    BuildError : a tool or a library is missing, or CMake failed; the message has its first error.
    """
    command = [
        find_tool("cmake"), "-G", "Ninja", "-S", str(SOURCES), "-B", str(folder),
        "--no-warn-unused-cli",
        f"-DCMAKE_MAKE_PROGRAM={find_tool('ninja')}",
        f"-DCMAKE_CXX_COMPILER={find_compiler()[0]}",
        *options,
    ]  # fmt: skip
    for runtime in runtimes:
        library, found = LIBRARIES[runtime], locate(runtime)
        if library is not None and found is not None:
            command.append(f"-D{library.variable}={found.path}")
            command.append(f"-D{library.variable.rsplit('_', 1)[0]}_VERSION={found.version}")
    _call(command, None)


def ninja_build(folder: Path, targets: Sequence[str], log: Log | None = None) -> None:
    """Build targets of a configured folder, going on after failures.

    Raises
    ------
    BuildError : a target failed; the message has the first error.
    """
    _call([find_tool("ninja"), "-C", str(folder), "-k", "0", *targets], log)


def _call(command: Sequence[str], log: Log | None) -> None:
    lines: list[str] = []
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    watchdog = threading.Timer(BUILD_TIMEOUT_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if log is not None and line.startswith("["):
                log(line.rstrip())
        code = process.wait()
    finally:
        watchdog.cancel()
        if process.poll() is None:  # Ctrl-C: compilers must not outlive us
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()  # reaps it and closes the pipe
    if code != 0:
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:]
        reason = errors[0].strip() if errors else "no output"
        raise BuildError(f"{Path(command[0]).name} ended with {code}: {reason}")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def build_missing(runtimes: Sequence[str], log: Log) -> dict[str, str | None]:
    """Build those runners that are not there.

    Returns
    -------
    The reason each could not be built, None where it is there now.
    """
    reasons: dict[str, str | None] = {}
    folders: dict[str, Path] = {}
    for runtime in runtimes:
        try:
            folders[runtime] = folder_of(runtime)
            reasons[runtime] = None
        except BuildError as e:
            reasons[runtime] = str(e)
    if all(folder.exists() for folder in folders.values()):
        return reasons
    with _lock(cache_dir() / "runners"):
        missing = [name for name, folder in folders.items() if not folder.exists()]
        if missing:
            reasons.update(_build(missing, folders, log))
    return reasons


def _build(runtimes: Sequence[str], folders: dict[str, Path], log: Log) -> dict[str, str | None]:
    reasons: dict[str, str | None] = {}
    log(f"building {', '.join(runtimes)} with {find_compiler()[1]}")
    with tempfile.TemporaryDirectory(dir=cache_dir() / "runners", prefix=".build-") as name:
        work = Path(name)
        try:
            configure(work, runtimes)
        except BuildError as e:
            return dict.fromkeys(runtimes, str(e))
        targets = [binary_name(runtime) for runtime in runtimes]
        try:
            ninja_build(work, targets, log)
        except BuildError:
            log("a target failed; asking each for its reason")
        for runtime in runtimes:
            try:
                ninja_build(work, [binary_name(runtime)])
                _publish(runtime, work / "bin", folders[runtime])
                reasons[runtime] = None
            except BuildError as e:
                reasons[runtime] = str(e)
    return reasons


def _publish(runtime: str, built: Path, target: Path) -> None:
    """Move a binary, its links and what it says of itself into their folder, by one rename."""
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        shutil.copy2(built / binary_name(runtime), work)
        if runtime == "onnxruntime":
            shutil.copy2(built / "libonnxruntime.so.1", work, follow_symlinks=False)
        (work / FACTS).write_text(describe(work / binary_name(runtime)))
        work.chmod(0o755)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def describe(binary: Path) -> str:
    """Return what ``--describe`` prints, as proof that the binary and its libraries load.

    Raises
    ------
    BuildError : it does not start, or prints something else.
    """
    try:
        done = subprocess.run(
            [str(binary), "--describe"], capture_output=True, text=True, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise BuildError(f"{binary.name} was built but does not start: {e}") from e
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BuildError(f"{binary.name} was built but does not start: {last}")
    json.loads(done.stdout)
    return done.stdout
