"""Exports, proves and times a model for an experiment, as ``shipworthy export`` does."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from shipworthy.convert.routes import FORMATS
from shipworthy.models.subject import Subject
from shipworthy.serve import folder, pipeline
from shipworthy.serve.experiments.experiment import Context
from shipworthy.serve.modes import Settings
from shipworthy.serve.records import Record, collect, write_records
from shipworthy.serve.steps import Event


def ship(
    context: Context, subject: Subject, settings: Settings | None
) -> Generator[Event, None, list[Record]]:
    """Put a model through the pipeline, in every cell; return its records.

    What is unchanged is kept. A cell that fails has its reason in its record.

    Parameters
    ----------
    settings : of the benchmark; None does not time it.
    """
    out = context.model_folder(subject.name)
    with folder.hold(out):
        job = pipeline.Job(
            subject, subject.frameworks, tuple(FORMATS), out, timeout=context.timeout
        )
        folder.ask_for(out, subject.name, job.cells, job.threads, subject.origin)
        lost = pipeline.train(job)
        events = pipeline.export(job, context.executor, context.launch, lost)
        yield from _titled(subject.name, events)
        if settings is not None:
            timed = pipeline.measure(out, job.cells, settings, timeout=context.timeout, again=False)
            yield from _titled(subject.name, timed)
        records = collect(out)
        write_records(out, records)
    return records


def _titled(model: str, events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        yield replace(event, step=f"{model}: {event.step}")


def record_link(out: Path, model_folder: Path) -> tuple[str, str]:
    """Return title and path of a model's records, for evidence."""
    path = (model_folder / "records.jsonl").relative_to(out)
    return f"records of {model_folder.name}", path.as_posix()


def measurements(record: Record, kind: str) -> dict[str, Any] | None:
    """Return the data of an extra measurement of a cell, if it is there and valid."""
    found = (record.get("measurements") or {}).get(kind)
    return dict(found["data"]) if found and found["valid"] else None
