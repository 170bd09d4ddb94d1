"""``shipworthy``: the command line. Subcommands are imported when they are called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

import click

from shipworthy.convert.process import stop_all
from shipworthy.models.errors import ShipworthyError

_COMMANDS = ("export", "list", "routes", "hop", "validate", "bench", "report", "doctor")


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

    Exit codes: 0 passed, 1 something failed, 2 wrong usage.
    """


def main() -> None:
    """Run the command line; Ctrl-C and SIGTERM stop every child."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        stop_all()
        print("interrupted; what was finished is kept, run it again to go on", file=sys.stderr)
        code = 130
    except click.ClickException as e:
        e.show()
        code = e.exit_code
    except ShipworthyError as e:
        print(f"error: {e}", file=sys.stderr)
        code = e.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone; that is theirs to judge.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as e:
        print(f"error: {e.strerror}: {e.filename}", file=sys.stderr)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
