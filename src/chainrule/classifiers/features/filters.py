"""How strongly parts of a picture answer to filters that nobody had to learn: edges, textures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from chainrule.autograd import no_grad
from chainrule.classifiers.features.cells import cell_mean_and_deviation, fitting_grid
from chainrule.classifiers.features.image_transformer import ImageTransformer
from chainrule.classifiers.images import Array
from chainrule.nn import filters
from chainrule.tensor import Tensor

LUMINANCE = (0.299, 0.587, 0.114)
"""How bright red, green and blue are to the eye: ITU-R BT.601."""
OPERATORS = {
    "sobel": filters.sobel,
    "prewitt": filters.prewitt,
    "scharr": filters.scharr,
}


class FilterTransformer(ImageTransformer):
    """Filters over grey pictures, and what their answers are in each cell of a grid.

    A subclass has the setting `grid`, and says in `_statistics` what there is in each cell.
    """

    grid: int

    def _prepare(self, X: Array) -> list[str]:
        self._check(self.grid >= 1, f"grid must be at least 1, got {self.grid}")
        self.grid_ = fitting_grid(self.grid, self.image_shape_[1:])
        cells = list(product(*map(range, self.grid_)))
        return [f"{name}_cell{y}_{x}" for name in self._statistics() for y, x in cells]

    def _statistics(self) -> list[str]:
        raise NotImplementedError


def _answers(grey: Array, bank: Tensor) -> Array:
    """Filters (O, 1, K, K) on pictures (n, 1, H, W): (n, O, H, W), the border continued."""
    with no_grad():
        return filters.filter_channels(Tensor(grey), bank.to(grey.dtype)).numpy()


def _grey(images: Array) -> Array:
    """(n, C, H, W) -> (n, 1, H, W): luminance of three channels, the mean of others."""
    if images.shape[1] == 3:
        weights = np.array(LUMINANCE, images.dtype)
        return np.tensordot(weights, images, (0, 1))[:, None]
    return images.mean(axis=1, keepdims=True)


class EdgeFeatures(FilterTransformer):
    """How strong the edges in every part of a picture are, and along which axis they change.

    gx, gy: the derivatives of the luminance by the operator, as slopes per pixel, the border
    continued. In each cell of a ``grid`` x ``grid``: the means of √(gx² + gy²), |gx| and |gy|.
    X (n, C·H·W) -> (n, 3·grid²), the first of the three first, in all cells row by row.

    operator: "sobel", "prewitt" or "scharr", as in `chainrule.nn.filters`. image_shape: (C, H, W),
    or "auto" (see `find_image_shape`). pixel_range: the value of white; "auto": 255 for whole
    numbers, 1 for floats. A picture smaller than the grid has a cell for every pixel.
    Raises ConfigError.
    Source: Gonzalez & Woods 2018, Digital Image Processing, section 10.2.
    """

    def __init__(
        self,
        operator: str = "sobel",
        *,
        grid: int = 4,
        image_shape: Any = "auto",
        pixel_range: Any = "auto",
    ) -> None:
        self.operator = operator
        self.grid = grid
        self.image_shape = image_shape
        self.pixel_range = pixel_range

    def _statistics(self) -> list[str]:
        self._check(
            self.operator in OPERATORS,
            f"operator must be one of {', '.join(OPERATORS)}, got {self.operator!r}",
        )
        return [f"{self.operator}_{name}" for name in ("length", "x", "y")]

    def _features(self, images: Array) -> Array:
        gradient = _answers(_grey(images), OPERATORS[self.operator](normalized=True))
        length = np.hypot(gradient[:, :1], gradient[:, 1:])
        return cell_mean_and_deviation(
            np.concatenate([length, np.abs(gradient)], axis=1), self.grid_
        )[0]


class TextureFeatures(FilterTransformer):
    """How strongly stripes of several widths and directions run through every part of a picture.

    For each wavelength and each direction kπ/orientations, a pair of Gabor filters (e answers to
    lines, o to edges) on the luminance gives the amplitude a = √(e² + o²) at every pixel; in each
    cell of a ``grid`` x ``grid``, the mean of a and its standard deviation are the features.
    Filters are scaled so that a wave of amplitude 1 and just their wavelength and direction gives
    about 1. X (n, C·H·W) -> (n, wavelengths · orientations · 2 · grid²).

    wavelengths: pixels. image_shape: (C, H, W), or "auto" (see `find_image_shape`). pixel_range:
    the value of white; "auto": 255 for whole numbers, 1 for floats. A picture smaller than the
    grid has a cell for every pixel.
    Raises ConfigError.
    Source: Manjunath & Ma 1996, Texture features for browsing and retrieval of image data, IEEE
    PAMI 18; filters: `chainrule.nn.filters.gabor`.
    """

    def __init__(
        self,
        wavelengths: Sequence[float] = (3.0, 6.0),
        orientations: int = 4,
        *,
        grid: int = 2,
        image_shape: Any = "auto",
        pixel_range: Any = "auto",
    ) -> None:
        self.wavelengths = wavelengths
        self.orientations = orientations
        self.grid = grid
        self.image_shape = image_shape
        self.pixel_range = pixel_range

    def _statistics(self) -> list[str]:
        self._check(
            self.orientations >= 1, f"orientations must be at least 1, got {self.orientations}"
        )
        self._check(
            len(self.wavelengths) >= 1 and min(self.wavelengths) >= 2,
            "wavelengths must be two pixels or more, a shorter wave cannot be seen; "
            f"got {self.wavelengths}",
        )
        return [
            f"gabor_{wavelength:g}px_{180 * k / self.orientations:g}deg_{statistic}"
            for wavelength in self.wavelengths
            for statistic in ("mean", "std")
            for k in range(self.orientations)
        ]

    def _values_per_image(self) -> int:
        _, height, width = self.image_shape_
        return self.n_features_in_ + 8 * self.orientations * height * width

    def _features(self, images: Array) -> Array:
        grey = _grey(images)
        parts: list[Array] = []
        for wavelength in self.wavelengths:
            lines, borders = _gabor_pair(self.orientations, wavelength)
            amplitude = np.hypot(_answers(grey, lines), _answers(grey, borders))
            parts += cell_mean_and_deviation(amplitude, self.grid_)
        return np.concatenate(parts, axis=1)


def _gabor_pair(orientations: int, wavelength: float) -> tuple[Tensor, Tensor]:
    """The banks that answer to lines and to edges, scaled so that their own wave of 1 gives 1."""
    lines = filters.gabor(orientations, wavelength, dtype=np.float64)
    borders = filters.gabor(orientations, wavelength, phase=math.pi / 2, dtype=np.float64)
    size = lines.shape[-1]
    wave = np.cos(2 * math.pi / wavelength * (np.arange(size) - size // 2))
    gain = float((lines.numpy()[0, 0] * wave).sum())
    return lines / gain, borders / gain
