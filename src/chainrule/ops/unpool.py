"""Undoing max pooling: maxima back at their places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.conv import Size, per_axis
from chainrule.ops.op import Recorded
from chainrule.ops.pool import check_axes
from chainrule.ops.scatter import scatter
from chainrule.ops.shape import reshape, squeeze, unsqueeze

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]

Array = Any


def max_unpool1d(
    x: Array,
    indices: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Array:
    """Lines with the maxima x (N, C, L) or (C, L) at their places; as `max_unpool2d`."""
    return _max_unpool("max_unpool1d", 1, x, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    x: Array,
    indices: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Array:
    """Images of zeros with the maxima x at their ``indices``, both from `max_pool2d`.

    x, indices (N, C, H, W) or (C, H, W) -> (N, C, (H - 1)s - 2p + K, the same for W), or
    output_size, less than a stride away. dx is g at the indices.
    Raises ShapeError (shapes, an index outside), ConfigError (another output_size).
    Source: Zeiler & Fergus 2014, arXiv:1311.2901, section 2.1.
    """
    return _max_unpool("max_unpool2d", 2, x, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    x: Array,
    indices: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Array:
    """Volumes with the maxima x (N, C, D, H, W) or (C, D, H, W) at their places."""
    return _max_unpool("max_unpool3d", 3, x, indices, kernel_size, stride, padding, output_size)


def _max_unpool(
    name: str,
    axes: int,
    x: Array,
    indices: Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Sequence[int] | None,
) -> Array:
    if tuple(x.shape) != tuple(indices.shape):
        raise ShapeError(
            f"{name}: each maximum needs an index\n"
            f"  x {tuple(x.shape)}; indices {tuple(indices.shape)}"
        )
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices must hold integers, got {indices.dtype}")
    if x.ndim == axes + 1:
        args = (kernel_size, stride, padding, output_size)
        return squeeze(_max_unpool(name, axes, unsqueeze(x, 0), unsqueeze(indices, 0), *args), 0)
    check_axes(name, x, axes)
    window = per_axis(kernel_size, axes, f"{name}: kernel_size", 1)
    own = stride is None or stride == ()
    step = window if own else per_axis(stride, axes, f"{name}: stride", 1)  # type: ignore[arg-type]
    around = per_axis(padding, axes, f"{name}: padding")
    size = _size(name, x.shape[2:], window, step, around, output_size)
    places = np.asarray(indices.array if isinstance(indices, Recorded) else indices)
    if places.size and not (places.min() >= 0 and places.max() < math.prod(size)):
        raise ShapeError(
            f"{name}: indices go from {places.min()} to {places.max()}, outside an image of {size}"
        )
    lines = (*x.shape[:2], math.prod(x.shape[2:]))
    zeros = np.zeros((*x.shape[:2], math.prod(size)), x.dtype)
    y = scatter(zeros, 2, places.reshape(lines), reshape(x, lines))
    return reshape(y, (*x.shape[:2], *size))


def _size(
    name: str,
    shape: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    output_size: Sequence[int] | None,
) -> tuple[int, ...]:
    settings = zip(shape, window, stride, padding, strict=True)
    natural = tuple((n - 1) * s - 2 * p + k for n, k, s, p in settings)
    if output_size is None:
        return natural
    size = tuple(int(n) for n in output_size)[-len(natural) :]
    near = len(size) == len(natural) and all(
        abs(a - b) < s for a, b, s in zip(size, natural, stride, strict=True)
    )
    if not near:
        raise ConfigError(
            f"{name}: output_size {tuple(output_size)} must be less than a stride of {stride} "
            f"from {natural}"
        )
    return size
