"""One timed Python process: ``python -m shipworthy.serve.python.worker REQUEST.json --start-ns N``.

Loads one thing, runs it, times it, and writes its outputs for the parent to compare. Prints one
JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.artifact import read_artifact, write_json
from shipworthy.convert.original import first_line
from shipworthy.convert.read_reference import read_reference
from shipworthy.convert.snapshot import load_original
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.subject import Subject
from shipworthy.serve.python.loop import (
    loaded_frameworks,
    only_json,
    peak_rss_bytes,
    prepare,
    time_runs,
    version_of,
)
from shipworthy.serve.python.originals import (
    KerasCall,
    SignatureCall,
    TorchCall,
    Way,
    limit_threads,
)
from shipworthy.serve.python.packages import OnnxRuntimePackage, open_artifact
from shipworthy.serve.runners import Timing


@dataclass(frozen=True)
class Request:
    """All a timed process needs to know.

    Parameters
    ----------
    way : see `shipworthy.serve.python.ways`.
    artifact : the artifact's folder; None for the original.
    subject, framework : which original; the former as `Subject.to_json` gives it.
    reference : the reference's folder.
    threads : of the framework or the package.
    timing : fields of `shipworthy.serve.runners.Timing` that say how long.
    answers : an empty folder; output number i of the signature becomes ``i.npy``.
    scratch : where compilers keep what they made, for the session's next process.
    """

    way: str
    artifact: str | None
    subject: dict[str, Any]
    framework: str
    reference: str
    threads: int
    timing: dict[str, Any]
    answers: str
    scratch: str

    def write(self, path: Path) -> None:
        """Write the request where the worker will read it."""
        write_json(path, asdict(self))


def main(argv: Sequence[str]) -> int:
    """Perform the request in the file named; 1 with one line on stderr if it cannot be done."""
    request = Request(**json.loads(Path(argv[0]).read_text()))
    start_ns = int(argv[argv.index("--start-ns") + 1])
    with only_json() as answer:
        try:
            prepare(request.threads, scratch=request.scratch)
            json.dump(_perform(request, start_ns), answer)
        except ShipworthyError as e:
            print(e, file=sys.stderr)
            return 1
        except Exception as e:  # whatever a framework raises is a way that does not work here
            print(f"{type(e).__name__}: {first_line(e)}", file=sys.stderr)
            return 1
    return 0


def _perform(request: Request, start_ns: int) -> dict[str, Any]:
    begun_ns = time.monotonic_ns()
    reference = read_reference(Path(request.reference))
    timing = Timing(**request.timing)
    inputs = {
        name: np.load(path, allow_pickle=False)
        for name, path in reference.input_paths(timing.case).items()
    }
    way = _open(request)
    loaded_ns = time.monotonic_ns()
    way.set_inputs(inputs)
    before_ns = time.monotonic_ns()
    way.run()
    first_ns = time.monotonic_ns()
    loop = time_runs(way.run, timing)
    answers = way.outputs()
    for i, spec in enumerate(reference.signature.outputs):
        np.save(Path(request.answers) / f"{i}.npy", answers[spec.name])
    return {
        **asdict(loop),
        "process_ns": begun_ns - start_ns,
        "load_ns": loaded_ns - begun_ns,
        "first_ns": first_ns - before_ns,
        "cold_start_ns": first_ns - start_ns,
        "peak_rss_bytes": peak_rss_bytes(),
        "frameworks": loaded_frameworks(),
        "package": _package(way),
    }


def _open(request: Request) -> Way:
    if request.artifact is not None:
        return open_artifact(read_artifact(Path(request.artifact)), request.threads)
    source = Subject.from_json(request.subject).source(request.framework)
    limit_threads(source.framework, request.threads)
    model = load_original(source, Path(request.reference))
    if source.framework == "pytorch":
        return TorchCall(model, source.signature, compiled=request.way == "torch_compile")
    if source.kind == "onnx":
        return OnnxRuntimePackage(model.path, model.inputs, model.outputs, request.threads)
    if source.kind == "saved_model":
        return SignatureCall(model, source.signature)
    return KerasCall(model, source.signature, request.way)


def _package(way: Way) -> str:
    told = [version_of(name) for name in loaded_frameworks()]
    if isinstance(way, KerasCall):  # TensorFlow imports Keras for others too
        told.insert(0, f"keras {sys.modules['keras'].__version__}")
    return ", ".join(told)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
