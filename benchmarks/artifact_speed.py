"""Our artifacts against those of the plain tools, in our runners.

Exports models of real size by us (``shipworthy export``) and by the tools as their manuals say, and
times the files of one format in turn, ABBA, each in a fresh process, at batch 1 with one thread.
Prints a Markdown table: the median of all runs, processor time a run, and for both the median over
the rounds of the ratio to the file that the aim names. Run it on an idle machine; on a busy one
only the ratios of processor time mean something.

    python benchmarks/artifact_speed.py [--models mobilenetv2,resnet50] [--rounds 5]
        [--out FOLDER] [--onnx2tf mobilenetv2=FOLDER]

onnx2tf needs other versions of everything than this project: make its SavedModel in an environment
of its own (``onnx2tf -i OUT/plain/MODEL/pytorch-onnx -o FOLDER -osd``) and say where it lies.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.artifact import read_artifact
from shipworthy.convert.routes import FORMATS
from shipworthy.models import zoo
from shipworthy.serve import runners

FRAMEWORKS = ("pytorch", "tensorflow")
# Per cell: the file that ours is measured against, and the most its latency may be of that.
AIMS: Mapping[tuple[str, str], tuple[str, Mapping[str, float]]] = {
    ("pytorch", "onnx"): ("plain", {}),
    ("pytorch", "saved_model"): ("onnx2tf", {}),
    ("pytorch", "torchscript"): ("plain", {"mobilenetv2": 0.9, "resnet50": 0.75}),
    ("pytorch", "tflite"): ("plain", {}),
    ("tensorflow", "onnx"): ("plain", {}),
    ("tensorflow", "saved_model"): ("plain", {"mobilenetv2": 0.7}),
    ("tensorflow", "torchscript"): ("ours of pytorch", {}),
    ("tensorflow", "tflite"): ("plain", {}),
}


@dataclass
class File:
    """One file under test, and what was measured of it: p50 and processor time of every process."""

    framework: str
    format: str
    by: str
    path: Path
    shape: Sequence[int]
    p50_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def plain_pytorch(name: str, folder: Path) -> None:
    """Write what PyTorch's own exporters make."""
    import litert_torch
    import torch

    source = zoo.source(name, "pytorch")
    model = source.build().eval()
    example = torch.zeros([2, *source.signature.inputs[0].shape[1:]])
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(model, example), folder / "pytorch-torchscript")
    dynamic = ({0: torch.export.Dim("batch")},)
    program = torch.onnx.export(model, (example,), dynamo=True, dynamic_shapes=dynamic)
    program.save(folder / "pytorch-onnx", external_data=False)
    litert_torch.convert(model, (example[:1],)).export(str(folder / "pytorch-tflite"))


def plain_tensorflow(name: str, folder: Path) -> None:
    """Write what TensorFlow's own exporters make."""
    import tensorflow as tf

    saved = folder / "tensorflow-saved_model"
    zoo.source(name, "tensorflow").build().export(str(saved), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    (folder / "tensorflow-tflite").write_bytes(converter.convert())
    subprocess.run(
        [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(saved), "--output",
         str(folder / "tensorflow-onnx")], check=True,
    )  # fmt: skip


def plain_torchscript(name: str, folder: Path) -> None:
    """Trace a Keras model under Keras' torch backend."""
    import torch

    source = zoo.source(name, "tensorflow")
    example = torch.zeros([2, *source.signature.inputs[0].shape[1:]])
    model = source.build().eval()
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(model, example), folder / "tensorflow-torchscript")


PLAIN: Mapping[str, Callable[[str, Path], None]] = {
    "pytorch": plain_pytorch,
    "tensorflow": plain_tensorflow,
    "torchscript": plain_torchscript,
}


