"""A runner that echoes its inputs, and a model's folder that is made by hand."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipworthy.convert.artifact import Artifact, hash_content, size_bytes, write_json
from shipworthy.convert.cases import TASK, PlannedCase
from shipworthy.convert.hop import HopRequest
from shipworthy.convert.noise import NoiseRun
from shipworthy.convert.process import Outcome
from shipworthy.convert.read_reference import read_reference
from shipworthy.convert.routes import FORMATS, find_routes
from shipworthy.convert.seal import seal
from shipworthy.convert.weigh import noise_ratios, weigh
from shipworthy.models import zoo
from shipworthy.models.spec import Array, Signature, Source, Task, TensorSpec
from shipworthy.serve import answers, build, judge, pipeline, runners, trial
from shipworthy.serve.bench import Settings, Subject
from shipworthy.serve.compare import Validation, compare
from shipworthy.serve.conditions import Conditions
from shipworthy.serve.judge import VALIDATION, Verdict
from shipworthy.serve.trial import Proven

SIZES = {"random_b2": 2, "random_b1": 1, "random_b5": 5, "random_b64": 64}
NAMES = {"inputs": {"x": "x_native:0"}, "outputs": {"y": "y_native:0"}}


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
def build_sanitized(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build the null runtime's runner under some sanitizers; returns the binary."""

    def build_one(sanitizers: str) -> Path:
        folder = tmp_path_factory.mktemp("sanitized")
        options = [f"-DSHIPWORTHY_SANITIZE={sanitizers}", "-DSHIPWORTHY_WERROR=ON"]
        build.configure(folder, ["null"], options)
        build.ninja_build(folder, ["shipworthy-run-null"])
        return folder / "bin" / "shipworthy-run-null"

    return build_one


@pytest.fixture(scope="session")
def sanitized_binary(build_sanitized: Callable[[str], Path]) -> Path:
    return build_sanitized("address,undefined")


@pytest.fixture
def sanitized(sanitized_binary: Path, work: Path) -> Harness:
    return Harness(sanitized_binary, work)


def original(x: Array) -> Array:
    """Answer as the imagined original does, in the precision it is asked in."""
    return np.asarray(x / 3 + 1, x.dtype)


def make_run(**changes: Any) -> runners.Run:
    """Return what a runner says of a good export of the imagined original."""
    said: dict[str, Any] = {
        "schema": 1, "runtime": "onnxruntime", "version": "1.2.3", "format": "onnx",
        "build": {"compiler": "g++ 12"}, "threads": {"requested": 1, "effective": 1},
        "settings": {"optimisation": "all"},
        "inputs": [{"name": "x_native:0", "dtype": "float32", "shape": [-1, 4]}],
        "outputs": [{"name": "y_native:0", "dtype": "float32", "shape": [-1, 4]}],
        "cases": [], "process_ns": 1000, "load_ns": 2000, "first_ns": 300, "cold_start_ns": 3300,
        "bench": None, "peak_rss_bytes": 9_000_000, "empty_rss_bytes": 6_000_000,
        "loaded_rss_bytes": 8_000_000, "os_threads": 1,
        "timer": {"resolution_ns": 1, "overhead_ns": 1}, "python_free": True,
        "mapped_libraries": ["libc.so.6"],
        "libraries": [
            {"name": "runner", "bytes": 1000, "program": True, "system": False},
            {"name": "libc.so.6", "bytes": 500, "program": False, "system": True},
            {"name": "libruntime.so", "bytes": 7000, "program": False, "system": False},
        ],
    }  # fmt: skip
    assert set(changes) <= set(said), f"a run has no {set(changes) - set(said)}"
    return runners.Run(**said | changes)


QUIET = Conditions(1.0, 0.0, 0.0, 0.1, 0.1, 3000.0, 3000.0)


def make_loop(latencies_ns: Sequence[int], timing: runners.Timing) -> dict[str, Any]:
    """Return what a runner says of a timed loop that did nothing but these."""
    cases = [timing.case, *timing.others]
    wall_ns = sum(latencies_ns)
    return {
        "scenario": timing.scenario, "case": cases[0], "cases": cases,
        "inputs_per_query": timing.inputs, "warmup": timing.warmup,
        "queries": len(latencies_ns), "unserved": 0, "stride": 1,
        "latencies_ns": list(latencies_ns), "wall_ns": wall_ns, "cpu_ns": round(0.995 * wall_ns),
    }  # fmt: skip


