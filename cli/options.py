"""Options that several subcommands share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from shipworthy.serve.modes import MODES


class Finite(click.FloatRange):
    """A range of numbers without NaN and infinity, which click's own lets through."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Refuse what is no finite number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return number


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True,
    help="Threads of the runtime, when judged and when timed.",
)  # fmt: skip
timeout_option = click.option(
    "--timeout", type=Finite(1), default=600.0, show_default=True,
    help="Seconds that one process may take.",
)  # fmt: skip
mode_option = click.option(
    "--mode", type=click.Choice(MODES), default="normal", show_default=True,
    help="How thoroughly it is timed: seconds, enough for a p99, or MLPerf Inference's minima "
    "(600 s a cell).",
)  # fmt: skip
folder_argument = click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)


class Several(click.ParamType[tuple[str, ...]]):
    """A comma-separated list out of a fixed set."""

    name = "list"

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show what is allowed."""
        del param, ctx
        return ",".join(self.allowed)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split, check, and bring into the fixed order."""
        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in value.split(",") if name.strip()]
        unknown = [name for name in names if name not in self.allowed]
        if unknown or not names:
            told = ", ".join(repr(name) for name in unknown) or "nothing"
            self.fail(f"{told} given; allowed: {', '.join(self.allowed)}", param, ctx)
        return tuple(name for name in self.allowed if name in names)


def several_option(flag: str, allowed: Sequence[str], help_: str) -> Callable[[Any], Any]:
    """Return an option that takes a comma-separated list."""
    return click.option(flag, f"{flag.strip('-')}s", type=Several(allowed), help=help_)


def stderr() -> Console:
    """Return the console for progress."""
    return Console(stderr=True, highlight=False)