def make_plain(name: str, folder: Path) -> None:
    """Call every plain exporter in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in PLAIN:
        if (done := folder / f"{kind}.done").exists():
            continue
        backend = "torch" if kind == "torchscript" else "tensorflow"
        command = [sys.executable, __file__, "--plain", kind, "--models", name, "--out"]
        subprocess.run(
            [*command, str(folder)], check=True, stdout=subprocess.DEVNULL,
            env=os.environ | {"KERAS_BACKEND": backend},
        )  # fmt: skip
        done.touch()


def make_ours(name: str, folder: Path) -> None:
    """Export by us; a repeat with nothing changed costs nothing."""
    tool = Path(sys.executable).with_name("shipworthy")
    subprocess.run(
        [tool, "export", name, "--no-bench", "--out", folder], check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def files_of(name: str, out: Path, onnx2tf: Path | None) -> list[File]:
    """Return every file of a model that there is."""
    found = []
    for framework in FRAMEWORKS:
        signature = zoo.source(name, framework).signature
        shape = [1, *(int(size) for size in signature.inputs[0].shape[1:])]
        for format_ in FORMATS:
            ours = read_artifact(out / "ours" / name / framework / format_).path
            found.append(File(framework, format_, "ours", ours, shape))
            plain = out / "plain" / name / f"{framework}-{format_}"
            if plain.exists():
                found.append(File(framework, format_, "plain", plain, shape))
    if onnx2tf:
        image = [1, *(int(s) for s in zoo.source(name, "tensorflow").signature.inputs[0].shape[1:])]
        found.append(File("pytorch", "saved_model", "onnx2tf", onnx2tf, image))
    return found


def measure(files: Sequence[File], rounds: int, runs: int, folder: Path) -> None:
    """Time the files of one format, there and back again in every round."""
    runner = runners.find(FORMATS[files[0].format].runtime)
    cases: dict[int, runners.CaseFiles] = {}
    for number, file in enumerate(files):
        name = runners.run(runner, file.path, []).inputs[0]["name"]
        array = folder / f"{number}.npy"
        values = np.random.default_rng(0).uniform(-1, 1, file.shape)
        np.save(array, values.astype(np.float32))
        cases[number] = runners.CaseFiles("x", {name: array}, {})
    timing = runners.Timing("x", max(3, runs // 5), runs, runs, 0, 10**12)
    for turn in range(2 * rounds):
        order = list(range(len(files)))
        for number in order if turn % 2 == 0 else order[::-1]:
            path = files[number].path
            bench = runners.run(runner, path, [cases[number]], timing=timing, timeout=900).bench
            assert bench is not None
            files[number].p50_ms.append(statistics.median(bench["latencies_ns"]) / 1e6)
            files[number].cpu_ms.append(bench["cpu_ns"] / len(bench["latencies_ns"]) / 1e6)


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the median over the rounds of a ratio; a round is two processes each."""
    pairs = range(0, len(a), 2)
    return statistics.median((a[i] + a[i + 1]) / (b[i] + b[i + 1]) for i in pairs)


def rows(name: str, files: Sequence[File]) -> list[str]:
    """Return the table's rows of one model."""
    by = {(f.framework, f.format, f.by): f for f in files}
    lines = []
    for file in files:
        if not file.p50_ms:
            continue
        cell = f"| {name} | {file.framework} > {file.format} | {file.by} "
        told = f"| {statistics.median(file.p50_ms):.2f} | {statistics.median(file.cpu_ms):.2f} "
        against, most = AIMS[file.framework, file.format]
        base = (
            by.get(("pytorch", file.format, "ours"))
            if against == "ours of pytorch"
            else by.get((file.framework, file.format, against))
        )
        judged = "| | | "
        if file.by == "ours" and base is not None:
            p50, cpu = ratio(file.p50_ms, base.p50_ms), ratio(file.cpu_ms, base.cpu_ms)
            aim = most.get(name, 1.0)
            met = "met" if p50 <= aim else "missed"
            judged = f"| {p50:.2f} | {cpu:.2f} | {aim:.2f} of {against}: {met} "
        lines.append(cell + told + judged + "|")
    return lines


def main() -> int:
    """Print the table; with --plain, be one of the plain exporters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="mobilenetv2,resnet50")
    parser.add_argument("--rounds", type=int, default=5, help="ABBA rounds a format")
    parser.add_argument("--runs", type=int, default=50, help="timed runs a process")
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--out", type=Path, help="where exports are kept; else a temporary folder")
    parser.add_argument("--onnx2tf", action="append", default=[], metavar="MODEL=FOLDER")
    parser.add_argument("--plain", choices=PLAIN, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        PLAIN[arguments.plain](arguments.models, arguments.out)
        return 0
    peers: dict[str, Any] = dict(pair.split("=", 1) for pair in arguments.onnx2tf)
    print("| model | cell | by | p50 (ms) | processor (ms) | ratio | of processor time | aim |")
    print("|---|---|---|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as private:
        out = arguments.out or Path(private)
        for name in arguments.models.split(","):
            make_plain(name, out / "plain" / name)
            make_ours(name, out / "ours" / name)
            files = files_of(name, out, Path(peers[name]) if name in peers else None)
            for format_ in arguments.formats.split(","):
                same = [file for file in files if file.format == format_]
                measure(same, arguments.rounds, arguments.runs, Path(private))
            print("\n".join(rows(name, files)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
