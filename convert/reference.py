"""The reference: what the untouched original answers, before any conversion.

Run as ``python -m shipworthy.convert.reference --subject JSON --framework FW --weights FILE|none
--out FOLDER`` in a process of its own. Writes a snapshot of the weights, the cases' inputs and
expected outputs as ``.npy``, and ``reference.json``; or ``failure.json`` with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.artifact import FAILURE, write_json
from shipworthy.convert.cases import TASK, PlannedCase, bind, make_cases
from shipworthy.convert.explain import explain
from shipworthy.convert.noise import (
    GROSS,
    NOISE_ROWS,
    NoYardstickError,
    run_noise,
    typical_change,
)
from shipworthy.convert.original import (
    Float64RefusedError,
    Original,
    open_original,
    run_float64,
)
from shipworthy.convert.read_reference import REFERENCE, Reference, read_reference
from shipworthy.convert.snapshot import choose_keras_backend, take_snapshot
from shipworthy.convert.versions import versions_of
from shipworthy.convert.weigh import noise_ratios, weigh
from shipworthy.convert.yardstick import Expected, is_float
from shipworthy.models.cache import hash_path
from shipworthy.models.spec import Arrays, Signature, Source
from shipworthy.models.subject import Subject

__all__ = ["Reference", "main", "read_reference", "reference"]

_PACKAGES = {
    "pytorch": ("numpy", "torch"),
    "tensorflow": ("numpy", "tensorflow", "keras"),
    "onnx": ("numpy", "onnx", "onnxruntime"),
}


def reference(
    source: Source,
    weights: Path | None,
    folder: Path,
    key: str = "",
    *,
    yardstick: str = "float64",
) -> dict[str, Any]:
    """Run the original and write everything its exports are judged by into a private folder.

    Parameters
    ----------
    weights : the trained weights; None takes those that `source.build` gives.
    folder : exists, empty; the caller publishes it.
    key : recorded, for the caller to tell an unchanged reference by.
    yardstick : ``"float64"`` where the original allows it; ``"jitter"`` does not try.

    Returns
    -------
    dict : the content of ``reference.json``.

    Raises
    ------
    SignatureError : the model, or a case, is not what the signature says.
    NoYardstickError : the original does not repeat itself, so that nothing can be measured by it.
    WeightsError : weights that are missing, or of another model.
    """
    started = time.monotonic()
    _prepare_process(source)
    model, snapshot = take_snapshot(source, weights, folder)
    original = open_original(source, model)
    cases = make_cases(source)
    expected32 = [_run_case(source.signature, original, case) for case in cases]
    if (share := _change(expected32[0], original.run(cases[0].inputs))) > GROSS:
        raise NoYardstickError(
            f"the original does not repeat itself: run again, an output changes by {share:.1%} of "
            "its RMS; check that nothing in it is random in inference mode"
        )
    expected64, reason = None, "not asked for"
    if yardstick == "float64":
        expected64, reason = _float64(source, snapshot, cases, expected32)
    runs, notes = run_noise(
        original, source.signature, cases, expected32, NOISE_ROWS if expected64 else float("inf")
    )
    expected = weigh(source.signature, cases, expected32, expected64, runs)
    data = {
        "schema": 1,
        "model": source.name,
        "framework": source.framework,
        "signature": source.signature.to_json(),
        "weights": snapshot.name,
        "weights_sha256": hash_path(snapshot),
        "yardstick": "float64" if expected64 else "jitter",
        "yardstick_reason": reason,
        "tools": versions_of(_PACKAGES[source.framework]),
        "key": key,
        "cases": [
            _write_case(folder, case, one, keep_error=expected64 is None)
            for case, one in zip(cases, expected, strict=True)
        ],
        "noise": noise_ratios(source.signature, expected, runs),
        "noise_runs": [run.name for run in runs],
        "notes": notes,
        "task": _score(source, expected),
        "seconds": round(time.monotonic() - started, 3),
    }
    write_json(folder / REFERENCE, data)
    return data


def _prepare_process(source: Source) -> None:
    """Pin what would make two reference processes differ. Before the framework is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Lets a session have another number of threads than the process; read at the first operation.
    os.environ["TF_OVERRIDE_GLOBAL_THREADPOOL"] = "1"
    if source.framework == "tensorflow":
        choose_keras_backend("tensorflow")
        from shipworthy.convert.original_keras import limit_threads

        limit_threads()


