"""Times one framework at one kind of work, in a process of its own, and prints one JSON object.

    python -m shipworthy.serve.experiments.timing --framework pytorch --model cnn --way eager \
        --work inference --batch 1 --seconds 2

``--work inference`` runs the model, ``train_step`` takes steps of Adam on one batch, ``train``
trains the model of the zoo by its recipe until it has the quality it must have. Both frameworks get
the same architecture, batches, loss and optimiser. Exit codes: 0 measured, 1 it failed, 2 wrong
usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from shipworthy.convert.calling import traced_sizes
from shipworthy.convert.snapshot import build_original
from shipworthy.models import zoo
from shipworthy.models.errors import ShipworthyError
from shipworthy.models.spec import Source, synthesise
from shipworthy.serve.experiments.learners import WAYS, FreeLearner, open_free_learner
from shipworthy.serve.experiments.quality import lesson_of, train_to_quality
from shipworthy.serve.python.loop import (
    FRAMEWORKS,
    loaded_frameworks,
    only_json,
    peak_rss_bytes,
    prepare,
    time_runs,
    version_of,
)
from shipworthy.serve.python.originals import KerasCall, TorchCall, limit_threads
from shipworthy.serve.runners import Timing
from shipworthy.serve.stats import needed_runs

WORKS = ("inference", "train_step", "train")
_WARMUP = 5
_MOST_RUNS = 1_000_000
_LONGEST_NS = 3600 * 10**9  # where the runs that a median needs take longer than was asked for


class TimingError(ShipworthyError):
    """It could not be measured; the message says why."""


def measure(
    framework: str, model: str, way: str, work: str, batch: int, seconds: float, threads: int,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Measure in this process; `prepare` must have been called, and nothing imported.

    Parameters
    ----------
    work : ``"inference"`` or ``"train_step"``.
    batch : rows a run.
    seconds : of the timed loop, at least; it goes on until the median may be stated.

    Returns
    -------
    ``latencies_ns``, ``wall_ns`` and ``cpu_ns`` of all of them, ``first_ns`` (the first run, with
    whatever it compiles or traces), ``rows_per_s`` at the median, ``first_loss`` and ``loss`` (of
    the first and the last step; None for inference).
    """
    source = zoo.source(model, framework)
    if work == "inference":
        run = _inference(source, way, batch, threads, seed)
    else:
        run = _train_step(source, open_free_learner(framework, way, threads, seed), batch, seed)
    begin = time.perf_counter_ns()
    first_loss = run()
    first_ns = time.perf_counter_ns() - begin
    least = int(seconds * 1e9)
    timing = Timing("", _WARMUP, needed_runs(50), _MOST_RUNS, least, _LONGEST_NS)
    loop = time_runs(run, timing)
    middle = sorted(loop.latencies_ns)[len(loop.latencies_ns) // 2]
    loss = run()
    return {
        **asdict(loop),
        "first_ns": first_ns,
        "rows_per_s": batch * 1e9 / middle,
        **{
            name: value if isinstance(value, float) else None
            for name, value in (("first_loss", first_loss), ("loss", loss))
        },
    }


def _inference(
    source: Source, way: str, batch: int, threads: int, seed: int
) -> Callable[[], object]:
    limit_threads(source.framework, threads)
    _seed(source.framework, seed)
    model = build_original(source)
    called: TorchCall | KerasCall
    if source.framework == "pytorch":
        called = TorchCall(model, source.signature, compiled=way == "compiled")
    else:
        kind = "keras_call" if way == "eager" else way
        called = KerasCall(model, source.signature, kind)
    called.set_inputs(synthesise(source.signature, _sizes(source, batch), seed))
    return called.run


def _seed(framework: str, seed: int) -> None:
    if framework == "pytorch":
        import torch

        torch.manual_seed(seed)
    else:
        import keras

        keras.utils.set_random_seed(seed)


def _sizes(source: Source, batch: int) -> dict[str, int]:
    return traced_sizes(source.signature) | {"batch": batch}


def _train_step(
    source: Source, learner: FreeLearner, batch: int, seed: int
) -> Callable[[], object]:
    """Return a step on the first batch of the model's own lesson, if it has one.

    Else on synthesised inputs, towards zero, by the mean squared error of the first output.
    """
    model = build_original(source)
    lesson = lesson_of(source)
    if lesson is not None:
        arrays = next(iter(lesson.batches(np.random.default_rng(seed), batch)))
        if len(arrays[0]) != batch:
            raise TimingError(f"{source.name} has {len(arrays[0])} rows, not {batch}, to train on")
        return learner.step(model, learner.supervised(model, lesson.kind), arrays)
    sizes = _sizes(source, batch)
    inputs = synthesise(source.signature, sizes, seed)
    taken = tuple(inputs[spec.name] for spec in source.signature.inputs)
    output = source.signature.outputs[0]
    target = np.zeros(output.resolve(sizes), output.dtype)

    def first_output(*tensors: Any, **options: Any) -> Any:
        answer = model(*tensors, **options)
        if isinstance(answer, dict):
            return answer[output.name]
        return answer[0] if isinstance(answer, list | tuple) else answer

    loss = learner.supervised(first_output, "squares")
    return learner.step(model, loss, (*taken, target))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments say, and return the exit code."""
    parser = argparse.ArgumentParser("python -m shipworthy.serve.experiments.timing")
    parser.add_argument("--framework", choices=WAYS, required=True)
    parser.add_argument("--model", required=True, help="one of the zoo")
    parser.add_argument("--way", default="eager", help="; ".join(
        f"{framework}: {', '.join(ways)}" for framework, ways in WAYS.items()
    ))  # fmt: skip
    parser.add_argument("--work", choices=WORKS, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quality", action="store_true", help="--work train always ends with it")
    given = parser.parse_args(arguments)
    if given.way not in WAYS[given.framework]:
        parser.error(f"{given.framework} has the ways {', '.join(WAYS[given.framework])}")
    if min(given.batch, given.threads) < 1 or not given.seconds > 0:
        parser.error("--batch, --threads and --seconds must be above 0")
    prepare(given.threads)
    with only_json() as answer:
        try:
            data = _perform(given)
        except ShipworthyError as e:
            print(f"error: {e}", file=sys.stderr)
            return e.exit_code
        json.dump(data, answer)
        answer.write("\n")
    return 0


def _perform(given: argparse.Namespace) -> dict[str, Any]:
    about = {"framework": given.framework, "model": given.model, "way": given.way,
             "work": given.work, "batch": given.batch, "threads": given.threads}  # fmt: skip
    if given.work == "train":
        source = zoo.source(given.model, given.framework)
        learner = open_free_learner(given.framework, given.way, given.threads, given.seed)
        found = train_to_quality(source, learner, given.seed)
        about["batch"] = found.pop("batch")
    else:
        found = measure(given.framework, given.model, given.way, given.work, given.batch,
                        given.seconds, given.threads, given.seed)  # fmt: skip
    loaded = loaded_frameworks()
    if len(loaded) != 1:
        raise TimingError(f"one framework was to be timed; the process holds {', '.join(loaded)}")
    versions = {loaded[0]: version_of(loaded[0]).split()[-1]}
    if "keras" in sys.modules:
        versions["keras"] = sys.modules["keras"].__version__
    assert loaded[0] in FRAMEWORKS
    return {**about, **found, "peak_rss_bytes": peak_rss_bytes(), "versions": versions}


if __name__ == "__main__":
    raise SystemExit(main())
