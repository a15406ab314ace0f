"""2-d pooling: the maximum or the mean of each window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.kernels.geometry import pool_output_size
from chainrule.ops.conv import Pair, pair
from chainrule.ops.op import op
from chainrule.ops.reduction import check_float
from chainrule.ops.shape import squeeze, unsqueeze

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"]

Array = Any


def max_pool2d(
    x: Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Array:
    """The largest value of each window; padding counts as -∞.

    x (N, C, H, W) or (C, H, W) -> (N, C, ⌊(H + 2p - d(K-1) - 1)/s⌋ + 1, the same for W);
    ceil_mode rounds up instead, keeping windows that start inside the image or its left
    padding. stride None: the window's size. A max gate routes: g goes to the (first)
    largest pixel of each window.
    Raises ShapeError (window larger than the padded image), ConfigError (padding over half
    the window).
    """
    if x.ndim == 3:
        return squeeze(
            max_pool2d(unsqueeze(x, 0), kernel_size, stride, padding, dilation, ceil_mode), 0
        )
    window, stride, padding = _window("max_pool2d", x, kernel_size, stride, padding)
    dilation = pair(dilation, "max_pool2d: dilation", 1)
    _check_fits("max_pool2d", x, window, stride, padding, dilation, ceil_mode)
    return _max_pool2d(x, window, stride, padding, dilation, ceil_mode)


def avg_pool2d(
    x: Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window; count_include_pad counts padding as zeros of the mean.

    Shapes and errors as `max_pool2d`. g is shared evenly among the pixels of its window.
    """
    if x.ndim == 3:
        args = (kernel_size, stride, padding, ceil_mode, count_include_pad)
        return squeeze(avg_pool2d(unsqueeze(x, 0), *args), 0)
    window, stride, padding = _window("avg_pool2d", x, kernel_size, stride, padding)
    _check_fits("avg_pool2d", x, window, stride, padding, (1, 1), ceil_mode)
    return _avg_pool2d(x, window, stride, padding, ceil_mode, count_include_pad)


def adaptive_avg_pool2d(x: Array, output_size: int | Sequence[int | None] | None) -> Array:
    """Means over a grid of output_size windows that covers the image.

    Window i spans rows ⌊i·H/OH⌋ ... ⌈(i+1)·H/OH⌉ - 1. output_size: int or (OH, OW); None
    keeps the length. Size 1 is global average pooling. x (N, C, H, W) -> (N, C, OH, OW).
    """
    if x.ndim == 3:
        return squeeze(adaptive_avg_pool2d(unsqueeze(x, 0), output_size), 0)
    _check_images("adaptive_avg_pool2d", x)
    size = output_size if isinstance(output_size, Sequence) else (output_size, output_size)
    filled = tuple(x.shape[2 + i] if n is None else n for i, n in enumerate(size))
    return _adaptive_avg_pool2d(x, pair(filled, "adaptive_avg_pool2d: output_size", 1))


def _check_images(name: str, x: Array) -> None:
    if x.ndim != 4:
        raise ShapeError(f"{name}: x needs four axes\n  x {x.shape} = (N, C, H, W)")
    check_float(name, x)


def _window(
    name: str, x: Array, kernel_size: Any, stride: Any, padding: Any
) -> tuple[Pair, Pair, Pair]:
    _check_images(name, x)
    window = pair(kernel_size, f"{name}: kernel_size", 1)
    stride = window if stride is None or stride == () else pair(stride, f"{name}: stride", 1)
    padding = pair(padding, f"{name}: padding")
    if 2 * padding[0] > window[0] or 2 * padding[1] > window[1]:
        raise ConfigError(f"{name}: padding {padding} exceeds half the window {window}")
    return window, stride, padding


def _check_fits(
    name: str, x: Array, window: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> None:
    shape = x.shape
    for i in (0, 1):
        n, k, p, d = shape[2 + i], window[i], padding[i], dilation[i]
        # In ceil mode a window may reach beyond the image by less than a stride.
        beyond = d * (k - 1) + 1 - (n + 2 * p)
        if beyond > 0 and pool_output_size(n, k, stride[i], p, d, ceil_mode) < 1:
            raise ShapeError(
                f"{name}: the window of {d * (k - 1) + 1} pixels is larger than the padded "
                f"image of {n + 2 * p}\n  x {x.shape}; kernel_size {window}; padding {padding}; "
                f"dilation {dilation}"
            )


@op(name="max_pool2d", aux=True)
def _max_pool2d(
    x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """(y, which pixel of its window each maximum was)."""
    return kernels.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)


@op
def max_pool2d_scatter(
    g: Array,
    index: Array,
    shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Array:
    """Send each window's g to the pixel that won it; ``index`` counts within the window."""
    return kernels.max_pool2d_backward(g, index, shape, kernel_size, stride, padding, dilation)


@op
def max_pool2d_gather(
    x: Array,
    index: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Array:
    """From each window, the pixel named by ``index``: the transpose of scatter."""
    return kernels.max_pool2d_gather(x, index, kernel_size, stride, padding, dilation)


_max_pool2d.vjp(
    x=lambda g, aux, x_shape, kernel_size, stride, padding, dilation: max_pool2d_scatter.in_vjp(
        g, aux, x_shape, kernel_size, stride, padding, dilation
    )
)
max_pool2d_scatter.vjp(
    g=lambda u, index, kernel_size, stride, padding, dilation: max_pool2d_gather(
        u, index, kernel_size, stride, padding, dilation
    )
)
max_pool2d_gather.vjp(
    x=lambda g, index, x_shape, kernel_size, stride, padding, dilation: max_pool2d_scatter.in_vjp(
        g, index, x_shape, kernel_size, stride, padding, dilation
    )
)


@op(name="avg_pool2d")
def _avg_pool2d(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Array:
    return kernels.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad)


@op
def avg_pool2d_spread(
    g: Array,
    shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Array:
    """Share each window's g evenly among its pixels: the transpose of avg_pool2d."""
    return kernels.avg_pool2d_backward(
        g, shape, kernel_size, stride, padding, ceil_mode, count_include_pad
    )


_avg_pool2d.vjp(
    x=lambda g, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad: (
        avg_pool2d_spread(g, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad)
    )
)
avg_pool2d_spread.vjp(
    g=lambda u, kernel_size, stride, padding, ceil_mode, count_include_pad: _avg_pool2d(
        u, kernel_size, stride, padding, ceil_mode, count_include_pad
    )
)


@op(name="adaptive_avg_pool2d")
def _adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    return kernels.adaptive_avg_pool2d(x, output_size)


@op
def adaptive_avg_pool2d_spread(g: Array, shape: tuple[int, ...]) -> Array:
    """Share each cell's g evenly among its pixels: the transpose of adaptive_avg_pool2d."""
    return kernels.adaptive_avg_pool2d_backward(g, shape)


_adaptive_avg_pool2d.vjp(x=lambda g, x_shape: adaptive_avg_pool2d_spread(g, x_shape))
adaptive_avg_pool2d_spread.vjp(g=lambda u, g_shape: _adaptive_avg_pool2d(u, tuple(g_shape[2:])))
