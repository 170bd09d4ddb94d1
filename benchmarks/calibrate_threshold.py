"""Chooses, or checks, the factors of the validator's thresholds.

Builds small varied models that the validator is never scored on, runs correct alternatives and
faulty ones, and prints what factor k each would need to pass: threshold = k x the 99th percentile
of the model's noise floor. A good k lies above all correct answers and below all faulty ones.

    python benchmarks/calibrate_threshold.py          # about two minutes of processor time
    python benchmarks/calibrate_threshold.py 21       # other weights: k was not chosen on them

Faults in parentheses are shown for the sensitivity and decide nothing. Exits 1 if a correct answer
fails or a fault passes under the factors in `shipworthy.convert.yardstick`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from calibration import NORMS, RULES, SCOPES

from shipworthy.convert.versions import versions_of
from shipworthy.convert.yardstick import FACTORS, YARDSTICKS

# Each framework's weights are drawn from these seeds. k was chosen on them.
_WORKERS = {"calibration_torch.py": ("7", "8"), "calibration_keras.py": ("5",)}
_PACKAGES = ("numpy", "torch", "tensorflow", "keras", "onnxruntime", "tf2onnx", "ai-edge-litert")

Row = dict[str, Any]


def collect(seeds: Sequence[str]) -> list[Row]:
    """Run one process a framework, one after the other; return what they measured.

    Parameters
    ----------
    seeds : of the weights; none takes those that k was chosen on.
    """
    rows: list[Row] = []
    for worker, usual in _WORKERS.items():
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name(worker)), *(seeds or usual)],
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            check=True,
            text=True,
        )
        rows += [json.loads(line) for line in done.stdout.splitlines()]
    return rows


def factor(yardstick: str, rule: str) -> float:
    """Return the factor in force for a rule."""
    scope, norm = rule.split()
    return float(getattr(FACTORS[yardstick][scope], norm))


def used(row: Row) -> float:
    """Return how far an answer goes towards its limits; above 1 it fails."""
    if row["form"]:
        return float("inf")
    return max(float(row["needed"][rule]) / factor(row["yardstick"], rule) for rule in RULES)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are numbers."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Print a factor with three digits, large ones without an exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def print_correct(rows: Sequence[Row], yardstick: str) -> None:
    """Print how the factors that correct alternatives need are distributed."""
    print(f"\nCorrect alternatives ({len(rows)} answers), factor needed:\n")
    lines = []
    for rule in RULES:
        values = np.array([row["needed"][rule] for row in rows])
        quantiles = [number(float(q)) for q in np.quantile(values, (0.5, 0.9, 0.99, 1.0))]
        lines.append([rule, *quantiles, number(factor(yardstick, rule))])
    print(table(["rule", "median", "p90", "p99", "greatest", "k"], lines))
    print("\nThe five that come nearest to their limits:\n")
    nearest = sorted(rows, key=used, reverse=True)[:5]
    print(table(["model", "run by", *RULES, "share of limit"], [
        [f"{row['framework']} {row['model']}", row["way"],
         *(number(row["needed"][rule]) for rule in RULES), f"{used(row):.0%}"]
        for row in nearest
    ]))  # fmt: skip


def print_faulty(rows: Sequence[Row]) -> None:
    """Print, for each kind of fault, the weakest that was met and how many were caught."""
    print(f"\nFaulty ones ({len(rows)} answers), factor needed by the weakest of each kind:\n")
    kinds = dict.fromkeys(row["fault"] for row in rows)
    lines = []
    for kind in kinds:
        of = [row for row in rows if row["fault"] == kind]
        weakest = min(of, key=used)
        caught = sum(used(row) > 1 for row in of)
        how = "other form" if weakest["form"] else f"{used(weakest):.3g}"
        lines.append([
            kind, f"{caught} of {len(of)}", f"{weakest['framework']} {weakest['model']}",
            *(number(weakest["needed"][rule]) for rule in RULES), how,
        ])  # fmt: skip
    print(table(["fault", "caught", "weakest", *RULES, "times the limit"], lines))


def main() -> int:
    """Print the tables; 0 if every correct answer passes and every fault is caught."""
    rows = collect(sys.argv[1:])
    versions = ", ".join(f"{k} {v}" for k, v in versions_of(_PACKAGES).items())
    print(f"Python {platform.python_version()}, {versions}")
    wrong = []
    for yardstick in YARDSTICKS:
        own = [row for row in rows if row["yardstick"] == yardstick]
        models = {(row["framework"], row["model"]): row["floor"] for row in own}
        floors = np.array(list(models.values()))
        print(f"\n## Yardstick {yardstick}: {len(models)} models")
        print(
            "\nNoise floor (99th percentile over a model's own runs): "
            + "; ".join(
                f"{norm} median {np.median(floors[:, i]):.3g}, greatest {floors[:, i].max():.3g}"
                for i, norm in enumerate(NORMS)
            )
        )
        correct = [row for row in own if not row["fault"]]
        print_correct(correct, yardstick)
        print_faulty([row for row in own if row["fault"]])
        wrong += [row for row in correct if used(row) > 1]
        faulty = [row for row in own if row["fault"] and not row["fault"].startswith("(")]
        wrong += [row for row in faulty if used(row) <= 1]
    for row in wrong:
        told = "fault passes" if row["fault"] else "correct answer fails"
        print(f"\n{told}: {row}")
    chosen = "; ".join(
        f"{yardstick}: "
        + ", ".join(f"{scope} {FACTORS[yardstick][scope].rms:g} (RMS), "
                    f"{FACTORS[yardstick][scope].max:g} (maximum)" for scope in SCOPES)
        for yardstick in YARDSTICKS
    )  # fmt: skip
    print(f"\nk: {chosen}. {'They separate all.' if not wrong else f'{len(wrong)} wrong.'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
