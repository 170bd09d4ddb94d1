"""``shipworthy list``."""

from __future__ import annotations

import json

import click

from shipworthy.models import zoo
from shipworthy.models.spec import Model, Source


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the models that can be exported by name."""
    models = [zoo.get(name) for name in zoo.names()]
    if as_json:
        rows = [
            {
                "name": model.name,
                "about": model.about,
                "untrained": model.untrained,
                "frameworks": {
                    framework: {
                        "trained": zoo.is_trained(source),
                        "signature": source.signature.to_json(),
                    }
                    for framework, source in model.sources.items()
                },
            }
            for model in models
        ]
        click.echo(json.dumps({"models": rows}, indent=1))
        return
    for model in models:
        states = [
            f"{framework} ({_state(model, source)})" for framework, source in model.sources.items()
        ]
        click.echo(f"{model.name:12} {model.about}\n{'':12} {', '.join(states)}")


def _state(model: Model, source: Source) -> str:
    if model.untrained:
        return "untrained"
    return "trained" if zoo.is_trained(source) else "not trained yet"
