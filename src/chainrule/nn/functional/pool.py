"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import ops
from chainrule.nn.functional.arguments import Size
from chainrule.tensor import Tensor

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "max_pool2d"]


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest value of each window; padding counts as -∞.

    input (N, C, H, W) or (C, H, W); sizes in pixels, int or (vertical, horizontal);
    stride None: the window's size. ceil_mode rounds the output size up.
    Returns (N, C, ⌊(H + 2p - d(K-1) - 1)/s⌋ + 1, the same for W).
    Raises ShapeError (window larger than the padded image), ConfigError, DTypeError.
    """
    return ops.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window; count_include_pad: padding counts as zeros of the mean.

    Shapes and errors as `max_pool2d`.
    """
    return ops.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Means over a grid of output_size cells that covers the image; 1 is the global mean.

    input (N, C, H, W) or (C, H, W); output_size int or (OH, OW), None keeps a length.
    Cell i spans rows ⌊i·H/OH⌋ to ⌈(i+1)·H/OH⌉ - 1. Returns (N, C, OH, OW).
    """
    return ops.adaptive_avg_pool2d(input, output_size)
