"""What the runners' harness costs.

Prints (a) the overhead of one run with the null runtime, which must stay below 1 us, and (b) for
every runtime the p50 latency in our runner against a bare loop over the same C API
(``benchmarks/bare/*.cc``), which must agree within 3 %. In both the timed region holds the
allocation of the outputs and their arrival in host memory, and not the copying of inputs.

The two are run in turn, ABBA, so that a machine that slows down slows both. Run it on an idle
machine: ``python benchmarks/runner_overhead.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shipworthy.models.cache import cache_dir
from shipworthy.serve import build, runners

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "tests" / "serve" / "make_models.py"
NULL_LIMIT_NS = 1000
RATIO_LIMIT = 0.03

Row = tuple[str, str, Path, dict[str, str], tuple[int, ...]]


def values(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the inputs the bare loops make for themselves."""
    index = np.arange(np.prod(shape, dtype=int)) % 13
    return (index * 0.125 - 0.75).astype(np.float32).reshape(shape)


def make_models(folder: Path) -> list[Row]:
    """Write the models; return runtime, artifact, tensor names and input shape of each."""
    for framework in ("onnx", "torch", "tensorflow"):
        subprocess.run(
            [sys.executable, str(MODELS), framework, str(folder)], check=True, capture_output=True
        )
    # ONNX and TorchScript's `conv` is channels first; only one of the two name files can stay.
    first, last = (1, 16, 32, 32), (1, 32, 32, 16)
    rows: list[Row] = []
    for runtime, file, names, shape in (
        ("onnxruntime", "conv.onnx", {"x": "x", "y": "y"}, first),
        ("libtorch", "conv.pt", {"x": "x", "y": "output_0"}, first),
        ("litert", "conv.tflite", {"x": "x", "y": "y"}, last),
    ):
        rows.append((runtime, file, folder / file, names, shape))
    listed = json.loads((folder / "conv_saved_model.names.json").read_text())
    saved_names = {"x": listed["inputs"]["x"], "y": listed["outputs"]["y"]}
    rows.append(("tensorflow", "SavedModel", folder / "conv_saved_model", saved_names, last))
    return rows


def null_overhead_ns(folder: Path) -> tuple[float, float]:
    """Return p50 of one timed run of nothing, and the loop's whole wall time a run."""
    model, array = folder / "null.txt", folder / "null.npy"
    model.write_text("x float32 -1,8\n")
    np.save(array, np.zeros((1, 8), np.float32))
    case = runners.CaseFiles("null", {"x": array}, {"x": folder / "out.npy"})
    timing = runners.Timing("null", 1000, 200_000, 200_000, 0, 10**10)
    bench = runners.run(runners.find("null"), model, [case], timing=timing).bench
    assert bench is not None
    latencies = bench["latencies_ns"]
    return statistics.median(latencies), bench["wall_ns"] / len(latencies)


def compare(row: Row, bare: Path, folder: Path, rounds: int, runs: int) -> tuple[float, ...]:
    """Return p50 in our runner, p50 of the bare loop, and the median of the rounds' ratios."""
    runtime, _, model, names, shape = row
    array = folder / f"{runtime}.npy"
    np.save(array, values(shape))
    case = runners.CaseFiles("x", {names["x"]: array}, {names["y"]: folder / "out.npy"})
    timing = runners.Timing("x", runs // 5, runs, runs, 0, 10**11)

    def ours() -> float:
        bench = runners.run(runners.find(runtime), model, [case], timing=timing).bench
        assert bench is not None
        return float(statistics.median(bench["latencies_ns"]))

    def theirs() -> float:
        command = [str(bare), str(model), names["x"], names["y"], ",".join(map(str, shape)),
                   str(runs // 5), str(runs)]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return statistics.median(map(int, done.stdout.split()))

    a: list[float] = []
    b: list[float] = []
    order: list[tuple[Callable[[], float], list[float]]] = [(ours, a), (theirs, b)]
    order += order[::-1]
    for _ in range(rounds):
        for measure, kept in order:
            kept.append(measure())
    ratios = [(a[i] + a[i + 1]) / (b[i] + b[i + 1]) for i in range(0, len(a), 2)]
    return statistics.median(a), statistics.median(b), statistics.median(ratios)


def main() -> int:
    """Print both tables; 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="ABBA rounds a runtime")
    parser.add_argument("--runs", type=int, default=2000, help="timed runs a process")
    arguments = parser.parse_args()
    built = cache_dir() / "bare"
    names = [name for name in build.RUNTIMES if name != "null"]
    build.configure(built, names, [f"-DSHIPWORTHY_BARE_SOURCES={ROOT / 'benchmarks' / 'bare'}"])
    build.ninja_build(built, [f"shipworthy-bare-{name}" for name in names])
    fine = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        p50, wall = null_overhead_ns(folder)
        fine &= wall < NULL_LIMIT_NS
        print("| null runtime | ns a run | limit |\n|---|---:|---:|")
        print(f"| timed, p50 | {p50:.0f} | {NULL_LIMIT_NS} |")
        print(f"| whole loop, mean | {wall:.0f} | {NULL_LIMIT_NS} |\n")
        print(
            "| runtime | model | our p50 (us) | bare p50 (us) | ratio, median of rounds | limit |"
        )
        print("|---|---|---:|---:|---:|---:|")
        for row in make_models(folder):
            bare = built / "bin" / f"shipworthy-bare-{row[0]}"
            ours, theirs, ratio = compare(row, bare, folder, arguments.rounds, arguments.runs)
            fine &= abs(ratio - 1) <= RATIO_LIMIT
            print(
                f"| {row[0]} | {row[1]} | {ours / 1000:.1f} | {theirs / 1000:.1f} "
                f"| {ratio:.3f} | {1 - RATIO_LIMIT:.2f} to {1 + RATIO_LIMIT:.2f} |",
                flush=True,
            )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
