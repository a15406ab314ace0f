"""Convolution, its transpose, and the windows that it sees."""

from __future__ import annotations

from typing import Literal

from chainrule import ops
from chainrule.nn.functional.arguments import Size
from chainrule.tensor import Tensor

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "unfold",
]

Padding = Size | Literal["same", "valid"]


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate sequences with filters (the filter is not flipped).

    y[n, o, i] = b[o] + Σ_{c, u} W[o, c, u] · x[n, c, i·s + u·d - p]

    input x (N, C, L) or (C, L); weight W (O, C/groups, K); bias b (O,) or None; the settings, in
    samples, as for `conv2d`. Returns (N, O, ⌊(L + 2p - d(K-1) - 1)/s⌋ + 1).
    Raises ShapeError, DTypeError, ConfigError.
    """
    return ops.conv1d(input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate images with filters (the filter is not flipped).

    y[n, o, i, j] = b[o] + Σ_{c, u, v} W[o, c, u, v] · x[n, c, i·s + u·d - p, j·s + v·d - p]

    input x (N, C, H, W) or (C, H, W); weight W (O, C/groups, KH, KW); bias b (O,) or None.
    stride, padding, dilation: pixels, int or (vertical, horizontal); padding "same" keeps
    the size (stride 1), "valid" pads nothing. Output channels of block k of ``groups`` see the
    input channels of block k only. A 1x1 window is `linear` on each pixel's channels.
    Returns (N, O, ⌊(H + 2p - d(KH-1) - 1)/s⌋ + 1, the same for W).
    Raises ShapeError (channels disagree, window larger than the padded image), DTypeError.
    Source: Dumoulin & Visin 2016, arXiv:1603.07285.
    """
    return ops.conv2d(input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Padding = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate volumes, or films (depth is time), with filters.

    input x (N, C, D, H, W) or (C, D, H, W); weight W (O, C/groups, KD, KH, KW); bias b (O,) or
    None; the settings as for `conv2d`, int or (depth, vertical, horizontal).
    Returns (N, O, ⌊(D + 2p - d(KD-1) - 1)/s⌋ + 1, the same for H, for W).
    Raises ShapeError, DTypeError, ConfigError.
    """
    return ops.conv3d(input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Transposed convolution of sequences: see `conv_transpose2d`.

    input (N, C, L) or (C, L); weight (C, O/groups, K); bias (O,) or None
    -> (N, O, (L-1)·stride - 2·padding + dilation·(K-1) + output_padding + 1).
    """
    return ops.conv_transpose1d(
        input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Every pixel sends its value times the filters to a window; what meets there is added.

    y[n, o, i·s + u·d - p, j·s + v·d - p] += Σ_c x[n, c, i, j] · W[c, o, u, v],  + b[o]

    The input gradient of `conv2d`, as a layer. input x (N, C, H, W) or (C, H, W); weight W
    (C, O/groups, KH, KW); bias b (O,) or None. padding crops each side of the result by so many
    pixels; output_padding makes it larger, at the right and below (less than stride or dilation).
    Returns (N, O, (H-1)s - 2p + d(KH-1) + output_padding + 1, the same for W).
    Raises ShapeError (channels disagree, nothing left), DTypeError, ConfigError.
    Source: Dumoulin & Visin 2016, arXiv:1603.07285, §4.
    """
    return ops.conv_transpose2d(
        input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Transposed convolution of volumes: see `conv_transpose2d`.

    input (N, C, D, H, W) or (C, D, H, W); weight (C, O/groups, KD, KH, KW); bias (O,) or None
    -> (N, O, OD, OH, OW), each length as there.
    """
    return ops.conv_transpose3d(
        input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def unfold(
    input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """The window at each position as a column (im2col).

    input (N, C, H, W) or (C, H, W); the settings as for `conv2d` -> (N, C·KH·KW, L), for L
    positions, row by row. A convolution is a matrix product with these columns.
    Raises ShapeError (axes, window larger than the padded image), ConfigError.
    """
    return ops.unfold(input, kernel_size, dilation, padding, stride)


def fold(
    input: Tensor,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> Tensor:
    """Add columns up where their windows lie in an image (col2im): the transpose of `unfold`.

    input (N, C·KH·KW, L) or (C·KH·KW, L) -> (N, C, H, W), (H, W) = output_size; L is the number
    of windows in such an image.
    Raises ShapeError (rows not of whole windows, another number of columns), ConfigError.
    """
    return ops.fold(input, output_size, kernel_size, dilation, padding, stride)
