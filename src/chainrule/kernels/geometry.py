"""Where a sliding window lands: output sizes, and the pixels each tap of a window touches.

Shared by every tier, because a disagreement here would be an error of definition. All
quantities are pixels along one axis; a *tap* is one position inside the window.
"""

from collections.abc import Iterator, Sequence

import numpy as np

__all__ = [
    "BORDER",
    "CENTRES",
    "EDGES",
    "OUTSIDE",
    "PIXELS",
    "REFLECTED",
    "UNITS",
    "ZERO",
    "adaptive_bins",
    "conv_output_size",
    "places_along",
    "pool_output_size",
    "tap_slices",
    "taps",
    "window_counts",
]

Pair = tuple[int, int]


def conv_output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Positions of the window: floor((size + 2p - d(k-1) - 1) / s) + 1."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def pool_output_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """As conv_output_size; with ceil_mode the last, partial window counts too.

    A window that would start in the padding on the far side is dropped (PyTorch's rule).
    """
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def taps(
    size: Sequence[int],
    output_size: Sequence[int],
    kernel_size: Sequence[int],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Iterator[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
    """For each tap (kh*KW + kw): the outputs whose tap lies inside the image, and its pixels.

    Yields (tap, output rows and columns, input rows and columns); the slices have equal
    lengths. Taps in the padding are never yielded, so no kernel needs a padded copy.
    """
    geometry = zip(size, output_size, stride, padding, dilation, strict=True)
    along_height, along_width = (
        [tap_slices(*axis, tap) for tap in range(kernel)]
        for kernel, axis in zip(kernel_size, geometry, strict=True)
    )
    for kh, (out_rows, in_rows) in enumerate(along_height):
        for kw, (out_cols, in_cols) in enumerate(along_width):
            tap = kh * kernel_size[1] + kw
            yield tap, (out_rows, out_cols), (in_rows, in_cols)


def tap_slices(
    size: int, output_size: int, stride: int, padding: int, dilation: int, tap: int
) -> tuple[slice, slice]:
    """Outputs o with 0 <= o*stride + offset < size, and those pixels."""
    offset = tap * dilation - padding
    first = max(0, -(offset // stride))
    last = min(output_size, (size - 1 - offset) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


def window_counts(
    size: int, output_size: int, kernel: int, stride: int, padding: int, include_pad: bool
) -> list[int]:
    """How many pixels each window averages over (PyTorch's divisor, one axis of it).

    With include_pad the symmetric padding counts, but not what ceil_mode adds beyond it.
    """
    counts = []
    for output in range(output_size):
        start = output * stride - padding
        end = min(start + kernel, size + padding)
        if not include_pad:
            start, end = max(start, 0), min(end, size)
        counts.append(max(end - start, 1))
    return counts


def adaptive_bins(size: int, output_size: int) -> list[slice]:
    """Bin i of an adaptive pool: pixels floor(i*size/out) up to ceil((i+1)*size/out)."""
    return [
        slice(i * size // output_size, -(-(i + 1) * size // output_size))
        for i in range(output_size)
    ]


# -- reading between pixels

OUTSIDE = ZERO, BORDER, REFLECTED = range(3)
"""What stands for an image beyond its border: 0, the border's pixel, the image reflected."""

UNITS = EDGES, CENTRES, PIXELS = range(3)
"""What -1 and 1 are: the edges of the outermost pixels, or their centres; or pixels count."""


def places_along(at: np.ndarray, n: int, outside: int, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Where to read along an axis of n pixels, and how fast that moves with the coordinate."""
    if units == PIXELS:
        return at, np.ones_like(at)
    scale = (n - 1) / 2 if units == CENTRES else n / 2
    at = (at + 1) * scale if units == CENTRES else ((at + 1) * n - 1) / 2
    slope = np.full_like(at, scale)
    if outside == ZERO:
        return at, slope
    if outside == REFLECTED:
        low, span = (0.0, n - 1) if units == CENTRES else (-0.5, n)
        if span == 0:
            return at * 0, slope * 0
        away = at - low
        with np.errstate(invalid="ignore"):  # infinity is nowhere
            back = np.fmod(np.abs(away), 2 * span)
        slope = slope * np.where((away < 0) != (back > span), -1, 1)
        at = np.where(back > span, 2 * span - back, back) + low
    inside = (at > 0) & (at < n - 1)
    return np.clip(at, 0, n - 1), np.where(inside, slope, 0)
