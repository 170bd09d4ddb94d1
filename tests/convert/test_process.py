"""Isolated processes: ends, time-outs, crashes; fresh and forked alike."""

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipworthy.convert import preload, process


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """A module of the test's own, importable by the children."""
    name = f"probe_{tmp_path.name}"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(body):
        (tmp_path / f"{name}.py").write_text(
            f"import os, sys, time, signal\nsys.path.insert(0, {str(tmp_path)!r})\n"
            f"def main(argv):\n    {body}\n"
            "if __name__ == '__main__':\n    sys.exit(main(sys.argv[1:]))\n"
        )
        return name

    return write


@pytest.fixture(params=["fresh", "forked"])
def run(request, tmp_path):
    log = tmp_path / "log"

    def fresh(module, argv=(), timeout=20.0, env=None):
        argv = [sys.executable, "-m", module, *argv]
        return process.run_isolated(argv, log=log, timeout=timeout, env=env), log

    def forked(module, argv=(), timeout=20.0, env=None):
        log_of_server = tmp_path / "server.log"
        server = preload.Preloaded(["json"], log_of_server)
        try:
            return server.run(module, argv, log=log, timeout=timeout, env=env), log
        finally:
            server.close()

    return fresh if request.param == "fresh" else forked


def test_arguments_environment_and_output_arrive(run, probe):
    name = probe("print(argv, os.environ['COLOUR'], file=sys.stderr); print('out'); return 0")
    outcome, log = run(name, ["a b", ";"], env={"COLOUR": "blue"})
    assert outcome.ok
    assert outcome.reason == ""
    assert sorted(log.read_text().splitlines()) == ["['a b', ';'] blue", "out"]


def test_an_exit_code_is_told(run, probe):
    outcome, _ = run(probe("return 3"))
    assert (outcome.code, outcome.ok, outcome.reason) == (3, False, "exit code 3")


def test_an_exception_is_logged(run, probe):
    outcome, log = run(probe("raise ValueError('no such luck')"))
    assert outcome.code == 1
    assert "ValueError: no such luck" in log.read_text()


def test_a_crash_is_told_by_its_signal(run, probe):
    outcome, _ = run(probe("os.kill(os.getpid(), signal.SIGSEGV); time.sleep(9)"))
    assert outcome.reason == "crashed with SIGSEGV"


def test_a_kill_by_the_kernel_is_told(run, probe):
    outcome, _ = run(probe("os.kill(os.getpid(), signal.SIGKILL); time.sleep(9)"))
    assert "memory runs out" in outcome.reason


def test_a_hang_ends_with_all_it_started(run, probe, tmp_path):
    pids = tmp_path / "pids"
    body = (
        f"child = os.fork(); open({str(pids)!r}, 'a').write(str(os.getpid()) + ' '); "
        "time.sleep(60); return 0"
    )
    started = time.monotonic()
    outcome, _ = run(probe(body), timeout=1.5)
    assert time.monotonic() - started < 15
    assert outcome.timed_out
    assert outcome.reason.startswith("no result within 1.5 s")
    for pid in pids.read_text().split():
        assert gone(int(pid))


def gone(pid):
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_server_runs_many_at_once(tmp_path, probe):
    name = probe("time.sleep(0.3); return int(argv[0])")
    server = preload.Preloaded(["json"], tmp_path / "server.log")

    def go(number):
        log = tmp_path / f"log{number}"
        return server.run(name, [str(number)], log=log, timeout=20).code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(go, range(4))) == [0, 1, 2, 3]
    server.close()


def test_without_its_server_the_work_is_still_done(tmp_path, probe):
    server = preload.Preloaded(["json"], tmp_path / "server.log")
    os.killpg(server._process.pid, signal.SIGKILL)
    server._process.wait()
    outcome = server.run(probe("return 5"), [], log=tmp_path / "log", timeout=20)
    assert outcome.code == 5
    server.close()


def test_a_server_that_cannot_import_its_package_is_done_without(tmp_path, probe):
    server = preload.Preloaded(["no_such_package"], tmp_path / "server.log")
    outcome = server.run(probe("return 0"), [], log=tmp_path / "log", timeout=20)
    assert outcome.ok
    server.close()
    assert "no_such_package" in (tmp_path / "server.log").read_text()


def test_what_a_package_prints_on_import_is_no_answer(tmp_path, probe, monkeypatch):
    (tmp_path / "chatty_package.py").write_text('print(\'{"id": 0, "code": 0}\')\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = preload.Preloaded(["chatty_package"], tmp_path / "server.log")
    outcome = server.run(probe("return 4"), [], log=tmp_path / "log", timeout=20)
    server.close()
    assert outcome.code == 4
    assert json.loads((tmp_path / "server.log").read_text()) == {"id": 0, "code": 0}


def test_children_have_one_thread_to_fork_from(tmp_path, probe):
    server = preload.Preloaded(["numpy"], tmp_path / "server.log")
    name = probe("return len(os.listdir('/proc/self/task'))")
    outcome = server.run(name, [], log=tmp_path / "log", timeout=20)
    server.close()
    assert outcome.code == 1
