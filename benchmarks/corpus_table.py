"""Writes docs/corpus.md from a run of the corpus tier.

pytest tests/corpus -m corpus --basetemp=build/corpus
python benchmarks/corpus_table.py build/corpus
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMATS = ("onnx", "saved_model", "torchscript", "tflite")
DOC = Path(__file__).resolve().parent.parent / "docs" / "corpus.md"
HEAD = """# Models of many kinds

Every model of [tests/corpus](../tests/corpus), exported as a user would (`shipworthy export
file.py:NAME`) and judged in the runners at batch 1, 2, 5 and 64 and, where another axis is dynamic,
at three sizes of it. Small shapes, random weights. The number is the error ratio: 1 is the
original's own rounding error; the limit is 5 or more. Written by `benchmarks/corpus_table.py` on
{date}.

A star: another route than the first gave it. "fixed": it passes, and no axis is dynamic. Why a cell
failed stands below the table.
"""


def cell_text(cell: dict[str, Any]) -> str:
    """Return one cell of the table."""
    if cell["status"] != "passed":
        return "**failed**"
    ratio = cell["error_ratio"]
    text = "equal" if ratio is None else f"{ratio:.2f}"
    first = {
        "pytorch>onnx", "pytorch>saved_model", "pytorch>torchscript", "pytorch>saved_model>tflite",
        "tensorflow>saved_model>onnx", "tensorflow>saved_model", "tensorflow>torchscript",
        "tensorflow>saved_model>tflite",
    }  # fmt: skip
    star = "" if cell["route"] in first else " *"
    return text + star + (" fixed" if not cell["dynamic_axes"] else "")


def plain(reason: str) -> str:
    """Return a reason on one line, without the folders of this machine."""
    return re.sub(r"/\S*/(tests/corpus/)", r"\1", " ".join(reason.split()))[:400]


def main(argv: Sequence[str]) -> None:
    """Read every summary below a folder; write the document."""
    rows, reasons = [], []
    count = passed = 0
    for path in sorted(Path(argv[0]).glob("**/corpus/*/*/summary.json")):
        name = f"{path.parent.parent.name} / {path.parent.name}"
        cells = {cell["format"]: cell for cell in json.loads(path.read_text())["cells"]}
        count += len(cells)
        passed += sum(cell["status"] == "passed" for cell in cells.values())
        rows.append(f"| {name} | " + " | ".join(cell_text(cells[f]) for f in FORMATS) + " |")
        reasons += [
            f"- {name}, {format_}: {plain(cell['reason'])}"
            for format_, cell in cells.items()
            if cell["status"] != "passed"
        ]
    lines = [
        HEAD.format(date=f"{datetime.now(UTC):%Y-%m-%d}"),
        f"**{passed} of {count} cells of {len(rows)} models pass.**\n",
        "| model | ONNX | SavedModel | TorchScript | TFLite |\n|---|--:|--:|--:|--:|",
        *rows, "", *reasons,
    ]  # fmt: skip
    DOC.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
