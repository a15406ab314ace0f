"""Sums of two arrays: what meets where branches of a network, or of its gradient, join."""

import numpy as np

__all__ = ["accumulate", "add"]


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b. One shape and dtype; any strides."""
    return a + b


def accumulate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a += b in a's memory; returns a. One shape and dtype; any strides."""
    a += b
    return a
