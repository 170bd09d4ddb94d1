"""The Python side of the runners: building, calling, and what can go wrong with a process."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipworthy.convert import process as convert_process
from shipworthy.serve import build, process, runners, toolchain


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(code: str) -> Path:
        path = tmp_path / "shipworthy-run-fake"
        path.write_text(f"#!/bin/sh\n{code}\n")
        path.chmod(0o755)
        return path

    return write


def test_a_runner_is_told_when_its_process_began(script: Callable[[str], Path]) -> None:
    binary = script("""[ "$1 $2" = "--model m" ] && printf '{"%s": %s}' "$3" "$4" """)
    before = time.monotonic_ns()
    said = process.call(binary, ["--model", "m"], 60)
    assert before <= said["--start-ns"] <= time.monotonic_ns()


def test_a_failing_runner_says_why(script: Callable[[str], Path]) -> None:
    binary = script("echo noise >&2; echo 'shipworthy-run-fake: error: no luck' >&2; exit 1")
    with pytest.raises(runners.RunnerError, match=r"^shipworthy-run-fake: error: no luck$"):
        process.call(binary, [], 60)
    with pytest.raises(runners.RunnerError, match="ended with 3, silently"):
        process.call(script("exit 3"), [], 60)


@pytest.mark.parametrize(
    ("number", "said"),
    [("SEGV", "SIGSEGV; it said: bye"), ("KILL", r"SIGKILL \(out of memory\?\)")],
)
def test_a_death_by_signal_bears_its_name(
    script: Callable[[str], Path], number: str, said: str
) -> None:
    with pytest.raises(runners.RunnerError, match=f"died of {said}"):
        process.call(script(f"echo bye >&2; kill -{number} $$"), [], 60)


def test_garbage_is_no_json(script: Callable[[str], Path]) -> None:
    with pytest.raises(runners.RunnerError, match="printed no JSON"):
        process.call(script("echo '{\"schema\"'"), [], 60)
    with pytest.raises(runners.RunnerError, match="JSON that is no object"):
        process.call(script("echo '[1]'"), [], 60)


def test_a_missing_binary_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(runners.RunnerError, match="cannot be started: No such file"):
        process.call(tmp_path / "gone", [], 60)


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_for(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_hang_is_stopped_with_its_children(script: Callable[[str], Path], tmp_path: Path) -> None:
    binary = script(f"sleep 300 & echo $! > {tmp_path}/child; wait")
    begin = time.monotonic()
    with pytest.raises(runners.RunnerError, match=r"did not end within 0\.5 s; it was stopped"):
        process.call(binary, [], 0.5)
    assert time.monotonic() - begin < 30
    child = int((tmp_path / "child").read_text())
    assert wait_for(lambda: not is_alive(child))


def test_ctrl_c_stops_the_runner(script: Callable[[str], Path], tmp_path: Path) -> None:
    binary = script(f"sleep 300 & echo $! > {tmp_path}/child; wait")
    code = (  # whoever runs the tests in the background may have SIGINT ignored
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from shipworthy.serve import process\n"
        "process.call(Path(sys.argv[1]), [], 300)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(binary)], stderr=subprocess.PIPE) as p:
        path = tmp_path / "child"
        assert wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
        child = int(path.read_text())
        p.send_signal(signal.SIGINT)
        assert p.wait(30) != 0
        assert wait_for(lambda: not is_alive(child))


def test_a_stopped_run_blames_no_runner(
    script: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert_process, "_stopping", threading.Event())
    binary = script(f"sleep 300 & echo $! > {tmp_path}/child; kill -STOP $$")
    path = tmp_path / "child"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(process.call, binary, [], 300)
        assert wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
        convert_process.stop_all()
        assert isinstance(running.exception(5), convert_process.StoppedError)
    assert wait_for(lambda: not is_alive(int(path.read_text())))
    with pytest.raises(convert_process.StoppedError):
        process.call(binary, [], 300)


def test_a_stopped_build_leaves_no_compiler(
    script: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert_process, "_stopping", threading.Event())
    # As ninja does: the compiler has a group of its own.
    code = "import os, time; os.setpgid(0, 0); "
    code += "print(os.getpid(), flush=True); time.sleep(300)"
    ninja = script(f'exec 1>"{tmp_path}/pid"; "{sys.executable}" -c "{code}" & wait')
    monkeypatch.setattr(build, "find_tool", lambda _: str(ninja))
    path = tmp_path / "pid"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(build.ninja_build, tmp_path, ["all"])
        assert wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
        compiler = int(path.read_text())
        assert is_alive(compiler)
        convert_process.stop_all()
        assert isinstance(running.exception(5), convert_process.StoppedError)
    assert wait_for(lambda: not is_alive(compiler))


def test_long_command_lines_go_through_a_file(script: Callable[[str], Path]) -> None:
    binary = script("""printf '{"first": "%s", "lines": %s}' "$1" $(wc -l < "${1#@}")""")
    said = process.call(binary, ["--case", "x" * 200_000], 60)
    assert (said["first"][0], said["lines"]) == ("@", 1)
    assert not Path(said["first"][1:]).exists()


def test_json_of_another_schema_is_refused() -> None:
    with pytest.raises(runners.RunnerError, match=r"schema 2 and lacks .*'load_ns'"):
        runners.Run.from_json({"schema": 2})


def test_an_unknown_runtime_is_named() -> None:
    with pytest.raises(runners.RunnerError, match="unknown runtime 'tpu'; known: null, onnx"):
        runners.find("tpu")


def test_without_a_compiler_the_reason_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    toolchain.find_compiler.cache_clear()
    try:
        reason = runners.build(["null"])["null"]
    finally:
        toolchain.find_compiler.cache_clear()
    assert reason is not None
    assert "looked for no-such-compiler" in reason
    assert "apt install g++" in reason


def test_without_a_package_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    library = toolchain.Library(("no-such-package",), "x", "X")
    monkeypatch.setitem(toolchain.LIBRARIES, "litert", library)
    reason = runners.build(["litert"])["litert"]
    assert reason == "the package no-such-package is not installed; `pip install no-such-package`"
    with pytest.raises(runners.RunnerError, match="the runner for litert cannot be built"):
        runners.find("litert")


# ---- building


@pytest.mark.matrix
def test_building_again_starts_no_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runners.build(["null"]) == {"null": None}
    monkeypatch.setattr(build, "configure", lambda *_: pytest.fail("CMake was started"))
    assert runners.build(["null"]) == {"null": None}


@pytest.mark.matrix
def test_builds_at_the_same_time_agree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "cache_dir", lambda: tmp_path)
    lines: list[str] = []
    results: list[dict[str, str | None]] = []

    def work() -> None:
        results.append(runners.build(["null"], lines.append))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [{"null": None}] * 3
    assert sum(line.startswith("building null") for line in lines) == 1
    [folder] = [p for p in (tmp_path / "runners").iterdir() if p.name != ".lock"]
    assert sorted(p.name for p in folder.iterdir()) == ["runner.json", "shipworthy-run-null"]


@pytest.mark.matrix
def test_a_faulty_source_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sources = tmp_path / "serve"
    for name in ("runner", "runtimes"):
        shutil.copytree(build.SOURCES / name, sources / name)
    shutil.copy(build.SOURCES / "CMakeLists.txt", sources)
    (sources / "runtimes" / "null.cc").write_text("int main( {\n")
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setattr(build, "cache_dir", lambda: tmp_path)
    reason = runners.build(["null"])["null"]
    assert reason is not None
    assert "null.cc:1" in reason
    assert [p.name for p in (tmp_path / "runners").iterdir()] == [".lock"]


@pytest.mark.slow
def test_all_runners_build_without_a_warning(tmp_path: Path) -> None:
    build.configure(tmp_path, build.RUNTIMES, ["-DSHIPWORTHY_WERROR=ON"])
    build.ninja_build(tmp_path, [build.binary_name(runtime) for runtime in build.RUNTIMES])
    for runtime in build.RUNTIMES:
        facts = json.loads(build.describe(tmp_path / "bin" / build.binary_name(runtime)))
        assert facts["runtime"] == runtime


@pytest.mark.matrix
def test_a_runtime_without_its_library_is_skipped(tmp_path: Path) -> None:
    build.configure(tmp_path, ["null"])
    targets = subprocess.run(
        [toolchain.find_tool("ninja"), "-C", str(tmp_path), "-t", "targets", "all"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert "shipworthy-run-null" in targets
    assert "shipworthy-run-litert" not in targets
