"""Isolated processes: ends, time-outs, crashes; fresh and forked alike."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipworthy.cli.local import local_executor
from shipworthy.convert import launch, preload, process

# Real processes and real time-outs: too slow for the fast tier.
pytestmark = pytest.mark.matrix


@pytest.fixture
def probe(tmp_path, monkeypatch):
    """A module of the test's own, importable by the children."""
    name = f"probe_{tmp_path.name}"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

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
        server = preload.Preloaded(["json"], {})
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
    outcome, _ = run(probe(body), timeout=0.6)
    assert time.monotonic() - started < 4
    assert outcome.timed_out
    assert outcome.reason.startswith("no result within 0.6 s")
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
    server = preload.Preloaded(["json"], {})

    def go(number):
        log = tmp_path / f"log{number}"
        return server.run(name, [str(number)], log=log, timeout=20).code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(go, range(4))) == [0, 1, 2, 3]
    server.close()


def test_an_answer_may_come_before_the_request_returns(tmp_path, probe, monkeypatch):
    server = preload.Preloaded(["json"], {})
    send = server._send

    def slowly(request):
        sent = send(request)
        time.sleep(0.3)
        return sent

    monkeypatch.setattr(server, "_send", slowly)
    name = probe("return 0 if os.getppid() == int(argv[0]) else 9")
    outcome = server.run(name, [str(server._process.pid)], log=tmp_path / "log", timeout=3)
    server.close()
    assert outcome.code == 0


def test_without_its_server_the_work_is_still_done(tmp_path, probe):
    server = preload.Preloaded(["json"], {})
    os.killpg(server._process.pid, signal.SIGKILL)
    server._process.wait()
    outcome = server.run(probe("return 5"), [], log=tmp_path / "log", timeout=20)
    assert outcome.code == 5
    server.close()


def test_a_server_that_cannot_import_its_package_is_done_without(tmp_path, probe):
    server = preload.Preloaded(["no_such_package"], {}, tmp_path / "server.log")
    outcome = server.run(probe("return 0"), [], log=tmp_path / "log", timeout=20)
    assert outcome.ok
    server.close()
    assert "no_such_package" in (tmp_path / "server.log").read_text()


