"""How good a trained model is on labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule import data as datasets
from chainrule.data.progress import Progress
from chainrule.errors import DataError
from chainrule.tensor import Tensor
from chainrule.training.assembly import build_loss, build_transform
from chainrule.training.checkpoint import Checkpoint
from chainrule.training.config import TrainConfig, from_dict
from chainrule.training.loop import evaluate_batches
from chainrule.training.sources import Source, open_checkpoint

Counts = NDArray[np.int64]

BATCH = 256


@dataclass(frozen=True)
class Report:
    """Results on a set of labelled images. All rates are fractions.

    confusion[i, j]: images of class i that were taken for class j.
    top5: the right class was among the 5 with the highest scores.
    """

    data: str
    split: str  # which part of the data: test, val
    classes: tuple[str, ...]
    confusion: Counts
    loss: float
    top5: float
    seconds: float
    skipped: int = 0  # unreadable images

    @property
    def images(self) -> int:
        """How many were evaluated."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Correct images / images."""
        return float(np.trace(self.confusion)) / max(self.images, 1)

    @property
    def support(self) -> Counts:
        """Images of each class (C,)."""
        return np.asarray(self.confusion.sum(axis=1))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of the images of a class, the part that was recognised (C,); 0 without images."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Of the images taken for a class, the part that belongs to it (C,); 0 if none was."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def f1(self) -> NDArray[np.float64]:
        """2·precision·recall / (precision + recall), (C,); 0 where both are."""
        return _ratio(2 * self.precision * self.recall, self.precision + self.recall)

    def most_confused(self, limit: int = 10) -> list[tuple[str, str, int]]:
        """(true class, taken for, images), the most frequent first."""
        errors = self.confusion.copy()
        np.fill_diagonal(errors, 0)
        order = np.argsort(-errors, axis=None, kind="stable")[:limit]
        pairs = [divmod(int(k), len(self.classes)) for k in order]
        return [
            (self.classes[i], self.classes[j], int(errors[i, j])) for i, j in pairs if errors[i, j]
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `chainrule evaluate --json` prints them."""
        per_class = zip(
            self.classes, self.precision, self.recall, self.f1, self.support, strict=True
        )
        return {
            "data": self.data,
            "split": self.split,
            "images": self.images,
            "skipped": self.skipped,
            "accuracy": self.accuracy,
            "top5_accuracy": self.top5,
            "loss": self.loss,
            "seconds": round(self.seconds, 3),
            "classes": list(self.classes),
            "per_class": {
                name: {
                    "precision": float(p),
                    "recall": float(r),
                    "f1": float(f),
                    "support": int(n),
                }
                for name, p, r, f, n in per_class
            },
            "confusion": self.confusion.tolist(),
        }


def _ratio(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(len(b)), where=b != 0)


def evaluate(
    source: Source,
    data: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Evaluate a run's best checkpoint, a checkpoint file, or a loaded one.

    data: a named data set, a folder or a zip with the same classes; None: the test images of
    the data it was trained on, or, where there are none, the validation images.
    Raises CheckpointError, DataError (missing, unreadable, or of other classes).
    """
    checkpoint = open_checkpoint(source)
    options: dict[str, Any] = {
        "image_size": checkpoint.image_size,
        "channels": checkpoint.channels,
        "data_dir": data_dir or checkpoint.config.get("data_dir"),
        "strict": strict,
        "progress": progress,
    }
    config = _settings(checkpoint)
    if data is None and not config.data:
        raise DataError("evaluate: the weights do not say what they were tested on; name the data")
    if data is None and checkpoint.held_out == "val":
        dataset = datasets.load(
            config.data, val_fraction=config.val_fraction, seed=config.seed, **options
        ).val
        if dataset.classes != checkpoint.classes:
            raise DataError(f"evaluate: {config.data} has other classes than the checkpoint")
        return evaluate_dataset(checkpoint, dataset, data=config.data, split="val")
    name = config.data if data is None else data
    dataset = datasets.load_split(name, "test", classes=checkpoint.classes, **options)
    return evaluate_dataset(checkpoint, dataset, data=str(name), split="test")


def _settings(checkpoint: Checkpoint) -> TrainConfig:
    """Of the run; the defaults, and no data, where weights come without a run."""
    return from_dict({"data": "", "model": ""} | checkpoint.config, str(checkpoint.path))


def evaluate_dataset(
    checkpoint: Checkpoint,
    dataset: datasets.ImageDataset,
    *,
    data: str,
    split: str,
    progress: Progress | None = None,
) -> Report:
    """Evaluate a loaded checkpoint on a loaded set of images; progress: told of the images."""
    config = _settings(checkpoint)
    transform = build_transform(
        config, checkpoint.image_size, checkpoint.mean, checkpoint.std, training=False
    )
    loader = datasets.DataLoader(dataset, batch_size=BATCH, transform=transform)
    counts = len(checkpoint.classes)
    confusion = np.zeros((counts, counts), np.int64)
    in_top = 0

    def count(scores: Tensor, labels: Tensor) -> None:
        nonlocal in_top
        np.add.at(confusion, (labels.array, scores.array.argmax(axis=1)), 1)
        top = np.argsort(-scores.array, axis=1, kind="stable")[:, :5]
        in_top += int((top == labels.array[:, None]).any(axis=1).sum())
        if progress is not None:
            progress(split, int(confusion.sum()), len(dataset))

    tally = evaluate_batches(
        checkpoint.model, build_loss(config, training=False), loader, each=count
    )
    return Report(
        data=data,
        split=split,
        classes=checkpoint.classes,
        confusion=confusion,
        loss=tally.loss,
        top5=in_top / max(tally.images, 1),
        seconds=tally.seconds,
        skipped=len(dataset.skipped),
    )
