"""Filters that nobody had to learn: edges, blobs, textures, as weights (O, 1, K, K).

    edges = filters.filter_channels(images, filters.sobel())      # (N, 2·C, H, W)

They are what `F.conv2d` takes, which does not flip: the first axis of a filter's grid is y and
goes down, the second is x and goes right, and the middle is (0, 0). A derivative by x is
positive where the image becomes brighter to the right, one by y where it does downwards; of a
pair, x comes first. The classical whole numbers measure a slope of 1 per pixel as 8 (Sobel), 6
(Prewitt) or 32 (Scharr); ``normalized`` divides by that, and a slope of 1 is measured as 1.

To learn on from a filter, copy it into a layer: ``conv.weight.data.copy_(filters.sobel())``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, ShapeError
from chainrule.nn import functional as F
from chainrule.tensor import Tensor
from chainrule.tensor.creation import tensor

__all__ = [
    "filter_channels",
    "gabor",
    "gaussian",
    "laplacian",
    "laplacian_of_gaussian",
    "prewitt",
    "roberts",
    "scharr",
    "sobel",
]

SLOPE = (-1.0, 0.0, 1.0)


def sobel(normalized: bool = False, dtype: Any = None) -> Tensor:
    """Derivatives by x and by y, smoothed by 1 2 1 across: (2, 1, 3, 3).

    Source: Sobel & Feldman 1968, An isotropic 3x3 image gradient operator (talk at the Stanford
    Artificial Intelligence Project; reprinted by Sobel 2014).
    """
    return _derivatives((1, 2, 1), normalized, dtype)


def prewitt(normalized: bool = False, dtype: Any = None) -> Tensor:
    """Derivatives by x and by y, averaged over 1 1 1 across: (2, 1, 3, 3).

    Source: Prewitt 1970, Object enhancement and extraction, in Picture Processing and
    Psychopictorics.
    """
    return _derivatives((1, 1, 1), normalized, dtype)


def scharr(normalized: bool = False, dtype: Any = None) -> Tensor:
    """Derivatives by x and by y, smoothed by 3 10 3: the angle of an edge is most exact.

    (2, 1, 3, 3). Source: Scharr 2000, Optimal operators in digital image processing (thesis,
    Heidelberg).
    """
    return _derivatives((3, 10, 3), normalized, dtype)


def _derivatives(across: tuple[float, ...], normalized: bool, dtype: Any) -> Tensor:
    by_x = np.outer(across, SLOPE)
    if normalized:
        by_x /= 2 * sum(across)  # -1 0 1 is a slope over two pixels
    return _weights([by_x, by_x.T], dtype)


def roberts(dtype: Any = None) -> Tensor:
    """Differences along the two diagonals, down to the right and down to the left: (2, 1, 2, 2).

    Source: Roberts 1963, Machine perception of three-dimensional solids (thesis, MIT).
    """
    return _weights([[[-1, 0], [0, 1]], [[0, -1], [1, 0]]], dtype)


def laplacian(neighbours: int = 4, dtype: Any = None) -> Tensor:
    """∂²/∂x² + ∂²/∂y² from 4 neighbours, or three times that from 8: (1, 1, 3, 3).

    The sum of the neighbours less as many times the middle: positive in dark spots. Raises
    ConfigError for another number of neighbours.
    """
    if neighbours not in (4, 8):
        raise ConfigError(f"laplacian: neighbours must be 4 or 8, got {neighbours}")
    corner = float(neighbours == 8)
    return _weights([[[corner, 1, corner], [1, -neighbours, 1], [corner, 1, corner]]], dtype)


def gaussian(sigma: float, size: int | None = None, dtype: Any = None) -> Tensor:
    """e^(-(x² + y²)/2σ²), scaled to the sum 1: (1, 1, size, size).

    sigma: pixels. size: odd; 2⌈3σ⌉ + 1 where it is not given.
    """
    x, y = _grid("gaussian", sigma, size, 3)
    bell = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return _weights([bell / bell.sum()], dtype)


def laplacian_of_gaussian(sigma: float, size: int | None = None, dtype: Any = None) -> Tensor:
    """∇²G = (x² + y² - 2σ²)/σ⁴ · G, less its mean: (1, 1, size, size). G: as `gaussian`.

    The Laplacian of the blurred image, positive in dark blobs of radius √2·σ; it crosses zero
    along edges. A flat image gives 0. sigma: pixels. size: odd; 2⌈4σ⌉ + 1 if not given.
    Source: Marr & Hildreth 1980, Theory of edge detection, Proc. R. Soc. Lond. B 207.
    """
    x, y = _grid("laplacian_of_gaussian", sigma, size, 4)
    square = x**2 + y**2
    bell = np.exp(-square / (2 * sigma**2))
    mexican_hat = (square - 2 * sigma**2) / sigma**4 * bell / bell.sum()
    return _weights([mexican_hat - mexican_hat.mean()], dtype)


def gabor(
    orientations: int = 8,
    wavelength: float = 4.0,
    sigma: float | None = None,
    aspect: float = 0.5,
    phase: float = 0.0,
    size: int | None = None,
    dtype: Any = None,
) -> Tensor:
    """A bank of waves under a bell, less their mean: (orientations, 1, size, size).

    e^(-(u² + aspect²·v²)/2σ²) · cos(2π u/wavelength + phase), where u and v are x and y turned
    by θ = kπ/orientations: filter k answers to stripes across the direction (cos θ, sin θ), so
    filter 0 to vertical ones. wavelength, sigma: pixels; sigma: 0.56 wavelengths, a bandwidth of
    one octave, if not given. phase 0 answers to lines, π/2 to edges. size: odd; 2⌈3σ⌉ + 1.
    Source: Daugman 1985, J. Opt. Soc. Am. A 2; Petkov 1995, Future Gener. Comput. Syst. 11.
    """
    if orientations < 1 or wavelength <= 0 or aspect <= 0:
        raise ConfigError(
            "gabor: orientations, wavelength and aspect must be positive, got "
            f"{orientations}, {wavelength} and {aspect}"
        )
    sigma = 0.56 * wavelength if sigma is None else sigma
    x, y = _grid("gabor", sigma, size, 3)
    bank = []
    for k in range(orientations):
        angle = k * math.pi / orientations
        u = x * math.cos(angle) + y * math.sin(angle)
        v = y * math.cos(angle) - x * math.sin(angle)
        bell = np.exp(-(u**2 + (aspect * v) ** 2) / (2 * sigma**2))
        wave = bell * np.cos(2 * math.pi * u / wavelength + phase)
        bank.append(wave - wave.mean())
    return _weights(bank, dtype)


def filter_channels(input: Tensor, filters: Tensor, padding_mode: str = "replicate") -> Tensor:
    """Each filter on each channel by itself, the size kept: (N, C, H, W) -> (N, C·O, H, W).

    filters (O, 1, K, K) of the input's dtype. Channel c·O + o of the result is filter o on
    channel c. padding_mode: what surrounds the image, as in `F.pad` ("constant": zeros, which
    have an edge around them). An even window looks further right and down.
    Raises ShapeError.
    """
    if filters.ndim != 4 or filters.shape[1] != 1 or input.ndim not in (3, 4):
        raise ShapeError(
            "filter_channels: expects images and filters of one channel\n"
            f"  input {tuple(input.shape)} = (N, C, H, W); filters {tuple(filters.shape)} = "
            "(O, 1, KH, KW)"
        )
    channels, (height, width) = input.shape[-3], filters.shape[2:]
    around = ((width - 1) // 2, width // 2, (height - 1) // 2, height // 2)
    weight = filters.repeat(channels, 1, 1, 1)
    return F.conv2d(F.pad(input, around, padding_mode), weight, groups=channels)


def _grid(name: str, sigma: float, size: int | None, radii: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of a window's pixels, from its middle."""
    if not sigma > 0:
        raise ConfigError(f"{name}: sigma must be positive, got {sigma}")
    size = 2 * math.ceil(radii * sigma) + 1 if size is None else size
    if size < 1 or size % 2 == 0:
        raise ConfigError(f"{name}: size must be odd, got {size}: a filter has a middle")
    axis = np.arange(size) - size // 2
    x, y = np.meshgrid(axis, axis)
    return x, y


def _weights(filters: Any, dtype: Any) -> Tensor:
    return tensor(np.asarray(filters, np.float64)[:, None], dtype=dtype or np.float32)
