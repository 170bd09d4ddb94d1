"""What several tests look at and what takes long to make: made once for all workers."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
SECONDS = 280


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def shipworthy():
    """Run the command line; returns the finished process."""

    def run(*words, cwd=None, timeout=SECONDS, **options):
        return subprocess.run(
            [BIN / "shipworthy", *map(str, words)],
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=timeout,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def once(shared):
    """Run a command once for all workers; who comes later is told the same end."""

    def run(name, command, codes=(0,), seconds=SECONDS):
        ended = shared / f"{name}.ended.json"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not ended.exists():
                ended.write_text(json.dumps(_end_of([*map(str, command)], seconds)))
        end = json.loads(ended.read_text())
        if end["code"] not in codes:
            pytest.fail(f"{name}: {end['command']} ended with {end['code']}:\n{end['stderr']}")

    return run


def _end_of(command, seconds):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        code, stderr = done.returncode, done.stderr
    except subprocess.TimeoutExpired as e:
        code, stderr = f"nothing within {seconds} s", (e.stderr or b"").decode(errors="replace")
    return {"command": " ".join(command), "code": code, "stderr": stderr}


@pytest.fixture(scope="session")
def exported(shared, once):
    """Export a model of the zoo, without timing it; returns its folder.

    An export of which any cell fails fails every test that looks at it, with what it told.
    """

    def export(name, *options):
        out = shared / " ".join((name, *options))
        words = ["export", name, "--out", out, "--no-bench", "--timeout", "1000", *options]
        once(out.name, [BIN / "shipworthy", *words], seconds=1100)
        return out

    return export
