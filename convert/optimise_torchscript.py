"""Chooses the fastest of several equivalent TorchScript files, by running them.

Every form is frozen: weights are constants, BatchNorm is folded, no layout churn. Two steps may
follow, each kept only if it makes the file faster: *channels_last* (inputs are brought into that
memory format, once) and *packed* (`shipworthy.convert.optimise_convolutions`). Files are timed as
they ship: saved, loaded, one thread, batch 1, in turn. What counts is the processor's time, which
other work on the machine disturbs less than the clock's.

Another form was measured and is not used: oneDNN's graph compiler
(``torch::jit::RegisterLlgaFuseGraph::setEnabled``) is up to a fifth faster than *packed* where
sizes never change. But it compiles every new set of sizes anew, for tenths of a second each, gives
up after a dozen of them and is slower than *frozen* from then on; and it is a switch of the program
that loads the file, not a part of the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shipworthy.convert.layout_rules import CONVOLUTIONS
from shipworthy.convert.optimise_convolutions import can_pack, pack
from shipworthy.convert.torch_graph import Graph

LEAST_GAIN = 0.03
MOST_BYTES = 2**28  # two copies of the weights are held while forms are compared
_CHANNELS_LAST = 2  # c10::MemoryFormat::ChannelsLast
_ROUNDS = 5
_MOST_SECONDS = 1.5
_LEAST_SECONDS_EACH = 0.002


def keep_fastest(path: Path, example: Sequence[Any], single: Sequence[Any]) -> dict[str, Any]:
    """Replace a frozen file by a faster form of it; return what was found, for the manifest.

    Parameters
    ----------
    path : a file that ``torch.jit.save`` wrote of a frozen module without operators that write into
        their inputs.
    example : the tensors it was traced on.
    single : tensors of batch 1 to time it with.
    """
    import torch

    told: dict[str, Any] = {"steps": []}
    if path.stat().st_size > MOST_BYTES:
        return told
    other = path.with_name(f".other-{path.name}")
    try:
        for name, change in _STEPS.items():
            module = torch.jit.load(path)
            done = change(module, example)
            if not done:
                continue
            torch.jit.save(module, other)
            before, after = measure({"before": path, "after": other}, single)
            told[name] = {**done, "cpu_ms": [round(s * 1000, 4) for s in (before, after)]}
            if after < before * (1 - LEAST_GAIN):
                other.replace(path)
                told["steps"].append(name)
    except Exception as e:
        # A step is a matter of speed alone: whatever PyTorch says of it, the file so far is right.
        told["failed"] = f"{type(e).__name__}: {(str(e).strip().splitlines() or [''])[0]}"
    finally:
        other.unlink(missing_ok=True)
    return told


def _packed(module: Any, example: Sequence[Any]) -> dict[str, int]:
    if not can_pack():
        return {}
    found = pack(module, example)
    return asdict(found) if found.convolutions else {}


def _channels_last(module: Any, example: Sequence[Any]) -> dict[str, int]:
    """Bring the inputs of a graph with convolutions into the memory format they are fastest in."""
    graph = Graph(module, example)
    nodes = graph.nodes()
    nested = any(True for node in nodes for _ in node.blocks())
    if nested or not any(node.kind() in CONVOLUTIONS for node in nodes):
        return {}
    changed = 0
    for value in list(graph.raw.inputs())[1:]:
        fact = graph.fact(value)
        if fact is None or fact.rank != 4 or not fact.dtype.is_floating_point:
            continue
        copy = graph.emit("aten::contiguous", [value, _CHANNELS_LAST], nodes[0], fact)
        value.replaceAllUsesWith(copy)
        copy.node().replaceInput(0, value)
        changed += 1
    return {"inputs": changed} if changed else {}


_STEPS: dict[str, Callable[[Any, Sequence[Any]], dict[str, int]]] = {
    "channels_last": _channels_last,
    "packed": _packed,
}


def measure(files: Mapping[str, Path], inputs: Sequence[Any]) -> list[float]:
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
            return list(best.values())
    finally:
        torch.set_num_threads(threads)


def _repeats(module: Any, inputs: Sequence[Any]) -> int:
    return max(1, int(_LEAST_SECONDS_EACH / max(_seconds(module, inputs, 1), 1e-6)))


def _seconds(module: Any, inputs: Sequence[Any], repeats: int) -> float:
    begin = time.thread_time()
    for _ in range(repeats):
        module(*inputs)
    return (time.thread_time() - begin) / repeats
