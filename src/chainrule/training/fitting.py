"""A run in progress: what every run does, and the loop that learns in epochs."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from chainrule import data as datasets
from chainrule import threads
from chainrule.data.named import find_named
from chainrule.errors import CheckpointError, DivergenceError
from chainrule.nn.module import Module
from chainrule.training.assembly import build_loss, build_optimizer, build_transform
from chainrule.training.checkpoint import LAST, Checkpoint, load_checkpoint
from chainrule.training.config import TrainConfig, to_dict
from chainrule.training.display import Display
from chainrule.training.environment import describe_environment
from chainrule.training.evaluation import Report, evaluate_dataset
from chainrule.training.interrupt import CleanInterrupt
from chainrule.training.loop import Trainer
from chainrule.training.run import ENVIRONMENT, SAMPLES, SUMMARY, Recorder, Run
from chainrule.training.schedule import build_plateau, build_schedule
from chainrule.training.stages import Frozen, frozen_names

SAMPLE_IMAGES = 10


@dataclass
class FirstModel:
    """A model before its first step, and how images are normalised for it.

    weights: what is said of weights that it begins with, by `chainrule.training.finetune`.
    """

    model: Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: dict[str, Any] | None = None


class Job:
    """One run: it fits, is tested once, and is written down. How it fits, its kind says."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        splits: datasets.Splits,
        display: Display,
        first: FirstModel,
    ) -> None:
        self.run, self.config, self.splits, self.display = run, config, splits, display
        height, width, channels = splits.train.image_shape
        self.weights = first.weights
        self.checkpoint = Checkpoint(
            first.model,
            splits.classes,
            first.mean,
            first.std,
            (height, width),
            channels,
            held_out="val" if splits.test is None else "test",
            config=to_dict(config),
        )

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
            self._close()
        return self.run

    def _fit(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        """Release what fitting needed."""

    def _progress(self) -> dict[str, Any]:
        """For the summary: how far fitting has come, and its ``val_accuracy``."""
        raise NotImplementedError

    def _results(self, best: Checkpoint) -> dict[str, Any]:
        """For the summary: of the checkpoint that is tested."""
        raise NotImplementedError

    def _start(self) -> None:
        self.run.write_json(ENVIRONMENT, {**describe_environment(), "command": sys.argv})
        self._summarise("running")
        self.display.on_run(self.run, self.config, self.splits, self.checkpoint.model)

    def _finish(self) -> None:
        best = load_checkpoint(self.run.path)
        facts = self._results(best)
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
        return evaluate_dataset(
            best,
            self.splits.test,
            data=self.config.data,
            split="test",
            progress=self.display.on_data,
        )

    def _summarise(self, status: str, **facts: Any) -> None:
        summary = {
            "status": status,
            **self._progress(),
            "train_images": len(self.splits.train),
            "val_images": len(self.splits.val),
            "classes": list(self.splits.classes),
            "skipped": [asdict(s) for s in self.splits.skipped],
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


class Fitting(Job):
    """Gradient descent over epochs."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        splits: datasets.Splits,
        display: Display,
        first: FirstModel,
    ) -> None:
        super().__init__(run, config, splits, display, first)
        model, mean, std, size = first.model, first.mean, first.std, self.checkpoint.image_size
        self.train_batches = datasets.DataLoader(
            splits.train,
            config.batch_size,
            shuffle=True,
            transform=build_transform(config, size, mean, std, training=True),
            seed=config.seed,
            join_single=True,
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

    def _fit(self) -> None:
        run, recorder = self.run, Recorder(self.run, self.checkpoint)
        self._start()
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

    def _close(self) -> None:
        self.train_batches.close()
        self.val_batches.close()

    def _progress(self) -> dict[str, Any]:
        best = max((m.val_accuracy for m in self.trainer.history), default=None)
        return {"epochs": self.trainer.epoch, "steps": self.trainer.step, "val_accuracy": best}

    def _results(self, best: Checkpoint) -> dict[str, Any]:
        return {"best_epoch": best.metrics["epoch"], "val_loss": best.metrics["val_loss"]}
