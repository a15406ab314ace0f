"""The ops behind pooling images: each linear map of it, and its transpose.

With the winners of max pooling held fixed, choosing them is linear in x: the gradient is
scattered to them, and the scattering's own gradient is gathered from them. A mean shares its
gradient out, and sharing out is the transpose of a mean. So gradients of any order follow.

The arguments are checked by `chainrule.ops.pool`, which pools lines and volumes with the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.ops.conv_ops import Pair
from chainrule.ops.op import op

Array = Any


# -- maxima ------------------------------------------------------------------------------------


@op(name="max_pool2d", aux=True)
def max_pool2d_op(
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


max_pool2d_op.vjp(
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


@op
def max_pool_indices(x: Array, places: Any) -> Array:
    """``places``, found by pooling x, as a result beside the maxima. No gradient."""
    return np.ascontiguousarray(places)


# -- means -------------------------------------------------------------------------------------


@op(name="avg_pool2d")
def avg_pool2d_op(
    x: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Array:
    """The mean of each window, of images alone: see `chainrule.ops.pool.avg_pool2d`."""
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


avg_pool2d_op.vjp(
    x=lambda g, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad: (
        avg_pool2d_spread(g, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad)
    )
)
avg_pool2d_spread.vjp(
    g=lambda u, kernel_size, stride, padding, ceil_mode, count_include_pad: avg_pool2d_op(
        u, kernel_size, stride, padding, ceil_mode, count_include_pad
    )
)
