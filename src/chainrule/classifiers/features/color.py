"""Histograms of colour."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from chainrule.classifiers.features.cells import cell_of, fitting_grid, pixels_in_cells
from chainrule.classifiers.features.image_transformer import ImageTransformer
from chainrule.classifiers.images import Array


class ColorHistogram(ImageTransformer):
    """Histograms of hue, saturation and value: which colours a picture has, wherever they are.

    For each channel c of ``channels`` and each cell of a ``grid`` x ``grid`` of the picture,
    h_k = (pixels with k/bins <= c < (k + 1)/bins) / (pixels of the cell), and 1 is in the last
    bin. Hue is a circle, its first and last bins are neighbours. X (n, C·H·W) -> (n, grid² ·
    channels · bins); features begin with the first cell; in it, with the first channel.

    channels: some of "h", "s", "v". "h" alone is the histogram of the course. Grey pictures have
    hue and saturation 0. image_shape: (C, H, W) with C of 1 or 3, or "auto" (see
    `find_image_shape`). pixel_range: the value of white; "auto": 255 for whole numbers, 1 for
    floats. What is darker than black or brighter than white counts as these.
    Raises ConfigError.
    Source: Swain & Ballard 1991, Color indexing, IJCV 7.
    """

    def __init__(
        self,
        bins: int = 10,
        *,
        channels: str = "hsv",
        grid: int = 1,
        image_shape: Any = "auto",
        pixel_range: Any = "auto",
    ) -> None:
        self.bins = bins
        self.channels = channels
        self.grid = grid
        self.image_shape = image_shape
        self.pixel_range = pixel_range

    def _prepare(self, X: Array) -> list[str]:
        self._check(self.bins >= 1, f"bins must be at least 1, got {self.bins}")
        self._check(self.grid >= 1, f"grid must be at least 1, got {self.grid}")
        known = bool(self.channels) and not set(self.channels) - set("hsv")
        self._check(known, f'channels must be some of "hsv", got {self.channels!r}')
        depth, height, width = self.image_shape_
        self._check(depth in (1, 3), f"images must be grey or in colour, got {depth} channels")
        self.grid_ = fitting_grid(self.grid, (height, width))
        names = {"h": "hue", "s": "saturation", "v": "value"}
        bins = [f"{k / self.bins:.3g}to{(k + 1) / self.bins:.3g}" for k in range(self.bins)]
        cells = product(*map(range, self.grid_))
        return [
            f"{names[c]}_cell{y}_{x}_{span}"
            for y, x in cells
            for c in self.channels
            for span in bins
        ]

    def _features(self, images: Array) -> Array:
        n, _, height, width = images.shape
        rows, columns = self.grid_
        planes = dict(zip("hsv", hsv(np.clip(images, 0, 1)), strict=True))
        cell = np.add.outer(cell_of(height, rows) * columns, cell_of(width, columns)) + np.arange(
            n
        )[:, None, None] * (rows * columns)
        histograms = np.empty((n, rows * columns, len(self.channels), self.bins), images.dtype)
        for i, c in enumerate(self.channels):
            k = np.minimum((planes[c] * self.bins).astype(np.int64), self.bins - 1)
            counts = np.bincount(
                (cell * self.bins + k).ravel(), minlength=n * rows * columns * self.bins
            )
            histograms[:, :, i] = counts.reshape(n, rows * columns, self.bins)
        histograms /= pixels_in_cells((height, width), self.grid_).reshape(-1, 1, 1)
        return histograms


def hsv(images: Array) -> tuple[Array, Array, Array]:
    """Hue, saturation and value of images (n, C, H, W) in 0 to 1: three times (n, H, W).

    v = max(r, g, b); c = v - min(r, g, b); s = c/v, 0 for black; and, in sixths of a turn,
    h = (g - b)/c mod 6 where r is the largest, (b - r)/c + 2 where g is, (r - g)/c + 4 where b is,
    0 where c = 0.
    Source: Smith 1978, Color gamut transform pairs, SIGGRAPH.
    """
    if images.shape[1] == 1:
        grey = images[:, 0]
        return np.zeros_like(grey), np.zeros_like(grey), grey
    r, g, b = images[:, 0], images[:, 1], images[:, 2]
    v = images.max(axis=1)
    c = v - images.min(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        s = np.where(v > 0, c / v, 0)
        sixths = np.where(
            v == r, (g - b) / c % 6, np.where(v == g, (b - r) / c + 2, (r - g) / c + 4)
        )
    hue = np.where(c > 0, sixths / 6, 0)
    # just below 0, red wraps around to a hue that rounds to 1
    return np.where(hue < 1, hue, 0), s, v