def _run_case(signature: Signature, original: Original, case: PlannedCase) -> Arrays:
    outputs = original.run(case.inputs)
    bind(signature.outputs, outputs, f"case {case.name!r}, output", case.sizes)
    return outputs


def _float64(
    source: Source, snapshot: Path, cases: Sequence[PlannedCase], expected32: Sequence[Arrays]
) -> tuple[list[dict[str, Any]] | None, str]:
    """Return the float64 outputs, or None and why there are none to go by."""
    wide = [s.name for s in source.signature.inputs if s.dtype == "float64"]
    if wide:
        return None, f"the original itself computes in float64 (input {wide[0]!r}): no finer run"

    def same_model(second: Original) -> None:
        share = _change(expected32[0], second.run(cases[0].inputs))
        if share > GROSS:
            raise NoYardstickError(
                f"a second instance with the same weights changes an output by {share:.1%} of its "
                "RMS: the weights' file does not hold all of the model; register what is missing "
                "as parameters or persistent buffers"
            )

    try:
        outputs = run_float64(source, snapshot, [case.inputs for case in cases], same_model)
    except Float64RefusedError as e:
        return None, str(e)
    for case, narrow, finer in zip(cases, expected32, outputs, strict=True):
        if other := [n for n in narrow if narrow[n].shape != finer[n].shape]:
            return None, f"in float64 {other[0]!r} of {case.name!r} has another shape"
        if (share := _change(finer, narrow)) > GROSS:
            return None, (
                f"in float64 an output of {case.name!r} changes by {share:.1%} of its RMS: "
                "that is another function, not a finer one"
            )
    return outputs, ""


def _change(one: Arrays, other: Arrays) -> float:
    """Return the greatest typical change of any float output, as a share of its RMS."""
    return max(
        (typical_change(one[n], value) for n, value in other.items() if is_float(value)),
        default=0.0,
    )


def _write_case(
    folder: Path, case: PlannedCase, expected: Expected, *, keep_error: bool
) -> dict[str, Any]:
    """Write one case's arrays; `keep_error` stores the original's own error (jitter yardstick)."""
    kinds: dict[str, Arrays] = {
        "inputs": case.inputs,
        "expected32": expected.expected32,
        "expected64": {} if keep_error else expected.centre,
        "error": expected.error if keep_error else {},
        "unstable": expected.unstable,
        "seen": expected.seen,
    }
    entry: dict[str, Any] = {
        "name": case.name,
        "sizes": dict(case.sizes),
        "rows": expected.rows,
        "traced": case.traced,
        "filler": dict(expected.filler),
    }
    for kind, arrays in kinds.items():
        entry[kind] = {}
        for name, value in arrays.items():
            path = folder / "cases" / case.name / kind / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.ascontiguousarray(value) if value.ndim else value)
            entry[kind][name] = path.relative_to(folder).as_posix()
    return entry


def _score(source: Source, expected: Sequence[Expected]) -> dict[str, Any] | None:
    if source.task is None:
        return None
    outputs = next(one.expected32 for one in expected if one.case == TASK)
    return {
        "metric": source.task.metric,
        "case": TASK,
        "original": float(source.task.score(outputs)),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the reference of a model; 0 if it was written."""
    parser = argparse.ArgumentParser(prog="python -m shipworthy.convert.reference")
    parser.add_argument("--subject", required=True, help="JSON, as Subject.to_json gives it")
    parser.add_argument("--framework", required=True)
    parser.add_argument("--weights", required=True, help="a file, or none")
    parser.add_argument("--key", default="", help="recorded, to tell an unchanged reference by")
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args(argv)
    try:
        source = Subject.from_json(json.loads(args.subject)).source(args.framework)
        weights = None if args.weights == "none" else Path(args.weights)
        reference(source, weights, args.out, args.key)
    except Exception as e:
        traceback.print_exc()
        write_json(args.out / FAILURE, explain(e))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
