"""Every runtime on small models of its own format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from shipworthy.serve import runners, toolchain

pytestmark = pytest.mark.matrix

Arrays = dict[str, npt.NDArray[Any]]
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")


@dataclass(frozen=True)
class Kind:
    """One runtime's models: made by which framework, named how, and what `dtypes` computes."""

    framework: str
    pattern: str
    names: str
    image: tuple[int, ...]
    dtypes: Callable[[Arrays], Arrays]

    def path(self, folder: Path, model: str) -> Path:
        return folder / self.framework / self.pattern.format(model)

    def names_of(self, folder: Path, model: str) -> dict[str, dict[str, str]]:
        path = folder / self.framework / f"{self.names.format(model)}.names.json"
        loaded = json.loads(path.read_text())
        assert isinstance(loaded, dict)
        return loaded


def add_one(x: Arrays) -> Arrays:
    results = {f"{k}_out": (v + 1).astype(k) for k, v in x.items() if k != "bool"}
    return results | {"bool_out": ~x["bool"]}


def cast(x: Arrays) -> Arrays:
    return {
        "float32_out": x["float32"] + 1,
        "float64_out": x["int32"].astype("float64"),
        "int32_out": x["float64"].astype("int32"),
        "int64_out": x["int64"] + 1,
        "uint8_out": x["float32"].astype("uint8"),
        "bool_out": ~x["bool"] | (x["uint8"] != 0),
    }


