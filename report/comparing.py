"""Two runs side by side: matched cells, what changed in each, and whether it matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shipworthy.report import facts
from shipworthy.report.doubts import latency_doubts
from shipworthy.report.records import Record
from shipworthy.report.scope import Scope
from shipworthy.report.units import plain
from shipworthy.serve import stats
from shipworthy.serve.contrast import UNKNOWN, Ratio, Verdict, decide, ratio_interval

SCHEMA = 1
# A cell on another route is the same cell, and its route is told. One that failed has no batch or
# precision; what it was asked for tells it.
_SAME = ("framework", "format", "device", "scenario", "threads")


@dataclass(frozen=True)
class Pair:
    """One cell in both runs.

    Parameters
    ----------
    ratio : of the second's median latency to the first's, with its interval.
    verdict : faster, slower, same or inconclusive; None where one of them has no latency.
    broken : it passed in the first and does not in the second.
    """

    model: str
    first: Record
    second: Record
    ratio: Ratio
    verdict: Verdict | None

    @property
    def broken(self) -> bool:
        """Whether the cell passed and no longer does."""
        return bool(self.first["status"] == "passed" != self.second["status"])

    def is_slower(self, percent: float) -> bool:
        """Whether even the interval's lower end is beyond a slowdown of that many percent."""
        sound = self.verdict not in (None, "inconclusive")
        return sound and self.ratio.low is not None and self.ratio.low > 1 + percent / 100


@dataclass(frozen=True)
class Comparison:
    """Two runs.

    Parameters
    ----------
    only_first, only_second : cells that the other one lacks, each with its model's name.
    differences : of the environments: name, and the values in the first and in the second.
    doubts : of the first's and the second's latencies, why they are INVALID; empty if none are.
    """

    pairs: Sequence[Pair]
    only_first: Sequence[tuple[str, Record]]
    only_second: Sequence[tuple[str, Record]]
    differences: Sequence[tuple[str, str, str]]
    doubts: tuple[str, str] = ("", "")

    @property
    def other_machine(self) -> bool:
        """Whether the CPUs differ, so that a ratio is one of machines too."""
        return any(name == "CPU" for name, _, _ in self.differences)

    def failures(self, percent: float | None) -> list[str]:
        """Return why a gate is not passed: cells that broke, are gone, or are slower than allowed.

        None is no gate.
        """
        if percent is None:
            return []
        told = [
            f"{model} {cell_key(record)} passed and is missing now"
            for model, record in self.only_first
            if record["status"] == "passed"
        ]
        for pair in self.pairs:
            name = f"{pair.model} {cell_key(pair.second)}"
            if pair.broken:
                told.append(f"{name} passed and is now {pair.second['status']}")
            elif pair.is_slower(percent):
                told.append(
                    f"{name} is slower by more than {percent:g} %: ratio {pair.ratio.value:.3f}, "
                    f"at least {pair.ratio.low:.3f}"
                )
        return [plain(line) for line in told]


def compare(first: Scope, second: Scope) -> Comparison:
    """Match the cells of two reports and compare them.

    Two reports of one model each are compared even if the models' names differ.
    """
    if len(first.models) == len(second.models) == 1:
        # Under the second's name: what is compared is two versions of one thing.
        name = second.models[0].name
        first = replace(first, models=[replace(first.models[0], name=name)])
    ours, theirs = _cells(first), _cells(second)
    return Comparison(
        [_pair(key[0], ours[key], theirs[key]) for key in ours if key in theirs],
        [(key[0], record) for key, record in ours.items() if key not in theirs],
        [(key[0], record) for key, record in theirs.items() if key not in ours],
        facts.compare_environments(first.records, second.records),
        (latency_doubts(first.records), latency_doubts(second.records)),
    )


def cell_key(record: Record) -> str:
    """Return a cell's name within its model, such as ``pytorch/onnx``."""
    return plain(f"{record['framework']}/{record['format']}")


def changes(pair: Pair) -> dict[str, tuple[float | None, float | None]]:
    """Return figures of the first and the second, by name; None where one is not known."""
    return {
        name: (read(pair.first), read(pair.second))
        for name, read in (
            ("p50_ns", lambda r: _passed(r) and stats.percentiles(r["latencies_ns"] or [])[50]),
            ("error_ratio", lambda r: r["error_ratio"]),
            ("size_bytes", lambda r: r["size_bytes"]),
            ("cold_start_ns", lambda r: _passed(r) and stats.median(r["cold_starts_ns"] or [])),
            ("peak_rss_bytes", lambda r: _passed(r) and r["peak_rss_bytes"]),
        )
    }


def to_json(found: Comparison, percent: float | None) -> dict[str, Any]:
    """Return the comparison, JSON-ready."""
    return {
        "schema": SCHEMA,
        "differences": [
            {"name": name, "first": a, "second": b} for name, a, b in found.differences
        ],
        "doubts": {"first": found.doubts[0] or None, "second": found.doubts[1] or None},
        "cells": [_cell_json(pair) for pair in found.pairs],
        "only_first": [_name_json(model, record) for model, record in found.only_first],
        "only_second": [_name_json(model, record) for model, record in found.only_second],
        "fail_if_slower_percent": percent,
        "failures": found.failures(percent),
    }


def _cell_json(pair: Pair) -> dict[str, Any]:
    return _name_json(pair.model, pair.second) | {
        "status": {"first": pair.first["status"], "second": pair.second["status"]},
        "route": {"first": pair.first["route"], "second": pair.second["route"]},
        "ratio": pair.ratio.to_json(),
        "verdict": pair.verdict,
        **{name: {"first": a, "second": b} for name, (a, b) in changes(pair).items()},
    }


def _name_json(model: str, record: Record) -> dict[str, Any]:
    return {"model": model, **{name: record[name] for name in _SAME}}


def _cells(scope: Scope) -> dict[tuple[Any, ...], Record]:
    return {
        (model.name, *(record[name] for name in _SAME)): record
        for model in scope
        for record in model.records
    }


def _pair(model: str, first: Record, second: Record) -> Pair:
    runs = _runs(first), _runs(second)
    if not all(runs):
        return Pair(model, first, second, UNKNOWN, None)
    ratio = ratio_interval(*runs)
    if ratio.value is None:
        return Pair(model, first, second, ratio, None)
    # Latencies that may not be relied on tell nothing apart.
    sound = all(record.get("valid") is not False for record in (first, second))
    return Pair(model, first, second, ratio, decide(ratio) if sound else "inconclusive")


def _runs(record: Record) -> list[list[int]]:
    """Return the latencies of each process; those of a cell that did not pass are none."""
    if record["status"] != "passed":
        return []
    latencies = [max(ns, 1) for ns in record["latencies_ns"] or []]
    counts = record.get("process_runs") or []
    if not counts or sum(counts) != len(latencies):
        return [latencies] if latencies else []
    found, at = [], 0
    for count in counts:
        found.append(latencies[at : at + count])
        at += count
    return [run for run in found if run]


def _passed(record: Mapping[str, Any]) -> bool | None:
    """Return None for a cell that did not pass, whose figures are those of the wrong model."""
    return True if record["status"] == "passed" else None
