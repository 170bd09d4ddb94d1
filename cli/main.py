"""``shipworthy``: the command line. Subcommands are imported when they are called."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from types import FrameType

import click

from shipworthy.convert.guard import SIGNALS
from shipworthy.convert.process import StoppedError, stop_all
from shipworthy.models.errors import ShipworthyError

_COMMANDS = (
    "export",
    "list",
    "routes",
    "hop",
    "validate",
    "bench",
    "python",
    "report",
    "compare",
    "claims",
    "explain",
    "doctor",
)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the subcommands in the order people need them."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one subcommand."""
        del ctx
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"shipworthy.cli.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the subcommands there are when one is unknown."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as e:
            raise click.UsageError(f"{e.message} There are: {', '.join(_COMMANDS)}.", ctx) from e


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shipworthy")
def cli() -> None:
    """Tell whether a trained model is worthy to ship, where, and how fast.

    Exports it to ONNX, SavedModel, TorchScript and TFLite, proves each export inside the
    Python-free process that ships it, and times it there.

    Exit codes: 0 passed, 1 something failed, 2 wrong usage; 129, 130 and 143 interrupted by
    SIGHUP, Ctrl-C and SIGTERM.
    """


class _Interruption:
    """Stops every child at the first signal, then leaves through every ``finally``."""

    def __init__(self) -> None:
        self.number = 0

    def listen(self) -> None:
        for number in SIGNALS:
            # What nohup or a shell's & had ignored stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        del frame
        # A second one would only break into the cleaning up.
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        self.number = number
        stop_all()
        raise KeyboardInterrupt


def main() -> None:
    """Run the command line; Ctrl-C, SIGTERM and SIGHUP stop every child."""
    interruption = _Interruption()
    try:
        interruption.listen()
        code = _call()
    except KeyboardInterrupt:
        code = 1
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else 1
    if interruption.number:
        _tell("interrupted; what was finished is kept, run it again to go on")
        code = 128 + interruption.number
    sys.exit(code)


def _call() -> int:
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        return 1
    except click.ClickException as e:
        e.show()
        return e.exit_code
    except ShipworthyError as e:
        _tell(f"error: {e}")
        return e.exit_code
    except StoppedError:
        return 1
    except BrokenPipeError:
        # Whoever read the output has gone; that is theirs to judge.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as e:
        _tell(f"error: {f'{e.strerror}: {e.filename}' if e.strerror else e}")
        return 1
    return code if isinstance(code, int) else 0


def _tell(line: str) -> None:
    # After a hangup there is no terminal to tell it to.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)