def test_what_a_package_prints_on_import_is_no_answer(tmp_path, probe, monkeypatch):
    (tmp_path / "chatty_package.py").write_text('print(\'{"id": 0, "code": 0}\')\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    server = preload.Preloaded(["chatty_package"], {}, tmp_path / "server.log")
    outcome = server.run(probe("return 4"), [], log=tmp_path / "log", timeout=20)
    server.close()
    assert outcome.code == 4
    assert json.loads((tmp_path / "server.log").read_text()) == {"id": 0, "code": 0}


def test_a_server_that_hangs_in_its_import_is_ended_in_time(tmp_path, probe, monkeypatch):
    (tmp_path / "sleepy_package.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    server = preload.Preloaded(["sleepy_package"], {})
    name = probe("return 6")
    begin = time.monotonic()
    late = server.run(name, [], log=tmp_path / "log", timeout=0.4)
    assert time.monotonic() - begin < 5
    assert (late.ok, late.timed_out) == (False, True)
    assert late.reason.startswith("no result within 0.4 s")
    assert gone(server._process.pid)
    assert server.run(name, [], log=tmp_path / "log", timeout=20).code == 6
    server.close()


def test_a_hang_of_a_server_costs_others_only_their_server(tmp_path, probe, monkeypatch):
    (tmp_path / "sleepy_later.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    server = preload.Preloaded(["json", "sleepy_later"], {})
    name = probe("time.sleep(float(argv[0])); return 7")

    def go(seconds, timeout):
        log = tmp_path / f"log{seconds}"
        return server.run(name, [str(seconds)], log=log, timeout=timeout)

    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(go, 0.6, 20)
        time.sleep(0.2)
        assert go(0, 0.2).timed_out
        assert other.result().code == 7
    server.close()


def test_a_server_lives_on_when_the_thread_that_started_it_ends(tmp_path, probe):
    servers = []
    thread = threading.Thread(target=lambda: servers.append(preload.Preloaded(["json"], {})))
    thread.start()
    thread.join()
    [server] = servers
    name = probe("return 0 if os.getppid() == int(argv[0]) else 9")
    outcome = server.run(name, [str(server._process.pid)], log=tmp_path / "log", timeout=20)
    server.close()
    assert outcome.code == 0


@pytest.mark.parametrize(
    "package",
    [
        "import subprocess; subprocess.Popen(['true'])",
        "raise ValueError('not today')",
        "raise SystemExit(3)",
    ],
)
def test_what_a_later_package_does_on_import_ends_no_server(tmp_path, probe, monkeypatch, package):
    (tmp_path / "odd_package.py").write_text(f"{package}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    server = preload.Preloaded(["json", "odd_package"], {}, tmp_path / "server.log")
    name = probe("return 0 if os.getppid() == int(argv[0]) else 9")
    for _ in range(3):  # the package is imported between them
        outcome = server.run(name, [str(server._process.pid)], log=tmp_path / "log", timeout=20)
        assert outcome.code == 0
        time.sleep(0.05)
    server.close()
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def test_a_log_that_cannot_be_written_is_no_second_server(run, probe, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    outcome, _ = run(probe("os.dup2(os.open('/dev/full', os.O_WRONLY), 1); print(1); return 7"))
    # 120 is how Python ends by itself when its output cannot be flushed.
    assert outcome.code == {"forked": 7, "fresh": 120}[run.__name__]


@pytest.mark.parametrize("code", ["None", "3", "'words'"])
def test_an_exit_is_told_as_python_does(run, probe, code):
    outcome, _ = run(probe(f"sys.exit({code})"))
    assert outcome.code == {"None": 0, "3": 3, "'words'": 1}[code]


def test_forked_and_fresh_work_has_the_same_environment(tmp_path, probe, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(launch, "PRELOAD", {"pytorch": ("json",)})
    names = sorted(launch.ENVIRONMENT)
    name = probe(f"print([os.environ[n] for n in {names}]); return 0")
    log = tmp_path / "log"
    said = []

    def ask(start):
        outcome = start("pytorch", name, [], log=log, timeout=20, env={"KERAS_BACKEND": "torch"})
        assert outcome.ok
        said.append(log.read_text())

    ask(launch.launch_fresh)
    with launch.LaunchForked() as forked:
        ask(forked)
        os.killpg(forked._servers["pytorch"]._process.pid, signal.SIGKILL)
        ask(forked)
    wanted = {**launch.ENVIRONMENT, "KERAS_BACKEND": "torch"}
    assert said == [f"{[wanted[n] for n in names]}\n"] * 3


@pytest.fixture
def fresh_stop(monkeypatch):
    """Let a test stop everything without stopping the tests after it."""
    monkeypatch.setattr(process, "_stopping", threading.Event())


def hanging(pids):
    """A command that hangs with a child in a group of its own, as ninja's compilers are."""
    code = (
        "import os, time\n"
        "child = os.fork()\n"
        "if not child: os.setpgid(0, 0)\n"
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}} ')\n"
        "time.sleep(60)\n"
    )
    return [sys.executable, "-c", code]


def two_of(pids):
    for _ in range(500):
        if pids.exists() and len(found := pids.read_text().split()) == 2:
            return [int(pid) for pid in found]
        time.sleep(0.02)
    raise AssertionError(f"{pids} does not name two processes")


def test_stopping_ends_what_runs_and_begins_nothing_more(tmp_path, fresh_stop):
    pids = tmp_path / "pids"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(process.capture, hanging(pids), 60)
        started = two_of(pids)
        os.kill(started[0], signal.SIGSTOP)  # nothing it does by itself will end it
        process.stop_all()
        assert isinstance(first.exception(5), process.StoppedError)
    assert all(gone(pid) for pid in started)
    log = tmp_path / "log"
    with pytest.raises(process.StoppedError):
        process.run_isolated([sys.executable, "-c", "print('ran')"], log=log, timeout=20)
    assert log.read_text() == ""
    with pytest.raises(process.StoppedError):
        preload.Preloaded(["json"], {})


def test_stopping_wakes_who_waits_for_a_server(tmp_path, probe, fresh_stop, monkeypatch):
    (tmp_path / "sleepy_package.py").write_text("import time; time.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    server = preload.Preloaded(["sleepy_package"], {})
    log = tmp_path / "log"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.run, probe("return 0"), [], log=log, timeout=60)
        time.sleep(0.2)
        process.stop_all()
        assert isinstance(waiting.exception(5), process.StoppedError)
    server.close()


def test_an_executor_that_is_interrupted_leaves_no_work(tmp_path, fresh_stop):
    pids = tmp_path / "pids"
    begin = time.monotonic()
    later = []

    def interrupted():
        with local_executor(1) as executor:
            executor.submit(process.capture, hanging(pids), 60)
            later.append(executor.submit((tmp_path / "ran").touch))
            two_of(pids)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begin < 10
    assert later[0].cancelled()
    assert all(gone(int(pid)) for pid in pids.read_text().split())


@pytest.mark.parametrize("way", ["isolated", "captured", "forked"])
def test_nothing_outlives_a_killed_parent(tmp_path, probe, way):
    pids = tmp_path / "pids"
    [_, _, code] = hanging(pids)
    name = probe(f"exec({code!r})")
    log, command = tmp_path / "log", hanging(pids)
    does = {
        "isolated": f"process.run_isolated({command!r}, log=Path({str(log)!r}), timeout=60)",
        "captured": f"process.capture({command!r}, 60)",
        "forked": f"preload.Preloaded(['json'], {{}})"
        f".run({name!r}, [], log=Path({str(log)!r}), timeout=60)",
    }[way]
    script = f"from pathlib import Path\nfrom shipworthy.convert import preload, process\n{does}"
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        started = two_of(pids)
        servers = children_of(parent.pid)
        parent.kill()
        parent.wait()
    assert len(servers) >= 2  # the guard, and what it guards
    assert all(gone(pid) for pid in [*started, *servers])


def children_of(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


@pytest.mark.matrix
@pytest.mark.parametrize("framework", launch.PRELOAD)
def test_a_server_has_one_thread_to_fork_from(tmp_path, probe, framework):
    packages = launch.PRELOAD[framework]
    name = probe("return len(set(argv) - set(sys.modules))")
    server = preload.Preloaded(packages, launch.ENVIRONMENT)
    end = time.monotonic() + 120
    while (left := server.run(name, packages, log=tmp_path / "log", timeout=100).code) > 0:
        assert time.monotonic() < end, f"{left} of {packages} are not imported"
        time.sleep(0.5)
    assert left == 0
    threads = len(list(Path(f"/proc/{server._process.pid}/task").iterdir()))
    server.close()
    assert threads == 1
