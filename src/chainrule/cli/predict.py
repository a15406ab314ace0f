"""`chainrule predict`."""

from __future__ import annotations

import json

import click


@click.command("predict")
@click.argument("paths", nargs=-1, required=True, metavar="[RUN] IMAGE...")
@click.option(
    "--weights",
    metavar="RUN|FILE|TAG",
    help="What to ask, instead of RUN: also weights that come with chainrule, as mnist.",
)
@click.option("--top", default=3, show_default=True, help="How many classes to name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.pass_context
def predict_command(
    context: click.Context, paths: tuple[str, ...], weights: str | None, top: int, as_json: bool
) -> None:
    """Say what each IMAGE shows, in the opinion of RUN, or of --weights.

    RUN is a run folder or a .safetensors file. A folder of images stands for the images in
    it. Exit code 1 if some images could not be read, 2 if none could.
    """
    source, images = (paths[0], paths[1:]) if weights is None else (weights, paths)
    if not images:
        raise click.UsageError(f"Missing argument 'IMAGE...' after {source}", context)
    from chainrule.training import predict

    predictions = predict(source, images, top=top, strict=False)
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
