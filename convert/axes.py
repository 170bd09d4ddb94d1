"""Finds out by running the original which axes are dynamic, at which sizes, and what comes out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from shipworthy.convert.batches import BATCH, OTHER_BATCH, try_batch
from shipworthy.convert.calling import OTHER_SIZE, TRACED_BATCH
from shipworthy.convert.probe import Answer, Probe, describe_outputs
from shipworthy.models.arguments import Arguments, show
from shipworthy.models.given import GivenError
from shipworthy.models.spec import Arrays, Signature, TensorSpec

# Sides of images for models that say nothing of them: many halve them several times.
_SIDES = (32, 64, 128)
# What is added to a traced size to find others that the original takes.
_STEPS = (-3, 5, 1, -1, 2, -2, 4, -4, 8, -8, 16, -16, 32, -32)
_ENOUGH = 3  # sizes of an axis: the traced one and two others


@dataclass(frozen=True)
class Axes:
    """The signature that running the original has shown, and what it needed to assume."""

    signature: Signature
    notes: tuple[str, ...]


def find_axes(
    specs: Sequence[TensorSpec],
    arguments: Arguments | None,
    example: Arrays | None,
    answer: Answer,
    *,
    shown: Mapping[str, TensorSpec] | None = None,
    asked: Collection[str] = (),
    takes: str = "",
) -> Axes:
    """Name the dynamic axes of a model's inputs and outputs.

    Where no first axis and no batch is named, that of every input is tried as ``batch``.

    Parameters
    ----------
    specs : the inputs, with the axes named that the user or the model named.
    example : real inputs, if there are any.
    answer : runs the original; outputs by name.
    shown : narrower declarations of inputs, for a model that refuses values beyond its example.
    asked : the axes that the user named; any other is fixed where the model takes one size only.
    takes : what the model's author says it takes, such as ``forward(x, mask=None)``.

    Raises
    ------
    GivenError : the original does not run, or not at two sizes of an axis that the user named.
    """
    probe = Probe(list(specs), answer)
    told = _Call(arguments, takes)
    base = _base_sizes(probe.specs, example)
    if example is not None:
        if why := probe.try_example(example):
            raise GivenError(told.failed(probe.specs, example, why))
    elif why := probe.refuses(base):
        base = _larger_base(probe, base)
        if probe.refuses(base):
            raise GivenError(told.failed(probe.specs, probe.draw(_base_sizes(specs, None)), why))
    if example is not None and (why := _settle_ranges(probe, base, shown or {})):
        raise GivenError(told.refused_drawn(probe.specs, why))
    base = try_batch(probe, base)
    sizes: dict[str, tuple[int, ...]] = {}
    for axis in list(base):
        found, why = _working_sizes(axis, probe, base)
        if len(found) > 1:
            sizes[axis] = found
            continue
        if axis in asked:
            raise GivenError(_refuse_axis(axis, found[0], why, probe.specs))
        probe.specs = [_fix(spec, axis, found[0]) for spec in probe.specs]
        probe.notes.append(
            f"Axis {axis} is fixed at {found[0]}: the model itself refuses another size ({why})."
        )
        del base[axis]
    base = {axis: found[0] for axis, found in sizes.items()}
    outputs = describe_outputs(probe, base, sizes)
    kept = {axis: found for axis, found in sizes.items() if axis != BATCH}  # cases choose batches
    return Axes(Signature(tuple(probe.specs), outputs, arguments, kept), tuple(probe.notes))


@dataclass(frozen=True)
class _Call:
    """How the model is called, for messages."""

    arguments: Arguments | None
    takes: str

    def failed(self, specs: Sequence[TensorSpec], arrays: Arrays, why: str) -> str:
        shown = {}
        for spec in specs:
            array = arrays[spec.name]
            shown[spec.name] = f"{array.dtype}{list(array.shape)}"
            if array.dtype.kind in "iu" and array.size:
                shown[spec.name] += f" in {array.min()}..{array.max()}"
        plain = ", ".join(f"{name}: {text}" for name, text in shown.items())
        args = show(self.arguments, shown) if self.arguments else plain
        takes = f"; it is {self.takes}" if self.takes else ""
        wide = [s.name for s in specs if s.dtype == "float64"]
        hint = f". Is float64 meant for {', '.join(wide)}?" if wide and "type" in why else ""
        return f"the model does not run when it is called with ({args}): {why}{takes}{hint}"

    def refused_drawn(self, specs: Sequence[TensorSpec], why: str) -> str:
        drawn = ", ".join(
            f"{s.name} {s.dtype}" + (f" in {s.low:g}..{s.high:g}" if s.low is not None else "")
            for s in specs
        )  # fmt: skip
        return (
            f"the model runs on its example and not on other values ({drawn}): {why}. Say which "
            "values it takes: --input name:dtype:axes:low..high"
        )


def _refuse_axis(axis: str, size: int, why: str, specs: Sequence[TensorSpec]) -> str:
    there = ", ".join(f"{s.name}{list(s.shape)}" for s in specs)
    return (
        f"axis {axis!r} is called dynamic, but the model itself takes no size beside {size} there "
        f"({why}); the inputs are {there}. Give every axis that changes with it the same name, or "
        "leave it out of --dynamic"
    )


def _fix(spec: TensorSpec, axis: str, size: int) -> TensorSpec:
    return replace(spec, shape=tuple(size if one == axis else one for one in spec.shape))


def _base_sizes(specs: Sequence[TensorSpec], example: Arrays | None) -> dict[str, int]:
    """Return a size for every named axis: the example's, else the usual one."""
    sizes: dict[str, int] = {}
    for spec in specs:
        for position, axis in spec.dynamic_axes.items():
            if axis == BATCH:
                sizes.setdefault(axis, TRACED_BATCH)
            elif example is not None and example[spec.name].ndim == len(spec.shape):
                sizes.setdefault(axis, int(example[spec.name].shape[position]))
    others = [a for spec in specs for a in spec.dynamic_axes.values() if a not in sizes]
    for i, axis in enumerate(dict.fromkeys(others)):
        sizes[axis] = OTHER_SIZE + 4 * i
    return sizes


