"""Histograms of oriented gradients."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from chainrule.classifiers.features.image_transformer import ImageTransformer
from chainrule.classifiers.images import Array

TINY = 1e-5
"""Added to a block's length, squared, so that a flat block stays near 0."""
LARGEST = 0.2
"""No entry of a block is larger after "l2-hys", before its length is made 1 again."""
NORMALIZATIONS = ("l2-hys", "l2", "l1", "l1-sqrt", None)


class HOG(ImageTransformer):
    """Histograms of oriented gradients: which directions the edges of every small cell have.

    1. The gradient (gx, gy) of each channel, the difference of the pixels on either side
       (at the border, the border's pixel again); of the channels, that with the longest gradient.
    2. Its length m = √(gx² + gy²) is a vote for its angle θ = atan2(gy, gx), modulo 180° or, if
       ``signed``, 360°. Bin k has its middle at (k + ½)·180°/orientations; the vote is divided
       between the two bins on either side of θ, by how near they are.
    3. Votes are summed over cells of ``cell_size`` pixels, and with ``interpolate`` divided between
       the nearest cells, too, by the distance from their middles; half a cell beyond the
       outermost ones falls away. Pixels that fill no cell are left over.
    4. Blocks of ``block_size`` cells, overlapping at every cell, are normalised: v is the vector
       of all bins of a block, ε = 10⁻⁵, and it becomes

       - "l2": v/√(|v|² + ε²); "l2-hys": the same, cut at 0.2, and the same again;
       - "l1": v/(|v|₁ + ε); "l1-sqrt": √(v/(|v|₁ + ε));
       - None: v, and blocks are single cells.

    X (n, C·H·W) -> (n, blocks down · blocks across · block_size² · orientations); for 32x32
    pixels and the settings as they are, 324. Features begin with the first block; in it, with
    its first cell; in that, with the first bin. A picture smaller than a cell is one cell, and
    one of fewer cells than a block is one block.

    image_shape: (C, H, W), or "auto" (see `find_image_shape`). pixel_range: the value of white;
    "auto": 255 for whole numbers, 1 for floats (only ε depends on it).
    Raises ConfigError.
    Source: Dalal & Triggs 2005, Histograms of oriented gradients for human detection, CVPR,
    section 6; "l2-hys" from Lowe 2004, IJCV 60.
    """

    def __init__(
        self,
        orientations: int = 9,
        cell_size: int = 8,
        block_size: int = 2,
        *,
        signed: bool = False,
        interpolate: bool = True,
        normalization: str | None = "l2-hys",
        image_shape: Any = "auto",
        pixel_range: Any = "auto",
    ) -> None:
        self.orientations = orientations
        self.cell_size = cell_size
        self.block_size = block_size
        self.signed = signed
        self.interpolate = interpolate
        self.normalization = normalization
        self.image_shape = image_shape
        self.pixel_range = pixel_range

    def _prepare(self, X: Array) -> list[str]:
        sizes = self.orientations, self.cell_size, self.block_size
        self._check(
            min(sizes) >= 1,
            f"orientations, cell_size and block_size must be at least 1, got {sizes}",
        )
        self._check(
            self.normalization in NORMALIZATIONS,
            f"normalization must be one of {NORMALIZATIONS}, got {self.normalization!r}",
        )
        _, height, width = self.image_shape_
        self.cells_ = tuple(max(1, side // self.cell_size) for side in (height, width))
        largest = 1 if self.normalization is None else self.block_size
        self.block_ = tuple(min(largest, cells) for cells in self.cells_)
        places = [range(c - b + 1) for c, b in zip(self.cells_, self.block_, strict=True)]
        cells = list(product(*places, *map(range, self.block_)))
        turn = 360 if self.signed else 180
        angles = [f"{(k + 0.5) * turn / self.orientations:g}" for k in range(self.orientations)]
        return [
            f"hog_block{y}_{x}_cell{y + i}_{x + j}_{angle}deg"
            for y, x, i, j in cells
            for angle in angles
        ]

    def _values_per_image(self) -> int:
        _, height, width = self.image_shape_
        return 3 * self.n_features_in_ + (self.orientations + 5) * height * width

    def _features(self, images: Array) -> Array:
        votes = self._votes(*strongest_gradients(images))
        down, across = (
            self._shares(side, cells, images.dtype)
            for side, cells in zip(images.shape[2:], self.cells_, strict=True)
        )
        cells = down @ (votes @ across.T)  # (bins, n, rows, columns)
        blocks = np.lib.stride_tricks.sliding_window_view(cells, self.block_, axis=(2, 3))
        return self._normalized(blocks.transpose(1, 2, 3, 4, 5, 0))

    def _votes(self, gx: Array, gy: Array) -> Array:
        """Gradients (n, H, W) as votes for every bin: (bins, n, H, W)."""
        bins = self.orientations
        length = np.hypot(gx, gy)
        turn = 2 * math.pi if self.signed else math.pi
        place = np.arctan2(gy, gx) * gx.dtype.type(bins / turn) - gx.dtype.type(0.5)
        below = np.floor(place)
        upper = length * (place - below)
        lower = length - upper
        first = below.astype(np.int32) % bins
        votes = np.zeros((bins, *gx.shape), gx.dtype)
        for k in range(bins):
            votes[k] = np.where(first == k, lower, 0)
            votes[k] += np.where(first == (k - 1) % bins, upper, 0)
        return votes

    def _shares(self, length: int, cells: int, dtype: Any) -> Array:
        """How much of a vote at each pixel every cell of a side gets: (cells, length)."""
        size = min(self.cell_size, length)
        distance = (np.arange(length) + 0.5) / size - (np.arange(cells)[:, None] + 0.5)
        if self.interpolate:
            return np.maximum(0, 1 - np.abs(distance)).astype(dtype)
        return ((distance >= -0.5) & (distance < 0.5)).astype(dtype)

    def _normalized(self, blocks: Array) -> Array:
        """Blocks (n, rows, columns, cells down, cells across, bins), normalised, in new memory."""
        v = blocks.reshape(*blocks.shape[:3], -1)
        if self.normalization is None:
            return v
        if self.normalization in ("l1", "l1-sqrt"):
            v = v / (v.sum(axis=-1, keepdims=True) + TINY)
            return np.sqrt(v) if self.normalization == "l1-sqrt" else v
        v = v / _length(v)
        if self.normalization == "l2-hys":
            v = np.minimum(v, LARGEST)
            v /= _length(v)
        return v


def strongest_gradients(images: Array) -> tuple[Array, Array]:
    """gx and gy (n, H, W) of images (n, C, H, W): at each pixel, of the channel with the most.

    g(x) = I(x + 1) - I(x - 1), and what lies outside is like the border.
    """
    gx, gy = _differences(images, 3), _differences(images, 2)
    if images.shape[1] == 1:
        return gx[:, 0], gy[:, 0]
    squares = gx * gx + gy * gy
    strongest = squares.argmax(axis=1)[:, None]
    first, second = (np.take_along_axis(g, strongest, axis=1)[:, 0] for g in (gx, gy))
    return first, second


def _differences(images: Array, axis: int) -> Array:
    """Of the pixels after and before, along an axis."""
    pixels = np.moveaxis(images, axis, -1)
    result = np.empty_like(pixels)
    result[..., 1:-1] = pixels[..., 2:] - pixels[..., :-2]
    if pixels.shape[-1] == 1:
        result[...] = 0
    else:
        result[..., 0] = pixels[..., 1] - pixels[..., 0]
        result[..., -1] = pixels[..., -1] - pixels[..., -2]
    return np.moveaxis(result, -1, axis)


def _length(v: Array) -> Array:
    return np.sqrt((v * v).sum(axis=-1, keepdims=True) + TINY**2)
