"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import ops
from chainrule.nn.functional.arguments import Size
from chainrule.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

Cells = int | Sequence[int | None] | None


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of lines (N, C, L) or (C, L): as `max_pool2d`."""
    args = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return ops.max_pool1d(input, *args)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """The maxima and their places: `max_pool1d` with return_indices."""
    args = (kernel_size, stride, padding, dilation, ceil_mode, True)
    y: tuple[Tensor, Tensor] = ops.max_pool1d(input, *args)
    return y


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window; padding counts as -∞.

    input (N, C, H, W) or (C, H, W); sizes in pixels, int or (vertical, horizontal);
    stride None: the window's size. ceil_mode rounds the output size up. return_indices: also
    h·W + w of each winner, the first where several are equal.
    Returns (N, C, ⌊(H + 2p - d(K-1) - 1)/s⌋ + 1, the same for W).
    Raises ShapeError (window larger than the padded image), ConfigError, DTypeError.
    """
    return ops.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """The maxima and their places: `max_pool2d` with return_indices."""
    args = (kernel_size, stride, padding, dilation, ceil_mode, True)
    y: tuple[Tensor, Tensor] = ops.max_pool2d(input, *args)
    return y


def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest value of each window of (N, C, D, H, W) or (C, D, H, W): as `max_pool2d`."""
    args = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    return ops.max_pool3d(input, *args)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """The maxima and their places: `max_pool3d` with return_indices."""
    args = (kernel_size, stride, padding, dilation, ceil_mode, True)
    y: tuple[Tensor, Tensor] = ops.max_pool3d(input, *args)
    return y


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of lines (N, C, L) or (C, L): as `avg_pool2d`."""
    args = (kernel_size, stride, padding, ceil_mode, count_include_pad)
    return ops.avg_pool1d(input, *args)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window; count_include_pad: padding counts as zeros of the mean.

    divisor_override: divide each window's sum by it instead.
    Shapes and errors as `max_pool2d`.
    """
    args = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return ops.avg_pool2d(input, *args)


def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of volumes (N, C, D, H, W) or (C, D, H, W): as `avg_pool2d`."""
    args = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return ops.avg_pool3d(input, *args)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window of lines (N, C, L) or (C, L): as `lp_pool2d`."""
    return ops.lp_pool1d(input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(Σ x^p)^(1/p) of each window, p = norm_type; no absolute values are taken, as in PyTorch.

    Shapes and errors as `max_pool2d`.
    """
    return ops.lp_pool2d(input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window of volumes (N, C, D, H, W) or (C, D, H, W): as `lp_pool2d`."""
    return ops.lp_pool3d(input, norm_type, kernel_size, stride, ceil_mode)


def adaptive_avg_pool1d(input: Tensor, output_size: Cells) -> Tensor:
    """Means over a grid of cells of lines (N, C, L) or (C, L): as `adaptive_avg_pool2d`."""
    return ops.adaptive_avg_pool1d(input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Cells) -> Tensor:
    """Means over a grid of output_size cells that covers the image; 1 is the global mean.

    input (N, C, H, W) or (C, H, W); output_size int or (OH, OW), None keeps a length.
    Cell i spans rows ⌊i·H/OH⌋ to ⌈(i+1)·H/OH⌉ - 1. Returns (N, C, OH, OW).
    """
    return ops.adaptive_avg_pool2d(input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Cells) -> Tensor:
    """Means over cells of (N, C, D, H, W) or (C, D, H, W): as `adaptive_avg_pool2d`."""
    return ops.adaptive_avg_pool3d(input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Cells, return_indices: bool = False) -> Any:
    """Maxima over a grid of cells of lines (N, C, L) or (C, L): as `adaptive_max_pool2d`."""
    return ops.adaptive_max_pool1d(input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Cells, return_indices: bool = True
) -> tuple[Tensor, Tensor]:
    """The maxima and their places: `adaptive_max_pool1d` with return_indices."""
    y: tuple[Tensor, Tensor] = ops.adaptive_max_pool1d(input, output_size, True)
    return y


def adaptive_max_pool2d(input: Tensor, output_size: Cells, return_indices: bool = False) -> Any:
    """Maxima over a grid of output_size cells that covers the image.

    Shapes as `adaptive_avg_pool2d`. return_indices: also h·W + w of each winner.
    """
    return ops.adaptive_max_pool2d(input, output_size, return_indices)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Cells, return_indices: bool = True
) -> tuple[Tensor, Tensor]:
    """The maxima and their places: `adaptive_max_pool2d` with return_indices."""
    y: tuple[Tensor, Tensor] = ops.adaptive_max_pool2d(input, output_size, True)
    return y


def adaptive_max_pool3d(input: Tensor, output_size: Cells, return_indices: bool = False) -> Any:
    """Maxima over cells of (N, C, D, H, W) or (C, D, H, W): as `adaptive_max_pool2d`."""
    return ops.adaptive_max_pool3d(input, output_size, return_indices)


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Cells, return_indices: bool = True
) -> tuple[Tensor, Tensor]:
    """The maxima and their places: `adaptive_max_pool3d` with return_indices."""
    y: tuple[Tensor, Tensor] = ops.adaptive_max_pool3d(input, output_size, True)
    return y


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Lines with maxima (N, C, L) or (C, L) back at their places: as `max_unpool2d`."""
    return ops.max_unpool1d(input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Images of zeros with maxima back at their places, both from `max_pool2d`.

    input and indices (N, C, H, W) or (C, H, W). Returns (N, C, (H - 1)s - 2p + K, the same for
    W), or output_size where it is less than a stride away. Raises ShapeError, ConfigError.
    """
    return ops.max_unpool2d(input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Maxima (N, C, D, H, W) or (C, D, H, W) back at their places: as `max_unpool2d`."""
    return ops.max_unpool3d(input, indices, kernel_size, stride, padding, output_size)
