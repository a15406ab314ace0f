"""Adaptive pooling: a grid of cells that covers the image, whatever its size.

Cell i of O spans pixels ⌊i·H/O⌋ ... ⌈(i+1)·H/O⌉ - 1: neighbours may share a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ShapeError
from chainrule.kernels.geometry import adaptive_bins
from chainrule.ops.conv import per_axis
from chainrule.ops.conv_ops import Pair
from chainrule.ops.indexing import gather
from chainrule.ops.op import Recorded, op
from chainrule.ops.pool import AXES, check_axes, columns_of, max_pool_indices, slices_of, volumes_of
from chainrule.ops.shape import reshape, squeeze, unsqueeze

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]

Array = Any
Cells = int | Sequence[int | None] | None


def adaptive_avg_pool1d(x: Array, output_size: Cells) -> Array:
    """Means over output_size cells of a line.   x (N, C, L) or (C, L); as the 2-d one."""
    if x.ndim == 2:
        return squeeze(adaptive_avg_pool1d(unsqueeze(x, 0), output_size), 0)
    (length,) = _cells("adaptive_avg_pool1d", x, 1, output_size)
    return squeeze(_adaptive_avg_pool2d(unsqueeze(x, 2), (1, length)), 2)


def adaptive_avg_pool2d(x: Array, output_size: Cells) -> Array:
    """Means over a grid of output_size cells that covers the image.

    output_size: int or (OH, OW); None keeps the length. Size 1 is global average pooling.
    x (N, C, H, W) or (C, H, W) -> (N, C, OH, OW). g is shared evenly among a cell's pixels.
    """
    if x.ndim == 3:
        return squeeze(adaptive_avg_pool2d(unsqueeze(x, 0), output_size), 0)
    height, width = _cells("adaptive_avg_pool2d", x, 2, output_size)
    return _adaptive_avg_pool2d(x, (height, width))


def adaptive_avg_pool3d(x: Array, output_size: Cells) -> Array:
    """Means over a grid of cells of a volume (N, C, D, H, W) or (C, D, H, W)."""
    if x.ndim == 4:
        return squeeze(adaptive_avg_pool3d(unsqueeze(x, 0), output_size), 0)
    depth, height, width = _cells("adaptive_avg_pool3d", x, 3, output_size)
    means = _adaptive_avg_pool2d(slices_of(x), (height, width))
    columns = _adaptive_avg_pool2d(columns_of(means, x), (depth, 1))
    return volumes_of(columns, means.shape)


def adaptive_max_pool1d(x: Array, output_size: Cells, return_indices: bool = False) -> Array:
    """Maxima over output_size cells of a line.   x (N, C, L) or (C, L); as the 2-d one."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, x, output_size, return_indices)


def adaptive_max_pool2d(x: Array, output_size: Cells, return_indices: bool = False) -> Array:
    """Maxima over a grid of output_size cells that covers the image.

    Shapes as `adaptive_avg_pool2d`; return_indices: also h·W + w of each winner.
    A max gate routes: g goes to the (first) largest pixel of each cell.
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, x, output_size, return_indices)


def adaptive_max_pool3d(x: Array, output_size: Cells, return_indices: bool = False) -> Array:
    """Maxima over a grid of cells of a volume (N, C, D, H, W) or (C, D, H, W)."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, x, output_size, return_indices)


def _cells(name: str, x: Array, axes: int, output_size: Cells) -> tuple[int, ...]:
    check_axes(name, x, axes)
    sizes = output_size if isinstance(output_size, Sequence) else (output_size,) * axes
    sizes = tuple(sizes) * axes if len(sizes) == 1 else tuple(sizes)
    kept = zip(sizes, x.shape[2:], strict=False)
    filled = tuple(n if size is None else size for size, n in kept) if len(sizes) == axes else sizes
    return per_axis(filled, axes, f"{name}: output_size")  # type: ignore[arg-type]  # it complains


def _adaptive_max_pool(
    name: str, axes: int, x: Array, output_size: Cells, return_indices: bool
) -> Array:
    if x.ndim == axes + 1:
        result = _adaptive_max_pool(name, axes, unsqueeze(x, 0), output_size, return_indices)
        return tuple(squeeze(r, 0) for r in result) if return_indices else squeeze(result, 0)
    cells = _cells(name, x, axes, output_size)
    if 0 in x.shape[2:]:
        raise ShapeError(
            f"{name}: there is no pixel to choose\n  x {tuple(x.shape)} = {AXES[axes]}"
        )
    places = _winners(x.array if isinstance(x, Recorded) else x, cells)
    flat = (*x.shape[:2], math.prod(x.shape[2:]))
    y = gather(reshape(x, flat), 2, places.reshape(*flat[:2], math.prod(cells)))
    y = reshape(y, places.shape)
    return (y, max_pool_indices(x, places)) if return_indices else y


def _winners(x: Any, cells: Sequence[int]) -> Any:
    """Where in the image, counted row by row, each cell's first largest pixel is.

    Axis by axis from the last: the first of the rows whose winners are largest.
    """
    if all(count == 1 for count in cells):  # global: one pass
        flat = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
        return flat.argmax(2).reshape(*x.shape[:2], *cells)
    best = x
    places = np.broadcast_to(np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:]), x.shape)
    for axis in range(x.ndim - 1, 1, -1):
        bins = adaptive_bins(x.shape[axis], cells[axis - 2])
        longest = max((b.stop - b.start for b in bins), default=1)
        # shorter cells repeat their last pixel, which changes no winner
        steps = [[min(b.start + i, b.stop - 1) for i in range(longest)] for b in bins]
        pixels = np.array(steps, np.intp).reshape(len(bins), longest)
        candidates = best.take(pixels, axis)
        winner = np.expand_dims(candidates.argmax(axis + 1), axis + 1)
        best = np.take_along_axis(candidates, winner, axis + 1).squeeze(axis + 1)
        places = np.take_along_axis(places.take(pixels, axis), winner, axis + 1).squeeze(axis + 1)
    return places


@op(name="adaptive_avg_pool2d")
def _adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    return kernels.adaptive_avg_pool2d(x, output_size)


@op
def adaptive_avg_pool2d_spread(g: Array, shape: tuple[int, ...]) -> Array:
    """Share each cell's g evenly among its pixels: the transpose of adaptive_avg_pool2d."""
    return kernels.adaptive_avg_pool2d_backward(g, shape)


_adaptive_avg_pool2d.vjp(x=lambda g, x_shape: adaptive_avg_pool2d_spread(g, x_shape))
adaptive_avg_pool2d_spread.vjp(g=lambda u, g_shape: _adaptive_avg_pool2d(u, tuple(g_shape[2:])))
