"""The argument MODEL and the options that say what it is; shared by export and hop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from shipworthy.cli.options import stderr
from shipworthy.convert.identify import identify
from shipworthy.convert.launch import Launch
from shipworthy.models import zoo
from shipworthy.models.given import Given, looks_like_a_path, parse
from shipworthy.models.subject import Subject, origin_of
from shipworthy.serve.folder import check_owner

_OPTIONS = (
    click.option("--weights", metavar="FILE",
                 help="Weights for file.py:NAME: .safetensors, .pt/.pth state dict, .weights.h5."),
    click.option("--inputs", metavar="FILE.npz",
                 help="Real inputs; keys are input names, or CASE/INPUT for several cases."),
    click.option("--input", "specs", multiple=True, metavar="NAME:DTYPE:AXES[:LOW..HIGH]",
                 help="Declare an input, as in ids:int64:batch,seq:0..30521."),
    click.option("--dynamic", metavar="NAME:AXIS=AXISNAME,...",
                 help="Dynamic axes, as in x:0=batch,x:1=seq; axis 0 is tried as the batch."),
    click.option("--signature", metavar="KEY", help="Which signature of a SavedModel folder."),
    click.option("--trust", is_flag=True,
                 help="Run code that is stored in the model's own file, where it needs that."),
)  # fmt: skip


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command; they arrive as keyword arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_given(model: str, options: dict[str, Any]) -> Given | None:
    """Return what was given; None for a name of the zoo.

    Raises
    ------
    shipworthy.models.errors.WrongUsageError : neither is there.
    """
    if model in zoo.names() or not looks_like_a_path(model):
        zoo.get(model)
        said = [name for name, value in options.items() if value]
        if said:
            flags = ", ".join("--input" if name == "specs" else f"--{name}" for name in said)
            raise click.UsageError(
                f"{flags} goes with a model of your own; {model!r} is one of the zoo"
            )
        return None
    return parse(model, **options)


def default_out(model: str, given: Given | None) -> Path:
    """Return the model's folder where no other was asked for."""
    return Path("out") / (given.title if given else model)


def find_subject(
    model: str, given: Given | None, out: Path, launch: Launch, timeout: float
) -> Subject:
    """Return the model; one of the user's own is looked at in a process of its own first.

    Raises
    ------
    shipworthy.serve.folder.FolderError : the folder is another model's.
    """
    check_owner(out, given.title if given else model, origin_of(given))
    if given is None:
        return Subject(model)
    console = stderr()
    told = f"looking at {given.path}{':' + given.name if given.name else ''}"
    if console.is_terminal:
        with console.status(escape(told)):
            return identify(given, out, launch, timeout)
    click.echo(told, err=True)
    return identify(given, out, launch, timeout)
