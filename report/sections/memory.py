"""What a model takes in memory above the empty runtime, and what has to be deployed with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shipworthy.report.canvas import linear_axis, lines_figure
from shipworthy.report.measurements import read_measurement
from shipworthy.report.records import Record
from shipworthy.report.scope import Model, Scope, cell_label
from shipworthy.report.sections.section import (
    Figure,
    Section,
    Table,
    doubts,
    find_missing,
    measured,
)
from shipworthy.report.svg import colour, to_inline_svg
from shipworthy.report.units import UNKNOWN, format_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MEMORY = ("empty runtime", "model loaded", "while running")
_FOOTPRINT = ("shared libraries", "artifact")


@dataclass(frozen=True)
class Use:
    """Resident bytes; `empty` is None where the empty runtime was not measured."""

    empty: int | None
    loaded: int
    peak: int

    @property
    def parts(self) -> list[int]:
        """Bytes of the empty runtime, of the loaded model above it, and on top while running."""
        empty = min(self.empty or 0, self.loaded)
        return [empty, self.loaded - empty, max(self.peak - self.loaded, 0)]


def make(scope: Scope) -> Section:
    """Return memory and footprint of every model."""
    figures: list[Figure] = []
    for number, model in enumerate(scope):
        if uses := {id(r): use for r in model.records if (use := find_use(r))}:
            figures.append(_draw_memory(model, uses, number, scope.whole))
        if any(r["size_bytes"] is not None for r in model.records):
            figures.append(_draw_footprint(model, number, scope.whole))
    return Section(
        "memory",
        "Memory and footprint",
        "Memory is what is resident in the process that runs the model: that of the runtime with "
        "no model, what loading the model adds, and what running it adds at most. The footprint is "
        "what has to be on the device: the artifact and the shared libraries that the process maps "
        "and that do not belong to the operating system. 1 MB is 1,000,000 bytes.",
        figures,
        missing=[
            *find_missing(
                scope, "bench --also memory", _knows_empty,
                "The empty runtime's memory was not measured", "memory",
            ),
            *find_missing(
                scope, "bench --also footprint", lambda m: bool(measured(m, "footprint")),
                "The deployable footprint was not measured", "footprint",
            ),
        ],
    )  # fmt: skip


def find_use(record: Record) -> Use | None:
    """Return a cell's memory: that of the measurement, else that of its benchmark."""
    measurement = read_measurement(record, "memory")
    if measurement is not None:
        data = measurement.data
        empty = data.get("empty_rss_bytes")
        return Use(
            None if empty is None else int(empty),
            int(data["loaded_rss_bytes"]),
            int(data["peak_rss_bytes"]),
        )
    peak = record["peak_rss_bytes"]
    if record["status"] != "passed" or peak is None:
        return None
    loaded = record["loaded_rss_bytes"]
    return Use(record.get("memory_empty_bytes"), peak if loaded is None else loaded, peak)


def tables_of(model: Model) -> list[Table]:
    """Return memory and footprint as tables, if more is known than the benchmark's peak."""
    known = [_memory_table(model)] if _knows_empty(model) else []
    return known + ([_footprint_table(model)] if measured(model, "footprint") else [])


def _knows_empty(model: Model) -> bool:
    uses = [use for record in model.records if (use := find_use(record))]
    return any(use.empty is not None for use in uses)


def _draw_memory(model: Model, uses: dict[int, Use], number: int, whole: bool) -> Figure:
    known = any(use.empty is not None for use in uses.values())
    steps = _MEMORY if known else ("runtime and model loaded", "while running")

    def at_side(record: Record) -> str:
        use = uses.get(id(record))
        return "" if use is None else format_bytes(use.peak)

    with lines_figure(model.records, side=at_side, steps=steps) as (figure, axes, lines):
        for y, record in lines:
            if use := uses.get(id(record)):
                parts = use.parts if known else [use.loaded, use.parts[2]]
                _stack(axes, y, parts)
        linear_axis(axes, [use.peak for use in uses.values()], format_bytes)
        axes.set_xlabel("resident memory, peak on the right")
        return Figure(
            f"memory-{number}",
            f"{model.name}: memory" if whole else "Memory",
            doubts(measured(model, "memory")),
            to_inline_svg(
                figure,
                f"memory-{number}",
                f"Resident memory of {len(uses)} exports in parts; the table has the figures.",
            ),
            _memory_table(model),
        )


