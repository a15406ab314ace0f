"""Windows of an image laid out as columns (im2col), and added up again (col2im).

Unfolding copies a pixel into every window that sees it; a copy's gradient sums, so folding is
its vector-Jacobian product, and unfolding is folding's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.kernels.geometry import conv_output_size, taps
from chainrule.ops.conv import Pair, Size, pair
from chainrule.ops.op import op
from chainrule.ops.shape import squeeze, unsqueeze

__all__ = ["fold", "unfold"]

Array = Any


def unfold(
    x: Array, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Array:
    """The window at each position as a column: what convolution multiplies with its filters.

    y[n, (c·KH + u)·KW + v, i·OW + j] = x[n, c, i·s + u·d - p, j·s + v·d - p]

    x (N, C, H, W) or (C, H, W) -> (N, C·KH·KW, OH·OW), OH and OW as conv2d's. The gradient is
    `fold`. Then conv2d(x, W) is the matrix product of W as (O, C·KH·KW) and the columns.
    Raises ShapeError (axes, window larger than the padded image), ConfigError.
    """
    if x.ndim == 3:
        return squeeze(unfold(unsqueeze(x, 0), kernel_size, dilation, padding, stride), 0)
    settings = _settings("unfold", kernel_size, stride, padding, dilation)
    if x.ndim != 4:
        raise ShapeError(f"unfold: x needs four axes\n  x {tuple(x.shape)} = (N, C, H, W)")
    _positions("unfold", x.shape[2:], settings)
    return _unfold(x, *settings)


def fold(
    x: Array,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> Array:
    """Add columns up where their windows lie in an image of output_size: `unfold`'s transpose.

    y[n, c, i·s + u·d - p, j·s + v·d - p] += x[n, (c·KH + u)·KW + v, i·OW + j]

    x (N, C·KH·KW, OH·OW) or without N -> (N, C, H, W), (H, W) = output_size. The gradient is
    `unfold`. fold(unfold(x)) is x times the number of windows that see each pixel.
    Raises ShapeError (rows not of whole windows, another number of positions), ConfigError.
    """
    if x.ndim == 2:
        args = (output_size, kernel_size, dilation, padding, stride)
        return squeeze(fold(unsqueeze(x, 0), *args), 0)
    settings = _settings("fold", kernel_size, stride, padding, dilation)
    size = pair(output_size, "fold: output_size", 1)
    window, positions = math.prod(settings[0]), _positions("fold", size, settings)
    if x.ndim != 3 or x.shape[1] % window or x.shape[2] != math.prod(positions):
        raise ShapeError(
            f"fold: x must be (N, C·{window}, {math.prod(positions)}) for windows of "
            f"{settings[0]} at {positions} positions\n  x {tuple(x.shape)}; output_size {size}"
        )
    return _fold(x, size, *settings)


Settings = tuple[Pair, Pair, Pair, Pair]
"""kernel_size, stride, padding, dilation."""


def _settings(name: str, kernel: Size, stride: Size, padding: Size, dilation: Size) -> Settings:
    return (
        pair(kernel, f"{name}: kernel_size", 1),
        pair(stride, f"{name}: stride", 1),
        pair(padding, f"{name}: padding"),
        pair(dilation, f"{name}: dilation", 1),
    )


def _positions(name: str, size: Sequence[int], settings: Settings) -> Pair:
    """How many windows there are, vertically and horizontally."""
    kernel, stride, padding, dilation = settings
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    rows, cols = (conv_output_size(*axis) for axis in axes)
    if rows < 1 or cols < 1:
        raise ShapeError(
            f"{name}: the window is larger than the padded image\n  image {tuple(size)}; "
            f"kernel_size {kernel}; padding {padding}; dilation {dilation}"
        )
    return rows, cols


@op(name="unfold")
def _unfold(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    settings = (kernel_size, stride, padding, dilation)
    images, channels, *size = x.shape
    positions = _positions("unfold", size, settings)
    y = np.zeros((images, channels, math.prod(kernel_size), *positions), x.dtype)
    x = np.ascontiguousarray(x)  # its rows are then runs of memory, as the result's
    for tap, (rows, cols), pixels in taps(size, positions, kernel_size, stride, padding, dilation):
        y[:, :, tap, rows, cols] = x[:, :, pixels[0], pixels[1]]
    return y.reshape(images, channels * math.prod(kernel_size), math.prod(positions))


@op(name="fold")
def _fold(
    x: Array, size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    settings = (kernel_size, stride, padding, dilation)
    positions = _positions("fold", size, settings)
    window = math.prod(kernel_size)
    images, channels = x.shape[0], x.shape[1] // window
    columns = x.reshape(images, channels, window, *positions)
    y = np.zeros((images, channels, *size), x.dtype)
    for tap, (rows, cols), pixels in taps(size, positions, kernel_size, stride, padding, dilation):
        y[:, :, pixels[0], pixels[1]] += columns[:, :, tap, rows, cols]
    return y


_unfold.vjp(
    x=lambda g, x_shape, kernel_size, stride, padding, dilation: _fold(
        g, tuple(x_shape[2:]), kernel_size, stride, padding, dilation
    )
)
_fold.vjp(
    x=lambda g, kernel_size, stride, padding, dilation: _unfold(
        g, kernel_size, stride, padding, dilation
    )
)
