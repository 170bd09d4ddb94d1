"""What a training says while it runs: progress on stderr, scalars in event files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipworthy.models.events import EventFile

if TYPE_CHECKING:
    from rich.progress import Progress

_PLAIN_LINES = 5  # a log gets that many lines a training, a terminal a bar


@dataclass
class Journal:
    """Takes one report an epoch; made by `open_journal`."""

    title: str
    epochs: int
    tags: tuple[str, ...]
    _events: EventFile
    _bar: Progress | None
    _task: Any = None

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Record an epoch.

        Parameters
        ----------
        number : counts from 1.
        values : a value for each of `tags`.

        Raises
        ------
        ValueError : other tags.
        """
        if set(values) != set(self.tags):
            raise ValueError(f"an epoch has the values {sorted(self.tags)}, got {sorted(values)}")
        self._events.scalars(number, {tag: float(values[tag]) for tag in self.tags})
        told = dict.fromkeys((self.tags[0], self.tags[-1]))
        detail = "  ".join(f"{tag} {values[tag]:.4g}" for tag in told)
        if self._bar is not None:
            self._bar.update(self._task, completed=number, detail=detail)
        elif number % max(1, self.epochs // _PLAIN_LINES) == 0 or number == self.epochs:
            line = f"{self.title}: epoch {number}/{self.epochs}  {detail}"
            print(line, file=sys.stderr, flush=True)


@contextmanager
def open_journal(title: str, epochs: int, folder: Path, tags: tuple[str, ...]) -> Iterator[Journal]:
    """Open a training's journal: a bar on a terminal, plain lines elsewhere.

    Parameters
    ----------
    title : such as ``"training cnn (pytorch)"``.
    folder : where the event file goes.
    tags : what is recorded every epoch; the first and the last are shown. The same from every
        framework, so that TensorBoard overlays their curves.
    """
    with EventFile(folder) as events:
        if not sys.stderr.isatty():
            yield Journal(title, epochs, tags, events, None)
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"), TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=epochs, detail="")
            yield Journal(title, epochs, tags, events, bar, task)
