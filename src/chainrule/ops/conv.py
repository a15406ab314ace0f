"""2-d convolution (cross-correlation) and its two gradients.

The three are each other's vector-Jacobian products. Write y = x ⋆ W. Being linear in x and
in W, it is characterised by the trilinear form

    ⟨g, x ⋆ W⟩ = ⟨input_grad(g, W), x⟩ = ⟨weight_grad(g, x), W⟩,

so the gradient of any one of them with respect to either of its arguments is another one
of them. Convolution closes under differentiation, and gradients of any order follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.kernels.geometry import conv_output_size
from chainrule.ops.op import op
from chainrule.ops.reduction import channel_sum
from chainrule.ops.shape import pad, squeeze, unsqueeze

__all__ = ["conv2d"]

Array = Any
Pair = tuple[int, int]


def pair(value: int | Sequence[int], name: str, least: int = 0) -> Pair:
    """An int for both axes, or (vertical, horizontal); each at least ``least``."""
    if type(value) is int and value >= least:
        return value, value
    if type(value) is tuple and len(value) == 2:
        vertical, horizontal = value
        if type(vertical) is type(horizontal) is int and least <= vertical and least <= horizontal:
            return value
    two = (value, value) if isinstance(value, int | np.integer) else tuple(value)
    if len(two) == 1:
        two = two * 2
    if len(two) != 2 or not all(isinstance(v, int | np.integer) and v >= least for v in two):
        raise ConfigError(
            f"{name} must be a whole number of at least {least} or a pair of them, got {value}"
        )
    return int(two[0]), int(two[1])


def conv2d(
    x: Array,
    weight: Array,
    bias: Array = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | Literal["same", "valid"] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlate images with filters (the filter is not flipped).

    y[n, o, i, j] = b[o] + Σ_{c, u, v} W[o, c, u, v] · x[n, c, i·s + u·d - p, j·s + v·d - p]

    x (N, C, H, W) or (C, H, W); weight (O, C/groups, KH, KW), same float dtype; bias (O,) or
    None. stride, padding, dilation: pixels, int or (vertical, horizontal). padding "same"
    keeps the size (stride 1 only), "valid" pads nothing. With groups, output channel block k
    sees input channel block k only; groups = C is a depthwise convolution.
    Returns (N, O, ⌊(H + 2p - d(KH-1) - 1)/s⌋ + 1, the same for W).
    Raises ShapeError (channels disagree, window larger than the padded image), DTypeError.
    Source: Dumoulin & Visin 2016, A guide to convolution arithmetic, arXiv:1603.07285.
    """
    x_shape, weight_shape = x.shape, weight.shape
    if len(x_shape) == 3:
        y = conv2d(unsqueeze(x, 0), weight, bias, stride, padding, dilation, groups)
        return squeeze(y, 0)
    stride, dilation = pair(stride, "conv2d: stride", 1), pair(dilation, "conv2d: dilation", 1)
    _check_channels(x_shape, weight_shape, groups)
    _check_bias_and_dtypes(x, weight, bias, weight_shape)
    if isinstance(padding, str):
        x, padding = _pad_by_name(x, weight_shape[2:], stride, padding, dilation)
        x_shape = x.shape
    padding = pair(padding, "conv2d: padding")
    conv2d_shape(x_shape, weight_shape, stride, padding, dilation)
    return conv2d_op(x, weight, bias, stride, padding, dilation, groups)


def _roles(x: Sequence[int], weight: Sequence[int]) -> str:
    return f"  x {tuple(x)} = (N, C, H, W); weight {tuple(weight)} = (O, C/groups, KH, KW)"


@lru_cache(1024)  # a model's layers ask the same again and again
def _check_channels(x: Sequence[int], weight: Sequence[int], groups: int) -> None:
    if len(x) != 4 or len(weight) != 4:
        raise ShapeError(f"conv2d: x and weight need four axes\n{_roles(x, weight)}")
    channels, filters = x[1], weight[0]
    if groups < 1 or channels % groups or filters % groups:
        raise ShapeError(
            f"conv2d: groups {groups} must divide the channels of x and the filters\n"
            + _roles(x, weight)
        )
    if weight[1] * groups != channels:
        raise ShapeError(
            f"conv2d: weight expects {weight[1] * groups} channels, x has {channels}\n"
            + _roles(x, weight)
        )


