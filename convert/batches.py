"""Finds the batch axis of a model's inputs by running the original at other batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

from shipworthy.convert.calling import TRACED_BATCH
from shipworthy.convert.original import first_line
from shipworthy.convert.probe import Probe
from shipworthy.models.spec import Array, TensorSpec

BATCH = "batch"
OTHER_BATCH = 3
_TRIALS = 24

Where = Mapping[str, int | None]  # input -> position of its batch axis


def try_batch(probe: Probe, base: dict[str, int]) -> dict[str, int]:
    """Name batch axes where the original takes another size there; return the sizes of all axes.

    The first axis of every input is tried first, then, of the inputs that have an axis of that
    size, other axes and fewer inputs. Of what works, the first with which the first axis of an
    output moves is taken.
    """
    named = [spec for spec in probe.specs if BATCH in spec.shape or 0 in spec.dynamic_axes]
    if named:
        return base
    original = probe.specs
    sizes = {**base, BATCH: TRACED_BATCH}
    why, works = "", None
    for where in itertools.islice(_candidates(probe), _TRIALS):
        probe.specs = [_name(spec, where.get(spec.name)) for spec in original]
        refusal, moves = _try(probe, sizes)
        why = why or refusal
        if not refusal and (moves or works is None):
            works = where
        if not refusal and moves:
            break
    if works is None:
        probe.specs = original
        told = f"the model itself refuses another ({why})" if why else "no input has an axis"
        probe.notes.append(f"Axis 0 was tried as the batch and is fixed: {told}.")
        return base
    probe.specs = [_name(spec, works.get(spec.name)) for spec in original]
    probe.notes.append(_tell(probe, works))
    return sizes


def _name(spec: TensorSpec, axis: int | None) -> TensorSpec:
    if axis is None:
        return spec
    shape = tuple(BATCH if i == axis else size for i, size in enumerate(spec.shape))
    return replace(spec, shape=shape)


def _candidates(probe: Probe) -> Iterator[Where]:
    """Yield choices of batch axes, the likeliest first."""
    sizes = dict.fromkeys(spec.shape[0] for spec in probe.specs if spec.shape)
    # A size that more inputs begin with is the batch's more likely.
    counts = {s: sum(spec.shape[:1] == (s,) for spec in probe.specs) for s in sizes}
    for size in sorted(sizes, key=lambda s: -counts[s]):
        options = []
        for spec in probe.specs:
            axes: list[int | None] = [i for i, one in enumerate(spec.shape) if one == size]
            options.append((spec.name, [*axes, None]))
        # The later inputs vary first: masks and tables come after what they belong to.
        for chosen in itertools.product(*(axes for _, axes in options)):
            if any(axis == 0 for axis in chosen):
                yield dict(zip((name for name, _ in options), chosen, strict=True))


def _try(probe: Probe, sizes: Mapping[str, int]) -> tuple[str, bool]:
    """Return why these batch axes are refused, and whether an output's first axis moves."""
    answers: list[Mapping[str, Array]] = []
    for batch in (1, TRACED_BATCH, OTHER_BATCH):
        if why := probe.refuses({**sizes, BATCH: batch}):
            return why if batch > 1 else f"{why}, at a batch of 1", False
        try:
            answers.append(probe.answer(probe.draw({**sizes, BATCH: batch})))
        except Exception as e:
            return first_line(e), False
    one, two, three = answers
    for name, array in two.items():
        for batch, other in ((1, one), (OTHER_BATCH, three)):
            if name not in other or other[name].ndim != array.ndim:
                rank = other[name].ndim if name in other else "none"
                told = f"{name} has {rank} axes at a batch of {batch}, else {array.ndim}"
                return told, False
    ends = [(two[name].shape[:1], three[name].shape[:1]) for name in two]
    return "", any(here != there for here, there in ends)


def _tell(probe: Probe, where: Where) -> str:
    ranked = [spec.name for spec in probe.specs if spec.shape]
    if all(where[name] == 0 for name in ranked):
        return "Axis 0 of every input was tried as the batch, and is."
    named = [f"{n} (axis {a})" if a else n for n, a in where.items() if a is not None]
    left = [name for name in ranked if where[name] is None]
    return f"Axis 0 is the batch of {', '.join(named)}" + (
        f"; not of {', '.join(left)}." if left else "."
    )
