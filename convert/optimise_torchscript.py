"""Chooses the fastest of several equivalent TorchScript files, by running them.

The forms are *frozen* (weights are constants, BatchNorm is folded, no layout churn) and *packed*
(`shipworthy.convert.optimise_convolutions`). They are timed as they ship: saved, loaded, one thread,
batch 1, in turn. What counts is the processor's time, which other work on the machine disturbs
less than the clock's.

A third form was measured and is not used: oneDNN's graph compiler
(``torch::jit::RegisterLlgaFuseGraph::setEnabled``) is up to a fifth faster than *packed* where the
sizes never change. But it compiles every new set of sizes anew, for tenths of a second each, gives up
after a dozen of them and is slower than *frozen* from then on; and it is a switch of the program
that loads the file, not a part of the file.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shipworthy.convert.optimise_convolutions import can_pack, pack

LEAST_GAIN = 0.03
_ROUNDS = 5
_MOST_SECONDS = 2.0
_LEAST_SECONDS_EACH = 0.002
MOST_BYTES = 2**28  # a second copy of the weights is held while the forms are compared


def keep_fastest(path: Path, example: Sequence[Any], single: Sequence[Any]) -> dict[str, Any]:
    """Replace a frozen file by its packed form if that is faster; return what was found.

    Parameters
    ----------
    path : a file that ``torch.jit.save`` wrote of a frozen module without operators that write into
        their inputs.
    example : the tensors it was traced on.
    single : tensors of batch 1 to time it with.
    """
    if not can_pack() or path.stat().st_size > MOST_BYTES:
        return {"kept": "frozen"}
    other = path.with_name(f".packed-{path.name}")
    try:
        found = _packed(path, other, example)
        if found is None:
            return {"kept": "frozen"}
        seconds = measure({"frozen": path, "packed": other}, single)
        faster = seconds["packed"] < seconds["frozen"] * (1 - LEAST_GAIN)
        if faster:
            other.replace(path)
        told = {name: round(value * 1000, 4) for name, value in seconds.items()}
        return {"kept": "packed" if faster else "frozen", "forms_cpu_ms": told, "packed": found}
    except RuntimeError as e:
        # The packed form is a matter of speed alone; whatever PyTorch says of it, the other is right.
        return {"kept": "frozen", "packing_failed": str(e).strip().splitlines()[0]}
    finally:
        other.unlink(missing_ok=True)


def _packed(path: Path, other: Path, example: Sequence[Any]) -> dict[str, int] | None:
    """Write the packed form; return what was packed, or None if there was nothing."""
    import torch

    module = torch.jit.load(path)
    found = pack(module, example)
    if not found.convolutions:
        return None
    torch.jit.save(module, other)
    return {
        "convolutions": found.convolutions,
        "activations": found.activations,
        "additions": found.additions,
    }


def measure(files: Mapping[str, Path], inputs: Sequence[Any]) -> dict[str, float]:
    """Return the least processor time of one run of every file, in seconds, with one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            modules = {name: torch.jit.load(path) for name, path in files.items()}
            for module in modules.values():
                for _ in range(3):  # the first runs compile it
                    module(*inputs)
            repeats = {name: _repeats(module, inputs) for name, module in modules.items()}
            best = dict.fromkeys(modules, float("inf"))
            begun = time.monotonic()
            for turn in range(_ROUNDS):
                if turn > 1 and time.monotonic() - begun > _MOST_SECONDS:
                    break
                for name, module in modules.items():
                    best[name] = min(best[name], _seconds(module, inputs, repeats[name]))
            return best
    finally:
        torch.set_num_threads(threads)


def _repeats(module: Any, inputs: Sequence[Any]) -> int:
    return max(1, int(_LEAST_SECONDS_EACH / max(_seconds(module, inputs, 1), 1e-6)))


def _seconds(module: Any, inputs: Sequence[Any], repeats: int) -> float:
    begin = time.thread_time()
    for _ in range(repeats):
        module(*inputs)
    return (time.thread_time() - begin) / repeats
