"""``shipworthy compare``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from shipworthy.cli.options import Finite, json_option
from shipworthy.report.compared import make_comparison_markdown, print_comparison
from shipworthy.report.comparing import compare, to_json
from shipworthy.report.zoo import read_any


@click.command()
@click.argument("first", metavar="A", type=click.Path(exists=True, path_type=Path))
@click.argument("second", metavar="B", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--fail-if-slower", "percent", type=Finite(0), metavar="PERCENT",
    help="Exit 1 if a cell that passed in A does not in B, or is missing there, or is slower by "
    "more than this: even the lower end of its ratio's interval is beyond it.",
)  # fmt: skip
@click.option("--markdown", is_flag=True, help="Print Markdown on stdout.")
@json_option
def command(
    first: Path, second: Path, percent: float | None, markdown: bool, as_json: bool
) -> None:
    """Compare two runs or two machines: A with B, cell by cell.

    A and B are models' folders, folders that hold models' folders, or report.json files.
    Differences of the environments come first. A ratio is B's median latency over A's, with a
    bootstrap interval over fresh processes; what it cannot tell apart is inconclusive.

    Exits 0, or 1 as --fail-if-slower says.
    """
    if markdown and as_json:
        raise click.UsageError("--markdown and --json both want stdout; give one of them")
    found = compare(read_any(first), read_any(second))
    if as_json:
        click.echo(json.dumps(to_json(found, percent), indent=1, allow_nan=False))
    elif markdown:
        click.echo(make_comparison_markdown(found, percent), nl=False)
    else:
        print_comparison(found, percent, Console(highlight=False))
    if found.failures(percent):
        sys.exit(1)
