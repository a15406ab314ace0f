"""A picture divided into cells, and what is summed or averaged over each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Grid = tuple[int, int]


def fitting_grid(cells: int, sides: Grid) -> Grid:
    """So many cells along each side, at most one for each pixel."""
    return min(cells, sides[0]), min(cells, sides[1])


def edges(length: int, cells: int) -> NDArray[np.int64]:
    """Where the parts of a side begin, as equal as pixels allow, and where the last one ends."""
    return np.arange(cells + 1) * length // cells


def cell_of(length: int, cells: int) -> NDArray[np.int64]:
    """The cell that each pixel of a side lies in."""
    return np.repeat(np.arange(cells), np.diff(edges(length, cells)))


def cell_sums(images: Array, grid: Grid) -> Array:
    """What the pixels of each cell sum to: (..., H, W) -> (..., rows, columns).

    Two products of matrices, S_y · image · S_xᵀ, where S has a 1 for every pixel in a cell.
    """
    down, across = (
        _membership(side, cells, images.dtype)
        for side, cells in zip(images.shape[-2:], grid, strict=True)
    )
    return down @ (images @ across.T)


def cell_sums_channels_last(images: Array, grid: Grid) -> Array:
    """The same of images (n, H, W, C), in memory as they are: (n, rows, columns, C)."""
    n, height, width, channels = images.shape
    down = _membership(height, grid[0], images.dtype) @ images.reshape(n, height, -1)
    across = _membership(width, grid[1], images.dtype)
    return across @ down.reshape(n, grid[0], width, channels)


def _membership(length: int, cells: int, dtype: DTypeLike) -> Array:
    return (np.arange(cells)[:, None] == cell_of(length, cells)).astype(dtype)


def pixels_in_cells(sides: Grid, grid: Grid) -> Array:
    """How many pixels each cell of a grid has: (rows, columns)."""
    return np.outer(np.diff(edges(sides[0], grid[0])), np.diff(edges(sides[1], grid[1])))


def cell_mean_and_deviation(images: Array, grid: Grid) -> tuple[Array, Array]:
    """Of the pixels in each cell: (..., H, W) -> twice (..., rows, columns)."""
    height, width = images.shape[-2:]
    area = pixels_in_cells((height, width), grid).astype(images.dtype)
    mean = cell_sums(images, grid) / area
    at_pixels = mean[..., cell_of(height, grid[0]), :][..., cell_of(width, grid[1])]
    return mean, np.sqrt(cell_sums((images - at_pixels) ** 2, grid) / area)