KINDS = {
    "onnxruntime": Kind("onnx", "{}.onnx", "{}", (16, 32, 32), add_one),
    "libtorch": Kind("torch", "{}.pt", "{}", (16, 32, 32), add_one),
    "tensorflow": Kind("tensorflow", "{}_saved_model", "{}_saved_model", (32, 32, 16), cast),
    "litert": Kind("tensorflow", "{}.tflite", "{}", (32, 32, 16), cast),
}
every_runtime = pytest.mark.parametrize("runtime", KINDS)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write all models, one process a framework, so that no process holds two."""
    folder = tmp_path_factory.mktemp("models")
    program = Path(__file__).with_name("make_models.py")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    for framework in {kind.framework for kind in KINDS.values()}:
        (folder / framework).mkdir()
        done = subprocess.run(
            [sys.executable, str(program), framework, str(folder / framework)],
            capture_output=True, text=True, env=environment, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return folder


def run(
    runtime: str, models: Path, model: str, inputs: Arrays, work: Path, **options: Any
) -> tuple[runners.Run, Arrays]:
    """Run a model on arrays by canonical name; return its report and outputs."""
    kind = KINDS[runtime]
    names = kind.names_of(models, model)
    for name, value in inputs.items():
        np.save(work / f"in_{name}.npy", value)
    case = runners.CaseFiles(
        "case",
        {names["inputs"][name]: work / f"in_{name}.npy" for name in inputs},
        {native: work / f"out_{name}.npy" for name, native in names["outputs"].items()},
    )
    report = runners.run(
        runners.find(runtime), kind.path(models, model), [case], timeout=100, **options
    )
    return report, {name: np.load(work / f"out_{name}.npy") for name in names["outputs"]}


def pair(rows: int) -> Arrays:
    rng = np.random.default_rng(rows)
    return {n: rng.standard_normal((rows, 4)).astype("float32") for n in ("first", "second")}


@every_runtime
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_inputs_and_outputs_keep_their_names(
    runtime: str, rows: int, models: Path, tmp_path: Path
) -> None:
    inputs = pair(rows)
    report, outputs = run(runtime, models, "pair", inputs, tmp_path)
    first, second = inputs["first"], inputs["second"]
    np.testing.assert_allclose(outputs["difference"], first - second, rtol=1e-6)
    np.testing.assert_allclose(outputs["weighted"], 10 * first + second, rtol=1e-5, atol=1e-6)
    assert report.cases[0]["outputs"][0]["shape"] == [rows, 4]
    declared = {None} if runtime == "libtorch" else {"float32"}
    assert {tensor["dtype"] for tensor in report.inputs + report.outputs} == declared
    shapes = [tensor["shape"] for tensor in report.inputs + report.outputs]
    assert shapes == [None if runtime == "libtorch" else [-1, 4]] * 4


@every_runtime
def test_every_dtype_goes_in_and_out(runtime: str, models: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = {k: rng.integers(0, 2 if k == "bool" else 100, (4, 3)).astype(k) for k in DTYPES}
    _, outputs = run(runtime, models, "dtypes", inputs, tmp_path)
    expected = KINDS[runtime].dtypes(inputs)
    assert set(outputs) == set(expected)
    for name, value in expected.items():
        assert outputs[name].dtype == value.dtype
        np.testing.assert_array_equal(outputs[name], value)


@every_runtime
def test_a_run_tells_what_it_was(runtime: str, models: Path, tmp_path: Path) -> None:
    report, _ = run(runtime, models, "pair", pair(2), tmp_path)
    runner = runners.find(runtime)
    assert (report.runtime, report.version) == (runtime, runner.version)
    assert report.build == runner.build
    found = toolchain.locate(runtime)
    assert found is not None
    assert report.version.split("+")[0] == found.version.split("+")[0]
    assert report.python_free
    assert any(name.startswith("lib") for name in report.mapped_libraries)
    assert report.cold_start_ns is not None
    assert report.process_ns is not None
    assert report.first_ns is not None
    assert report.cold_start_ns >= report.process_ns + report.load_ns + report.first_ns
    assert 0 < report.loaded_rss_bytes <= report.peak_rss_bytes


@every_runtime
def test_cases_of_many_sizes_share_a_process(runtime: str, models: Path, tmp_path: Path) -> None:
    names = KINDS[runtime].names_of(models, "pair")
    cases: list[runners.CaseFiles] = []
    for rows in (2, 7, 1, 7, 2):
        folder = tmp_path / f"{len(cases)}"
        folder.mkdir()
        for name, value in pair(rows).items():
            np.save(folder / f"{name}.npy", value)
        files = {native: folder / f"{name}.npy" for name, native in names["inputs"].items()}
        out = {names["outputs"]["weighted"]: folder / "out.npy"}
        cases.append(runners.CaseFiles(folder.name, files, out))
    runners.run(runners.find(runtime), KINDS[runtime].path(models, "pair"), cases)
    for case, rows in zip(cases, (2, 7, 1, 7, 2), strict=True):
        [path] = case.outputs.values()
        expected = 10 * pair(rows)["first"] + pair(rows)["second"]
        np.testing.assert_allclose(np.load(path), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("runtime", ["litert", "tensorflow"])
def test_outputs_behind_a_computed_reshape_have_their_size(
    runtime: str, models: Path, tmp_path: Path
) -> None:
    # LiteRT reports such an output at the file's batch until it has run, and would write past it.
    names = KINDS[runtime].names_of(models, "reshaped")
    sizes = (1, 700, 3, 1, 2)
    cases: list[runners.CaseFiles] = []
    for rows in sizes:
        folder = tmp_path / f"{len(cases)}"
        folder.mkdir()
        x = np.random.default_rng(rows).random((rows, 2, 3)).astype("float32")
        np.save(folder / "x.npy", x)
        files = {names["inputs"]["x"]: folder / "x.npy"}
        cases.append(
            runners.CaseFiles(folder.name, files, {names["outputs"]["y"]: folder / "y.npy"})
        )
    timing = runners.Timing("1", 2, 5, 5, 0, 10**10)
    path = KINDS[runtime].path(models, "reshaped")
    runners.run(runners.find(runtime), path, cases, timing=timing)
    for number, rows in enumerate(sizes):
        x = np.load(tmp_path / f"{number}" / "x.npy").reshape(rows, 6)
        expected = x @ np.arange(1.0, 7.0, dtype="float32")[:, None]
        found = np.load(tmp_path / f"{number}" / "y.npy")
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@every_runtime
def test_timed_outputs_are_those_of_the_case(runtime: str, models: Path, tmp_path: Path) -> None:
    timing = runners.Timing("case", 3, 20, 20, 0, 10**10)
    inputs = pair(6)
    report, outputs = run(runtime, models, "pair", inputs, tmp_path, timing=timing)
    assert report.bench is not None
    assert len(report.bench["latencies_ns"]) == 20
    assert min(report.bench["latencies_ns"]) > 0
    np.testing.assert_allclose(outputs["difference"], inputs["first"] - inputs["second"], rtol=1e-6)
    whole = outputs
    report, outputs = run(runtime, models, "pair", inputs, tmp_path, rows=2)
    assert report.cases[0]["runs"] == 3
    np.testing.assert_allclose(outputs["weighted"], whole["weighted"], rtol=1e-6)


@every_runtime
@pytest.mark.parametrize("model", ["pair", "conv"])
@pytest.mark.parametrize("threads", [1, 2])
def test_workers_run_side_by_side(
    runtime: str, model: str, threads: int, models: Path, tmp_path: Path
) -> None:
    kind = KINDS[runtime]
    names = kind.names_of(models, model)
    workers = [f"worker {i}" for i in range(4)]
    rng = np.random.default_rng(4)

    def load(run_name: str, timing: runners.Timing | None) -> tuple[runners.Run, list[Arrays]]:
        cases = []
        for worker in workers:
            folder = tmp_path / run_name / worker
            folder.mkdir(parents=True)
            files = {
                native: tmp_path / f"{worker} {k}.npy" for k, native in names["inputs"].items()
            }
            out = {native: folder / f"{k}.npy" for k, native in names["outputs"].items()}
            cases.append(runners.CaseFiles(worker, files, out))
        path = kind.path(models, model)
        found = runners.run(
            runners.find(runtime), path, cases, threads=threads, timing=timing, timeout=100
        )
        read = [
            {k: np.load(tmp_path / run_name / worker / f"{k}.npy") for k in names["outputs"]}
            for worker in workers
        ]
        return found, read

    for worker in workers:  # other values for each, and other sizes
        rows = 1 + workers.index(worker)
        shape = (rows, 4) if model == "pair" else (rows, *kind.image)
        for k in names["inputs"]:
            values = rng.standard_normal(shape).astype("float32")
            np.save(tmp_path / f"{worker} {k}.npy", values)
    _, alone = load("alone", None)
    for scenario, more in (
        ("offline", {}), ("server", {"gap_ns": 20_000}), ("multi_stream", {"inputs": 6})
    ):  # fmt: skip
        timing = runners.Timing(
            workers[0], 5, 400, 400, 0, 10**11, scenario=scenario, others=tuple(workers[1:]), **more
        )
        found, together = load(scenario, timing)
        assert found.bench is not None
        assert (found.bench["queries"], found.bench["cases"]) == (400, workers)
        for one, other in zip(alone, together, strict=True):
            for k, value in one.items():
                np.testing.assert_allclose(other[k], value, rtol=1e-5, atol=1e-5)
        assert "workers" in found.settings


@every_runtime
def test_threads_take_effect(runtime: str, models: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = {"x": rng.standard_normal((4, *KINDS[runtime].image)).astype("float32")}
    timing = runners.Timing("case", 5, 60, 60, 0, 10**10)
    one, alone = run(runtime, models, "conv", inputs, tmp_path, timing=timing)
    two, both = run(runtime, models, "conv", inputs, tmp_path, timing=timing, threads=2)
    assert one.bench is not None
    # With one thread the CPU time cannot exceed the wall time, but for a little bookkeeping.
    assert one.bench["cpu_ns"] <= 1.1 * one.bench["wall_ns"]
    assert two.os_threads > one.os_threads
    if runtime == "tensorflow":  # offers no way to read them back
        assert (one.threads["effective"], two.threads["effective"]) == (None, None)
    else:
        assert (one.threads["effective"], two.threads["effective"]) == (1, 2)
    np.testing.assert_allclose(alone["y"], both["y"], rtol=1e-4, atol=1e-5)


def expect_error(runtime: str, path: Path, inputs: dict[str, Path], folder: Path) -> str:
    case = runners.CaseFiles("case", inputs, {})
    with pytest.raises(runners.RunnerError) as caught:
        runners.run(runners.find(runtime), path, [case], timeout=100)
    assert str(caught.value).startswith(f"shipworthy-run-{runtime}: error: ")
    assert "\n" not in str(caught.value)
    assert list(folder.glob("*.out")) == []
    return str(caught.value)


@every_runtime
def test_wrong_inputs_are_one_line(runtime: str, models: Path, tmp_path: Path) -> None:
    kind = KINDS[runtime]
    path, names = kind.path(models, "pair"), kind.names_of(models, "pair")["inputs"]
    good, wide, whole = tmp_path / "good.npy", tmp_path / "wide.npy", tmp_path / "whole.npy"
    np.save(good, np.ones((2, 4), "float32"))
    np.save(wide, np.ones((2, 5), "float32"))
    np.save(whole, np.ones((2, 4), "int64"))
    first, second = names["first"], names["second"]
    line = expect_error(runtime, path, {first: good}, tmp_path)
    assert f"input '{second}' is missing" in line
    line = expect_error(runtime, path, {first: good, second: good, "third": good}, tmp_path)
    assert "unknown input 'third'; the model has " in line
    line = expect_error(runtime, path, {first: good, second: wide}, tmp_path)
    # TorchScript stores no shapes: there the mismatch comes to light when the tensors meet.
    assert ("must match the size" if runtime == "libtorch" else "[2, 5]; the model takes") in line
    if runtime != "libtorch":
        line = expect_error(runtime, path, {first: good, second: whole}, tmp_path)
        assert f"input '{second}' is int64; the model takes float32" in line


def spoil(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """Copy an artifact; change its bytes, or those of the largest file of a folder."""
    if source.is_dir():
        shutil.copytree(source, target)
        file = max((p for p in target.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        file.write_bytes(change(file.read_bytes()))
    else:
        target.write_bytes(change(source.read_bytes()))
    return target


@every_runtime
@pytest.mark.parametrize("model", ["conv", "pair"])
def test_truncated_and_foreign_models_are_one_line(
    runtime: str, model: str, models: Path, tmp_path: Path
) -> None:
    source = KINDS[runtime].path(models, model)

    def cut(keep: float) -> Callable[[bytes], bytes]:
        return lambda content: content[: int(len(content) * keep)]

    for number, keep in enumerate((0.0, 0.02, 0.3, 0.6, 0.9, 0.99)):
        target = spoil(source, tmp_path / f"{number}{source.suffix}", cut(keep))
        expect_error(runtime, target, {}, tmp_path)
    noise = np.random.default_rng(0).bytes(5000)
    expect_error(runtime, spoil(source, tmp_path / "noise", lambda _: noise), {}, tmp_path)
    expect_error(runtime, spoil(source, tmp_path / "zeros", lambda c: bytes(len(c))), {}, tmp_path)
    assert "No such file" in expect_error(runtime, tmp_path / "gone", {}, tmp_path)
    other, said = (Path(__file__), "a folder") if source.is_dir() else (tmp_path, "a regular file")
    assert f"it is not {said}" in expect_error(runtime, other, {}, tmp_path)


@every_runtime
def test_damaged_models_are_one_line_or_run(runtime: str, models: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    source = KINDS[runtime].path(models, "conv")
    runner = runners.find(runtime)

    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        for position in rng.integers(0, len(changed), rng.integers(1, 60)):
            changed[position] = rng.integers(0, 256)
        return bytes(changed)

    for number in range(12):
        target = spoil(source, tmp_path / f"{number}{source.suffix}", damage)
        done = subprocess.run(
            [runner.path, "--model", target], capture_output=True, text=True, timeout=100
        )
        assert done.returncode in (0, 1)
        if done.returncode == 0:
            assert json.loads(done.stdout)["runtime"] == runtime
        else:
            assert (done.stdout, done.stderr.count("\n")) == ("", 1)


def test_a_transposed_result_is_dense(models: Path, tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "x.npy", values)
    case = runners.CaseFiles("c", {"x": tmp_path / "x.npy"}, {"output_0": tmp_path / "y.npy"})
    runners.run(runners.find("libtorch"), models / "torch" / "transposed.pt", [case])
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), values.T)


def test_arguments_that_are_no_tensors_are_refused(models: Path, tmp_path: Path) -> None:
    line = expect_error("libtorch", models / "torch" / "counted.pt", {}, tmp_path)
    assert "argument 'times' of forward is a int; only tensors can be run" in line
