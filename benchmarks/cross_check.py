"""Our figures for ONNX Runtime against two tools that are not ours.

For each model: SingleStream, Offline and Server by our C++ harness, by MLCommons LoadGen (its
Python package, with a system under test in Python), and SingleStream by a plain loop over ONNX
Runtime's Python package. The same artifact, input, version of ONNX Runtime and thread; fresh
processes that take turns, there and back (ABBA), with our SingleStream measured as two entries
(A/A). Prints Markdown.

LoadGen calls the system under test through Python, so its figure holds what Python costs. That is
why the same work is timed three times more: inside LoadGen's callback around the one call of the
runtime, in the plain loop, and in our harness, which has no Python.

    python benchmarks/cross_check.py --models cnn,mobilenetv2

LoadGen is installed into an environment of its own below the cache folder, or is taken from the
interpreter that ``--python`` names.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.read_reference import read_reference
from shipworthy.models.cache import cache_dir
from shipworthy.serve import runners
from shipworthy.serve.bench import bench_case, schedule
from shipworthy.serve.contrast import MARGIN, Ratio, decide, ratio_of_values
from shipworthy.serve.stats import percentile

WORKER = Path(__file__).with_name("loadgen_worker.py")
CELL = ("pytorch", "onnx")
WARMUP = 20
UTILISATION = 0.25  # in the Server scenario, of what the slower tool did in the Offline one

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Work:
    """One artifact and one input of it, by the artifact's own names."""

    model: Path
    inputs: Mapping[str, Path]
    outputs: tuple[str, ...]
    seconds: float
    python: Path

    def ours(self, scenario: str, gap_ns: int | None = None) -> Figures:
        """Return what our harness measures in a fresh process."""
        most = int(self.seconds * 1e9)
        timing = runners.Timing(
            "x", WARMUP, 64, 10**9, most, 10**11, scenario=scenario, gap_ns=gap_ns
        )
        with tempfile.TemporaryDirectory() as folder:
            outputs = {name: Path(folder) / f"{i}.npy" for i, name in enumerate(self.outputs)}
            case = runners.CaseFiles("x", self.inputs, outputs)
            bench = runners.run(
                runners.find("onnxruntime"), self.model, [case], timing=timing
            ).bench
        assert bench is not None
        ordered = sorted(bench["latencies_ns"])
        return {
            "p50_ns": percentile(ordered, 50),
            "p90_ns": percentile(ordered, 90),
            "per_s": bench["queries"] * 1e9 / bench["wall_ns"],
        }

    def theirs(self, by: str, scenario: str = "single_stream", qps: float = 1.0) -> Figures:
        """Return what LoadGen, or the plain loop, measures in a fresh process."""
        words = [str(self.python), str(WORKER), "--by", by, "--scenario", scenario,
                 "--model", str(self.model), "--warmup", str(WARMUP),
                 "--seconds", str(self.seconds), "--qps", str(qps)]  # fmt: skip
        for name, path in self.inputs.items():
            words += ["--input", f"{name}={path}"]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr}")
        found: Figures = json.loads(done.stdout)
        return found


def export(model: str) -> Path:
    """Export a model of the zoo to ONNX, unless it lies there; return its folder."""
    out = cache_dir() / "cross_check" / model
    script = "from shipworthy.cli.main import main; main()"
    words = [sys.executable, "-c", script, "export", model, "--out", str(out), "--no-bench",
             "--framework", CELL[0], "--format", CELL[1]]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{model} cannot be exported:\n{done.stdout}{done.stderr}")
    return out


def find_work(out: Path, seconds: float, python: Path) -> Work:
    """Return the artifact of a model's folder and its first case of one row."""
    artifact = read_artifact(out.joinpath(*CELL))
    reference = read_reference(out / CELL[0] / "reference")
    paths = reference.input_paths(bench_case(reference, artifact, 1))
    names = artifact.native_names
    return Work(
        artifact.path.resolve(),
        {names["inputs"][name]: path.resolve() for name, path in paths.items()},
        tuple(names["outputs"].values()),
        seconds,
        python,
    )


def environment() -> Path:
    """Return the interpreter of an environment with LoadGen, made here if need be."""
    folder = cache_dir() / "loadgen"
    python = folder / "bin" / "python"
    version = metadata.version("onnxruntime")
    probe = f"import mlperf_loadgen, onnxruntime; assert onnxruntime.__version__ == '{version}'"
    if (
        python.exists()
        and not subprocess.run([python, "-c", probe], capture_output=True).returncode
    ):
        return python
    venv.create(folder, with_pip=True, clear=True)
    wanted = ["mlcommons-loadgen", f"onnxruntime=={version}"]
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *wanted], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"LoadGen cannot be installed:\n{done.stderr}")
    return python


