"""Notices when a reference is not what its process wrote: every file in it is hashed once."""

from __future__ import annotations

import json
from pathlib import Path

from shipworthy.convert.artifact import write_json
from shipworthy.convert.read_reference import BrokenReferenceError
from shipworthy.models.cache import hash_path

SEAL = "seal.json"


def seal(folder: Path) -> None:
    """Write the hashes of all that lies in a reference's folder into it."""
    write_json(folder / SEAL, _hashes(folder))


def check_seal(folder: Path) -> None:
    """Check that a reference is whole and unchanged.

    Raises
    ------
    BrokenReferenceError : it is not, or was never sealed; the message says what to do.
    """
    try:
        sealed = json.loads((folder / SEAL).read_text())
        found = _hashes(folder)
    except (OSError, ValueError) as e:
        raise BrokenReferenceError(f"{folder} holds no whole reference; export again") from e
    if sealed != found:
        names = sorted({*sealed, *found} if isinstance(sealed, dict) else found)
        changed = [
            n for n in names if not isinstance(sealed, dict) or sealed.get(n) != found.get(n)
        ]
        raise BrokenReferenceError(
            f"{folder}: {', '.join(changed)} changed since the original was run; export again"
        )


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hash_path(path) for path in sorted(folder.iterdir()) if path.name != SEAL}
