"""A runner that echoes its inputs, in a folder of its own, and what is expected of any call."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.serve import build, runners


@dataclass(frozen=True)
class Harness:
    """The harness linked with the null runtime, and the folder it is called in.

    The folder holds ``model.txt`` (one tensor x, float32, [-1, 4]) and ``x.npy`` (6 rows).
    """

    binary: Path
    folder: Path

    def call(self, arguments: Sequence[object], **options: Any) -> subprocess.CompletedProcess[str]:
        """Call it."""
        return subprocess.run(
            [str(self.binary), *map(str, arguments)],
            cwd=self.folder, capture_output=True, text=True, timeout=60, **options,
        )  # fmt: skip

    def run(self, arguments: Sequence[object]) -> dict[str, Any]:
        """Call what must succeed: JSON on stdout, nothing on stderr."""
        done = self.call(arguments)
        assert (done.returncode, done.stderr) == (0, "")
        loaded = json.loads(done.stdout)
        assert isinstance(loaded, dict)
        return loaded

    def fail(self, arguments: Sequence[object], code: int = 1, **options: Any) -> str:
        """Call what must fail: nothing on stdout, one line on stderr."""
        done = self.call(arguments, **options)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("shipworthy-run-null: error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "model.txt").write_text("x float32 -1,4\n")
    np.save(tmp_path / "x.npy", np.arange(24, dtype=np.float32).reshape(6, 4))
    return tmp_path


@pytest.fixture
def harness(work: Path) -> Harness:
    return Harness(runners.find("null").path, work)


@pytest.fixture(scope="session")
def sanitized_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sanitized")
    build.configure(folder, ["null"], ["-DSHIPWORTHY_SANITIZE=ON", "-DSHIPWORTHY_WERROR=ON"])
    build.ninja_build(folder, ["shipworthy-run-null"])
    return folder / "bin" / "shipworthy-run-null"


@pytest.fixture
def sanitized(sanitized_binary: Path, work: Path) -> Harness:
    return Harness(sanitized_binary, work)
