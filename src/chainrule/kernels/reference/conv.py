"""Convolution as matrix multiplication: windows laid out as rows, one product per block.

Images are read and written in channels-last order, where a window's taps at one position are
contiguous runs of channels. Big batches are cut into blocks, so that the matrix of windows
(KH*KW times the image) stays in cache and never grows with the batch.
Source: Chellapilla, Puri & Simard 2006, "High performance convolutional neural networks for
document processing".
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.kernels.epilogue import NOTHING, Epilogue, finish
from chainrule.kernels.geometry import Pair, conv_output_size, taps
from chainrule.kernels.reference.norm import moments
from chainrule.kernels.reference.precision import half_in_single

__all__ = ["conv2d", "conv2d_input_grad", "conv2d_moments", "conv2d_weight_grad"]

BLOCK_BYTES = 2 << 20


@half_in_single
def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    epilogue: Epilogue = NOTHING,
) -> np.ndarray:
    """Cross-correlate images with filters: y[o] = bias[o] + sum_c,kh,kw w[o,c,kh,kw] x[c, ...].

    x (N, C, H, W), weight (O, C/groups, KH, KW), bias (O,) or None -> (N, O, OH, OW) in
    channels-last memory. stride, padding, dilation: (vertical, horizontal) pixels; the padding
    is zeros, on both sides. epilogue: what becomes of y before it is stored, if anything.
    Source: Dumoulin & Visin 2016, arXiv:1603.07285.
    """
    windows = _Windows(x.shape, weight.shape, stride, padding, dilation, groups)
    filters = _as_matrices(weight, groups)  # (groups, taps * C/groups, O/groups)
    y = np.empty((x.shape[0], *windows.output_size, weight.shape[0]), x.dtype)
    for place, rows in windows.blocks(x):
        out = y[place]
        if groups == 1:
            # A block is whole images, or whole rows of one: contiguous, so this is a view.
            np.matmul(rows[0], filters[0], out=out.reshape(rows.shape[1], out.shape[-1]))
        else:
            _ungroup(out, groups)[...] = rows @ filters
    if bias is not None:
        y += bias
    y = y.transpose(0, 3, 1, 2)
    if epilogue.scale is not None and epilogue.shift is not None:
        y *= epilogue.scale[:, None, None]
        y += epilogue.shift[:, None, None]
    return finish(y, epilogue.add, epilogue.relu)


@half_in_single
def conv2d_moments(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, var): conv2d's result, and what `moments` says of it, up to rounding."""
    y = conv2d(x, weight, bias, stride, padding, dilation, groups)
    return y, *moments(y)


@half_in_single
def conv2d_input_grad(
    g: np.ndarray,
    weight: np.ndarray,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """Transpose of conv2d in x: spread each g over the window it came from.

    g (N, O, OH, OW), weight (O, C/groups, KH, KW) -> dx of x_shape (N, C, H, W).
    With stride 1 it is itself a convolution, with the filters flipped and transposed.
    """
    reach = tuple(
        d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding, strict=True)
    )
    if stride == (1, 1) and min(reach) >= 0:
        flipped = _transpose_filters(weight, groups)
        return conv2d(g, flipped, None, stride, (reach[0], reach[1]), dilation, groups)
    return _scatter_windows(g, weight, x_shape, stride, padding, dilation, groups)


