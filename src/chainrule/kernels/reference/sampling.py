"""Images at other places than their pixels: along an axis, and at any points."""

from itertools import product
from typing import NamedTuple

import numpy as np

from chainrule.kernels.geometry import places_along
from chainrule.kernels.reference.precision import half_in_single

__all__ = [
    "resample",
    "sample_images",
    "sample_images_input_grad",
    "sample_images_place_grad",
]


@half_in_single
def resample(
    x: np.ndarray, dim: int, starts: np.ndarray, index: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """y_o = Σ weight[j] · x[index[j]] along ``dim``, over starts[o] ≤ j < starts[o + 1].

    x (..., I, ...), starts (O + 1,), index and weight (starts[O],) -> y (..., O, ...): a sparse
    matrix, row by row. Any strides; y is in memory as x.
    """
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    x, at = x.transpose(order), order.index(dim)
    outputs = len(starts) - 1
    y = np.zeros((*x.shape[:at], outputs, *x.shape[at + 1 :]), x.dtype)
    before, behind = (slice(None),) * at, (1,) * (x.ndim - at - 1)
    counts = np.diff(starts)
    for tap in range(int(counts.max(initial=0))):
        rows = np.flatnonzero(counts > tap)
        entries = starts[rows] + tap
        share = weight[entries].astype(x.dtype).reshape(-1, *behind)
        chosen = slice(None) if len(rows) == outputs else rows
        y[*before, chosen] += x.take(index[entries], at) * share
    return y.transpose(np.argsort(order))


@half_in_single
def sample_images(
    x: np.ndarray, at: np.ndarray, nearest: bool, outside: int, units: int
) -> np.ndarray:
    """Each image read at its points: the nearest pixel (halves to even), or the four around it,
    each axis weighted by the distance to the other one.

    x (N, C, H, W), at (N, P, 2) of (x, y) in ``units`` -> (N, P, C). ``outside`` says what lies
    beyond the border; nothing is read at NaN. Source: Jaderberg et al. 2015, arXiv:1506.02025.
    """
    rows = _rows(x)
    y = np.zeros((*at.shape[:2], x.shape[1]), x.dtype)
    for read in _reads(x.shape, at, nearest, outside, units):
        y += rows[_images(at), read.pixel] * read.weight[..., None]
    return y


@half_in_single
def sample_images_input_grad(
    g: np.ndarray,
    at: np.ndarray,
    x_shape: tuple[int, ...],
    nearest: bool,
    outside: int,
    units: int,
) -> np.ndarray:
    """g (N, P, C) sent back to the pixels that were read, by their weights -> (N, C, H, W)."""
    images, channels, height, width = x_shape
    dx = np.zeros((images, height * width, channels), g.dtype)
    for read in _reads(x_shape, at, nearest, outside, units):
        np.add.at(dx, (_images(at), read.pixel), g * read.weight[..., None])
    return dx.reshape(images, height, width, channels).transpose(0, 3, 1, 2)


@half_in_single
def sample_images_place_grad(
    g: np.ndarray, x: np.ndarray, at: np.ndarray, nearest: bool, outside: int, units: int
) -> np.ndarray:
    """Σ over channels of g times how the read value moves with the point -> (N, P, 2).

    A nearest pixel does not; nor does one of the border, on it and beyond.
    """
    rows = _rows(x)
    dat = np.zeros_like(at)
    for read in _reads(x.shape, at, nearest, outside, units):
        along = (g * rows[_images(at), read.pixel]).sum(-1)
        dat += along[..., None] * read.slope
    return dat


def _rows(x: np.ndarray) -> np.ndarray:
    """(N, H·W, C)"""
    images, channels, height, width = x.shape
    return x.transpose(0, 2, 3, 1).reshape(images, height * width, channels)


def _images(at: np.ndarray) -> np.ndarray:
    return np.arange(len(at))[:, None]


class Read(NamedTuple):
    """For every point one of the pixels around it."""

    pixel: np.ndarray  # (N, P) in 0..H·W - 1; pixel 0, of weight 0, beyond the image
    weight: np.ndarray  # (N, P)
    slope: np.ndarray  # (N, P, 2): of the weight by x and y


def _reads(
    x_shape: tuple[int, ...], at: np.ndarray, nearest: bool, outside: int, units: int
) -> list[Read]:
    height, width = x_shape[2:]
    cols = _taps(*places_along(at[..., 0], width, outside, units), width, nearest)
    rows = _taps(*places_along(at[..., 1], height, outside, units), height, nearest)
    return [
        Read(
            row * width + col,
            row_weight * col_weight,
            np.stack([row_weight * col_slope, row_slope * col_weight], -1),
        )
        for (row, row_weight, row_slope), (col, col_weight, col_slope) in product(rows, cols)
    ]


def _taps(
    at: np.ndarray, slope: np.ndarray, n: int, nearest: bool
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The pixels of an axis that are read, their weights, and how these move."""
    with np.errstate(invalid="ignore"):
        if nearest:
            taps = [(np.round(at), np.ones_like(at), np.zeros_like(at))]
        else:
            first = np.floor(at)
            share = at - first
            taps = [(first, 1 - share, -slope), (first + 1, share, slope)]
    found = []
    for pixel, *shares in taps:
        inside = (pixel >= 0) & (pixel <= n - 1)
        weight, its_slope = (np.where(inside, share, at.dtype.type(0)) for share in shares)
        found.append((np.where(inside, pixel, 0).astype(np.intp), weight, its_slope))
    return found
