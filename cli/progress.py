"""Progress on stderr: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from shipworthy.serve.steps import Event

_MARKS = {
    "started": ("…", "dim"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("-", "yellow"),
}


def show_progress(events: Iterable[Event], console: Console) -> None:
    """Run through the events and show each as it happens.

    Parameters
    ----------
    console : a console on stderr.
    """
    started = time.monotonic()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        running: dict[str, TaskID] = {}
        for event in events:
            if event.state == "started":
                running[event.step] = progress.add_task(event.step)
            elif event.step in running:
                progress.remove_task(running.pop(event.step))
            if event.state != "started" or not console.is_terminal:
                console.print(_line(event, time.monotonic() - started), soft_wrap=True)


def _line(event: Event, seconds: float) -> Text:
    mark, style = _MARKS[event.state]
    line = Text(f"{seconds:6.1f} s ", style="dim")
    line.append(f"{mark} ", style=style)
    line.append(event.step)
    if event.state == "skipped":
        line.append(f"  not tried: {event.detail} failed", style="dim")
    elif event.detail is not None:
        line.append(f"  {event.detail}", style="red" if event.state == "failed" else "dim")
    return line
