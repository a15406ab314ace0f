"""The whole job: data, model, training, test, and the folder that holds it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chainrule import data as datasets
from chainrule import models
from chainrule.data.named import find_named
from chainrule.errors import CheckpointError, ConfigError
from chainrule.random import manual_seed
from chainrule.training.assembly import build_model, check_model
from chainrule.training.checkpoint import LAST, load_checkpoint
from chainrule.training.config import (
    TrainConfig,
    check,
    check_for_model,
    memorizes,
    read_settings,
    recipe,
    resolve,
    to_dict,
)
from chainrule.training.display import Display, choose_display
from chainrule.training.finetune import (
    Start,
    build_from,
    check_unfreezing,
    image_settings,
    lasting,
    open_start,
)
from chainrule.training.fitting import FirstModel, Fitting
from chainrule.training.memorizing import Memorizing, normalization
from chainrule.training.run import Run, check_out, create_run


def train(
    data: str | Path | None = None,
    *,
    config: str | Path | None = None,
    resume: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | Display = True,
    **settings: Any,
) -> Run:
    """Train a classifier and test it once; everything is kept in a run folder.

        run = train("digits")
        run = train("path/to/images", model="resnet20", epochs=20, lr=0.05)
        run = train("path/to/images", weights="runs/before", freeze="backbone")

    data: a data set (digits, mnist, fashion-mnist, cifar10, cifar100), or the path of a folder
    or zip of class folders. settings: fields of `TrainConfig`; what is not set comes from the
    TOML file ``config``, else from a recipe for the data and the model.
    resume: a run that was stopped, to be continued as if it had not been.
    overwrite: replace the run in the folder ``out``.
    progress: show it, on a terminal or in a notebook; or a `Display` of your own.

    Raises ConfigError, DataError, CheckpointError (cannot be written), DivergenceError (the
    loss became NaN; the last good checkpoint is kept). Ctrl-C raises KeyboardInterrupt when
    the state is saved.
    """
    display = choose_display(progress)
    settings = {name: _plain(value) for name, value in settings.items()}
    if resume is not None:
        return _resume(Run(resume), data, config, settings, display)
    given = {**(read_settings(config) if config else {}), **settings}
    if data is not None:
        given["data"] = data if isinstance(data, str) else str(Path(data).resolve())
    check(given, "train")
    if "data" not in given:
        raise ConfigError("train: no data was named; give a data set, a folder or a zip")
    if "model" in given:
        given["model"] = models.entry(given["model"]).name
    if "out" in given:  # before the data are read, which may take long
        check_out(Path(given["out"]), overwrite)
    start = open_start(given)
    with display:
        splits, resolved = _prepare(given, display, start)
        model = _first_model(resolved, splits, start)
        run = create_run(resolved, splits.name, overwrite=overwrite)
        job = Memorizing if memorizes(resolved.model) else Fitting
        return job(run, resolved, splits, display, model).go()


def _plain(value: Any) -> Any:
    """A setting as a file holds it: a path as text, several names with commas between."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, Path) else value


def _resume(
    run: Run,
    data: str | Path | None,
    config: str | Path | None,
    settings: Mapping[str, Any],
    display: Display,
) -> Run:
    """Continue with the settings the run has; only the number of threads may differ."""
    others = [name for name in settings if name != "threads"]
    others += ["data"] * (data is not None) + ["config"] * (config is not None)
    if others:
        raise ConfigError(
            f"--resume: a run keeps its own settings, {others[0]} cannot be given; "
            f"to change it start a new run with --config {run.path / 'config.toml'}"
        )
    resolved = replace(run.config, **settings)
    if not (run.path / LAST).is_file():
        raise CheckpointError(f"--resume: {run.path} has no {LAST}; start the run again")
    saved = load_checkpoint(run.path / LAST)
    if saved.state is None:
        raise CheckpointError(f"--resume: {saved.path} cannot be resumed; start the run again")
    if run.summary.get("status") == "finished":
        raise ConfigError(f"--resume: {run.path} is finished already, nothing is left to do")
    given = {**to_dict(resolved), "image_size": saved.image_size, "channels": saved.channels}
    with display:
        splits, again = _prepare(given, display)
        if splits.classes != saved.classes or len(splits.train) != run.summary.get("train_images"):
            raise CheckpointError(
                f"--resume: {resolved.data} has changed since the run began; start a new run"
            )
        model = FirstModel(saved.model, saved.mean, saved.std, run.summary.get("weights"))
        job = Fitting(run, again, splits, display, model)
        job.load(saved)
        return job.go()


def _prepare(
    given: Mapping[str, Any], display: Display, start: Start | None = None
) -> tuple[datasets.Splits, TrainConfig]:
    """Load the data, and settle what the settings leave open."""
    if start is not None:
        given = image_settings(start, given)
    elif "model" in given:
        check_model(given["model"])
        check_for_model(given, given["model"])  # before the data are read
    splits = _load(given, display)
    model = start.model if start else given.get("model") or _suitable_model(splits)
    check_for_model(given, model)
    name = splits.name if find_named(given["data"]) else "*"
    known = recipe(name, model)
    if "image_size" in known and "image_size" not in given:
        splits = _load({**given, "image_size": known["image_size"]}, display)
    height, width, channels = splits.train.image_shape
    config = resolve(
        given,
        name=name,
        model=model,
        images=len(splits.train),
        image_size=height if height == width else None,
        channels=channels,
    )
    data_dir = (
        None if config.data_dir is None else str(Path(config.data_dir).expanduser().resolve())
    )
    check_unfreezing(config)
    weights = None if config.weights is None else lasting(config.weights)
    return splits, replace(config, data=_lasting(config.data), data_dir=data_dir, weights=weights)


def _load(given: Mapping[str, Any], display: Display) -> datasets.Splits:
    names = ("data_dir", "image_size", "channels", "val_fraction", "seed", "strict")
    options = {name: given[name] for name in names if given.get(name) is not None}
    return datasets.load(given["data"], progress=display.on_data, **options)


def _suitable_model(splits: datasets.Splits) -> str:
    """LeNet-5 for small grey images such as digits, ResNet-20 for all others."""
    height, width, channels = splits.train.image_shape
    return "lenet5" if channels == 1 and max(height, width) <= 32 else "resnet20"


def _lasting(data: str) -> str:
    """A path that holds from any working directory; the name of a data set stays a name."""
    return data if find_named(data) else str(Path(data).expanduser().resolve())


def _first_model(config: TrainConfig, splits: datasets.Splits, start: Start | None) -> FirstModel:
    """Freshly initialised, or from weights."""
    manual_seed(config.seed)
    if start is None:
        height, width, _ = splits.train.image_shape
        model = build_model(config, len(splits.classes), (height, width))
        if memorizes(config.model):
            return FirstModel(model, *normalization(splits))
        return FirstModel(model, *splits.train.mean_std())
    model, facts = build_from(start, splits.classes, config)
    if not start.checkpoint.mean:  # a file that holds weights only
        return FirstModel(model, *splits.train.mean_std(), facts)
    return FirstModel(model, start.checkpoint.mean, start.checkpoint.std, facts)
