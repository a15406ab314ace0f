"""`chainrule info`."""

from __future__ import annotations

import json

import click


@click.command("info")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def info_command(as_json: bool) -> None:
    """Versions, processor, kernels: for a bug report."""
    from chainrule.data.download import cache_folder
    from chainrule.training import describe_environment

    facts = {**describe_environment(), "cache": str(cache_folder())}
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(
                f"{key} {' '.join(item) if isinstance(item, list) else item}"
                for key, item in value.items()
            )
        click.echo(f"{name:<12}{value}")
