"""``shipworthy doctor``."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from typing import Any

import click
from packaging.requirements import Requirement

from shipworthy.convert.routes import hops
from shipworthy.convert.versions import version_of
from shipworthy.models.cache import cache_dir
from shipworthy.models.errors import ShipworthyError
from shipworthy.serve.build import RUNTIMES
from shipworthy.serve.machine import describe_machine
from shipworthy.serve.runners import find, is_built
from shipworthy.serve.toolchain import BuildError, find_compiler


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show what is installed, which runners are built, and how to get what is missing.

    Changes nothing. Exits 0 only if nothing is missing.
    """
    packages = {name: version_of(name) for name in _packages()}
    runners = {runtime: _runner(runtime) for runtime in RUNTIMES}
    try:
        compiler = " ".join(find_compiler())
    except BuildError as e:
        compiler, problem = None, str(e)
    missing = [f"{name}: pip install {name}" for name, version in packages.items() if not version]
    missing += [f"runner {name}: {r['reason']}" for name, r in runners.items() if r["reason"]]
    if compiler is None:
        missing.append(f"C++ compiler: {problem}")
    found = {
        "packages": packages,
        "runners": runners,
        "compiler": compiler,
        "cache": str(cache_dir()),
        "machine": describe_machine(),
        "missing": missing,
    }
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _show(found)
    sys.exit(1 if missing else 0)


def _packages() -> list[str]:
    """Return the names of what shipworthy needs here, by its own metadata and that of the hops."""
    needed = {p for hop in hops().values() for p in hop.packages}
    for line in metadata.requires("shipworthy") or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed.add(requirement.name)
    return sorted(needed - {"tensorflow-cpu"}, key=str.lower)


def _runner(runtime: str) -> dict[str, Any]:
    try:
        if not is_built(runtime):
            reason = "not built; `make setup` builds it, or else its first use"
            return {"version": None, "path": None, "reason": reason}
        runner = find(runtime)
    except ShipworthyError as e:
        return {"version": None, "path": None, "reason": str(e)}
    return {"version": runner.version, "path": str(runner.path), "reason": None}


def _show(found: dict[str, Any]) -> None:
    click.echo("packages")
    for name, version in found["packages"].items():
        click.echo(f"  {name:16} {version or 'MISSING'}")
    click.echo("runners")
    for name, runner in found["runners"].items():
        click.echo(f"  {name:16} {runner['version'] or 'MISSING'}")
    click.echo(f"C++ compiler       {found['compiler'] or 'MISSING'}")
    click.echo(f"cache              {found['cache']}")
    click.echo("machine")
    for name, value in found["machine"].items():
        click.echo(f"  {name:16} {value}")
    click.echo()
    for line in found["missing"] or ["nothing is missing"]:
        click.echo(line)
