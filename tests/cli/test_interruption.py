"""A run that is interrupted or killed: it ends at once, leaves nothing, and a rerun goes on."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from shipworthy.models import zoo

pytestmark = pytest.mark.matrix

BIN = Path(sys.executable).parent / "shipworthy"
MARK = "SHIPWORTHY_TEST_RUN"
TOLD = "interrupted; what was finished is kept, run it again to go on"

# A shell that runs the tests in the background has its children ignore Ctrl-C.
START = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Run:
    """A run of the command line, and every process that bears its mark."""

    def __init__(self, *words, folder):
        self.mark = uuid.uuid4().hex
        self.told = folder / f"stderr-{self.mark}"
        with self.told.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, BIN, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                env=os.environ | {MARK: self.mark, "TMPDIR": str(folder)},
            )

    def others(self):
        """Return the process ids of all but the first, with their command lines."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().decode()
        found.pop(self.process.pid, None)
        return found

    def wait_for(self, kind):
        """Return the process id of the first hop or runner to appear."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            for pid, words in self.others().items():
                if kind == "runner" and "shipworthy-run-" in words.split("\0")[0]:
                    return pid
                if kind == "hop" and "shipworthy.convert.preload" in words and forked(pid):
                    return pid
            time.sleep(0.01)
        raise AssertionError(f"no {kind} in:\n{self.told.read_text()}")

    def stop(self, number):
        """Send it a signal twice, as people do; return the seconds until it ended."""
        begin = time.monotonic()
        for _ in range(2):
            self.process.send_signal(number)
            time.sleep(0.03)
        self.process.wait(60)
        return time.monotonic() - begin

    def finish(self):
        return self.process.wait(280)

    def kill(self):
        for pid in [*self.others(), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def forked(pid):
    """Tell whether a process leads a group in another's session, as what a server forks does."""
    with contextlib.suppress(OSError):
        return os.getsid(pid) != pid
    return False


@pytest.fixture(scope="module", autouse=True)
def _trained():
    zoo.ensure_trained("mlp", ["pytorch", "tensorflow"])


@pytest.fixture
def start(tmp_path):
    runs = []

    def go(*words):
        runs.append(Run(*words, folder=tmp_path))
        return runs[-1]

    yield go
    for run in runs:
        run.kill()


def assert_clean(run, out, number, seconds):
    told = run.told.read_text()
    assert run.process.returncode == 128 + number, told
    assert seconds < 5
    assert told.splitlines().count(TOLD) == 1
    assert "Traceback" not in told
    assert_gone(run)
    assert [p for p in out.rglob("*") if p.name.startswith(".shipworthy-")] == []
    assert list(out.rglob("failure.json")) == []


def assert_gone(run):
    end = time.monotonic() + 3
    while left := run.others():
        assert time.monotonic() < end, left
        time.sleep(0.02)


@pytest.mark.parametrize("seconds", [1.0, 3.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_export_ends_at_once(start, tmp_path, number, seconds):
    out = tmp_path / "mlp"
    run = start("export", "mlp", "--no-bench", "--out", out)
    time.sleep(seconds)
    assert_clean(run, out, number, run.stop(number))


def test_an_export_that_is_interrupted_again_and_again_is_finished_by_the_last(start, tmp_path):
    out = tmp_path / "mlp"
    words = ["export", "mlp", "--framework", "pytorch", "--format", "onnx,torchscript"]
    words += ["--no-bench", "--out", out]
    for kind, number in [
        ("hop", signal.SIGINT),
        ("runner", signal.SIGTERM),
        ("hop", signal.SIGKILL),
        ("runner", signal.SIGKILL),
    ]:
        if kind == "hop":
            for manifest in out.glob("pytorch/onnx/artifact.json"):
                manifest.unlink()
        run = start(*words)
        hung = run.wait_for(kind)
        os.kill(hung, signal.SIGSTOP)
        seconds = run.stop(number)
        if number == signal.SIGKILL:
            assert_gone(run)
        else:
            assert_clean(run, out, number, seconds)
    last = start(*words)
    assert last.finish() == 0, last.told.read_text()
    assert "unchanged" in last.told.read_text()
    assert [p for p in out.rglob("*") if p.name.startswith(".shipworthy-")] == []


@pytest.mark.parametrize("words", [["validate"], ["bench", "--processes", "1"]])
def test_an_interrupted_judgement_ends_at_once(start, tmp_path, exported, words):
    out = tmp_path / "mlp"  # of its own: a folder has one user at a time
    shutil.copytree(exported("mlp"), out)
    [subcommand, *options] = words
    run = start(subcommand, out, *options)
    os.kill(run.wait_for("runner"), signal.SIGSTOP)
    before = {p: p.read_text() for p in out.rglob("validation.json")}
    assert_clean(run, out, signal.SIGINT, run.stop(signal.SIGINT))
    assert len(before) == 8
    assert {p: p.read_text() for p in before} == before
