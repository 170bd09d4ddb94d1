"""Exports that several tests look at, made once for all workers."""

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


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

    def run(*words, cwd=None, timeout=280, **options):
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
def exported(shared, shipworthy):
    """Export a model of the zoo, without timing it; returns its folder."""

    def export(name):
        out = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (out / "summary.json").exists():
                shipworthy("export", name, "--out", out, "--no-bench")
        return out

    return export
