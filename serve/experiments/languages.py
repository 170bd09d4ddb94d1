"""Runs artifacts of both frameworks from programs in several languages, and compares the outputs.

Each program gets an ONNX file and the reference's cases as raw data; its answers are compared as a
runner's are. C++ is what the runners are written in: its results are theirs, in every format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from shipworthy.convert.artifact import Artifact, read_artifact
from shipworthy.convert.read_reference import Reference, ReferenceCase, read_reference
from shipworthy.models.spec import Array
from shipworthy.serve.answers import Answers
from shipworthy.serve.compare import compare
from shipworthy.serve.experiments.experiment import (
    Context,
    Experiment,
    ExperimentError,
    Progress,
    Result,
    Settings,
)
from shipworthy.serve.experiments.programs_folder import PROGRAMS, run_program
from shipworthy.serve.experiments.ship import record_link
from shipworthy.serve.experiments.toolchains import LANGUAGES, OTHERS, Language, why_not
from shipworthy.serve.steps import Event

# ONNXTensorElementDataType, of onnxruntime_c_api.h.
_TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "bool": 9, "float64": 11}
_DTYPES = {number: name for name, number in _TYPES.items()}
_MEANS_CPP = "in the runners, which are written in C++, in four formats"
_TRY_SECONDS = 300.0


def _run(context: Context, settings: Settings) -> Progress:
    models = context.data("models")["models"]
    timeout = min(context.timeout, _TRY_SECONDS)
    found = [_cpp(models)]
    cells = [
        (model["model"], cell["framework"])
        for model in models
        if model["model"] in settings["models"]
        for cell in model["cells"]
        if cell["format"] == "onnx" and cell["status"] == "passed"
    ]
    for language in LANGUAGES:
        step = f"artifacts run from {language.name}"
        yield Event(step, "started")
        told = _try(context, language, cells, timeout)
        found.append(told)
        right = sum(result["passed"] for result in told["results"])
        yield Event(step, "done", told["reason"] or f"{right} of {len(told['results'])} right")
    found += [
        {"language": name, "means": "", "results": [], "reason": why_not(name)} for name in OTHERS
    ]
    links = tuple(record_link(context.out, context.model_folder(m["model"])) for m in models)
    return Result({"languages": found}, records=links)


def _cpp(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    results = [
        {
            "model": model["model"],
            "framework": cell["framework"],
            "format": cell["format"],
            "passed": cell["status"] == "passed",
            "detail": cell["reason"] or "",
        }
        for model in models
        for cell in model["cells"]
    ]
    return {"language": "C++", "means": _MEANS_CPP, "results": results, "reason": None}


def _try(
    context: Context, language: Language, cells: Sequence[tuple[str, str]], timeout: float
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "language": language.name,
        "means": language.means,
        "results": [],
        "reason": None,
    }
    with TemporaryDirectory(prefix="shipworthy-program-") as name:
        try:
            command = language.make(Path(name), timeout)
        except ExperimentError as e:
            return told | {"reason": str(e)}
        results = []
        for model, framework in cells:
            passed, detail = judge(command, context.model_folder(model), framework, timeout)
            results.append(
                {"model": model, "framework": framework, "format": "onnx", "passed": passed,
                 "detail": detail}
            )  # fmt: skip
    return told | {"results": results}


def judge(command: Sequence[str], out: Path, framework: str, timeout: float) -> tuple[bool, str]:
    """Have a program run the ONNX file of a cell; return whether it is right, and what is wrong.

    Parameters
    ----------
    command : the words that start the program, to which the model and the job are added.
    out : the model's folder.
    """
    artifact = read_artifact(out / framework / "onnx")
    reference = read_reference(out / framework / "reference")
    cases = [case for case in reference.cases if _fits(case, artifact)]
    with TemporaryDirectory(prefix="shipworthy-job-") as name:
        try:
            answers = ask(command, artifact, reference, cases, Path(name), timeout)
        except (ExperimentError, OSError, ValueError) as e:
            return False, str(e)
    expected = [reference.expected(case.name) for case in cases]
    compared = compare(reference.signature, expected, answers, reference.noise, reference.yardstick)
    wrong = [one.detail for one in compared if not one.passed]
    return not wrong, wrong[0] if wrong else ""


def ask(
    command: Sequence[str],
    artifact: Artifact,
    reference: Reference,
    cases: Sequence[ReferenceCase],
    private: Path,
    timeout: float,
) -> Answers:
    """Write the job, run the program on it, read what it answered.

    Raises
    ------
    ExperimentError : the program failed.
    ValueError, OSError : it told or wrote something else than was asked for.
    """
    job = private / "job"
    job.write_text("".join(_lines(artifact, reference, cases, private)))
    printed = run_program([*command, str(artifact.path.resolve()), str(job)], timeout).splitlines()
    names = [(case.name, output) for case in cases for output in artifact.native_names["outputs"]]
    answers: Answers = {case.name: {} for case in cases}
    for i, ((case, output), line) in enumerate(zip(names, printed, strict=True)):
        answers[case][output] = read_raw(private / f"out-{i}", line)
    return answers


def _lines(
    artifact: Artifact, reference: Reference, cases: Sequence[ReferenceCase], private: Path
) -> Iterator[str]:
    inputs, outputs = count(), count()
    for case in cases:
        for name, path in reference.input_paths(case.name).items():
            array = np.load(path, allow_pickle=False)
            raw = private / f"in-{next(inputs)}"
            raw.write_bytes(np.ascontiguousarray(array).tobytes())
            shape = ",".join(map(str, array.shape))
            native = artifact.native_names["inputs"][name]
            yield f"input\t{native}\t{_TYPES[array.dtype.name]}\t{shape}\t{raw}\n"
        for native in artifact.native_names["outputs"].values():
            yield f"output\t{native}\t{private / f'out-{next(outputs)}'}\n"
        yield "run\n"


def read_raw(path: Path, told: str) -> Array:
    """Read an output by what the program told of it: type and shape.

    Raises
    ------
    ValueError : an unknown type, or data of another length.
    """
    number, _, sizes = told.partition("\t")
    if int(number) not in _DTYPES:
        raise ValueError(f"an output has the element type {number}")
    shape = [int(size) for size in sizes.split(",") if size]
    return np.frombuffer(path.read_bytes(), _DTYPES[int(number)]).reshape(shape)


def _fits(case: ReferenceCase, artifact: Artifact) -> bool:
    return all(case.sizes[axis] == size for axis, size in artifact.fixed_axes.items())


EXPERIMENT = Experiment(
    "languages",
    "artifacts run from programs in several languages",
    _run,
    settings={
        "quick": {"models": ["mlp", "recommender"]},
        "normal": {"models": ["mlp", "cnn", "recommender", "gan", "transformer"]},
    },
    sources=(
        Path(__file__),
        Path(__file__).parent / "toolchains.py",
        *sorted(p for p in PROGRAMS.iterdir() if p.stem.lower() in ("run", "run_jni", "onnx")),
    ),
    packages=("onnxruntime",),
    needs=("models",),
)
