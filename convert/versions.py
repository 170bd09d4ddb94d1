"""Versions of what shapes an artifact, without importing it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import metadata

# TensorFlow is one library under two distribution names.
_ALSO = {"tensorflow": ("tensorflow-cpu",)}


@cache
def version_of(package: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    for name in (package, *_ALSO.get(package, ())):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed versions; a package that is missing is told as ``"missing"``."""
    return {package: version_of(package) or "missing" for package in packages}