def _larger_base(probe: Probe, base: dict[str, int]) -> dict[str, int]:
    """Return larger sizes that a model takes, where nothing says which it does; else the same."""
    others = [axis for axis in base if axis != BATCH]
    tried = [{a: side * (i + 1) for i, a in enumerate(others)} for side in _SIDES]
    tried += [dict.fromkeys(others, side) for side in (*_SIDES, 224, 256)]
    for sizes in tried if others else []:
        if not probe.refuses(base | sizes):
            return base | sizes
    return base


def _settle_ranges(probe: Probe, base: Mapping[str, int], shown: Mapping[str, TensorSpec]) -> str:
    """Narrow ranges to what the example shows until the model runs on drawn values.

    Returns
    -------
    Why it does not; empty if it does.
    """
    why = probe.refuses(base)
    for name, exact in shown.items():
        if not why:
            break
        probe.specs = [
            replace(spec, low=exact.low, high=exact.high) if spec.name == name else spec
            for spec in probe.specs
        ]
        probe.notes.append(f"Values of {name} keep to those of the example; it refuses others.")
        why = probe.refuses(base)
    return why


def _working_sizes(axis: str, probe: Probe, base: Mapping[str, int]) -> tuple[tuple[int, ...], str]:
    """Return the traced size of an axis and two others that the original takes; why not more."""
    size = base[axis]
    if axis == BATCH:
        why = next((w for b in (1, OTHER_BATCH) if (w := probe.refuses({**base, axis: b}))), "")
        return ((TRACED_BATCH,) if why else (TRACED_BATCH, OTHER_BATCH)), why
    wanted = [*(size + step for step in _STEPS), size * 2, size // 2, size * 3]
    found, first = [size], ""
    for other in wanted:
        if other < 2 or other in found or len(found) == _ENOUGH:
            continue
        why = probe.refuses({**base, axis: other})
        if why and other < size and probe.shrink(size, other):
            why = probe.refuses({**base, axis: other}) or probe.refuses(base)
            probe.settle(not why)
        if not why:
            found.append(other)
        first = first or (why and f"at {other}: {why}")
    if size == 1:  # torch.export and torch.jit.trace take a size of 1 for a constant
        found = [*found[1:], size]
    return tuple(found), first
