"""What the neighbours of an image vote for: k nearest neighbours as a classifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["closeness", "vote_shares"]


def closeness(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / distance, (N, k), as a part of that of the row's nearest: a vote for each of its zeros
    and none for the rest, where it has any."""
    nearest = distances.min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(distances == 0, 1.0, nearest / distances)


def vote_shares(
    labels: NDArray[np.int64], num_classes: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The part of each row's votes that each class gets. labels (N, k) -> (N, num_classes).

    labels: from 0 to num_classes - 1, at least one in each row. weights (N, k): what a vote weighs;
    None: all the same.
    """
    count = len(labels)
    cells = labels + num_classes * np.arange(count)[:, None]
    flat = None if weights is None else weights.ravel()
    votes = np.bincount(cells.ravel(), flat, minlength=count * num_classes)
    votes = votes.reshape(count, num_classes)
    return votes / votes.sum(axis=1, keepdims=True)