def _check_bias_and_dtypes(x: Array, weight: Array, bias: Array, shape: Sequence[int]) -> None:
    """shape: that of weight."""
    if bias is not None and bias.shape != shape[:1]:
        raise ShapeError(
            f"conv2d: bias {tuple(bias.shape)} must hold one value per filter, ({shape[0]},)\n"
            + _roles(x.shape, shape)
        )
    dtype = x.dtype
    alike = dtype == weight.dtype and (bias is None or dtype == bias.dtype)
    if not alike or dtype.kind != "f":
        raise DTypeError(
            f"conv2d: x is {dtype}, weight is {weight.dtype}; "
            "all must be one float dtype (convert with .float())"
        )


@lru_cache(1024)
def conv2d_shape(
    x: Sequence[int], weight: Sequence[int], stride: Pair, padding: Pair, dilation: Pair
) -> tuple[int, ...]:
    """The result's shape from those of x and weight; ShapeError if the window does not fit."""
    for axis in (0, 1):
        size, kernel = x[2 + axis] + 2 * padding[axis], weight[2 + axis]
        window = dilation[axis] * (kernel - 1) + 1
        if window > size or kernel == 0:
            raise ShapeError(
                f"conv2d: the window of {window} pixels is larger than the padded image of "
                f"{size}\n  x {tuple(x)}; weight {tuple(weight)}; padding {padding}; "
                f"dilation {dilation}"
            )
    axes = zip(x[2:], weight[2:], stride, padding, dilation, strict=True)
    return x[0], weight[0], *[conv_output_size(*axis) for axis in axes]


def _pad_by_name(
    x: Array, window: Sequence[int], stride: Pair, padding: str, dilation: Pair
) -> tuple[Array, Pair]:
    """Padding "same" or "valid" as numbers; an odd pixel of padding goes right and below."""
    if padding == "valid":
        return x, (0, 0)
    if padding != "same":
        raise ConfigError(f'conv2d: padding must be a number, "same" or "valid", got {padding!r}')
    if stride != (1, 1):
        raise ConfigError(f'conv2d: padding "same" needs stride 1, got {stride}')
    total = [d * (k - 1) for d, k in zip(dilation, window, strict=True)]
    if total[0] % 2 or total[1] % 2:
        x = pad(x, (0, total[1] % 2, 0, total[0] % 2))
    return x, (total[0] // 2, total[1] // 2)


@op(name="conv2d")
def conv2d_op(
    x: Array, weight: Array, bias: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """`conv2d` with the checks behind it."""
    return kernels.conv2d(x, weight, bias, stride, padding, dilation, groups)


@op
def conv2d_input_grad(
    g: Array,
    weight: Array,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """dL/dx of conv2d: every output pixel sends g·W back to the window it looked at.

    dx[n, c, i·s + u·d - p, j·s + v·d - p] += Σ_o g[n, o, i, j] · W[o, c, u, v]
    (also known as the transposed convolution). g (N, O, OH, OW) -> dx of ``shape``.
    """
    return kernels.conv2d_input_grad(g, weight, shape, stride, padding, dilation, groups)


@op
def conv2d_weight_grad(
    g: Array,
    x: Array,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """dL/dW of conv2d: correlate the input with the gradient, summed over images.

    dW[o, c, u, v] = Σ_{n, i, j} g[n, o, i, j] · x[n, c, i·s + u·d - p, j·s + v·d - p]
    """
    return kernels.conv2d_weight_grad(g, x, shape, stride, padding, dilation, groups)


conv2d_op.vjp(
    x=lambda g, weight, x_shape, stride, padding, dilation, groups: conv2d_input_grad.in_vjp(
        g, weight, x_shape, stride, padding, dilation, groups
    ),
    weight=lambda g, x, weight_shape, stride, padding, dilation, groups: conv2d_weight_grad.in_vjp(
        g, x, weight_shape, stride, padding, dilation, groups
    ),
    bias=channel_sum,
)
conv2d_input_grad.vjp(  # u = dL/d(dx), shaped like x
    g=lambda u, weight, stride, padding, dilation, groups: conv2d_op(
        u, weight, None, stride, padding, dilation, groups
    ),
    weight=lambda u, g, weight_shape, stride, padding, dilation, groups: conv2d_weight_grad(
        g, u, weight_shape, stride, padding, dilation, groups
    ),
)
conv2d_weight_grad.vjp(  # u = dL/d(dW), shaped like W
    g=lambda u, x, stride, padding, dilation, groups: conv2d_op(
        x, u, None, stride, padding, dilation, groups
    ),
    x=lambda u, g, x_shape, stride, padding, dilation, groups: conv2d_input_grad(
        g, u, x_shape, stride, padding, dilation, groups
    ),
)
