"""Where one model's exports live, and which route's artifact stands in a cell."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from shipworthy.convert.artifact import FAILURE, MANIFEST

ROUTES = "routes"  # beside a framework's cells: what other routes made


@dataclass(frozen=True)
class Place:
    """Where one model's exports live.

    Parameters
    ----------
    out : the model's folder.
    """

    out: Path

    def cell(self, framework: str, format_: str) -> Path:
        """Folder of one cell: the best that any route made."""
        return self.out / framework / format_

    def reference(self, framework: str) -> Path:
        """Folder of a framework's reference."""
        return self.out / framework / "reference"

    def log(self, framework: str, step: str) -> Path:
        """Log of one process."""
        return self.out / "logs" / f"{framework}.{step}.log"

    def log_of(self, route: str) -> Path:
        """Log of a route's last hop."""
        return self.log(*_split(route))

    def hop(self, route: str) -> Path:
        """Folder of what `shipworthy hop` makes again: never a cell."""
        framework, steps = _split(route)
        return self.out / "hops" / f"{framework}-{steps}"

    def find(self, route: str) -> Path:
        """Folder of what a route makes: its cell where that is free or the route's, else aside."""
        framework, steps = _split(route)
        cell = self.cell(framework, route.rpartition(">")[2])
        aside = self.out / framework / ROUTES / steps
        held = occupant(cell)
        if held == route:
            return cell
        return cell if held is None and not aside.exists() else aside

    def attempts(self, framework: str, format_: str) -> list[Path]:
        """Folders of what other routes to a cell made, or of why they made nothing."""
        folder = self.out / framework / ROUTES
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        return [path for path in found if (occupant(path) or "").rpartition(">")[2] == format_]

    def settle(self, route: str) -> None:
        """Put what a route made into its cell; what was there goes aside."""
        framework, _ = _split(route)
        cell = self.cell(framework, route.rpartition(">")[2])
        held = occupant(cell)
        if held == route:
            return
        winner = self.find(route)
        if held is not None:
            aside = self.out / framework / ROUTES / _split(held)[1]
            shutil.rmtree(aside, ignore_errors=True)
            aside.parent.mkdir(exist_ok=True)
            cell.rename(aside)
        elif cell.exists():
            shutil.rmtree(cell)
        winner.rename(cell)


def occupant(folder: Path) -> str | None:
    """Return the route whose artifact, or failure, is in a folder."""
    for name in (MANIFEST, FAILURE):
        try:
            return str(json.loads((folder / name).read_text())["route"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _split(route: str) -> tuple[str, str]:
    framework, _, steps = route.partition(">")
    return framework, steps.replace(">", "-")
