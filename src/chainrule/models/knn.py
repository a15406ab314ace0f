"""k nearest neighbours: the classifier that learns nothing and remembers everything.

    knn   D -> num_classes   log of the part of the k nearest images that each class has

D = C·H·W. It has no weights: the training images and their labels are kept as they are, in bytes,
and an image is compared with all of them when its class is asked for. Learning takes no time and
predicting all of it; with every other model of this room it is the other way round.

The distances of images x and y, over all values of all pixels:

    l1       Σ |x - y|             l2   √Σ (x - y)²          cosine   1 - x·y / (|x| |y|)

Fix & Hodges 1951, Discriminatory analysis: nonparametric discrimination; Cover & Hart 1967,
Nearest neighbor pattern classification. As in the course CS231n, votes that are equal go to the
class that comes first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import chainrule as cr
from chainrule import kernels, nn
from chainrule.errors import ConfigError, ShapeError
from chainrule.kernels.votes import closeness, vote_shares
from chainrule.models.registry import check_count, height_width, register
from chainrule.tensor import Tensor

METRICS = ("l2", "l1", "cosine")
VOTES = ("uniform", "distance")
LEAST_SHARE = 1e-6
"""What a class without a vote is given of the whole: its logarithm, and the loss, stay finite."""


class NearestNeighbors(nn.Module):
    """The images that `memorize` was given, and the classes their neighbours are taken for.

    images (M, C, H, W) uint8 and labels (M,) int64 are buffers; M is 0 before. There is nothing
    to learn by gradients, and none pass.
    k: how many neighbours vote; all images, where there are fewer. votes: "uniform", one each,
    or "distance", 1 / distance each; neighbours at distance 0 then decide alone.
    """

    images: Tensor
    labels: Tensor
    config: dict[str, Any]  # as `register` sets it

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        k: int = 5,
        metric: str = "l2",
        votes: str = "uniform",
        memorized: int = 0,
    ) -> None:
        super().__init__()
        self.shape, self.num_classes = shape, num_classes
        self.k, self.metric, self.votes = k, metric, votes
        self.register_buffer("images", Tensor(np.zeros((memorized, *shape), np.uint8)))
        self.register_buffer("labels", Tensor(np.zeros(memorized, np.int64)))

    def memorize(self, images: Any, labels: Any) -> NearestNeighbors:
        """Keep images (M, C, H, W) uint8 and labels (M,) in place of those before.

        Raises ShapeError, ConfigError (images that are no bytes, labels that are no class).
        """
        pixels, numbers = np.asarray(images), np.asarray(labels)
        if pixels.shape[1:] != self.shape or numbers.shape != pixels.shape[:1]:
            raise ShapeError(
                f"knn: memorize expects images (M, {', '.join(map(str, self.shape))}) and "
                f"labels (M,), got {pixels.shape} and {numbers.shape}"
            )
        if pixels.dtype != np.uint8:
            raise ConfigError(f"knn: memorize expects images of uint8, got {pixels.dtype}")
        _check_labels(numbers, self.num_classes)
        self.images = Tensor(np.ascontiguousarray(pixels))
        self.labels = Tensor(numbers.astype(np.int64))
        if hasattr(self, "config"):
            self.config = {**self.config, "memorized": len(pixels)}
        return self

    def neighbors(self, x: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distances (N, k), ascending, and places among `images` (N, k) of the nearest to x.

        x (N, C, H, W): pixels from 0 to 255. Distances are counted in these units.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ShapeError(
                f"knn: expects images (N, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}"
            )
        queries, points = _as_bytes(_rows(x.array)), _rows(self.images.array)
        return kernels.nearest(queries, points, min(self.k, len(points)), self.metric)

    def forward(self, x: Tensor) -> Tensor:
        """ln of the classes' shares of the votes, (N, num_classes). Before `memorize`: equal."""
        if not len(self.images):
            shares = np.full((len(x), self.num_classes), 1 / self.num_classes)
        else:
            distances, places = self.neighbors(x)
            labels = self.labels.array
            _check_labels(labels, self.num_classes)
            weights = closeness(distances) if self.votes == "distance" else None
            shares = vote_shares(labels[places], self.num_classes, weights)
        scores = np.log(np.maximum(shares, LEAST_SHARE))
        return cr.from_numpy(scores.astype(x.array.dtype if x.is_floating_point() else np.float32))

    def extra_repr(self) -> str:
        """The settings and how many images are kept."""
        return (
            f"{len(self.images)} images of {self.shape}, k={self.k}, metric={self.metric!r}, "
            f"votes={self.votes!r}"
        )


def _rows(images: NDArray[Any]) -> NDArray[Any]:
    """(N, C, H, W) -> (N, C·H·W)."""
    return np.ascontiguousarray(images).reshape(len(images), -1)


def _as_bytes(values: NDArray[Any]) -> NDArray[Any]:
    """The same as bytes, where they are whole numbers from 0 to 255: those are compared faster."""
    with np.errstate(invalid="ignore"):  # NaN and infinity have no byte, and differ from any
        found = values.astype(np.uint8)
    return found if np.array_equal(found, values) else values


def _check_labels(labels: NDArray[Any], num_classes: int) -> None:
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ConfigError(
            f"knn: labels from {labels.min()} to {labels.max()} do not fit {num_classes} classes; "
            "memorize the images anew for other classes"
        )


@register(memorizes=True)
def knn(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int | tuple[int, int] = 28,
    k: int = 5,
    metric: str = "l2",
    votes: str = "uniform",
    memorized: int = 0,
) -> NearestNeighbors:
    """The k nearest of the images it memorised vote.

    metric: "l2", "l1" or "cosine". votes: "uniform" or "distance". memorized: how many images
    there is place for, as a checkpoint needs it; `NearestNeighbors.memorize` makes the place.
    """
    check_count("knn", k=k)
    for name, value, known in (("metric", metric, METRICS), ("votes", votes, VOTES)):
        if value not in known:
            raise ConfigError(f"knn: {name} must be {', '.join(known)}, got {value!r}")
    if isinstance(memorized, bool) or not isinstance(memorized, int) or memorized < 0:
        raise ConfigError(f"knn: memorized must be a whole number of at least 0, got {memorized}")
    shape = (in_channels, *height_width("knn", image_size))
    return NearestNeighbors(shape, num_classes, k, metric, votes, memorized)
