"""The ops behind convolution: in 1, 2 and 3 dimensions the operation, its gradients, its transpose.

Convolution, input gradient and weight gradient are each other's vector-Jacobian products.
Write y = x ⋆ W. Being linear in x and in W, it is characterised by the trilinear form

    ⟨g, x ⋆ W⟩ = ⟨input_grad(g, W), x⟩ = ⟨weight_grad(g, x), W⟩,

so the gradient of any one of them with respect to either of its arguments is another one
of them. Convolution closes under differentiation, and gradients of any order follow. The
transposed convolution is the input gradient plus a bias.

All is computed by the 2-d kernels. A sequence is an image one pixel high. A volume's frames
that a window sees are gathered as channels of one image: y = conv2d(G x, W'), with G the
gathering and W' the filters (C, KD, KH, KW) seen as ones of KD·C channels. G is linear, its
transpose adds frames up, and so dx = Gᵀ input_grad(g, W'), dW' = weight_grad(g, G x). What was
gathered is not kept for the backward pass, but gathered again: it is KD times as large as x.
(In a depthwise convolution the KD·C channels are as many groups, and the taps are added up after.)

The arguments are checked by `chainrule.ops.conv` and `chainrule.ops.conv_transpose`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.kernels.geometry import conv_output_size
from chainrule.ops.op import Op, op
from chainrule.ops.reduction import channel_sum

Array = Any
Single = tuple[int]
Pair = tuple[int, int]
Triple = tuple[int, int, int]

LARGE = 1 << 15  # numbers, whose memory takes longer than a few calls of NumPy


def close_under_differentiation(conv: Op, input_grad: Op, weight_grad: Op, transposed: Op) -> None:
    """Declare the VJPs of four ops, which are one another."""
    conv.vjp(
        x=lambda g, weight, x_shape, stride, padding, dilation, groups: input_grad.in_vjp(
            g, weight, x_shape, stride, padding, dilation, groups
        ),
        weight=lambda g, x, weight_shape, stride, padding, dilation, groups: weight_grad.in_vjp(
            g, x, weight_shape, stride, padding, dilation, groups
        ),
        bias=channel_sum,
    )
    input_grad.vjp(  # u = dL/d(dx), shaped like x
        g=lambda u, weight, stride, padding, dilation, groups: conv(
            u, weight, None, stride, padding, dilation, groups
        ),
        weight=lambda u, g, weight_shape, stride, padding, dilation, groups: weight_grad(
            g, u, weight_shape, stride, padding, dilation, groups
        ),
    )
    weight_grad.vjp(  # u = dL/d(dW), shaped like W
        g=lambda u, x, stride, padding, dilation, groups: conv(
            x, u, None, stride, padding, dilation, groups
        ),
        x=lambda u, g, x_shape, stride, padding, dilation, groups: input_grad(
            g, u, x_shape, stride, padding, dilation, groups
        ),
    )
    transposed.vjp(  # as input_grad
        x=lambda g, weight, stride, padding, dilation, groups: conv.in_vjp(
            g, weight, None, stride, padding, dilation, groups
        ),
        weight=lambda g, x, weight_shape, stride, padding, dilation, groups: weight_grad(
            x, g, weight_shape, stride, padding, dilation, groups
        ),
        bias=channel_sum,
    )


# -- images -------------------------------------------------------------------------------------


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
    g (N, O, OH, OW) -> dx of ``shape``.
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


@op(name="conv_transpose2d")
def conv_transpose2d_op(
    x: Array,
    weight: Array,
    bias: Array,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """`conv_transpose2d` with the checks behind it; shape: the result's."""
    y = kernels.conv2d_input_grad(x, weight, shape, stride, padding, dilation, groups)
    return _add_bias(y, bias)