class Folder:
    """A model's folder made by hand: an original that answers x / 3 + 1, and good exports of it.

    Parameters
    ----------
    out : the folder.
    axis : the name of the first axis; a number makes it fixed.
    cases : case -> size of the first axis.
    task : whether there is a test set.
    """

    model = "made"

    def __init__(
        self,
        out: Path,
        *,
        axis: str | int = "batch",
        cases: Mapping[str, int] = SIZES,
        task: bool = False,
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.axis, self.cases = out, axis, dict(cases)
        shape = (axis, 4)
        self.signature = Signature(
            (TensorSpec("x", "float32", shape),), (TensorSpec("y", "float32", shape),)
        )
        if task:
            self.cases[TASK] = 40
        self.task = {"metric": "mean", "case": TASK, "original": 1.0} if task else None

    def cell(self, framework: str = "pytorch", format_: str = "onnx") -> Path:
        """Return a cell's folder."""
        return self.out / framework / format_

    def make_reference(
        self,
        framework: str = "pytorch",
        *,
        into: Path | None = None,
        key: str = "reference",
        weights: str = "weights",
    ) -> Path:
        """Write the reference; return its folder."""
        folder = into or self.out / framework / "reference"
        sizes = [{self.axis: size} if isinstance(self.axis, str) else {}
                 for size in self.cases.values()]  # fmt: skip
        rng = np.random.default_rng(1)
        inputs = [rng.standard_normal((size, 4), np.float32) for size in self.cases.values()]
        planned = [
            PlannedCase(name, size, i == 0, {"x": x})
            for i, (name, size, x) in enumerate(zip(self.cases, sizes, inputs, strict=True))
        ]
        narrow = [{"y": original(x)} for x in inputs]
        wide = [{"y": original(x.astype(np.float64))} for x in inputs]
        runs = [NoiseRun("the same again", narrow)]
        expected = weigh(self.signature, planned, narrow, wide, runs)
        entries = []
        for case, one in zip(planned, expected, strict=True):
            arrays = {
                "inputs": case.inputs["x"], "expected32": one.expected32["y"],
                "expected64": one.centre["y"],
            }  # fmt: skip
            entry: dict[str, Any] = {
                "name": case.name, "sizes": dict(case.sizes), "rows": one.rows,
                "traced": case.traced, "error": {}, "unstable": {}, "seen": {},
            }  # fmt: skip
            for kind, array in arrays.items():
                path = folder / "cases" / f"{case.name}.{kind}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, array)
                name = "x" if kind == "inputs" else "y"
                entry[kind] = {name: path.relative_to(folder).as_posix()}
            entries.append(entry)
        data = {
            "schema": 1, "model": self.model, "framework": framework,
            "signature": self.signature.to_json(), "weights": "weights.bin",
            "weights_sha256": weights, "yardstick": "float64", "yardstick_reason": "",
            "tools": {}, "key": key, "cases": entries,
            "noise": noise_ratios(self.signature, expected, runs), "noise_runs": ["again"],
            "notes": [], "task": self.task, "seconds": 0.1,
        }  # fmt: skip
        (folder / "weights.bin").write_bytes(b"weights")
        write_json(folder / "reference.json", data)
        seal(folder)
        return folder

    def make_artifact(
        self,
        framework: str = "pytorch",
        format_: str = "onnx",
        *,
        into: Path | None = None,
        **changes: Any,
    ) -> Artifact:
        """Write an artifact and its manifest; `changes` replace what the manifest says."""
        folder = into or self.cell(framework, format_)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FORMATS[format_].filename
        if path.suffix:
            path.write_bytes(b"a graph")
        else:
            path.mkdir()
            (path / "saved_model.pb").write_bytes(b"a graph")
        said: dict[str, Any] = {
            "model": self.model, "framework": framework,
            "route": str(find_routes(framework, format_)[0]), "format": format_,
            "file": path.name, "sha256": hash_content(folder), "size_bytes": size_bytes(folder),
            "signature": self.signature, "native_names": NAMES,
            "dynamic_axes": self.signature.axes, "fixed_axes": {}, "weights_sha256": "weights",
            "key": f"{framework}/{format_}", "tools": {"tool": "1"}, "options": {}, "notes": (),
            "warnings": (), "parent": None, "command": "the hop's command", "seconds": 0.2,
        }  # fmt: skip
        made = Artifact(**said | changes, folder=folder)
        made.write()
        return made

    def make_verdict(
        self, framework: str = "pytorch", format_: str = "onnx", **changes: Any
    ) -> Verdict:
        """Write the verdict of true answers; `changes` replace its fields."""
        reference = read_reference(self.out / framework / "reference")
        expected = [reference.expected(name) for name in self.cases]
        found = compare(
            reference.signature, expected, {one.case: one.expected32 for one in expected},
            reference.noise, reference.yardstick,
        )  # fmt: skip
        facts = {
            "reference": reference.key,
            "sha256": hash_content(self.cell(framework, format_)), "size_bytes": 7,
            "threads": 1, "runtime_version": "1.2.3",
            "runner_build": {"compiler": "g++ 12"}, "python_free": True,
        }  # fmt: skip
        verdict = replace(Verdict("verdict", Validation(tuple(found)), facts=facts), **changes)
        write_json(self.cell(framework, format_) / VALIDATION, verdict.to_json())
        return verdict

    def make_benchmark(
        self,
        framework: str = "pytorch",
        format_: str = "onnx",
        *,
        verdict: str = "verdict",
        settings: Settings | None = None,
    ) -> Subject:
        """Write a benchmark of two processes; return the subject it is of."""
        settings = settings or Settings(processes=2)
        subject = Subject(self.out, (framework, format_), verdict)
        timing = replace(settings.timing("random_b1"), warmup=1)
        subject.write(
            [Proven(make_run(bench=make_loop([100 + i] * 20, timing)), QUIET) for i in range(2)],
            settings,
            datetime(2001, 2, 3, tzinfo=UTC),
            [400, 500, 600],
        )
        return subject


class FakeRunner:
    """Stands in for all runners: answers as the original does, unless a test spoils it.

    Attributes
    ----------
    asked : ``(artifact, cases)`` of every call.
    facts : fields of `Run` that it says otherwise.
    spoil : ``spoil(case, array)`` returns what is written for a case, or raises.
    latency_ns : of every timed run.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Path, list[runners.CaseFiles]]] = []
        self.facts: dict[str, Any] = {}
        self.spoil: Any = lambda case, y: y
        self.latency_ns = 90

    def find(self, runtime: str) -> runners.Runner:
        """Stand in for `runners.find`."""
        binary = Path(f"/nowhere/shipworthy-run-{runtime}")
        return runners.Runner(runtime, binary, "1.2.3", "any", {"compiler": "g++ 12"})

    def run(
        self,
        runner: runners.Runner,
        model: Path,
        cases: Sequence[runners.CaseFiles],
        *,
        threads: int,
        rows: int | None,
        timing: runners.Timing | None,
        timeout: float,
    ) -> runners.Run:
        """Stand in for `runners.run`."""
        self.asked.append((model, list(cases)))
        for case in cases:
            y = original(np.load(case.inputs["x_native:0"]))
            np.save(case.outputs["y_native:0"], self.spoil(case.name, y))
        shape = [rows or -1, 4]
        said: dict[str, Any] = {
            "inputs": [{"name": "x_native:0", "dtype": "float32", "shape": shape}],
            "outputs": [{"name": "y_native:0", "dtype": "float32", "shape": shape}],
            "threads": {"requested": threads, "effective": threads},
        }
        if timing is not None:
            said["bench"] = make_loop([self.latency_ns] * timing.min_runs, timing)
        return make_run(**said | self.facts)


class FakeLaunch:
    """Writes what a hop or a reference would, or fails as a test wants.

    Attributes
    ----------
    faults : route, or ``"<framework> original"`` -> what to do in its work folder instead.
    fixed : route -> axes that its artifact does not keep, with their sizes.
    begun : what was launched.
    """

    def __init__(self, made: Folder) -> None:
        self.made = made
        self.faults: dict[str, Any] = {}
        self.fixed: dict[str, dict[str, int]] = {}
        self.begun: list[str] = []

    def __call__(
        self, framework: str, module: str, argv: Sequence[str], *, log: Path, timeout: float,
        env: Mapping[str, str],
    ) -> Outcome:  # fmt: skip
        """Stand in for `shipworthy.convert.launch`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("loading\nlast line of the log\n")
        if module == "shipworthy.convert.reference":
            options = dict(zip(argv[::2], argv[1::2], strict=True))
            name, work = f"{framework} original", Path(options["--out"])
        else:
            request = HopRequest(**json.loads(Path(argv[0]).read_text()))
            name, work = request.route, Path(request.folder)
        self.begun.append(name)
        if name in self.faults:
            ended: Outcome = self.faults[name](work)
            return ended
        if name.endswith(" original"):
            self.made.make_reference(framework, into=work, key=options["--key"])
        else:
            fixed = self.fixed.get(name, {})
            axes = tuple(axis for axis in self.made.signature.axes if axis not in fixed)
            self.made.make_artifact(
                request.framework, request.route.split(">")[-1], into=work, route=request.route,
                key=request.key, command=request.command, fixed_axes=fixed, dynamic_axes=axes,
                options={"optimize": request.optimize}, instead_of=request.instead_of,
            )  # fmt: skip
        return Outcome(0, 0.1, False, timeout)


@pytest.fixture
def launch(made: Folder) -> FakeLaunch:
    return FakeLaunch(made)


@pytest.fixture
def made(tmp_path: Path) -> Folder:
    """A folder of the model ``made``, still empty."""
    return Folder(tmp_path / "made")


@pytest.fixture
def fake_runner(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    fake = FakeRunner()
    monkeypatch.setattr(judge, "find", fake.find)
    monkeypatch.setattr(trial, "find", fake.find)
    monkeypatch.setattr(pipeline, "measure_empty_start", lambda: 400)
    monkeypatch.setattr(answers, "run", fake.run)
    return fake


@pytest.fixture
def in_zoo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a folder's model into the zoo, in both frameworks, with nothing to train."""

    def put(folder: Folder, score: Any = lambda outputs: float(np.mean(outputs["y"]))) -> None:
        task = Task("mean", dict, score) if folder.task else None

        def source(name: str, framework: str) -> Source:
            assert name == folder.model
            return Source(name, framework, folder.signature, object, task=task)

        monkeypatch.setattr(zoo, "source", source)

    return put