def _draw_footprint(model: Model, number: int, whole: bool) -> Figure:
    found = {id(r): m.data for r, m in measured(model, "footprint")}

    def total(record: Record) -> int | None:
        data = found.get(id(record))
        return int(data["total_bytes"]) if data else record["size_bytes"]

    def at_side(record: Record) -> str:
        return "" if total(record) is None else format_bytes(total(record))

    # Without any closure of libraries only the artifact is known.
    steps = _FOOTPRINT if found else ()
    with lines_figure(model.records, side=at_side, steps=steps) as (figure, axes, lines):
        for y, record in lines:
            data = found.get(id(record))
            if data:
                _stack(axes, y, [int(data["libraries_bytes"]), int(data["artifact_bytes"])])
            elif record["size_bytes"] is not None:
                axes.barh(y, record["size_bytes"], height=0.6, color=colour("--step-2"))
        linear_axis(axes, [total(r) or 0 for r in model.records], format_bytes)
        axes.set_xlabel("bytes to deploy" if found else "size of the artifact on disk")
        told = "Artifact and shared libraries" if found else "Size of the artifact"
        title = "Deployable footprint" if found else "Size on disk"
        return Figure(
            f"footprint-{number}",
            f"{model.name}: {title.lower()}" if whole else title,
            doubts(measured(model, "footprint")),
            to_inline_svg(
                figure, f"footprint-{number}", f"{told} of each export; the table has the figures."
            ),
            _footprint_table(model),
        )


def _memory_table(model: Model) -> Table:
    rows = [
        [cell_label(r), format_bytes(use.empty),
         UNKNOWN if use.empty is None else format_bytes(use.parts[1]),
         format_bytes(use.loaded), format_bytes(use.peak)]
        for r in model.records if (use := find_use(r))
    ]  # fmt: skip
    return Table(
        f"Resident memory of {model.name}",
        ("Export", ">Empty runtime", ">Model above it", ">After load", ">Peak"),
        rows,
    )


def _footprint_table(model: Model) -> Table:
    found = {id(r): m.data for r, m in measured(model, "footprint")}
    rows = []
    for record in model.records:
        if record["size_bytes"] is None:
            continue
        data = found.get(id(record))
        if data is None:
            rows.append([cell_label(record), format_bytes(record["size_bytes"]), *[UNKNOWN] * 4])
            continue
        ours = [x for x in data["libraries"] if not x["system"]]
        largest = max(ours, key=lambda x: float(x["bytes"]), default=None)
        rows.append(
            [cell_label(record), format_bytes(data["artifact_bytes"]),
             format_bytes(data["libraries_bytes"]), format_bytes(data["total_bytes"]),
             format_bytes(data["system_bytes"]),
             f"{largest['name']} {format_bytes(largest['bytes'])}" if largest else UNKNOWN]
        )  # fmt: skip
    return Table(
        f"What has to be deployed with {model.name}",
        ("Export", ">Artifact", ">Libraries", ">Both", ">Of the system, not counted",
         "Largest library"),
        rows,
    )  # fmt: skip


def _stack(axes: Axes, y: float, parts: Sequence[int]) -> None:
    left = 0
    for number, length in enumerate(parts, start=1):
        axes.barh(y, length, left=left, height=0.6, color=colour(f"--step-{number}"),
                  edgecolor=colour("--surface"), linewidth=0.5)  # fmt: skip
        left += length
