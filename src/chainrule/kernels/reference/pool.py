"""Pooling over windows, one vectorised pass for each tap of the window."""

import numpy as np

from chainrule.kernels.geometry import Pair, adaptive_bins, pool_output_size, taps, window_counts
from chainrule.kernels.reference.precision import half_in_single

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_gather",
]

NO_DILATION = (1, 1)


def max_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Largest value in each window, and the tap it came from.

    x (N, C, H, W) -> y and index (N, C, OH, OW). index is kh*KW + kw of the first maximum,
    uint8 where KH*KW fits, else int32. Padding never wins; a NaN always does (the last one,
    as in PyTorch). A window with no pixel gives the lowest value of the dtype and tap 0.
    """
    output_size = _output_size(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    y = np.full_like(x, _lowest(x.dtype), shape=(*x.shape[:2], *output_size))
    fits = kernel_size[0] * kernel_size[1] <= 256
    index = np.zeros_like(y, dtype=np.uint8 if fits else np.int32)
    for tap, (rows, cols), pixels in taps(
        x.shape[2:], output_size, kernel_size, stride, padding, dilation
    ):
        best, where = y[:, :, rows, cols], index[:, :, rows, cols]
        value = x[:, :, pixels[0], pixels[1]]
        wins = value > best
        wins |= np.isnan(value)
        np.copyto(best, value, where=wins)
        np.copyto(where, tap, where=wins, casting="unsafe")
    return y, index


@half_in_single
def max_pool2d_backward(
    g: np.ndarray,
    index: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> np.ndarray:
    """Each window's gradient goes to the pixel that won it; overlapping windows add up.

    g, index (N, C, OH, OW) -> dx of x_shape (N, C, H, W).
    """
    dx = np.zeros_like(g, shape=x_shape)
    for tap, (rows, cols), pixels in taps(
        x_shape[2:], g.shape[2:], kernel_size, stride, padding, dilation
    ):
        won = index[:, :, rows, cols] == tap
        dx[:, :, pixels[0], pixels[1]] += np.where(won, g[:, :, rows, cols], 0)
    return dx


def max_pool2d_gather(
    x: np.ndarray,
    index: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> np.ndarray:
    """The pixel of x at each window's tap: the transpose of max_pool2d_backward.

    x (N, C, H, W), index (N, C, OH, OW) -> y (N, C, OH, OW); 0 where the tap is in the padding.
    """
    y = np.zeros_like(x, shape=index.shape)
    for tap, (rows, cols), pixels in taps(
        x.shape[2:], index.shape[2:], kernel_size, stride, padding, dilation
    ):
        won = index[:, :, rows, cols] == tap
        np.copyto(y[:, :, rows, cols], x[:, :, pixels[0], pixels[1]], where=won)
    return y


@half_in_single
def avg_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> np.ndarray:
    """Mean of each window.   x (N, C, H, W) -> (N, C, OH, OW).

    count_include_pad: padding counts as zeros; otherwise the mean is over real pixels.
    """
    output_size = _output_size(x.shape, kernel_size, stride, padding, NO_DILATION, ceil_mode)
    y = np.zeros_like(x, shape=(*x.shape[:2], *output_size))
    for _, (rows, cols), pixels in taps(
        x.shape[2:], output_size, kernel_size, stride, padding, NO_DILATION
    ):
        y[:, :, rows, cols] += x[:, :, pixels[0], pixels[1]]
    y /= _divisor(x.shape, output_size, kernel_size, stride, padding, count_include_pad, x.dtype)
    return y


@half_in_single
def avg_pool2d_backward(
    g: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> np.ndarray:
    """Each pixel gets its share, 1/divisor, of every window it is in.   -> dx of x_shape."""
    divisor = _divisor(
        x_shape, g.shape[2:], kernel_size, stride, padding, count_include_pad, g.dtype
    )
    share = g / divisor
    dx = np.zeros_like(g, shape=x_shape)
    for _, (rows, cols), pixels in taps(
        x_shape[2:], g.shape[2:], kernel_size, stride, padding, NO_DILATION
    ):
        dx[:, :, pixels[0], pixels[1]] += share[:, :, rows, cols]
    return dx


@half_in_single
def adaptive_avg_pool2d(x: np.ndarray, output_size: Pair) -> np.ndarray:
    """Mean over a grid of OH x OW bins that cover the image, whatever its size.

    x (N, C, H, W) -> (N, C, OH, OW); bins are floor(i H/OH) up to ceil((i+1) H/OH).
    """
    y = np.empty_like(x, shape=(*x.shape[:2], *output_size))
    for i, rows in enumerate(adaptive_bins(x.shape[2], output_size[0])):
        for j, cols in enumerate(adaptive_bins(x.shape[3], output_size[1])):
            bin_ = x[:, :, rows, cols]
            # Rows first: NumPy's inner loop is then long in channels-last memory.
            y[:, :, i, j] = bin_.sum(axis=2).sum(axis=2) / (bin_.shape[2] * bin_.shape[3])
    return y


@half_in_single
def adaptive_avg_pool2d_backward(g: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    """Each pixel gets 1/area of the gradient of every bin it is in.   -> dx of x_shape."""
    dx = np.zeros_like(g, shape=x_shape)
    for i, rows in enumerate(adaptive_bins(x_shape[2], g.shape[2])):
        for j, cols in enumerate(adaptive_bins(x_shape[3], g.shape[3])):
            area = (rows.stop - rows.start) * (cols.stop - cols.start)
            dx[:, :, rows, cols] += (g[:, :, i, j] / g.dtype.type(area))[:, :, None, None]
    return dx


def _output_size(
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
) -> Pair:
    height, width = (
        pool_output_size(*axis, ceil_mode)
        for axis in zip(x_shape[2:], kernel_size, stride, padding, dilation, strict=True)
    )
    return height, width


def _divisor(
    x_shape: tuple[int, ...],
    output_size: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
    dtype: np.dtype,
) -> np.ndarray:
    """How many values each window averages over, (OH, OW)."""
    rows, cols = (
        np.array(window_counts(*axis, count_include_pad), dtype)
        for axis in zip(x_shape[2:], output_size, kernel_size, stride, padding, strict=True)
    )
    return np.multiply.outer(rows, cols)


def _lowest(dtype: np.dtype) -> float | int:
    """What anything beats: -inf, or the smallest integer."""
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)
