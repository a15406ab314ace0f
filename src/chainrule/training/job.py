"""The whole job: data, model, training, test, and the folder that holds it all."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from chainrule import data as datasets
from chainrule import threads
from chainrule.data.named import find_named
from chainrule.errors import CheckpointError, ConfigError, DivergenceError
from chainrule.nn.module import Module
from chainrule.random import manual_seed
from chainrule.training.assembly import (
    build_loss,
    build_model,
    build_optimizer,
    build_transform,
    check_model,
)
from chainrule.training.checkpoint import LAST, Checkpoint, load_checkpoint
from chainrule.training.config import TrainConfig, check, read_settings, recipe, resolve, to_dict
from chainrule.training.display import Display, choose_display
from chainrule.training.environment import describe_environment
from chainrule.training.evaluation import Report, evaluate_dataset
from chainrule.training.finetune import (
    Start,
    build_from,
    check_unfreezing,
    image_settings,
    lasting,
    open_start,
)
from chainrule.training.interrupt import CleanInterrupt
from chainrule.training.loop import Trainer
from chainrule.training.run import (
    ENVIRONMENT,
    SAMPLES,
    SUMMARY,
    Recorder,
    Run,
    check_out,
    create_run,
)
from chainrule.training.schedule import build_plateau, build_schedule
from chainrule.training.stages import Frozen, frozen_names

SAMPLE_IMAGES = 10


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
    if "out" in given:  # before the data are read, which may take long
        check_out(Path(given["out"]), overwrite)
    start = open_start(given)
    with display:
        splits, resolved = _prepare(given, display, start)
        model = _first_model(resolved, splits, start)
        run = create_run(resolved, splits.name, overwrite=overwrite)
        job = _Job(run, resolved, splits, display, model)
        return job.go()


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
        model = _FirstModel(saved.model, saved.mean, saved.std, run.summary.get("weights"))
        job = _Job(run, again, splits, display, model)
        job.load(saved)
        return job.go()


def _prepare(
    given: Mapping[str, Any], display: Display, start: Start | None = None
) -> tuple[datasets.Splits, TrainConfig]:
    """Load the data, and settle what the settings leave open."""
    if start is not None:
        given = image_settings(start, given)
    elif "model" in given:
        check_model(given["model"])  # an unknown name shows before the data are read
    splits = _load(given, display)
    model = start.model if start else given.get("model") or _suitable_model(splits)
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


@dataclass
class _FirstModel:
    """A model before its first step, and how images are normalised for it.

    weights: what is said of weights that it begins with, by `chainrule.training.finetune`.
    """

    model: Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: dict[str, Any] | None = None


def _first_model(config: TrainConfig, splits: datasets.Splits, start: Start | None) -> _FirstModel:
    """Freshly initialised, or from weights."""
    manual_seed(config.seed)
    if start is None:
        height, width, _ = splits.train.image_shape
        model = build_model(config, len(splits.classes), (height, width))
        return _FirstModel(model, *splits.train.mean_std())
    model, facts = build_from(start, splits.classes, config)
    if not start.checkpoint.mean:  # a file that holds weights only
        return _FirstModel(model, *splits.train.mean_std(), facts)
    return _FirstModel(model, start.checkpoint.mean, start.checkpoint.std, facts)


class _Job:
    """One run in progress."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        splits: datasets.Splits,
        display: Display,
        first: _FirstModel,
    ) -> None:
        self.run, self.config, self.splits, self.display = run, config, splits, display
        height, width, channels = splits.train.image_shape
        size = (height, width)
        model, mean, std = first.model, first.mean, first.std
        self.weights = first.weights
        self.checkpoint = Checkpoint(
            model,
            splits.classes,
            mean,
            std,
            size,
            channels,
            held_out="val" if splits.test is None else "test",
            config=to_dict(config),
        )
        self.train_batches = datasets.DataLoader(
            splits.train,
            config.batch_size,
            shuffle=True,
            transform=build_transform(config, size, mean, std, training=True),
            seed=config.seed,
        )
        self.val_batches = datasets.DataLoader(
            splits.val,
            config.batch_size,
            transform=build_transform(config, size, mean, std, training=False),
            seed=config.seed,
        )
        self.frozen = None
        if config.freeze is not None:
            names = frozen_names(model, config.freeze)
            self.frozen = Frozen(model, names, config.unfreeze_after)
        optimizer = build_optimizer(config, model)
        schedule = build_schedule(config, optimizer, config.epochs * len(self.train_batches))
        self.trainer = Trainer(
            model,
            build_loss(config, training=True),
            optimizer,
            schedule,
            config.grad_clip,
            val_loss=build_loss(config, training=False),
            plateau=build_plateau(config, optimizer),
        )

    def load(self, saved: Checkpoint) -> None:
        """Go on from a checkpoint."""
        assert saved.state is not None
        try:
            self.trainer.model.load_state_dict(saved.model.state_dict())
            self.trainer.load_state(saved.state)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"--resume: the state in {saved.path} is damaged ({error}); start the run again"
            ) from error

    def go(self) -> Run:
        """Train, test, and write down how it ended."""
        before = threads.get_num_threads()
        threads.set_num_threads(self.config.threads or before)
        self.begin = time.perf_counter()
        try:
            self._fit()
            self._finish()
        finally:
            threads.set_num_threads(before)
            self.train_batches.close()
            self.val_batches.close()
        return self.run

    def _fit(self) -> None:
        run, recorder = self.run, Recorder(self.run, self.checkpoint)
        run.write_json(ENVIRONMENT, {**describe_environment(), "command": sys.argv})
        self._summarise("running")
        self.display.on_run(run, self.config, self.splits, self.trainer.model)
        callbacks = [*([self.frozen] if self.frozen else []), recorder, self.display]
        try:
            self.trainer.fit(self.train_batches, self.val_batches, self.config.epochs, callbacks)
        except CleanInterrupt:
            recorder.save_last(self.trainer)
            self._summarise("interrupted")
            self.display.on_interrupt(run)
            raise
        except BaseException as error:
            with suppress(CheckpointError):  # a full disk is reported by the error itself
                self._summarise("failed")
            if isinstance(error, DivergenceError):
                kept = f"the checkpoint of epoch {self.trainer.epoch} is kept in {run.path / LAST}"
                raise DivergenceError(f"{error}; {kept}") from error
            raise

    def _finish(self) -> None:
        best = load_checkpoint(self.run.path)
        facts = {"best_epoch": best.metrics["epoch"], "val_loss": best.metrics["val_loss"]}
        report = self._test(best)
        if report is not None:
            facts |= {"test_accuracy": report.accuracy, "test_loss": report.loss}
            facts |= {"test_images": report.images}
        self._save_samples()
        self._summarise("finished", **facts)
        self.display.on_finish(self.run)

    def _test(self, best: Checkpoint) -> Report | None:
        """The test images are looked at here, once, and nowhere else."""
        if self.splits.test is None:
            return None
        return evaluate_dataset(best, self.splits.test, data=self.config.data, split="test")

    def _summarise(self, status: str, **facts: Any) -> None:
        best = max((m.val_accuracy for m in self.trainer.history), default=None)
        summary = {
            "status": status,
            "epochs": self.trainer.epoch,
            "steps": self.trainer.step,
            "train_images": len(self.splits.train),
            "val_images": len(self.splits.val),
            "classes": list(self.splits.classes),
            "skipped": [asdict(s) for s in self.splits.skipped],
            "val_accuracy": best,
            "seconds": round(time.perf_counter() - self.begin, 1),
        }
        if self.weights is not None:
            summary["weights"] = self.weights
        self.run.write_json(SUMMARY, summary | facts)

    def _save_samples(self) -> None:
        """One test image of each of the first classes, to try `predict` on."""
        if self.splits.test is None or not find_named(self.config.data):
            return
        from PIL import Image

        folder = self.run.path / SAMPLES
        folder.mkdir(exist_ok=True)
        for label, name in enumerate(self.splits.classes[:SAMPLE_IMAGES]):
            found = (self.splits.test.labels == label).nonzero()[0]
            if not len(found):
                continue
            pixels, _ = self.splits.test[int(found[0])]
            image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            image.save(folder / f"{name.replace('/', '-')}.png")
