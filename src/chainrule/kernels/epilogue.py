"""What a kernel does to its result while that is still in cache.

A convolution, a matrix product or a normalisation writes each value once; what follows it in a
network (a scale and shift, a residual, a ReLU) would read and write all of memory again. The
steps and their order of rounding are those of the separate kernels, so that results are the
same, bit for bit.
"""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["NOTHING", "Epilogue", "finish"]


class Epilogue(NamedTuple):
    """y = relu(y · scale[c] + shift[c] + add), each step only where it is given.

    scale, shift (C,): both or neither; add: an array of y's shape.
    """

    scale: np.ndarray[Any, Any] | None = None
    shift: np.ndarray[Any, Any] | None = None
    add: np.ndarray[Any, Any] | None = None
    relu: bool = False


NOTHING = Epilogue()
"""The one that leaves y as it is."""


def finish(y: np.ndarray, add: np.ndarray | None, relu: bool) -> np.ndarray:
    """relu(y + add) in y's memory, each step only where it is given; returns y."""
    if add is not None:
        y += add
    return np.maximum(y, y.dtype.type(0), out=y) if relu else y
