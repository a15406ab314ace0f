"""`chainrule summary`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from chainrule.nn import Module

NARROWEST = 80


class _Shape(click.ParamType):
    name = "shape"

    def convert(self, value: str, param: object, context: object) -> tuple[int, ...]:
        """3x224x224 -> numbers."""
        numbers = re.split(r"[x,]", value.strip())
        if len(numbers) != 3 or not all(re.fullmatch(r"[1-9]\d*", n) for n in numbers):
            self.fail(
                f"{value!r} is no shape of an image; write CHANNELSxHEIGHTxWIDTH, such as 3x224x224"
            )
        return tuple(map(int, numbers))


@click.command("summary")
@click.argument("model")
@click.option("--input", "shape", type=_Shape(), metavar="CxHxW",
              help="Shape of an image; default: what the model was made for.")  # fmt: skip
@click.option("--batch", "batch_size", type=click.IntRange(1), default=1, show_default=True,
              help="Images in the batch.")  # fmt: skip
@click.option("--training", is_flag=True, help="Count a training step, not a prediction.")
@click.option("--depth", type=click.IntRange(0), help="Sum up modules below this depth.")
@click.option("--classes", is_flag=True, help="Name the classes of the modules.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Draw where memory, parameters and FLOPs lie: .png, .svg or .pdf.")  # fmt: skip
def summary_command(
    model: str,
    shape: tuple[int, ...] | None,
    batch_size: int,
    training: bool,
    depth: int | None,
    classes: bool,
    as_json: bool,
    plot: Path | None,
) -> None:
    """What MODEL costs, layer by layer: parameters, MACs, FLOPs, memory, receptive field.

    MODEL is the name of a model (resnet20), or of trained weights: a run, a folder, a file, a tag.
    """
    from rich.console import Console

    from chainrule import inspect
    from chainrule.inspect.plot import check_plot
    from chainrule.inspect.table import show

    if plot is not None:
        check_plot(plot)
    built, own_shape = _model(model, shape)
    account = inspect.summary(built, shape or own_shape, batch_size=batch_size, training=training)
    if plot is not None:
        account.plot(plot)
    if depth is not None:
        account = account.by_module(depth)
    if as_json:
        click.echo(json.dumps(account.as_dict()))
        return
    console = Console(highlight=False)
    console.width = max(console.width, NARROWEST) if console.is_terminal else 120
    show(account, console, classes)
    if plot is not None:
        console.print(f"figure   {plot}", markup=False, soft_wrap=True)


def _model(name: str, shape: tuple[int, ...] | None) -> tuple[Module, tuple[int, ...] | None]:
    """The model, and the shape of its images if it says so."""
    from chainrule import models
    from chainrule.models import weights

    if models.list(name):
        if shape is None:
            return models.create(name), None
        channels, height, width = shape
        return models.create(name, None, channels, (height, width)), None
    path = Path(name)
    if not (path.exists() or weights.tagged(name) or path.suffix or path.parent.name):
        models.entry(name)  # complains, and knows the names that are near
    found = weights.read(name)
    built = found.build()
    if found.image_size is None:
        return built, None
    return built, (built.config["in_channels"], *found.image_size)
