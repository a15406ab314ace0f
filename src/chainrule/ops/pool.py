"""Pooling: the maximum, the mean or the norm of each window, in 1, 2 and 3 dimensions.

The kernels are for images. A line is an image of one row. A volume is pooled slice by slice and
then along its depth: a maximum of maxima is the maximum, a mean of means of equal windows the
mean, and the first winner along the depth of first winners in the slices is the first of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, ShapeError
from chainrule.kernels.geometry import pool_output_size, window_counts
from chainrule.ops.activation import relu
from chainrule.ops.arithmetic import abs, mul, pow, sign
from chainrule.ops.conv import Size, pair, per_axis
from chainrule.ops.conv_ops import Pair
from chainrule.ops.pool_ops import avg_pool2d_op, max_pool2d_op, max_pool_indices
from chainrule.ops.reduction import check_float
from chainrule.ops.shape import permute, reshape, squeeze, unsqueeze

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]

Array = Any
AXES = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


# -- maxima ------------------------------------------------------------------------------------


def max_pool1d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Array:
    """The largest value of each window of lines.   x (N, C, L) or (C, L); as `max_pool2d`."""
    args = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool("max_pool1d", 1, x, *args)


def max_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Array:
    """The largest value of each window; padding counts as -∞.

    x (N, C, H, W) or (C, H, W) -> (N, C, ⌊(H + 2p - d(K-1) - 1)/s⌋ + 1, the same for W);
    ceil_mode rounds up instead, keeping windows that start inside the image or its left
    padding. stride None: the window's size. return_indices: also h·W + w of each winner.
    A max gate routes: g goes to the (first) largest pixel of each window.
    Raises ShapeError (window larger than the padded image), ConfigError (padding over half
    the window).
    """
    if return_indices or x.ndim == 3:
        args = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return _max_pool("max_pool2d", 2, x, *args)
    window, stride, padding = _window("max_pool2d", x, kernel_size, stride, padding)
    dilation = pair(dilation, "max_pool2d: dilation", 1)
    _check_fits("max_pool2d", x, window, stride, padding, dilation, ceil_mode)
    return max_pool2d_op(x, window, stride, padding, dilation, ceil_mode)


def max_pool3d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Array:
    """The largest value of each window of volumes.

    x (N, C, D, H, W) or (C, D, H, W); as `max_pool2d`, with indices d·H·W + h·W + w.
    """
    args = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return _max_pool("max_pool3d", 3, x, *args)


Windows = tuple[tuple[int, ...], ...]  # sizes, strides, paddings, dilations: one for each axis
ONE_PIXEL = (1, 1, 0, 1)


def _max_pool(
    name: str,
    axes: int,
    x: Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    dilation: Size,
    ceil_mode: bool,
    return_indices: bool,
) -> Array:
    if x.ndim == axes + 1:
        args = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        result = _max_pool(name, axes, unsqueeze(x, 0), *args)
        return tuple(squeeze(r, 0) for r in result) if return_indices else squeeze(result, 0)
    windows = _windows(name, axes, x, kernel_size, stride, padding, dilation, ceil_mode)
    if axes == 3:
        y, places = _max_of_volumes(x, windows, ceil_mode, return_indices)
    else:
        images = x if axes == 2 else unsqueeze(x, 2)
        windows = windows if axes == 2 else _in_one_row(windows)
        y, taps = max_pool2d_op.with_aux(images, *windows, ceil_mode)
        places = _places(taps, x.shape[-1], windows) if return_indices else None
        y = y if axes == 2 else squeeze(y, 2)
    return (y, max_pool_indices(x, places.reshape(tuple(y.shape)))) if return_indices else y


def _max_of_volumes(
    x: Array, windows: Windows, ceil_mode: bool, return_indices: bool
) -> tuple[Array, Any]:
    """The maxima, and d·H·W + h·W + w of each winner where wanted."""
    height, width = x.shape[3:]
    in_slice, along_depth = _slice_and_depth(windows)
    y, taps = max_pool2d_op.with_aux(slices_of(x), *in_slice, ceil_mode)
    z, steps = max_pool2d_op.with_aux(columns_of(y, x), *along_depth, ceil_mode)
    if not return_indices:
        return volumes_of(z, y.shape), None
    within = columns_of(_places(taps, width, in_slice), x)  # each slice's winners
    chosen = _places(steps, 1, along_depth)
    places = np.take_along_axis(within, chosen, 2) + chosen * (height * width)
    return volumes_of(z, y.shape), volumes_of(places, y.shape)


def _places(taps: Any, width: int, windows: Windows) -> Any:
    """h·W + w of the pixels that won, from their taps: places within their windows."""
    (_, across), stride, padding, dilation = windows
    taps = taps.astype(np.int64)
    top = np.arange(taps.shape[2])[:, None] * stride[0] - padding[0]
    left = np.arange(taps.shape[3]) * stride[1] - padding[1]
    row, col = np.divmod(taps, across)
    return (top + row * dilation[0]) * width + left + col * dilation[1]


# -- means -------------------------------------------------------------------------------------


def avg_pool1d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window of lines.   x (N, C, L) or (C, L); as `avg_pool2d`."""
    args = (kernel_size, stride, padding, ceil_mode, count_include_pad, None)
    return _avg_pool("avg_pool1d", 1, x, *args)


