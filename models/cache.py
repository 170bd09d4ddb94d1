"""Where what can be made again is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import platformdirs

_ROOT = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """Return ``build/`` in a checkout, the user's cache folder elsewhere."""
    if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "requirements.lock").is_file():
        return _ROOT / "build"
    return Path(platformdirs.user_cache_path("shipworthy"))


def hash_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def hash_path(path: Path) -> str:
    """Return the SHA-256 of a file, as ``sha256sum`` tells it, or of a folder.

    A folder's is the SHA-256 over its files, sorted by path: of each the relative path, a zero
    byte, and the file's own SHA-256 in binary. Empty folders do not count.

    Raises
    ------
    FileNotFoundError : there is no file.
    """
    if path.is_file():
        return _digest(path).hex()
    files = sorted(p for p in path.rglob("*") if p.is_file())
    if not files:
        raise FileNotFoundError(f"{path} holds no file")
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(_digest(file))
    return digest.hexdigest()


def _digest(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def hash_sources(folders: Iterable[Path]) -> str:
    """Return the SHA-256 of all Python files below the folders."""
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    return hash_json([[file.name, hash_path(file)] for file in files])
