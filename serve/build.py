"""Builds the runners from the native libraries that the Python packages carry.

Each runner lies in a folder of its own, named by a hash of everything that went in: the C++
sources, the runtime's version and place, and the compiler. The folder appears by rename, whole or
not at all.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from shipworthy.convert.process import capture, check_stopped, kill_session, started
from shipworthy.models.atomic import WORK_PREFIX, lock, publish, sweep
from shipworthy.models.cache import cache_dir, hash_json, hash_path
from shipworthy.serve.toolchain import LIBRARIES, BuildError, find_compiler, find_tool, locate

SOURCES = Path(__file__).resolve().parent
FACTS = "runner.json"
BUILD_TIMEOUT_SECONDS = 900

Log = Callable[[str], None]

RUNTIMES = tuple(LIBRARIES)

_building = threading.Lock()  # so that a thread is not told of another process


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
    pipe = subprocess.PIPE
    with started(
        command, stdout=pipe, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        # Reading its lines has no time-out of its own.
        watchdog = threading.Timer(BUILD_TIMEOUT_SECONDS, kill_session, (process.pid,))
        watchdog.start()
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                if log is not None and line.startswith("["):
                    log(line.rstrip())
            code = process.wait()
        finally:
            watchdog.cancel()
    if code != 0:
        errors = [line for line in lines if "error" in line.lower()] or lines[-1:]
        reason = errors[0].strip() if errors else "no output"
        raise BuildError(f"{Path(command[0]).name} ended with {code}: {reason}")


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
    root = cache_dir() / "runners"
    waiting = "another process builds the runners; waiting"
    with _building, lock(root / ".lock", waiting, check=check_stopped):
        sweep(root)
        missing = [name for name, folder in folders.items() if not folder.exists()]
        if missing:
            reasons.update(_build(missing, folders, log))
    return reasons


def _build(runtimes: Sequence[str], folders: dict[str, Path], log: Log) -> dict[str, str | None]:
    reasons: dict[str, str | None] = {}
    log(f"building {', '.join(runtimes)} with {find_compiler()[1]}")
    with tempfile.TemporaryDirectory(
        dir=cache_dir() / "runners", prefix=f"{WORK_PREFIX}build-"
    ) as name:
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
    with publish(target) as work:
        shutil.copy2(built / binary_name(runtime), work)
        if runtime == "onnxruntime":
            shutil.copy2(built / "libonnxruntime.so.1", work, follow_symlinks=False)
        (work / FACTS).write_text(describe(work / binary_name(runtime)))


def describe(binary: Path) -> str:
    """Return what ``--describe`` prints, as proof that the binary and its libraries load.

    Raises
    ------
    BuildError : it does not start, or prints something else.
    """
    try:
        done = capture([str(binary), "--describe"], timeout=120)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise BuildError(f"{binary.name} was built but does not start: {e}") from e
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BuildError(f"{binary.name} was built but does not start: {last}")
    json.loads(done.stdout)
    return done.stdout
