"""What the calibration measures for one answer: the factor each of the four rules would need."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shipworthy.convert.read_reference import read_reference
from shipworthy.convert.reference import reference
from shipworthy.convert.yardstick import FACTORS, YARDSTICKS, noise_floor
from shipworthy.models.spec import Array, Arrays, Signature, Source, TensorSpec
from shipworthy.serve.compare import POOLED, compare

SCOPES = ("pooled", "case")
NORMS = ("rms", "max")
RULES = tuple(f"{scope} {norm}" for scope in SCOPES for norm in NORMS)
Answer = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Measured:
    """One answer to all cases of one model.

    Parameters
    ----------
    fault : what was done to the model; empty for a correct alternative.
    way : how it was run.
    needed : rule -> the least factor that would let it pass, the worst over outputs and cases.
    floor : the pooled noise floor, (RMS, maximum), the worst over outputs.
    form : the detail of a comparison that failed without a measure (an integer, NaN), or empty.
    """

    model: str
    framework: str
    yardstick: str
    way: str
    fault: str
    needed: dict[str, float]
    floor: tuple[float, float]
    form: str


def batched(name: str, dtype: str, *shape: int, **limits: float) -> TensorSpec:
    """Return a spec with a dynamic batch axis in front."""
    return TensorSpec(name, dtype, ("batch", *shape), **limits)


def measure_all(
    framework: str,
    models: Mapping[str, tuple[Signature, Callable[[], Any]]],
    answers: Callable[[Any, Signature, Path], Iterator[tuple[str, str, Answer]]],
) -> None:
    """Measure every answer of every model; print JSON lines to stdout.

    Parameters
    ----------
    models : name -> signature and what builds the model, seeded.
    answers : yields (way, fault, function from inputs to outputs); what each yields is used before
        the next is asked for, so that a fault may be put into the model and taken out again.
    """
    for name, (signature, build) in models.items():
        started = time.monotonic()
        source = Source(name, framework, signature, build)
        with tempfile.TemporaryDirectory() as private:
            references = []
            for yardstick in YARDSTICKS:
                folder = Path(private) / yardstick
                folder.mkdir()
                reference(source, None, folder, yardstick=yardstick)
                found = read_reference(folder)
                if found.yardstick != yardstick:
                    continue  # float64 was refused: the jitter yardstick is measured anyway
                expected = [found.expected(case.name) for case in found.cases]
                references.append((found, expected))
            inputs = {
                case.name: {k: np.load(p) for k, p in found.input_paths(case.name).items()}
                for case in found.cases
            }
            from shipworthy.convert.snapshot import load_original

            model = load_original(source, folder)
            for way, fault, answer in answers(model, signature, Path(private)):
                actual = {case: dict(answer(arrays)) for case, arrays in inputs.items()}
                for found, expected in references:
                    print(json.dumps(asdict(_measure(found, expected, actual, way, fault))))
        told = f"{framework:10} {name:20} {time.monotonic() - started:5.1f} s"
        print(told, file=sys.stderr, flush=True)


def _measure(
    found: Any, expected: Any, actual: dict[str, dict[str, Array]], way: str, fault: str
) -> Measured:
    needed = dict.fromkeys(RULES, 0.0)
    form = ""
    for one in compare(found.signature, expected, actual, found.noise, found.yardstick):
        if one.threshold is None or one.threshold_max is None:
            form = form if one.passed else one.detail
            continue
        scope = "pooled" if one.case == POOLED else "case"
        factor = FACTORS[found.yardstick][scope]
        for norm, ratio, threshold in (
            ("rms", one.error_ratio, one.threshold),
            ("max", one.error_ratio_max, one.threshold_max),
        ):
            rule = f"{scope} {norm}"
            # The comparison's threshold is factor x noise floor; the floor is what is kept.
            least = (ratio or 0.0) * getattr(factor, norm) / threshold
            needed[rule] = max(needed[rule], least)
    floors = [noise_floor(noise) for noise in found.noise.values()]
    floor = (max(f.rms for f in floors), max(f.max for f in floors))
    return Measured(found.model, found.framework, found.yardstick, way, fault, needed, floor, form)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep a converter's chatter out of the results."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
