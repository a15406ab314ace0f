"""`chainrule predict`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--top", default=3, show_default=True, help="How many classes to name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.pass_context
def predict_command(
    context: click.Context, run: Path, images: tuple[str, ...], top: int, as_json: bool
) -> None:
    """Say what each IMAGE shows, in the opinion of RUN.

    A folder stands for the images in it. Exit code 1 if some images could not be read, 2 if
    none could.
    """
    from chainrule.training import predict

    predictions = predict(run, images, top=top, strict=False)
    failed = [p for p in predictions if p.error is not None]
    if as_json:
        answer = {"predictions": [p.as_dict() for p in predictions], "failed": len(failed)}
        click.echo(json.dumps(answer))
    else:
        width = max((len(p.image) for p in predictions), default=0)
        for p in predictions:
            if p.error is None:
                ranks = "   ".join(f"{name} {probability:.1%}" for name, probability in p.top)
                click.echo(f"{p.image:<{width}}   {ranks}")
    for p in failed:
        click.echo(f"chainrule: error: {p.error}", err=True)
    if failed:
        if len(predictions) > 1:
            click.echo(f"chainrule: {len(failed)} of {len(predictions)} images failed", err=True)
        context.exit(2 if len(failed) == len(predictions) else 1)
