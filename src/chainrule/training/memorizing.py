"""A run of a model that keeps its training images, as k nearest neighbours do: no loop at all."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import data as datasets
from chainrule.data.dataset import ImageDataset
from chainrule.data.progress import Progress
from chainrule.errors import CheckpointError
from chainrule.training.checkpoint import BEST, Checkpoint, save_checkpoint
from chainrule.training.evaluation import evaluate_dataset
from chainrule.training.fitting import Job
from chainrule.training.run import METRICS_LINES, Run

BLOCK = 1024  # images read at once

# As `Normalize` counts, what leaves a pixel the byte it was.
MEAN, STD = 0.0, 1 / 255


class Memorizing(Job):
    """One call of the model's ``memorize``, and a validation."""

    val: dict[str, float]

    def go(self) -> Run:
        """Memorise, validate, test, and write down how it ended.

        Ctrl-C leaves a model that can be used, once the images are memorised.
        """
        self.val = {}
        try:
            return super().go()
        except KeyboardInterrupt:
            self._summarise("interrupted")
            self.display.on_interrupt(self.run)
            raise
        except BaseException:
            with suppress(CheckpointError):  # a full disk is reported by the error itself
                self._summarise("failed")
            raise

    def _fit(self) -> None:
        self._start()
        self.run.write(METRICS_LINES, "")  # there are no epochs
        model: Any = self.checkpoint.model
        model.memorize(*images_and_labels(self.splits.train, self.display.on_data))
        model.eval()
        save_checkpoint(self.run.path / BEST, self.checkpoint)
        report = evaluate_dataset(
            self.checkpoint,
            self.splits.val,
            data=self.config.data,
            split="val",
            progress=self.display.on_data,
        )
        self.val = {"val_accuracy": report.accuracy, "val_loss": report.loss}

    def _progress(self) -> dict[str, Any]:
        return {"val_accuracy": None, **self.val}

    def _results(self, best: Checkpoint) -> dict[str, Any]:
        return dict(self.val)


def images_and_labels(
    dataset: ImageDataset, progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images, in the order (N, C, H, W), and their labels."""
    height, width, channels = dataset.image_shape
    images = np.empty((len(dataset), channels, height, width), np.uint8)
    for start in range(0, len(dataset), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(dataset)))
        images[rows] = dataset.gather(rows)[0].transpose(0, 3, 1, 2)
        progress("memorising", int(rows[-1]) + 1, len(dataset))
    return images, dataset.labels


def normalization(splits: datasets.Splits) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation for images that stay as they are."""
    channels = splits.train.image_shape[2]
    return (MEAN,) * channels, (STD,) * channels
