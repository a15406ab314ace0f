"""Images as rows of a matrix, and rows as images again.

An estimator is given X (n, D): each row is one image (C, H, W), plane by plane, as `flatten` lays
out a tensor of images.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data import ImageDataset
from chainrule.errors import ConfigError, ShapeError

Array = NDArray[Any]
ImageShape = tuple[int, int, int]


def image_rows(images: ImageDataset | Array) -> Array:
    """Images as rows (n, C·H·W), of the type they have.

    images: a dataset, or an array (n, H, W) or (n, H, W, C) with C of 1 or 3, as a dataset keeps
    them. A tensor's array (n, C, H, W) has this order already: ``array.reshape(n, -1)``.
    Raises ShapeError for other shapes.
    """
    if isinstance(images, ImageDataset):
        images = images.gather(np.arange(len(images)))[0]
    pixels = np.asarray(images)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3):
        raise ShapeError(
            "image_rows: expects images (n, H, W), (n, H, W, 1) or (n, H, W, 3), "
            f"got {np.shape(images)}; images (n, C, H, W) are rows by .reshape(n, -1)"
        )
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1)


def find_image_shape(caller: str, image_shape: Any, features: int) -> ImageShape:
    """(C, H, W) of rows with so many features.

    image_shape: "auto" sees a square: in colour where features = 3s², grey where features = s²,
    and otherwise a picture of one line, (1, 1, features). Or the shape itself.
    Raises ConfigError for anything else, ShapeError where the shape does not fit.
    """
    if isinstance(image_shape, str) and image_shape == "auto":
        for channels in (3, 1):
            side = math.isqrt(features // channels)
            if channels * side * side == features:
                return channels, side, side
        return 1, 1, features
    try:
        channels, height, width = map(int, image_shape)
    except (TypeError, ValueError):
        channels = 0
    if not channels or min(channels, height, width) < 1:
        raise ConfigError(
            f'{caller}: image_shape must be "auto" or (channels, height, width), got {image_shape}'
        )
    if channels * height * width != features:
        raise ShapeError(
            f"{caller}: X has {features} features, images of {channels}x{height}x{width} have "
            f"{channels * height * width}; give their shape as image_shape=(C, H, W)"
        )
    return channels, height, width


def computing_type(X: Array) -> np.dtype[Any]:
    """What features of X are computed in: float32, and float64 for float64."""
    return np.dtype(np.float64 if X.dtype == np.float64 else np.float32)


def brightness_range(caller: str, pixel_range: Any, X: Array) -> float:
    """The value of a white pixel: 255 where "auto" meets whole numbers, 1 where it meets floats.

    Raises ConfigError unless pixel_range is "auto" or a positive number.
    """
    if isinstance(pixel_range, str) and pixel_range == "auto":
        return 255.0 if X.dtype.kind in "iu" else 1.0
    if isinstance(pixel_range, str) or not pixel_range > 0:
        raise ConfigError(
            f'{caller}: pixel_range must be "auto" or the value of white, got {pixel_range!r}'
        )
    return float(pixel_range)
