"""What a trained model takes images for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import chainrule.nn.functional as F
from chainrule import data as datasets
from chainrule.autograd import no_grad
from chainrule.data.layout import IMAGE_SUFFIXES
from chainrule.errors import ConfigError, DataError
from chainrule.tensor.creation import from_numpy
from chainrule.training.checkpoint import Checkpoint
from chainrule.training.sources import Source, open_checkpoint

BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """The classes an image is most probably of, the most probable first.

    top: (class, probability); softmax of the scores. error: why the image cannot be read, top
    is then empty.
    """

    image: str
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    @property
    def label(self) -> str | None:
        """The most probable class; None if the image cannot be read."""
        return self.top[0][0] if self.top else None

    @property
    def probability(self) -> float:
        """Of `label`."""
        return self.top[0][1] if self.top else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `chainrule predict --json` prints them."""
        if self.error is not None:
            return {"image": self.image, "error": self.error}
        return {
            "image": self.image,
            "label": self.label,
            "probability": self.probability,
            "top": [{"label": name, "probability": p} for name, p in self.top],
        }


def predict(
    source: Source,
    images: str | Path | Iterable[str | Path],
    *,
    top: int = 3,
    strict: bool = True,
) -> list[Prediction]:
    """Classify image files with a run's best checkpoint, a checkpoint file, or a loaded one.

    images: files, or folders, whose images are taken in order of name. An image that cannot
    be read raises DataError, or with strict=False gets a Prediction that says why.
    Raises CheckpointError, ConfigError (top), DataError (no image at all).
    """
    if top < 1:
        raise ConfigError(f"predict: top must be at least 1, got {top}")
    checkpoint = open_checkpoint(source)
    paths = _expand([images] if isinstance(images, str | Path) else list(images))
    return [
        prediction
        for start in range(0, len(paths), BATCH)
        for prediction in _predict_batch(checkpoint, paths[start : start + BATCH], top, strict)
    ]


def _expand(paths: Sequence[str | Path]) -> list[Path]:
    """Folders replaced by the images in them, at any depth."""
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(
            p
            for p in path.rglob("*")
            if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
        )
        if not inside:
            raise DataError(f"predict: there are no images in the folder {path}")
        found += inside
    if not found:
        raise DataError("predict: no images were named; give files or folders")
    return found


def _predict_batch(
    checkpoint: Checkpoint, paths: Sequence[Path], top: int, strict: bool
) -> list[Prediction]:
    pixels: list[NDArray[np.uint8]] = []
    errors: dict[Path, str] = {}
    readable: list[Path] = []
    for path in paths:
        try:
            pixels.append(datasets.load_image(path, checkpoint.image_size, checkpoint.channels))
            readable.append(path)
        except DataError as error:
            if strict:
                raise
            errors[path] = str(error).splitlines()[0]
    best = dict(zip(readable, _classify(checkpoint, pixels, top), strict=True))
    return [
        Prediction(str(path), error=errors[path])
        if path in errors
        else Prediction(str(path), best[path])
        for path in paths
    ]


def _classify(
    checkpoint: Checkpoint, pixels: Sequence[NDArray[np.uint8]], top: int
) -> list[tuple[tuple[str, float], ...]]:
    """The most probable classes of each image (H, W, C)."""
    if not pixels:
        return []
    batch = datasets.Normalize(checkpoint.mean, checkpoint.std)(np.stack(pixels))
    with no_grad():
        scores = checkpoint.model(from_numpy(batch.transpose(0, 3, 1, 2)))
        probabilities = F.softmax(scores, 1).array
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        tuple((checkpoint.classes[j], float(row[j])) for j in best)
        for row, best in zip(probabilities, order, strict=True)
    ]
