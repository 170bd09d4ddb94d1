"""TensorBoard event files of a model's cells: scalars, hyperparameters, graphs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from shipworthy.models.atomic import publish
from shipworthy.report.event_log import EventLog
from shipworthy.report.graphs import read_graph
from shipworthy.report.measurements import read_measurement
from shipworthy.report.records import Record
from shipworthy.report.scope import Scope
from shipworthy.report.sections.memory import find_use
from shipworthy.serve import stats

FOLDER = "tensorboard"
_STEPS = 250  # runs of a cell whose latencies are told one by one


def write_events(scope: Scope, out: Path) -> Path:
    """Write ``tensorboard/<model>/<framework>-<format>/`` into a model's folder.

    What was there is replaced, so that TensorBoard shows no run twice.

    Parameters
    ----------
    out : the model's folder, in which the artifacts lie.

    Returns
    -------
    The folder ``tensorboard``.
    """
    target = out / FOLDER
    with publish(target) as work:
        for model in scope:
            for name, record in _named(model.records):
                folder = work / _safe(model.name) / name
                folder.mkdir(parents=True)
                # TensorBoard takes any name that holds "tfevents".
                (folder / "events.out.tfevents.shipworthy").write_bytes(_events(record, out))
    return target


def _named(records: Sequence[Record]) -> Iterator[tuple[str, Record]]:
    """Yield every cell with a folder name of its own."""
    seen: dict[str, int] = {}
    for record in records:
        name = _safe(f"{record['framework']}-{record['format']}")
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name}-{seen[name]}"), record


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".")[:100] or "unnamed"


def _events(record: Record, out: Path) -> bytes:
    log = EventLog(_wall_time(record))
    log.hparams(
        {name: record[name] for name in ("model", "framework", "format", "runtime", "route",
                                         "threads", "batch", "status") if record[name] is not None}
    )  # fmt: skip
    if figures := _figures(record):
        log.scalars(0, figures)
    if record["status"] == "passed":
        latencies = record["latencies_ns"] or []
        # Evenly over the whole benchmark, each at its own number.
        for step in np.unique(np.linspace(0, len(latencies) - 1, _STEPS).astype(int)):
            if latencies:
                log.scalars(int(step), {"latency_ns": latencies[step]})
    path = record["path"]
    if path and (graph := read_graph(out / path, record["format"])):
        log.graph(graph)
    return log.to_bytes()


def _figures(record: Record) -> dict[str, float]:
    """Return what is known of a cell as one figure each; speed and memory only if it passed."""
    found: dict[str, float | None] = {
        "error_ratio": record["error_ratio"],
        "size_bytes": record["size_bytes"],
    }
    if record["status"] == "passed":
        points = stats.percentiles(record["latencies_ns"] or [])
        found |= {f"p{p}_ns": value for p, value in points.items()}
        found["cold_start_ns"] = stats.median(record["cold_starts_ns"] or [])
        use = find_use(record)
        if use is not None:
            found["peak_rss_bytes"] = use.peak
            found["model_rss_bytes"] = None if use.empty is None else use.parts[1]
        footprint = read_measurement(record, "footprint")
        found["footprint_bytes"] = footprint.data["total_bytes"] if footprint else None
    return {name: float(value) for name, value in found.items() if value is not None}


def _wall_time(record: Record) -> float:
    """Return when the cell was measured; 1970 if nobody noted it."""
    try:
        return datetime.fromisoformat(record["started_at"] or "").timestamp()
    except ValueError:
        return 0.0