def _add_bias(y: Array, bias: Array) -> Array:
    """y + bias[c], in y's memory, which is channels-last."""
    if bias is None:
        return y
    pixels = y.transpose(0, *range(2, y.ndim), 1)
    if y.size < LARGE or not pixels.flags.c_contiguous:
        pixels += bias
    else:  # NumPy adds long rows faster than many short ones
        row, channels = pixels.shape[-2:]
        pixels.reshape(-1, row * channels)[...] += np.broadcast_to(bias, (row, channels)).reshape(
            -1
        )
    return y


close_under_differentiation(conv2d_op, conv2d_input_grad, conv2d_weight_grad, conv_transpose2d_op)


# -- sequences ----------------------------------------------------------------------------------


def _high(x: Array) -> Array:
    """(N, C, L) -> (N, C, 1, L), a view."""
    return x[:, :, None]


def _flat(x: Array) -> Array:
    """(N, C, 1, L) -> (N, C, L), a view."""
    return x[:, :, 0]


def _of_rows(
    stride: Single, padding: Single, dilation: Single, groups: int
) -> tuple[Pair, Pair, Pair, int]:
    return (1, *stride), (0, *padding), (1, *dilation), groups


@op(name="conv1d")
def conv1d_op(
    x: Array,
    weight: Array,
    bias: Array,
    stride: Single,
    padding: Single,
    dilation: Single,
    groups: int,
) -> Array:
    """`conv1d` with the checks behind it."""
    rows = _of_rows(stride, padding, dilation, groups)
    return _flat(kernels.conv2d(_high(x), _high(weight), bias, *rows))


@op
def conv1d_input_grad(
    g: Array,
    weight: Array,
    shape: tuple[int, ...],
    stride: Single,
    padding: Single,
    dilation: Single,
    groups: int,
) -> Array:
    """dL/dx of conv1d, of ``shape``."""
    rows = _of_rows(stride, padding, dilation, groups)
    high = (*shape[:2], 1, shape[2])
    return _flat(kernels.conv2d_input_grad(_high(g), _high(weight), high, *rows))


@op
def conv1d_weight_grad(
    g: Array,
    x: Array,
    shape: tuple[int, ...],
    stride: Single,
    padding: Single,
    dilation: Single,
    groups: int,
) -> Array:
    """dL/dW of conv1d, of ``shape``."""
    rows = _of_rows(stride, padding, dilation, groups)
    high = (*shape[:2], 1, shape[2])
    return _flat(kernels.conv2d_weight_grad(_high(g), _high(x), high, *rows))


@op(name="conv_transpose1d")
def conv_transpose1d_op(
    x: Array,
    weight: Array,
    bias: Array,
    shape: tuple[int, ...],
    stride: Single,
    padding: Single,
    dilation: Single,
    groups: int,
) -> Array:
    """`conv_transpose1d` with the checks behind it; shape: the result's."""
    y = conv1d_input_grad.forward(x, weight, shape, stride, padding, dilation, groups)
    return _add_bias(y, bias)


close_under_differentiation(conv1d_op, conv1d_input_grad, conv1d_weight_grad, conv_transpose1d_op)


# -- volumes ------------------------------------------------------------------------------------


@op(name="conv3d")
def conv3d_op(
    x: Array,
    weight: Array,
    bias: Array,
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
) -> Array:
    """`conv3d` with the checks behind it."""
    depth = _depth(weight.shape, stride, padding, dilation)
    apart = _taps_apart(weight.shape, groups)
    frames = kernels.gather_frames(x, *depth, 1 if apart else groups)
    planes = _planes(weight, apart)
    within = stride[1:], padding[1:], dilation[1:]
    if apart:
        y = kernels.conv2d(frames, planes, None, *within, groups * depth[0])
        y = _add_bias(_sum_of_taps(y, depth[0]), bias)
    else:
        y = kernels.conv2d(frames, planes, bias, *within, groups)
    volume = (len(x), y.shape[1], conv_output_size(x.shape[2], *depth), *y.shape[2:])
    return kernels.add_frames(y, volume, 1, 1, 0, 1, 1)


