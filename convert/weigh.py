"""What the original's runs mean: its own error, its unstable elements, its noise floor.

Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shipworthy.convert.cases import PlannedCase, count_rows
from shipworthy.convert.noise import NoiseRun
from shipworthy.convert.yardstick import (
    FLOOR,
    Expected,
    Spread,
    case_unit,
    distance,
    exact_unstable,
    filler_bound,
    float_unstable,
    is_float,
    output_scale,
    pooled_unit,
    spread,
)
from shipworthy.models.spec import Array, Arrays, Signature, TensorSpec


def weigh(
    signature: Signature,
    cases: Sequence[PlannedCase],
    expected32: Sequence[Arrays],
    expected64: Sequence[Arrays] | None,
    runs: Sequence[NoiseRun],
) -> list[Expected]:
    """Put together what an export is compared with: centre, own error, unstable elements.

    Parameters
    ----------
    expected64 : None chooses the jitter yardstick: the centre is the float32 original, and its
        error at an element is the RMS of what the noise runs differ by there.
    """
    parts: list[dict[str, dict[str, Any]]] = [
        {"centre": {}, "error": {}, "unstable": {}, "seen": {}, "filler": {}} for _ in cases
    ]
    for spec in signature.outputs:
        for i in range(len(cases)):
            for key, value in _weigh_one(spec, i, expected32, expected64, runs).items():
                parts[i][key][spec.name] = value
        _mark_unstable(spec, expected32, expected64, runs, parts)
    return [
        Expected(case.name, count_rows(signature, case.sizes), one, **part)
        for case, one, part in zip(cases, expected32, parts, strict=True)
    ]


def _weigh_one(
    spec: TensorSpec,
    i: int,
    expected32: Sequence[Arrays],
    expected64: Sequence[Arrays] | None,
    runs: Sequence[NoiseRun],
) -> dict[str, Array]:
    original = expected32[i][spec.name]
    if not is_float(original):
        return {}
    if expected64 is not None:
        centre = np.asarray(expected64[i][spec.name], np.float64)
        return {"centre": centre, "error": distance(original, centre)}
    centre = np.asarray(original, np.float64)
    changes = [distance(o[spec.name], centre) for run in runs if (o := run.outputs[i]) is not None]
    error = np.sqrt(np.mean(np.square(changes), axis=0)) if changes else np.zeros(centre.shape)
    return {"centre": centre, "error": np.asarray(error)}


def _mark_unstable(
    spec: TensorSpec,
    expected32: Sequence[Arrays],
    expected64: Sequence[Arrays] | None,
    runs: Sequence[NoiseRun],
    parts: Sequence[Mapping[str, dict[str, Any]]],
) -> None:
    """Fill in the masks of one output, found over all cases pooled, and the values seen there."""
    name = spec.name
    versions: list[list[Array]] = [[one[name] for one in expected32]]
    if expected64 is not None:
        versions.append([one[name] for one in expected64])
    # A case that was left out of a noise run has the original's own answer there.
    versions += [
        [
            one[name] if o is None else o[name]
            for one, o in zip(expected32, run.outputs, strict=True)
        ]
        for run in runs
    ]
    flat = [np.concatenate([value.ravel() for value in version]) for version in versions]
    if is_float(expected32[0][name]):
        centre = np.concatenate([part["centre"][name].ravel() for part in parts])
        originals = [flat[0], *flat[1 if expected64 is None else 2 :]]
        mask = float_unstable(originals, centre, FLOOR[spec.dtype])
        if np.isfinite(bound := filler_bound(centre)):
            for part in parts:
                part["filler"][name] = bound
    else:
        mask = exact_unstable(flat)
    start = 0
    for i, part in enumerate(parts):
        shape = expected32[i][name].shape
        size = int(np.prod(shape))
        own = mask[start : start + size].reshape(shape)
        start += size
        if own.any():
            part["unstable"][name] = own
            part["seen"][name] = np.stack([version[i][own] for version in versions])


def noise_ratios(
    signature: Signature, expected: Sequence[Expected], runs: Sequence[NoiseRun]
) -> dict[str, Any]:
    """Return each float output's ratios, one a noise run, pooled and case by case.

    By the same measure that exports are held to: JSON,
    ``{output: {"scale": RMS of the output, "rms": [...], "max": [...],
    "cases": {case: {"rms": [...], "max": [...]}}}}``.
    """
    found: dict[str, Any] = {}
    for spec in signature.outputs:
        if not spec.dtype.startswith("float"):
            continue
        scale = output_scale(expected, spec.name)
        entry: dict[str, Any] = {"scale": scale, "rms": [], "max": [], "cases": {}}
        for run in runs:
            pairs = [
                (one, o[spec.name])
                for one, o in zip(expected, run.outputs, strict=True)
                if o is not None
            ]
            if pairs:
                _add_run(entry, spec, pairs)
        found[spec.name] = entry
    return found


def _add_run(
    entry: dict[str, Any], spec: TensorSpec, pairs: Sequence[tuple[Expected, Array]]
) -> None:
    chosen = [one for one, _ in pairs]
    errors = []
    for one, output in pairs:
        errors.append(distance(output, one.centre[spec.name])[one.stable(spec.name)])
        ratio = spread(errors[-1]).over(case_unit(one, spec.name, entry["scale"]))
        _append(entry["cases"].setdefault(one.case, {"rms": [], "max": []}), ratio)
    _append(entry, spread(np.concatenate(errors)).over(pooled_unit(chosen, spec.name)))


def _append(entry: Mapping[str, list[Any]], ratio: Spread) -> None:
    entry["rms"].append(round(ratio.rms, 4))
    entry["max"].append(round(ratio.max, 4))
