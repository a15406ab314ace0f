"""Transposed convolution: the input gradient of a convolution, used as a layer.

conv_transpose(x, W) is what maps the gradient of a convolution's result to that of its input:
every pixel of x sends x·W to the window that it would have been computed from, and what meets
there is added. The VJPs are therefore a convolution (in x) and its weight gradient (in W).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from chainrule.errors import ConfigError, ShapeError
from chainrule.kernels.geometry import conv_output_size
from chainrule.ops.conv import (
    LAYOUTS,
    WINDOWS,
    Array,
    Size,
    along_depth_only,
    check_bias_and_dtypes,
    flat_frames,
    hashable,
    per_axis,
)
from chainrule.ops.conv_ops import conv_transpose1d_op, conv_transpose2d_op, conv_transpose3d_op
from chainrule.ops.padding import pad
from chainrule.ops.shape import reshape, squeeze, unsqueeze

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def conv_transpose1d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Array:
    """Transposed convolution of sequences: see `conv_transpose2d`.

    input x (N, C, L) or (C, L); weight (C, O/groups, K) -> (N, O, (L-1)s - 2p + d(K-1) + op + 1).
    """
    if len(input.shape) == 2:
        args = (weight, bias, stride, padding, output_padding, groups, dilation)
        return squeeze(conv_transpose1d(unsqueeze(input, 0), *args), 0)
    x, shape, *settings = _checked(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
    return conv_transpose1d_op(x, weight, bias, shape, *settings, groups)


def conv_transpose2d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Array:
    """Transposed convolution: y is to x what a convolution's input is to its result.

    y[n, o, i·s + u·d - p, j·s + v·d - p] += Σ_c x[n, c, i, j] · W[c, o, u, v],  + b[o]

    input x (N, C, H, W) or (C, H, W); weight (C, O/groups, KH, KW), the filters of the convolution
    from O to C channels whose input gradient this is; bias (O,) or None. padding crops what that
    convolution would have padded. Several sizes convolve to one where s > 1: output_padding (less
    than stride or dilation) makes y larger than the smallest, at the right and below.
    Returns (N, O, (H-1)s - 2p + d(KH-1) + output_padding + 1, the same for W).
    Raises ShapeError (channels disagree, nothing left), DTypeError, ConfigError.
    Source: Dumoulin & Visin 2016, arXiv:1603.07285, §4; Zeiler et al. 2010, Deconvolutional
    networks.
    """
    if len(input.shape) == 3:
        args = (weight, bias, stride, padding, output_padding, groups, dilation)
        return squeeze(conv_transpose2d(unsqueeze(input, 0), *args), 0)
    x, shape, *settings = _checked(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
    return conv_transpose2d_op(x, weight, bias, shape, *settings, groups)


def conv_transpose3d(
    input: Array,
    weight: Array,
    bias: Array = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Array:
    """Transposed convolution of volumes: see `conv_transpose2d`.

    input x (N, C, D, H, W) or (C, D, H, W); weight (C, O/groups, KD, KH, KW); bias (O,) or None
    -> (N, O, OD, OH, OW), each length as there.
    """
    if len(input.shape) == 4:
        args = (weight, bias, stride, padding, output_padding, groups, dilation)
        return squeeze(conv_transpose3d(unsqueeze(input, 0), *args), 0)
    x, shape, s, p, d = _checked(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
    if not along_depth_only(weight.shape, s, p) or shape[3:] != tuple(x.shape[3:]):
        return conv_transpose3d_op(x, weight, bias, shape, s, p, d, groups)
    flat = (*shape[:3], shape[3] * shape[4])
    high = (s[0], 1), (p[0], 0), (d[0], 1)
    y = conv_transpose2d_op(flat_frames(x), flat_frames(weight), bias, flat, *high, groups)
    return reshape(y, shape)


# -- checks -------------------------------------------------------------------------------------


def _checked(
    axes: int,
    x: Array,
    weight: Array,
    bias: Array,
    stride: Size,
    padding: Size,
    output_padding: Size,
    groups: int,
    dilation: Size,
) -> tuple[Array, tuple[int, ...], Any, Any, Any]:
    """x, the result's shape, stride, padding and dilation as the ops take them."""
    given = (stride, padding, output_padding, groups, dilation)
    try:
        shape, beyond, *settings = _settings(axes, x.shape, weight.shape, *given)
    except TypeError:  # a list, which the cache cannot keep
        shape, beyond, *settings = _settings(axes, x.shape, weight.shape, *map(hashable, given))
    check_bias_and_dtypes("conv_transpose", axes, x, weight, bias, shape[1])
    return (pad(x, beyond) if beyond else x, shape, *settings)


@lru_cache(1024)
def _settings(
    axes: int,
    x: Sequence[int],
    weight: Sequence[int],
    stride: Size,
    padding: Size,
    output_padding: Size,
    groups: int,
    dilation: Size,
) -> tuple[tuple[int, ...], ...]:
    """The result's shape, what to pad x with (as `pad`), stride, padding and dilation."""
    name = f"conv_transpose{axes}d"
    _check_channels(name, axes, x, weight, groups)
    stride = per_axis(stride, axes, f"{name}: stride", 1)
    padding = per_axis(padding, axes, f"{name}: padding")
    extra = per_axis(output_padding, axes, f"{name}: output_padding")
    dilation = per_axis(dilation, axes, f"{name}: dilation", 1)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ConfigError(
            f"{name}: output_padding {extra} must be smaller than stride {stride} or "
            f"dilation {dilation}"
        )
    each = zip(x[2:], weight[2:], stride, padding, extra, dilation, strict=True)
    size = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, e, d in each]
    if min(size) < 1 or min(x[2:]) < 1:
        raise ShapeError(
            f"{name}: the result would have the size {tuple(size)}; pad less\n"
            + _roles(x, weight, axes)
        )
    # Where output_padding reaches a stride, the convolution has more places than x has pixels.
    settings = zip(size, weight[2:], stride, padding, dilation, strict=True)
    more = [conv_output_size(*axis) - n for axis, n in zip(settings, x[2:], strict=True)]
    beyond = [side for n in reversed(more) for side in (0, n)] if any(more) else []
    return (x[0], weight[1] * groups, *size), tuple(beyond), stride, padding, dilation


def _roles(x: Sequence[int], weight: Sequence[int], axes: int) -> str:
    return (
        f"  x {tuple(x)} = (N, C, {LAYOUTS[axes]}); "
        f"weight {tuple(weight)} = (C, O/groups, {WINDOWS[axes]})"
    )


def _check_channels(
    name: str, axes: int, x: Sequence[int], weight: Sequence[int], groups: int
) -> None:
    if len(x) != 2 + axes or len(weight) != 2 + axes:
        count = {1: "three", 2: "four", 3: "five"}[axes]
        raise ShapeError(f"{name}: x and weight need {count} axes\n{_roles(x, weight, axes)}")
    if weight[0] != x[1]:
        raise ShapeError(
            f"{name}: weight expects {weight[0]} channels, x has {x[1]}\n" + _roles(x, weight, axes)
        )
    if groups < 1 or x[1] % groups:
        raise ShapeError(
            f"{name}: groups {groups} must divide the channels of x\n{_roles(x, weight, axes)}"
        )
    if 0 in weight[1:]:
        raise ShapeError(f"{name}: weight is empty\n{_roles(x, weight, axes)}")