@op
def conv3d_input_grad(
    g: Array,
    weight: Array,
    shape: tuple[int, ...],
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
) -> Array:
    """dL/dx of conv3d, of ``shape``."""
    depth = _depth(weight.shape, stride, padding, dilation)
    apart = _taps_apart(weight.shape, groups)
    images = _images(g)
    gathered = (len(images), depth[0] * shape[1], *shape[3:])
    frames = kernels.conv2d_input_grad(
        _for_each_tap(images, depth[0]) if apart else images,
        _planes(weight, apart),
        gathered,
        stride[1:],
        padding[1:],
        dilation[1:],
        groups * depth[0] if apart else groups,
    )
    return kernels.add_frames(frames, shape, *depth, 1 if apart else groups)


@op
def conv3d_weight_grad(
    g: Array,
    x: Array,
    shape: tuple[int, ...],
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
) -> Array:
    """dL/dW of conv3d, of ``shape``."""
    outputs, channels, taps, height, width = shape
    depth = _depth(shape, stride, padding, dilation)
    within = stride[1:], padding[1:], dilation[1:]
    if _taps_apart(shape, groups):
        frames = kernels.gather_frames(x, *depth, 1)
        planes = (taps * outputs, 1, height, width)
        images = _for_each_tap(_images(g), taps)
        dw = kernels.conv2d_weight_grad(images, frames, planes, *within, groups * taps)
        return np.ascontiguousarray(np.moveaxis(dw.reshape(taps, *shape[:2], *shape[3:]), 0, 2))
    frames = kernels.gather_frames(x, *depth, groups)
    planes = (outputs, taps * channels, height, width)
    dw = kernels.conv2d_weight_grad(_images(g), frames, planes, *within, groups)
    return np.ascontiguousarray(dw.reshape(outputs, taps, channels, height, width).swapaxes(1, 2))


@op(name="conv_transpose3d")
def conv_transpose3d_op(
    x: Array,
    weight: Array,
    bias: Array,
    shape: tuple[int, ...],
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
) -> Array:
    """`conv_transpose3d` with the checks behind it; shape: the result's."""
    y = conv3d_input_grad.forward(x, weight, shape, stride, padding, dilation, groups)
    return _add_bias(y, bias)


close_under_differentiation(conv3d_op, conv3d_input_grad, conv3d_weight_grad, conv_transpose3d_op)


def _depth(
    weight: Sequence[int], stride: Triple, padding: Triple, dilation: Triple
) -> tuple[int, int, int, int]:
    """Taps, stride, padding and dilation along depth."""
    return weight[2], stride[0], padding[0], dilation[0]


def _taps_apart(weight: Sequence[int], groups: int) -> bool:
    """Whether taps along depth stay groups of their own, to be added up after.

    So where a group has one channel: depthwise kernels then see one again, and not KD.
    """
    return groups > 1 and weight[1] == 1 and weight[2] > 1


def _planes(weight: Array, apart: bool) -> Array:
    """The filters (O, C/groups, KD, KH, KW) in the order of gathered frames.

    (O, KD·C/groups, KH, KW); with taps apart (KD·O, 1, KH, KW).
    """
    outputs, channels, taps, height, width = weight.shape
    if apart:
        return np.moveaxis(weight, 2, 0).reshape(taps * outputs, 1, height, width)
    return weight.swapaxes(1, 2).reshape(outputs, taps * channels, height, width)


def _sum_of_taps(y: Array, taps: int) -> Array:
    """Σ_t of (N, taps·O, H, W): the transpose of `_for_each_tap`."""
    count, channels, *size = y.shape
    films = count, channels // taps, 1, *size  # of one frame, which all taps see
    return kernels.add_frames(y, films, taps, 1, 0, 0, 1)[:, :, 0]


def _for_each_tap(g: Array, taps: int) -> Array:
    """(N, O, H, W) -> (N, taps·O, H, W): a copy for each tap."""
    return kernels.gather_frames(g[:, :, None], taps, 1, 0, 0, 1)


def _images(volume: Array) -> Array:
    """(N, C, D, H, W) -> (N·D, C, H, W)."""
    return kernels.gather_frames(volume, 1, 1, 0, 1, 1)
