"""``shipworthy claims``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from shipworthy.cli.local import local_executor
from shipworthy.cli.options import Several, json_option, stderr, timeout_option
from shipworthy.cli.progress import show_progress
from shipworthy.convert.launch import LaunchForked
from shipworthy.models.atomic import lock, sweep
from shipworthy.report.claims.ledger import claims, ledger_text, read_ledger, write_ledger
from shipworthy.report.claims.show import make_markdown, print_ledger
from shipworthy.serve.experiments.conduct import conduct, order
from shipworthy.serve.experiments.evidence import FOLDER
from shipworthy.serve.experiments.experiment import MODES, Context
from shipworthy.serve.folder import FolderError

_NUMBERS = tuple(str(claim.number) for claim in claims())


@click.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/claims"),
    show_default=True, help="Folder of the ledger, its evidence and its models.",
)  # fmt: skip
@click.option(
    "--mode", type=click.Choice(MODES), default="normal", show_default=True,
    help="quick takes some ten minutes; normal more models and processes.",
)  # fmt: skip
@click.option("--only", type=Several(_NUMBERS), help="Numbers of the claims; all by default.")
@timeout_option
@json_option
def command(
    out: Path, mode: str, only: tuple[str, ...] | None, timeout: float, as_json: bool
) -> None:
    """Test what people say of PyTorch and TensorFlow, each claim by a rule fixed beforehand.

    Runs the experiments that are not finished and writes the ledger: claims.json, claims.md, and
    evidence/ with what each verdict rests on. Exits 0 only if every claim that can be tested here
    has an answer, whatever it is.
    """
    wanted = [claim for claim in claims() if only is None or str(claim.number) in only]
    needs = dict.fromkeys(name for claim in wanted for name in claim.needs)
    busy = FolderError(f"another run makes the ledger in {out}; wait for it, or use another --out")
    with lock(out / ".lock", busy):
        sweep(out, out / FOLDER)
        with local_executor() as executor, LaunchForked() as launch:
            context = Context(out, mode, executor, launch, timeout)
            show_progress(conduct(context, order(needs)), stderr())
        ledger = read_ledger(out)
        paths = write_ledger(out, ledger, make_markdown(ledger))
    shown = [entry for entry in ledger if entry.claim in wanted]
    if as_json:
        click.echo(ledger_text(shown))
    else:
        print_ledger(shown, Console(highlight=False))
        for path in paths:
            print(path, file=sys.stderr)
    if not all(entry.answered for entry in shown):
        sys.exit(1)
