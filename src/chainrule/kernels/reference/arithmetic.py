"""Sums of two arrays: what meets where branches of a network, or of its gradient, join."""

import numpy as np

__all__ = ["accumulate", "add"]


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b. One shape and dtype; any strides.

    Images in differing memory orders meet in channels-last order, as convolutions give it.
    """
    if a.ndim == 4 and a.strides != b.strides:
        images, channels, height, width = a.shape
        y = np.empty((images, height, width, channels), a.dtype).transpose(0, 3, 1, 2)
        return np.add(a, b, out=y)
    return a + b


def accumulate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a += b in a's memory; returns a. One shape and dtype; any strides."""
    a += b
    return a
