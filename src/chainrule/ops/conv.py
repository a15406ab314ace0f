"""Convolution (cross-correlation) in one, two and three dimensions: arguments and their checks.

The ops and their VJPs are in `chainrule.ops.conv_ops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.kernels.geometry import conv_output_size
from chainrule.ops.conv_ops import Array, Pair, conv1d_op, conv2d_op, conv3d_op
from chainrule.ops.padding import pad
from chainrule.ops.shape import reshape, squeeze, unsqueeze

__all__ = ["conv1d", "conv2d", "conv3d"]

Size = int | Sequence[int]
Named = Literal["same", "valid"]


def pair(value: Size, name: str, least: int = 0) -> Pair:
    """An int for both axes, or (vertical, horizontal); each at least ``least``."""
    if type(value) is int and value >= least:
        return value, value
    if type(value) is tuple and len(value) == 2:
        vertical, horizontal = value
        if type(vertical) is type(horizontal) is int and least <= vertical and least <= horizontal:
            return value
    vertical, horizontal = per_axis(value, 2, name, least)
    return vertical, horizontal


def per_axis(value: Size, axes: int, name: str, least: int = 0) -> tuple[int, ...]:
    """An int for all axes, or one for each; each at least ``least``."""
    one = isinstance(value, int | np.integer)
    each = tuple(value) if isinstance(value, Sequence) else (value,) if one else ()
    if len(each) == 1:
        each = each * axes
    if len(each) != axes or not all(isinstance(v, int | np.integer) and v >= least for v in each):
        several = {1: "one in a sequence", 2: "a pair of them"}.get(axes, f"{axes} of them")
        raise ConfigError(
            f"{name} must be a whole number of at least {least} or {several}, got {value}"
        )
    return tuple(int(v) for v in each)


# -- the functions ------------------------------------------------------------------------------


def conv1d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Size = 1,
    padding: Size | Named = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlate sequences with filters: `conv2d` of images one pixel high.

    y[n, o, i] = b[o] + Σ_{c, u} W[o, c, u] · x[n, c, i·s + u·d - p]

    input x (N, C, L) or (C, L); weight (O, C/groups, K); bias (O,) or None; the settings as there.
    Returns (N, O, ⌊(L + 2p - d(K-1) - 1)/s⌋ + 1). Raises ShapeError, DTypeError, ConfigError.
    """
    if len(input.shape) == 2:
        args = (weight, bias, stride, padding, dilation, groups)
        return squeeze(conv1d(unsqueeze(input, 0), *args), 0)
    x, stride, padding, dilation = _checked(
        1, input, weight, bias, stride, padding, dilation, groups
    )
    return conv1d_op(x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Size = 1,
    padding: Size | Named = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlate images with filters (the filter is not flipped).

    y[n, o, i, j] = b[o] + Σ_{c, u, v} W[o, c, u, v] · x[n, c, i·s + u·d - p, j·s + v·d - p]

    input x (N, C, H, W) or (C, H, W); weight (O, C/groups, KH, KW), same float dtype; bias (O,) or
    None. stride, padding, dilation: pixels, int or (vertical, horizontal). padding "same"
    keeps the size (stride 1 only), "valid" pads nothing. With groups, output channel block k
    sees input channel block k only; groups = C is a depthwise convolution. A 1x1 window is
    `linear`, applied to each pixel's channels.
    Returns (N, O, ⌊(H + 2p - d(KH-1) - 1)/s⌋ + 1, the same for W).
    Raises ShapeError (channels disagree, window larger than the padded image), DTypeError.
    Source: Dumoulin & Visin 2016, A guide to convolution arithmetic, arXiv:1603.07285.
    """
    if len(input.shape) == 3:
        y = conv2d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)
        return squeeze(y, 0)
    x, stride, padding, dilation = _checked(
        2, input, weight, bias, stride, padding, dilation, groups
    )
    return conv2d_op(x, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Size = 1,
    padding: Size | Named = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlate volumes (or films: depth is time) with filters.

    y[n, o, i, j, k] = b[o] + Σ_{c, t, u, v} W[o, c, t, u, v] · x[n, c, i·s + t·d - p, ..., ...]

    input x (N, C, D, H, W) or (C, D, H, W); weight (O, C/groups, KD, KH, KW); bias (O,) or None;
    the settings as for `conv2d`, int or (depth, vertical, horizontal).
    Returns (N, O, ⌊(D + 2p - d(KD-1) - 1)/s⌋ + 1, the same for H, for W).
    Raises ShapeError, DTypeError, ConfigError.
    """
    if len(input.shape) == 4:
        args = (weight, bias, stride, padding, dilation, groups)
        return squeeze(conv3d(unsqueeze(input, 0), *args), 0)
    x, s, p, d = _checked(3, input, weight, bias, stride, padding, dilation, groups)
    if not along_depth_only(weight.shape, s, p):
        return conv3d_op(x, weight, bias, s, p, d, groups)
    high = (s[0], 1), (p[0], 0), (d[0], 1)
    y = conv2d_op(flat_frames(x), flat_frames(weight), bias, *high, groups)
    return reshape(y, (*y.shape[:3], *x.shape[3:]))


def along_depth_only(weight: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> bool:
    """Whether each pixel of a film is seen by itself: then a frame may lie in one row."""
    return (*weight[3:], *stride[1:], *padding[1:]) == (1, 1, 1, 1, 0, 0)


def flat_frames(x: Array) -> Array:
    """(N, C, D, H, W) -> (N, C, D, H·W), a view where H and W are neighbours in memory."""
    return reshape(x, (*x.shape[:3], x.shape[3] * x.shape[4]))


# -- checks -------------------------------------------------------------------------------------

LAYOUTS = {1: "L", 2: "H, W", 3: "D, H, W"}
WINDOWS = {1: "K", 2: "KH, KW", 3: "KD, KH, KW"}


def _roles(x: Sequence[int], weight: Sequence[int], axes: int) -> str:
    return (
        f"  x {tuple(x)} = (N, C, {LAYOUTS[axes]}); "
        f"weight {tuple(weight)} = (O, C/groups, {WINDOWS[axes]})"
    )


def _checked(
    axes: int,
    x: Array,
    weight: Array,
    bias: Array,
    stride: Size,
    padding: Size | Named,
    dilation: Size,
    groups: int,
) -> tuple[Array, Any, Any, Any]:
    """x, stride, padding and dilation as the ops take them: numbers, one for each axis."""
    x_shape, weight_shape = x.shape, weight.shape
    try:
        stride, padding, dilation, beyond = _settings(
            axes, x_shape, weight_shape, stride, padding, dilation, groups
        )
    except TypeError:  # a list, which the cache cannot keep
        stride, padding, dilation, beyond = _settings(
            axes, x_shape, weight_shape, *map(hashable, (stride, padding, dilation)), groups
        )
    check_bias_and_dtypes("conv", axes, x, weight, bias, weight_shape[0])
    return pad(x, beyond) if beyond else x, stride, padding, dilation


def hashable(setting: Any) -> Any:
    return tuple(setting) if isinstance(setting, list) else setting


@lru_cache(1024)  # a model's layers ask the same again and again
def _settings(
    axes: int,
    x: Sequence[int],
    weight: Sequence[int],
    stride: Size,
    padding: Size | Named,
    dilation: Size,
    groups: int,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """stride, padding, dilation for each axis, and what "same" pads beyond that (as `pad`)."""
    name = f"conv{axes}d"
    _check_channels(axes, x, weight, groups)
    stride = per_axis(stride, axes, f"{name}: stride", 1)
    dilation = per_axis(dilation, axes, f"{name}: dilation", 1)
    beyond: tuple[int, ...] = ()
    if isinstance(padding, str):
        total = named_padding(name, padding, weight[2:], stride, dilation)
        padding = tuple(n // 2 for n in total)
        if any(n % 2 for n in total):  # an odd pixel of padding goes right, below, behind
            beyond = tuple(side for n in reversed(total) for side in (0, n % 2))
            x = (*x[:2], *(size + n % 2 for size, n in zip(x[2:], total, strict=True)))
    padding = per_axis(padding, axes, f"{name}: padding")
    conv_shape(tuple(x), tuple(weight), stride, padding, dilation)
    return stride, padding, dilation, beyond


def _check_channels(axes: int, x: Sequence[int], weight: Sequence[int], groups: int) -> None:
    name = f"conv{axes}d"
    roles = _roles(x, weight, axes)
    if len(x) != 2 + axes or len(weight) != 2 + axes:
        count = {1: "three", 2: "four", 3: "five"}[axes]
        raise ShapeError(f"{name}: x and weight need {count} axes\n{roles}")
    channels, filters = x[1], weight[0]
    if groups < 1 or channels % groups or filters % groups:
        raise ShapeError(
            f"{name}: groups {groups} must divide the channels of x and the filters\n{roles}"
        )
    if weight[1] * groups != channels:
        raise ShapeError(
            f"{name}: weight expects {weight[1] * groups} channels, x has {channels}\n{roles}"
        )


def check_bias_and_dtypes(
    name: str, axes: int, x: Array, weight: Array, bias: Array, filters: int
) -> None:
    """``bias`` holds a value for each filter, and all have one float dtype."""
    if bias is not None and bias.shape != (filters,):
        raise ShapeError(
            f"{name}{axes}d: bias {tuple(bias.shape)} must hold one value per filter, "
            f"({filters},)\n{_roles(x.shape, weight.shape, axes)}"
        )
    dtype = x.dtype
    alike = dtype == weight.dtype and (bias is None or dtype == bias.dtype)
    if not alike or dtype.kind != "f":
        raise DTypeError(
            f"{name}{axes}d: x is {dtype}, weight is {weight.dtype}; "
            "all must be one float dtype (convert with .float())"
        )


def named_padding(
    name: str,
    padding: str,
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[int]:
    """Padding "same" or "valid" as numbers of pixels, before and after together."""
    if padding == "valid":
        return [0] * len(window)
    if padding != "same":
        raise ConfigError(f'{name}: padding must be a number, "same" or "valid", got {padding!r}')
    if any(s != 1 for s in stride):
        raise ConfigError(f'{name}: padding "same" needs stride 1, got {tuple(stride)}')
    return [d * (k - 1) for d, k in zip(dilation, window, strict=True)]


@lru_cache(1024)
def conv_shape(
    x: Sequence[int],
    weight: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """The result's shape from those of x and weight; ShapeError if the window does not fit."""
    axes = list(zip(x[2:], weight[2:], stride, padding, dilation, strict=True))
    for n, kernel, _, p, d in axes:
        size, window = n + 2 * p, d * (kernel - 1) + 1
        if window > size or kernel == 0:
            raise ShapeError(
                f"conv{len(axes)}d: the window of {window} pixels is larger than the padded image "
                f"of {size}\n  x {tuple(x)}; weight {tuple(weight)}; padding {padding}; "
                f"dilation {dilation}"
            )
    return x[0], weight[0], *[conv_output_size(*axis) for axis in axes]