def measure(work: Work, rounds: int, seed: int) -> tuple[dict[str, list[Figures]], float]:
    """Return every entry's figures, process by process, and the Server scenario's rate."""
    capacity = min(work.theirs("loadgen", "offline")["per_s"], work.ours("offline")["per_s"])
    qps = round(UTILISATION * capacity, 1)
    entries: dict[str, Callable[[], Figures]] = {
        "ours": lambda: work.ours("single_stream"),
        "ours again": lambda: work.ours("single_stream"),
        "python": lambda: work.theirs("python"),
        "loadgen": lambda: work.theirs("loadgen"),
        "ours, offline": lambda: work.ours("offline"),
        "loadgen, offline": lambda: work.theirs("loadgen", "offline"),
        "ours, server": lambda: work.ours("server", int(1e9 / qps)),
        "loadgen, server": lambda: work.theirs("loadgen", "server", qps),
    }
    found: dict[str, list[Figures]] = {name: [] for name in entries}
    turns = schedule(list(entries), rounds, seed)
    for i, name in enumerate(turns, 1):
        print(f"\r{i} of {len(turns)}: {name:20}", end="", file=sys.stderr, flush=True)
        found[name].append(entries[name]())
    print(file=sys.stderr)
    return found, qps


def pick(found: list[Figures], figure: str) -> list[float]:
    """Return one figure of every process."""
    return [one[figure] for one in found]


def middle(values: list[float]) -> float:
    """Return the median process."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def tell(ratio: Ratio) -> str:
    """Return a ratio with its interval."""
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def report(model: str, found: dict[str, list[Figures]], qps: float) -> bool:
    """Print a model's table and what it shows; return whether the tools agree."""
    ours, again = (pick(found[name], "p50_ns") for name in ("ours", "ours again"))
    free = [*ours, *again]
    plain = pick(found["python"], "p50_ns")
    inside = pick(found["loadgen"], "inside_p50_ns")
    loadgen = pick(found["loadgen"], "p50_ns")
    control = ratio_of_values(ours, again)
    print(f"### {model}\n")
    print("| SingleStream, p50 | us | ratio to ours, 99 % interval |\n|---|---:|---:|")
    for label, values in (
        ("our harness, no Python", free),
        ("plain loop over the Python package", plain),
        ("LoadGen, inside its callback", inside),
        ("LoadGen, as it reports", loadgen),
    ):
        ratio = "1" if values is free else tell(ratio_of_values(free, values))
        print(f"| {label} | {middle(values) / 1000:.2f} | {ratio} |")
    nineties = [*pick(found["ours"], "p90_ns"), *pick(found["ours again"], "p90_ns")]
    tails = pick(found["loadgen"], "p90_ns")
    print("\n| other figures | ours | LoadGen | ratio, 99 % interval |\n|---|---:|---:|---:|")
    rows = [("SingleStream, p90 (us)", nineties, tails, 1e-3)]
    rows.append(("Offline (1/s)", *both(found, "offline", "per_s"), 1.0))
    for name in ("p50_ns", "p90_ns"):
        label = f"Server at {qps:g}/s, {name[:3]} (us)"
        rows.append((label, *both(found, "server", name), 1e-3))
    for label, a, b, scale in rows:
        numbers = f"{middle(a) * scale:,.1f} | {middle(b) * scale:,.1f}"
        print(f"| {label} | {numbers} | {tell(ratio_of_values(a, b))} |")
    agree = ratio_of_values(plain, inside)
    fit = decide(control) not in ("faster", "slower")
    same = agrees(agree, control)
    binding, issuing = middle(plain) - middle(free), middle(loadgen) - middle(inside)
    print(f"\nA/A, our harness against itself: {tell(control)}: {'fit' if fit else 'UNFIT'}.")
    told = "the same within the noise" if same else "NOT the same"
    print(f"LoadGen inside its callback to the plain loop: {tell(agree)}: {told} that A/A shows.")
    if ratio_of_values(free, plain).low > 1:
        print(f"Python's part: {binding / 1000:.2f} us to call the runtime through its package, "
              f"and {issuing / 1000:.2f} us to be called by LoadGen.\n")  # fmt: skip
    else:
        print("Python's part is lost in the noise of a model that takes so long.\n")
    return fit and same


def agrees(ratio: Ratio, control: Ratio) -> bool:
    """Tell whether two tools agree: no farther apart than one tool is from itself.

    Their ratio lies within the interval of the A/A control, or within the margin below which no
    difference counts, and its own interval does not exclude that.
    """
    low = min(control.low, 1 / (1 + MARGIN))
    high = max(control.high, 1 + MARGIN)
    return low <= ratio.value <= high and decide(ratio) not in ("faster", "slower")


def both(
    found: dict[str, list[Figures]], scenario: str, figure: str
) -> tuple[list[float], list[float]]:
    """Return one figure of a scenario, ours and LoadGen's."""
    return pick(found[f"ours, {scenario}"], figure), pick(found[f"loadgen, {scenario}"], figure)


def main() -> int:
    """Print the tables; 1 if the tools differ by what is not explained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="cnn,mobilenetv2", help="of the zoo, by commas")
    parser.add_argument("--rounds", type=int, default=8, help="processes of each entry")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each timed loop")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--python", type=Path, help="an interpreter that has LoadGen")
    given = parser.parse_args()
    python = given.python or environment()
    fine = True
    for model in given.models.split(","):
        work = find_work(export(model), given.seconds, python)
        fine &= report(model, *measure(work, given.rounds, given.seed))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
