"""Claim 9: TensorBoard is built into TensorFlow and an external library for PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipworthy.report.claims.claim import COMBINED, Claim, Effect, Evidence, Finding, Part, combine

_NAMES = {"tensorflow": "TensorFlow", "pytorch": "PyTorch"}


def _decide(evidence: Evidence) -> Finding:
    data = evidence["tensorboard"]
    installs, files = data["installs"], data["files"]
    parts = (
        _built_in(installs["tensorflow"]),
        _external(installs["pytorch"]),
        _only_one(files),
    )
    writes = {f: files[f]["alone"]["written"] for f in _NAMES}
    count = float(sum(installs[f]["brings"] for f in _NAMES))
    effect = Effect(
        count,
        count,
        count,
        "frameworks, of the two, whose installation brings TensorBoard (counted)",
    )
    reasons = tuple(
        f"{_NAMES[f]} without TensorBoard installed: {files[f]['alone']['detail']}"
        for f in _NAMES
        if not writes[f]
    )
    return Finding(combine(parts), _meaning(installs, parts), effect, parts, reasons)


def _built_in(install: Mapping[str, Any]) -> Part:
    title = "Installing TensorFlow installs TensorBoard"
    return Part(title, "SUPPORTED" if install["brings"] else "REFUTED", _tell(install))


def _external(install: Mapping[str, Any]) -> Part:
    title = "Installing PyTorch does not"
    return Part(title, "REFUTED" if install["brings"] else "SUPPORTED", _tell(install))


def _tell(install: Mapping[str, Any]) -> str:
    has = "is" if install["brings"] else "is not"
    return (
        f"of the {len(install['closure'])} packages that {install['package']} {install['version']} "
        f"requires, directly or not, TensorBoard {has} one"
    )


def _only_one(files: Mapping[str, Mapping[str, Any]]) -> Part:
    title = "TensorBoard shows what TensorFlow writes, not what PyTorch writes"
    readable = {f: files[f]["beside"]["readable"] for f in _NAMES}
    if None in readable.values():
        return Part(title, "NOT TESTED", "TensorBoard is not installed: nothing can read the files")
    told = ", ".join(
        f"{name}: {'read back' if readable[f] else 'not readable'} ({files[f]['beside']['detail']})"
        for f, name in _NAMES.items()
    )
    if readable["tensorflow"] and not readable["pytorch"]:
        return Part(title, "SUPPORTED", told)
    return Part(title, "REFUTED" if readable["pytorch"] else "INCONCLUSIVE", told)


def _meaning(installs: Mapping[str, Mapping[str, Any]], parts: tuple[Part, ...]) -> str:
    if parts[2].verdict != "REFUTED":
        return "Try TensorBoard with your framework before you plan with it."
    if not any(install["brings"] for install in installs.values()):
        return (
            "TensorBoard is a package of its own for both today: `pip install tensorboard`, and "
            "either framework writes what it shows."
        )
    return "Either framework writes what TensorBoard shows; with PyTorch, install it yourself."


CLAIM = Claim(
    number=9,
    slug="tensorboard",
    claim="TensorBoard is part of TensorFlow and an external library for PyTorch.",
    measurable=(
        "The requirements that the installed packages declare are followed to their end, without "
        "extras. Each framework's own writer writes scalars, once with TensorBoard importable and "
        "once without, each in a process of its own; the files are read by TensorBoard's own "
        "reader."
    ),
    rule=(
        "Part 1: SUPPORTED if TensorBoard is among what TensorFlow requires, else REFUTED. Part "
        "2: SUPPORTED if it is not among what PyTorch requires, else REFUTED. Part 3: REFUTED if "
        "TensorBoard's reader gives back the values that PyTorch wrote, SUPPORTED if only those "
        f"of TensorFlow. {COMBINED}"
    ),
    needs=("tensorboard",),
    decide=_decide,
)
