"""`chainrule train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

EXAMPLES = """\b
Examples:
  chainrule train digits                          no data needed: they come with chainrule
  chainrule train path/to/images                  a folder with one folder for each class
  chainrule train images.zip --model resnet20 --epochs 20
  chainrule train mnist --data-dir path/to/files  official files, no network
  chainrule train cifar10 --model knn --k 10      the nearest images vote; see chainrule cv
  chainrule train photos/ --weights runs/RUN      begin with the weights of another run
  chainrule train --config runs/RUN/config.toml   repeat a run
  chainrule train --resume runs/RUN               go on with a run that was stopped
"""


def _setting(name: str, type: type, text: str, metavar: str | None = None) -> Any:
    """An option that overrides one field of TrainConfig; not given means by recipe."""
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, name, type=type, default=None, help=text, metavar=metavar)


@click.command("train", epilog=EXAMPLES)
@click.argument("data", required=False)
@_setting(
    "model",
    str,
    "Architecture, one of those that `chainrule models` lists; by default chosen to suit the "
    "images.",
    "NAME",
)
@_setting("epochs", int, "Passes over the training images.")
@_setting("batch_size", int, "Images per update of the weights.")
@_setting("lr", float, "Highest learning rate of the schedule.")
@_setting(
    "optimizer",
    str,
    "Update rule: sgd, momentum, nesterov, adagrad, rmsprop, adadelta, adam, adamw, nadam, radam, "
    "adamax; momentum and nesterov are sgd in the lectures' form.",
    "RULE",
)
@_setting("momentum", float, "Of sgd, momentum and nesterov.")
@click.option(
    "--nesterov/--no-nesterov", default=None, help="Whether the momentum of sgd looks ahead."
)
@_setting("weight_decay", float, "Pulls the weights towards zero.")
@_setting(
    "schedule",
    str,
    "How the learning rate falls: cosine, step, constant, linear, exponential, polynomial, "
    "onecycle, cosine-restarts, plateau (when the validation loss does not fall).",
    "NAME",
)
@_setting("warmup", float, "Part of training over which the learning rate rises, 0 to 1.")
@_setting("loss", str, "What is minimised.", "[cross_entropy|multi_margin]")
@_setting("label_smoothing", float, "Probability spread over all classes, 0 to 1.")
@_setting("grad_clip", float, "Largest norm of the gradients; 0: any.")
@_setting(
    "augment",
    str,
    "Random changes to training images: auto, none, crop, crop+flip, crop+cutout, "
    "crop+flip+cutout; auto crops, and flips photographs. Cutout hides a square of each image.",
    "[auto|none|...]",
)
@_setting(
    "val_fraction",
    float,
    "Part of the training images held out to validate, where there is no val folder.",
)
@_setting("image_size", int, "Height and width images are brought to, in pixels.")
@_setting("channels", int, "1 grey, 3 colour; by default as the images are.")
@_setting(
    "weights",
    str,
    "Fine-tune: begin with the weights of a run, in a file, or that come with chainrule, as mnist. "
    "For new classes the head is new.",
    "RUN|FILE|TAG",
)
@_setting(
    "freeze",
    str,
    "What is not learnt: backbone (all but the head), the first N stages, or names of layers "
    "with commas between, such as 'conv1,layer1*'.",
    "[backbone|N|NAMES]",
)
@_setting("unfreeze_after", int, "Learn what is frozen too, once so many epochs are over.")
@_setting("layer_decay", float, "Rate of each stage, relative to that of the stage after it.")
@_setting("head_lr_factor", float, "Rate of the head, relative to --lr.")
@_setting("k", int, "Of knn: how many neighbours vote.")
@_setting("metric", str, "Of knn: the distance of two images.", "[l2|l1|cosine]")
@_setting("votes", str, "Of knn: one vote each, or 1 / distance.", "[uniform|distance]")
@_setting("seed", int, "The same seed gives the same weights, bit for bit.")
@_setting("threads", int, "0: all that this process may use.")
@click.option(
    "--strict",
    is_flag=True,
    default=None,
    help="Stop at the first unreadable image instead of leaving it out.",
)
@_setting("data_dir", str, "Where the official files of a named data set lie.", "DIR")
@_setting("out", str, "Run folder; by default runs/DATA-MODEL-TIME.", "DIR")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Settings in TOML, named as these options; options given here win.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with a run that was stopped, to the bits of one that was not.",
)
@click.option("--overwrite", is_flag=True, help="Replace a run that is in the folder --out.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def train_command(
    context: click.Context,
    data: str | None,
    config: Path | None,
    resume: Path | None,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a classifier on DATA and test it.

    DATA is digits, mnist, fashion-mnist, cifar10 or cifar100, or the path of a folder or .zip
    with one folder of images for each class, or with train/ and test/ (or val/) above them.
    """
    if data is None and config is None and resume is None:
        click.echo(context.get_help())
        context.exit(2)
    from chainrule.training import train

    settings = {name: value for name, value in options.items() if value is not None}
    train(data, config=config, resume=resume, overwrite=overwrite, progress=not quiet, **settings)