@half_in_single
def conv2d_weight_grad(
    g: np.ndarray,
    x: np.ndarray,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """Transpose of conv2d in weight: correlate x with g.

    g (N, O, OH, OW), x (N, C, H, W) -> dw of weight_shape (O, C/groups, KH, KW).
    """
    windows = _Windows(x.shape, weight_shape, stride, padding, dilation, groups)
    outputs, channels, kernel_height, kernel_width = weight_shape
    taps_count = kernel_height * kernel_width * channels
    dw = np.zeros((groups, taps_count, outputs // groups), x.dtype)
    g = g.transpose(0, 2, 3, 1)
    for place, rows in windows.blocks(x):
        if groups == 1:
            dw[0] += rows[0].T @ g[place].reshape(rows.shape[1], outputs)
        else:
            dw += rows.swapaxes(1, 2) @ _ungroup(g[place], groups)
    dw = dw.reshape(groups, kernel_height, kernel_width, channels, outputs // groups)
    return np.ascontiguousarray(dw.transpose(0, 4, 3, 1, 2)).reshape(weight_shape)


class _Windows:
    """The windows of a convolution over a batch, as matrices of rows, block by block."""

    def __init__(
        self,
        x_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> None:
        self.batch, self.channels, *self.size = x_shape
        self.kernel_size = weight_shape[2:]
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        axes = zip(self.size, self.kernel_size, stride, padding, dilation, strict=True)
        self.output_size: Pair = tuple(conv_output_size(*axis) for axis in axes)  # type: ignore[assignment]

    def blocks(self, x: np.ndarray) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """Yield (images and output rows, rows (groups, positions, taps * C/groups)).

        The rows are overwritten by the next block.
        """
        x = x.transpose(0, 2, 3, 1)
        if self.kernel_size == (1, 1) and self.padding == (0, 0) and self.groups == 1:
            yield from self._pixels(x)
            return
        height, width = self.output_size
        taps_count = self.kernel_size[0] * self.kernel_size[1]
        row_bytes = max(width * taps_count * self.channels * x.itemsize, 1)
        images = max(BLOCK_BYTES // (row_bytes * max(height, 1)), 1)
        step = height if images > 1 else min(height, max(BLOCK_BYTES // row_bytes, 1))
        positions = min(images, self.batch) * step * width
        buffer = np.empty(positions * taps_count * self.channels, x.dtype)
        for first in range(0, self.batch, images):
            padded = self._pad(x[first : first + images])
            for top in range(0, height, max(step, 1)):
                bottom = min(top + step, height)
                place = (slice(first, first + len(padded)), slice(top, bottom))
                yield place, self._rows(padded, top, bottom, buffer)

    def _pixels(self, x: np.ndarray) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """A 1x1 window is a pixel: no rows are laid out when channels are last in memory."""
        x = x[:, :: self.stride[0], :: self.stride[1]]
        every_row = slice(0, self.output_size[0])
        images = max(BLOCK_BYTES // max(x[:1].nbytes, 1), 1)
        for first in range(0, self.batch, images):
            block = x[first : first + images]
            rows = block.reshape(1, math.prod(block.shape[:3]), self.channels)
            yield (slice(first, first + len(block)), every_row), rows

    def _pad(self, x: np.ndarray) -> np.ndarray:
        vertical, horizontal = self.padding
        images, height, width, channels = x.shape
        if (vertical, horizontal) == (0, 0) and x.flags.c_contiguous:
            return x
        shape = (images, height + 2 * vertical, width + 2 * horizontal, channels)
        padded = np.zeros(shape, x.dtype)
        padded[:, vertical : vertical + height, horizontal : horizontal + width] = x
        return padded

    def _rows(self, x: np.ndarray, top: int, bottom: int, buffer: np.ndarray) -> np.ndarray:
        """Windows of output rows top..bottom, copied into the buffer."""
        images, width = len(x), self.output_size[1]
        channels = self.channels // self.groups
        by_image, by_row, by_col, by_channel = x.strides
        (s_row, s_col), (d_row, d_col) = self.stride, self.dilation
        shape = (self.groups, images, bottom - top, width, *self.kernel_size, channels)
        windows = as_strided(
            x[:, top * s_row :],
            shape,
            (
                channels * by_channel,
                by_image,
                s_row * by_row,
                s_col * by_col,
                d_row * by_row,
                d_col * by_col,
                by_channel,
            ),
            writeable=False,
        )
        rows = buffer[: windows.size].reshape(shape)
        np.copyto(rows, windows)
        taps_count = self.kernel_size[0] * self.kernel_size[1]
        return rows.reshape(self.groups, images * (bottom - top) * width, taps_count * channels)


def _as_matrices(weight: np.ndarray, groups: int) -> np.ndarray:
    """(O, C/groups, KH, KW) -> (groups, KH*KW*C/groups, O/groups): rows match the windows'."""
    outputs, channels, kernel_height, kernel_width = weight.shape
    grouped = weight.reshape(groups, outputs // groups, channels, kernel_height, kernel_width)
    rows = kernel_height * kernel_width * channels
    return grouped.transpose(0, 3, 4, 2, 1).reshape(groups, rows, outputs // groups)


def _transpose_filters(weight: np.ndarray, groups: int) -> np.ndarray:
    """(O, C/groups, KH, KW) -> (C, O/groups, KH, KW), each filter turned by 180 degrees."""
    outputs, channels, *kernel_size = weight.shape
    grouped = weight.reshape(groups, outputs // groups, channels, *kernel_size)
    flipped = grouped.swapaxes(1, 2)[..., ::-1, ::-1]
    return flipped.reshape(groups * channels, outputs // groups, *kernel_size)


def _ungroup(images: np.ndarray, groups: int) -> np.ndarray:
    """(n, h, w, O) -> (groups, n*h*w, O/groups), a view where memory allows."""
    *rows, channels = images.shape
    return images.reshape(math.prod(rows), groups, channels // groups).swapaxes(0, 1)


def _scatter_windows(
    g: np.ndarray,
    weight: np.ndarray,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """Input gradient for any geometry: each tap's product is added where the tap looked."""
    batch, channels, height, width = x_shape
    g = g.transpose(0, 2, 3, 1)
    dx = np.zeros((batch, height, width, channels), g.dtype)
    outputs, in_group, *kernel_size = weight.shape
    grouped = weight.reshape(groups, outputs // groups, in_group, math.prod(kernel_size))
    filters = np.ascontiguousarray(grouped.transpose(3, 0, 1, 2))  # tap, group, O/g, C/g
    for tap, (rows, cols), pixels in taps(
        (height, width), g.shape[1:3], weight.shape[2:], stride, padding, dilation
    ):
        seen = g[:, rows, cols]
        if seen.size:
            product = _ungroup(seen, groups) @ filters[tap]
            product = product.swapaxes(0, 1).reshape(*seen.shape[:3], channels)
            dx[:, pixels[0], pixels[1]] += product
    return dx.transpose(0, 3, 1, 2)
