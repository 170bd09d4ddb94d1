"""Times artifacts of the same architecture born in the two frameworks, and compares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shipworthy.serve import contrast
from shipworthy.serve.bench import control_session, read_benchmark
from shipworthy.serve.experiments.experiment import Context, Experiment, Progress, Result, Settings
from shipworthy.serve.experiments.ship import busy, measurements, record_link, time_cells
from shipworthy.serve.judge import read_validation
from shipworthy.serve.modes import PRESETS
from shipworthy.serve.records import Record

Comparison = dict[str, Any]


def _run(context: Context, settings: Settings) -> Progress:
    timing = replace(PRESETS[context.mode], processes=settings["processes"])
    comparisons: list[Comparison] = []
    unfit: list[str] = []
    models = [model["model"] for model in context.data("models")["models"]]
    for model in models:
        out = context.model_folder(model)
        timed = yield from time_cells(context, model, timing)
        records = {(r["framework"], r["format"]): r for r in timed}
        runs = {cell: read_runs(out, cell) for cell, record in records.items() if _passed(record)}
        controls = {cell: read_control(found) for cell, found in runs.items() if found}
        unfit += [
            f"{model} {cell[0]}>{cell[1]}: {reason}"
            for cell, control in controls.items()
            for reason in (control.reason, *busy(records[cell]))
            if reason
        ]
        comparisons += compare_births(model, records, runs, controls)
    links = tuple(record_link(context.out, context.model_folder(model)) for model in models)
    return Result({"comparisons": comparisons, "unfit": unfit}, tuple(unfit[:1]), links)


Cell = tuple[str, str]
Benchmark = Mapping[str, Any]


def read_runs(out: Path, cell: Cell) -> Sequence[Benchmark]:
    """Return what each process of a cell's benchmark told; nothing if it was not timed."""
    folder = out.joinpath(*cell)
    verdict = read_validation(folder)
    measured = read_benchmark(folder, verdict.key) if verdict is not None else None
    return measured["runs"] if measured is not None else ()


def read_control(runs: Sequence[Benchmark]) -> contrast.Control:
    """Hold a cell's processes against each other, as its benchmark does."""
    return control_session([run["bench"]["latencies_ns"] for run in runs])


def compare_births(
    model: str,
    records: Mapping[Cell, Record],
    runs: Mapping[Cell, Sequence[Benchmark]],
    controls: Mapping[Cell, contrast.Control],
) -> Iterator[Comparison]:
    """Yield every ratio, TensorFlow-born over PyTorch-born, of formats in which both passed."""
    for format_ in dict.fromkeys(format_ for _, format_ in records):
        cells = (("pytorch", format_), ("tensorflow", format_))
        if not all(cell in runs for cell in cells):
            continue
        common = {"model": model, "format": format_, "runtime": records[cells[0]]["runtime"]}
        found = _ratios([records[c] for c in cells], [runs[c] for c in cells])
        for metric, ratio in found:
            timed = metric in ("latency", "cold start")
            fit = not timed or all(controls[c].fit and not busy(records[c]) for c in cells)
            yield {**common, "metric": metric, "ratio": ratio.to_json(), "fit": fit}


def _ratios(
    records: Sequence[Record], runs: Sequence[Sequence[Benchmark]]
) -> Iterator[tuple[str, contrast.Ratio]]:
    """Yield each metric's ratio, of the second over the first."""
    yield "size", exact(*(record["size_bytes"] for record in records))
    footprints = [measurements(record, "footprint") for record in records]
    if all(footprints):
        yield "footprint", exact(*(found["total_bytes"] for found in footprints if found))
    memories = [memory_above_empty(record) for record in records]
    if all(memories):
        yield "memory", contrast.ratio_of_values(*memories)
    if not all(runs):
        return
    colds = [[run["cold_start_ns"] for run in mine] for mine in runs]
    yield "cold start", contrast.ratio_of_values(*colds)
    latencies = [[run["bench"]["latencies_ns"] for run in mine] for mine in runs]
    yield "latency", contrast.ratio_interval(*latencies)


def exact(first: float, second: float) -> contrast.Ratio:
    """Return a ratio of what was counted and not drawn: its interval is itself."""
    return contrast.Ratio(*[second / first] * 3)


def memory_above_empty(record: Record) -> list[float]:
    """Return each process' peak memory above an empty runtime's, bytes; nothing if not known."""
    found = measurements(record, "memory")
    if found is None:
        return []
    above = [one["peak_rss_bytes"] - one["empty_rss_bytes"] for one in found["processes"]]
    return above if all(value > 0 for value in above) else []


def _passed(record: Record) -> bool:
    return bool(record["status"] == "passed")


EXPERIMENT = Experiment(
    "birth",
    "artifacts born in TensorFlow against those born in PyTorch",
    _run,
    settings={"quick": {"processes": 6}, "normal": {"processes": 8}},
    sources=(Path(__file__), Path(contrast.__file__), Path(__file__).parent.parent / "runner"),
    needs=("models",),
)
