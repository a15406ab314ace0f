"""`chainrule models`."""

from __future__ import annotations

import json

import click


@click.command("models")
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def models_command(pattern: str, as_json: bool) -> None:
    """List the architectures, or those that PATTERN names: 'resnet*'.

    With the number of weights, the images (channels x height x width) and the classes each is
    built for by default; any can be had for others. "trained": weights inside the package, for
    `chainrule train --weights`.
    """
    from chainrule import models
    from chainrule.errors import ConfigError

    found = [models.entry(name).as_dict() for name in models.list(pattern)]
    if not found:
        raise ConfigError(f"models: no model is called {pattern}; `chainrule models` lists all")
    if as_json:
        click.echo(json.dumps(found))
        return
    rows = [("name", "weights", "input", "classes", "trained", "")]
    for facts in found:
        shape = "x".join(map(str, facts["input"]))
        weights, classes = f"{facts['parameters']:,}", str(facts["num_classes"])
        trained = ",".join(facts["weights"]) or "-"
        rows.append((facts["name"], weights, shape, classes, trained, facts["summary"]))
    name, *others, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for row in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:5], others, strict=True)]
        click.echo("  ".join([f"{row[0]:<{name}}", *cells, row[5]]).rstrip())
