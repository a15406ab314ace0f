"""Hold out part of a labelled set, the same share of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainrule.errors import ConfigError

Indices = NDArray[np.int64]


def stratified_split(labels: ArrayLike, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Indices (kept, held out), each in rising order, disjoint, together all of `labels` (N,).

    Of a class with n images round(fraction * n) are held out, but at least one and never all:
    a class of two gives one, a class of one gives none. Depends on labels, fraction, seed alone.
    Raises ConfigError unless 0 < fraction < 1 and seed >= 0.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"split: the fraction held out must be between 0 and 1, got {fraction}")
    if seed < 0:
        raise ConfigError(f"split: the seed must not be negative, got {seed}")
    labels = np.asarray(labels)
    held = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        # A stream of its own for each class: one more image of a cat moves no dog.
        rng = np.random.default_rng([seed, int(label)])
        held[rng.permutation(members)[:count]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
