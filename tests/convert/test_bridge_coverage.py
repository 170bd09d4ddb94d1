"""The coverage page, made in a process of its own that has PyTorch only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"

MAKE = """
import sys
from shipworthy.convert.bridge.coverage import page
text = page()
assert "tensorflow" not in sys.modules
sys.stdout.write(text)
"""


@pytest.mark.matrix
def test_page_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAKE], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == PAGE.read_text(), (
        "run: python -m shipworthy.convert.bridge.coverage docs/coverage.md"
    )


@pytest.mark.matrix
def test_page_tells_the_cnn_ops() -> None:
    text = PAGE.read_text()
    for op in (
        "convolution.default",
        "_native_batch_norm_legit_no_training.default",
        "addmm.default",
    ):
        assert f"| `aten.{op}` | `" in text
