"""Exports the same PyTorch layers as nn.Sequential and as a subclass, and times both in turns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from shipworthy.convert.identify import identify
from shipworthy.convert.routes import FORMATS
from shipworthy.models.given import parse
from shipworthy.serve import contrast
from shipworthy.serve.experiments.experiment import Context, Experiment, Progress, Result, Settings
from shipworthy.serve.experiments.programs_folder import PROGRAMS
from shipworthy.serve.experiments.ship import record_link, ship
from shipworthy.serve.experiments.turns import Session, take_turns
from shipworthy.serve.experiments.worker import unfit
from shipworthy.serve.modes import PRESETS
from shipworthy.serve.records import Record

FILE = PROGRAMS / "one_network_two_ways.py"
WAYS = ("subclass", "sequential")
_AGAIN = "subclass again"


def _run(context: Context, settings: Settings) -> Progress:
    records: dict[str, dict[str, Record]] = {}
    for way in WAYS:
        subject = identify(
            parse(f"{FILE}:{way}"), context.model_folder(way), context.launch, context.timeout
        )
        shipped = yield from ship(context, subject)
        records[way] = {record["format"]: record for record in shipped}
    formats = []
    for format_ in FORMATS:
        found = {way: records[way][format_] for way in WAYS}
        told: dict[str, Any] = {"format": format_}
        told |= {way: record["status"] == "passed" for way, record in found.items()}
        told["reasons"] = [r["reason"] for r in found.values() if r["status"] != "passed"]
        if all(told[way] for way in WAYS):
            told["size"] = found["sequential"]["size_bytes"] / found["subclass"]["size_bytes"]
            cell = ("pytorch", format_)
            cells = {
                name: (context.model_folder(name.split()[0]), cell) for name in (*WAYS, _AGAIN)
            }
            timing = replace(PRESETS[context.mode], processes=settings["processes"])
            session = yield from take_turns(
                f"sequential against subclass in {format_}", cells, timing, context.timeout
            )
            told |= compare(session)
        formats.append(told)
    links = tuple(record_link(context.out, context.model_folder(way)) for way in WAYS)
    timed = [one for one in formats if "fit" in one]
    return Result({"formats": formats}, unfit(timed), links)


def compare(session: Session) -> dict[str, Any]:
    """Return the latency of the sequential network over the subclass', and the control."""
    runs = session.latencies_ns
    ratio = contrast.ratio_interval(runs["subclass"], runs["sequential"])
    control = contrast.control(runs["subclass"], runs[_AGAIN])
    return {
        "latency": ratio.to_json(),
        "control": control.to_json(),
        "fit": control.fit and not session.busy,
        "busy": session.busy,
    }


_SERVE = Path(__file__).parent.parent

EXPERIMENT = Experiment(
    "sequential",
    "nn.Sequential against a subclass, exported and timed",
    _run,
    settings={"quick": {"processes": 6}, "normal": {"processes": 8}},
    sources=(
        Path(__file__),
        FILE,
        _SERVE / "contrast.py",
        _SERVE / "experiments" / "turns.py",
        _SERVE / "bench.py",
        _SERVE / "modes.py",
        _SERVE / "trial.py",
        _SERVE / "runner",
        _SERVE.parent / "convert",
    ),
    packages=("torch", "tensorflow-cpu", "tensorflow", "onnxruntime", "ai-edge-litert"),
)
