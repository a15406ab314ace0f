"""Deformable convolution: windows whose taps move by learned offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, ShapeError
from chainrule.kernels.geometry import PIXELS, ZERO, conv_output_size
from chainrule.ops.arithmetic import add, mul
from chainrule.ops.conv import pair
from chainrule.ops.indexing import getitem
from chainrule.ops.linalg import matmul
from chainrule.ops.reduction import check_float
from chainrule.ops.sampling import sample_images
from chainrule.ops.shape import permute, reshape, transpose

__all__ = ["deform_conv2d"]

Array = Any
Size = int | Sequence[int]


def deform_conv2d(
    x: Array,
    offset: Array,
    weight: Array,
    bias: Array = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    mask: Array = None,
) -> Array:
    """Convolution whose taps read the image at learned places.

    y[n, o, i, j] = b[o] + Σ_{c, k} W[o, c, k] · m[n, k, i, j] · x[n, c] at
    (i·s - p + u_k·d + Δu[n, k, i, j], j·s - p + v_k·d + Δv[n, k, i, j]), between the pixels
    bilinearly and 0 outside. With Δ = 0 and m = 1 it is `conv2d`.

    x (N, C, H, W); offset (N, 2·G·K, OH, OW), for each of G groups of channels and each of the
    K = KH·KW taps (Δu, Δv); mask m (N, G·K, OH, OW) or None (v1); weight (O, C/groups, KH, KW).
    Composed: points, their pixels, a matrix product; see docs/derivations/deformable.md.
    Raises ShapeError, ConfigError, DTypeError. Source: Dai et al. 2017, arXiv:1703.06211, eq. 2;
    Zhu et al. 2019, arXiv:1811.11168, eq. 1 (mask). Signature: torchvision.ops.deform_conv2d.
    """
    stride, padding = pair(stride, "deform_conv2d: stride", 1), pair(padding, "padding")
    dilation = pair(dilation, "deform_conv2d: dilation", 1)
    check_float("deform_conv2d", x)
    out, parts = _check(x, offset, weight, bias, mask, stride, padding, dilation)
    n, channels = x.shape[:2]
    taps = weight.shape[2] * weight.shape[3]
    if parts == 0:  # no channels of offsets: as torchvision, an error
        raise ShapeError(f"deform_conv2d: offset has no channels\n  offset {tuple(offset.shape)}")
    moves = permute(reshape(offset, (n * parts, taps, 2, *out)), (0, 3, 4, 1, 2))
    starts = _starts(weight.shape[2:], out, stride, padding, dilation)
    points = getitem(add(moves, starts.astype(offset.dtype)), (..., slice(None, None, -1)))
    images = reshape(x, (n * parts, channels // parts, *x.shape[2:]))
    at = reshape(points, (n * parts, out[0] * out[1] * taps, 2))
    pixels = sample_images(images, at, False, ZERO, PIXELS)  # (N·G, OH·OW·K, C/G)
    if mask is not None:
        shares = permute(reshape(mask, (n * parts, taps, *out)), (0, 2, 3, 1))
        pixels = mul(pixels, reshape(shares, (*at.shape[:2], 1)))
    return _combine(pixels, weight, bias, n, parts, out)


def _starts(
    window: Sequence[int],
    out: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Any:
    """Row and column of each tap before it moves: (OH, OW, K, 2)."""
    taps = np.indices(tuple(window)).reshape(2, -1)
    rows, cols = (
        (np.arange(out[i]) * stride[i] - padding[i])[:, None] + taps[i] * dilation[i]
        for i in (0, 1)
    )
    rows, cols = np.broadcast_arrays(rows[:, None], cols[None])
    return np.stack([rows, cols], -1)


def _combine(
    pixels: Array, weight: Array, bias: Array, n: int, parts: int, out: Sequence[int]
) -> Array:
    """The matrix product of all taps' pixels and the weights, group by group."""
    outputs, each, height, width = weight.shape
    taps, share = height * width, pixels.shape[-1]
    channels = parts * share
    groups = channels // max(each, 1)
    rows = n * out[0] * out[1]
    lines = reshape(pixels, (n, parts, out[0] * out[1], taps, share))
    lines = reshape(permute(lines, (0, 2, 3, 1, 4)), (rows, taps, groups, each))
    lines = reshape(permute(lines, (2, 0, 1, 3)), (groups, rows, taps * each))
    filters = reshape(permute(weight, (2, 3, 1, 0)), (taps * each, groups, outputs // groups))
    y = matmul(lines, transpose(filters, 0, 1))  # (groups, N·OH·OW, O/groups)
    y = reshape(transpose(y, 0, 1), (n, *out, outputs))
    y = y if bias is None else add(y, bias)
    return permute(y, (0, 3, 1, 2))


def _check(
    x: Array,
    offset: Array,
    weight: Array,
    bias: Array,
    mask: Array,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, int], int]:
    """The result's height and width, and the number of groups of offsets."""
    shapes = f"\n  x {tuple(x.shape)} = (N, C, H, W); weight {tuple(weight.shape)}"
    if x.ndim != 4 or weight.ndim != 4 or offset.ndim != 4:
        raise ShapeError("deform_conv2d: x, offset and weight need four axes" + shapes)
    n, channels = x.shape[:2]
    outputs, each, *window = weight.shape
    if each == 0 or channels % each or outputs % (channels // each or 1):
        raise ShapeError(
            "deform_conv2d: channels and outputs must divide into groups of C/groups" + shapes
        )
    height, width = (
        conv_output_size(*axis)
        for axis in zip(x.shape[2:], window, stride, padding, dilation, strict=True)
    )
    if height < 1 or width < 1:
        raise ShapeError("deform_conv2d: the window is larger than the padded image" + shapes)
    taps = window[0] * window[1]
    parts = offset.shape[1] // (2 * taps)
    if offset.shape != (n, 2 * taps * parts, height, width) or (parts and channels % parts):
        raise ShapeError(
            f"deform_conv2d: offset must be (N, 2·G·{taps}, {height}, {width}), G a divisor of "
            f"{channels} channels; got {tuple(offset.shape)}" + shapes
        )
    if mask is not None and mask.shape != (n, taps * parts, height, width):
        raise ShapeError(
            f"deform_conv2d: mask must be {(n, taps * parts, height, width)}, one number for "
            f"each offset's tap; got {tuple(mask.shape)}" + shapes
        )
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise ConfigError(f"deform_conv2d: bias must be ({outputs},); got {tuple(bias.shape)}")
    return (height, width), parts
