"""Exports, proves and times models for experiments, as ``shipworthy export`` does."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from shipworthy.convert.routes import FORMATS
from shipworthy.models.subject import Subject
from shipworthy.serve import folder, pipeline
from shipworthy.serve.conditions import Conditions
from shipworthy.serve.experiments.experiment import Context
from shipworthy.serve.modes import Settings
from shipworthy.serve.records import Record, collect, write_records
from shipworthy.serve.steps import Event
from shipworthy.serve.validity import check_conditions


def ship(context: Context, subject: Subject) -> Generator[Event, None, list[Record]]:
    """Put a model through the pipeline, in every cell; return its records.

    What is unchanged is kept. A cell that fails has its reason in its record.
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
        records = collect(out)
        write_records(out, records)
    return records


def time_cells(
    context: Context, model: str, settings: Settings
) -> Generator[Event, None, list[Record]]:
    """Time the cells of a model that was shipped; return its records.

    What was measured on a quiet machine is kept.
    """
    out = context.model_folder(model)
    with folder.hold(out):
        # What was measured in a session that its control calls unfit is measured again as well.
        again = any(
            busy(record) or (record.get("control") or {}).get("fit") is False
            for record in collect(out)
        )
        cells = folder.asked(out).cells
        timed = pipeline.measure(out, cells, settings, timeout=context.timeout, again=again)
        yield from _titled(model, timed)
        records = collect(out)
        write_records(out, records)
    return records


def busy(record: Record) -> list[str]:
    """Return what else the machine did while a cell was timed; nothing if it was quiet."""
    conditions = [Conditions(**one) for one in record.get("conditions") or ()]
    return check_conditions(conditions) if conditions else []


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
