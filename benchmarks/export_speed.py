"""How long an export takes: all cells anew, and again with nothing changed.

Prints a Markdown table. Runners are built and models trained beforehand, and do not count.

    python benchmarks/export_speed.py [--model cnn] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHIPWORTHY = Path(sys.executable).parent / "shipworthy"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    times: dict[str, list[float]] = {"all cells anew": [], "nothing changed": []}
    with tempfile.TemporaryDirectory() as folder:
        export(args.model, Path(folder) / "warm")
        for number in range(args.rounds):
            out = Path(folder) / str(number)
            for what in times:
                times[what].append(export(args.model, out))
    print(f"`shipworthy export {args.model} --no-bench`, {len(os.sched_getaffinity(0))} cores,")
    print(f"wall seconds of the whole process, {args.rounds} rounds:\n")
    print("| | min | median | max |\n|---|---|---|---|")
    for what, seconds in times.items():
        row = [min(seconds), statistics.median(seconds), max(seconds)]
        print(f"| {what} | {' | '.join(f'{value:.2f}' for value in row)} |")


def export(model: str, out: Path) -> float:
    """Run one export; return its wall seconds."""
    started = time.monotonic()
    subprocess.run(
        [SHIPWORTHY, "export", model, "--no-bench", "--out", out], check=True, capture_output=True
    )
    return time.monotonic() - started


if __name__ == "__main__":
    main()