def avg_pool2d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of each window; count_include_pad counts padding as zeros of the mean.

    divisor_override: divide each window's sum by it instead. Shapes and errors as `max_pool2d`.
    g is shared evenly among the pixels of its window.
    """
    if divisor_override is not None or x.ndim == 3:
        args = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        return _avg_pool("avg_pool2d", 2, x, *args)
    window, stride, padding = _window("avg_pool2d", x, kernel_size, stride, padding)
    _check_fits("avg_pool2d", x, window, stride, padding, (1, 1), ceil_mode)
    return avg_pool2d_op(x, window, stride, padding, ceil_mode, count_include_pad)


def avg_pool3d(
    x: Array,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """The mean of each window of volumes (N, C, D, H, W) or (C, D, H, W); as `avg_pool2d`."""
    args = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool("avg_pool3d", 3, x, *args)


def _avg_pool(
    name: str,
    axes: int,
    x: Array,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    if divisor_override == 0:
        raise ConfigError(f"{name}: divisor_override divides and cannot be 0")
    if x.ndim == axes + 1:
        args = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        return squeeze(_avg_pool(name, axes, unsqueeze(x, 0), *args), 0)
    windows = _windows(name, axes, x, kernel_size, stride, padding, 1, ceil_mode)[:3]
    how = (ceil_mode, count_include_pad)
    if axes == 3:
        in_slice, along_depth = _slice_and_depth(windows)
        means = avg_pool2d_op(slices_of(x), *in_slice, *how)
        y = volumes_of(avg_pool2d_op(columns_of(means, x), *along_depth, *how), means.shape)
    elif axes == 1:
        y = squeeze(avg_pool2d_op(unsqueeze(x, 2), *_in_one_row(windows), *how), 2)
    else:
        y = avg_pool2d_op(x, *windows, *how)
    if divisor_override is None:
        return y
    counts = np.ones((), x.dtype)  # what each mean was divided by
    for n, out, k, s, p in zip(x.shape[2:], y.shape[2:], *windows, strict=True):
        along = window_counts(n, out, k, s, p, count_include_pad)
        counts = np.multiply.outer(counts, np.array(along, x.dtype))
    return mul(y, counts / x.dtype.type(divisor_override))


# -- norms -------------------------------------------------------------------------------------


def lp_pool1d(
    x: Array,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Array:
    """The p-norm of each window of lines (N, C, L) or (C, L); as `lp_pool2d`."""
    return _lp_pool("lp_pool1d", 1, x, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    x: Array,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Array:
    """(Σ x^p)^(1/p) of each window: between the sum (p = 1) and the maximum (p → ∞).

    x (N, C, H, W) or (C, H, W); shapes as `max_pool2d`. dx = g·(x/y)^(p-1). As in PyTorch
    no absolute value is taken of x: with odd p use it on what is not negative.
    Source: Gulcehre et al. 2014, arXiv:1311.1780.
    """
    return _lp_pool("lp_pool2d", 2, x, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    x: Array,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Array:
    """The p-norm of each window of volumes (N, C, D, H, W) or (C, D, H, W); as `lp_pool2d`."""
    return _lp_pool("lp_pool3d", 3, x, norm_type, kernel_size, stride, ceil_mode)


def _lp_pool(
    name: str,
    axes: int,
    x: Array,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None,
    ceil_mode: bool,
) -> Array:
    window = per_axis(kernel_size, axes, f"{name}: kernel_size", 1)
    means = _avg_pool(name, axes, pow(x, norm_type), window, stride, 0, ceil_mode, True, None)
    sums = mul(mul(sign(means), relu(abs(means))), float(np.prod(window)))
    return pow(sums, 1 / norm_type)


# -- windows, and volumes as images ------------------------------------------------------------


def slices_of(x: Array) -> Array:
    """The slices of volumes as images: (N, C, D, H, W) -> (N·D, C, H, W)."""
    n, c, depth, height, width = x.shape
    return reshape(permute(x, (0, 2, 1, 3, 4)), (n * depth, c, height, width))


def columns_of(slices: Array, x: Array) -> Array:
    """The columns of volumes as images one pixel wide: (N·D, C, H, W) -> (N, H·W·C, D, 1).

    ``x`` (N, C, D, ...) is what the slices are of. In this order of channels no memory moves
    where they are channels-last.
    """
    _, c, height, width = slices.shape
    rows = reshape(permute(slices, (0, 2, 3, 1)), (x.shape[0], x.shape[2], height * width * c, 1))
    return permute(rows, (0, 2, 1, 3))


def volumes_of(columns: Array, slice_shape: Sequence[int]) -> Array:
    """Columns (N, H·W·C, D, 1) as volumes (N, C, D, H, W)."""
    (n, _, depth, _), (_, c, height, width) = columns.shape, slice_shape
    rows = reshape(permute(columns, (0, 2, 1, 3)), (n, depth, height, width, c))
    return permute(rows, (0, 4, 1, 2, 3))


def _slice_and_depth(windows: Windows) -> tuple[Windows, Windows]:
    """Windows of volumes as those within a slice, and those of one-pixel columns."""
    in_slice = tuple(along[1:] for along in windows)
    return in_slice, tuple((along[0], one) for along, one in zip(windows, ONE_PIXEL, strict=False))


def _in_one_row(windows: Windows) -> Windows:
    return tuple((one, *along) for along, one in zip(windows, ONE_PIXEL, strict=False))


def check_axes(name: str, x: Array, axes: int) -> None:
    if x.ndim != axes + 2:
        count = {1: "three", 2: "four", 3: "five"}[axes]
        raise ShapeError(f"{name}: x needs {count} axes\n  x {tuple(x.shape)} = {AXES[axes]}")
    check_float(name, x)


def _windows(
    name: str,
    axes: int,
    x: Array,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Windows:
    check_axes(name, x, axes)
    window = per_axis(kernel_size, axes, f"{name}: kernel_size", 1)
    own = stride is None or stride == ()
    stride = window if own else per_axis(stride, axes, f"{name}: stride", 1)
    padding = per_axis(padding, axes, f"{name}: padding")
    dilation = per_axis(dilation, axes, f"{name}: dilation", 1)
    if any(2 * p > k for p, k in zip(padding, window, strict=True)):
        raise ConfigError(f"{name}: padding {padding} exceeds half the window {window}")
    _check_fits(name, x, window, stride, padding, dilation, ceil_mode)
    return window, stride, padding, dilation


def _window(
    name: str, x: Array, kernel_size: Any, stride: Any, padding: Any
) -> tuple[Pair, Pair, Pair]:
    check_axes(name, x, 2)
    window = pair(kernel_size, f"{name}: kernel_size", 1)
    stride = window if stride is None or stride == () else pair(stride, f"{name}: stride", 1)
    padding = pair(padding, f"{name}: padding")
    if 2 * padding[0] > window[0] or 2 * padding[1] > window[1]:
        raise ConfigError(f"{name}: padding {padding} exceeds half the window {window}")
    return window, stride, padding


def _check_fits(
    name: str,
    x: Array,
    window: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> None:
    shape = x.shape
    for i in range(len(window)):
        n, k, p, d = shape[2 + i], window[i], padding[i], dilation[i]
        # In ceil mode a window may reach beyond the image by less than a stride.
        beyond = d * (k - 1) + 1 - (n + 2 * p)
        if beyond > 0 and pool_output_size(n, k, stride[i], p, d, ceil_mode) < 1:
            raise ShapeError(
                f"{name}: the window of {d * (k - 1) + 1} pixels is larger than the padded "
                f"image of {n + 2 * p}\n  x {x.shape}; kernel_size {window}; padding {padding}; "
                f"dilation {dilation}"
            )
