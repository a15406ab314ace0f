"""What the features of images share: their shape, work in blocks, names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from chainrule.classifiers.images import (
    Array,
    brightness_range,
    computing_type,
    find_image_shape,
)
from chainrule.errors import ConfigError

BLOCK_VALUES = 2**21
"""Numbers that a block of images may take while it is computed."""


class ImageTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features (n, F) of images X (n, C·H·W), as float32, or float64 where X is float64.

    A subclass has the settings `image_shape` and `pixel_range`, says in `_prepare` what it
    refuses, learns in it what there is to learn and returns the names of its features, and gives
    in `_features` those of a block of images.
    """

    image_shape: Any
    pixel_range: Any
    image_shape_: tuple[int, int, int]

    def fit(self, X: Any, y: Any = None) -> Any:
        """Find the shape of the images X (n, C·H·W), and learn what is learnt. y: unused."""
        X = validate_data(self, X)
        self.image_shape_ = find_image_shape(
            type(self).__name__, self.image_shape, self.n_features_in_
        )
        brightness_range(type(self).__name__, self.pixel_range, X)
        self._names_ = self._prepare(X)
        self._n_features_out = len(self._names_)
        return self

    def transform(self, X: Any) -> Array:
        """The features (n, F) of images X (n, C·H·W)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        result = np.empty((len(X), self._n_features_out), self._result_type(X))
        step = self._images_at_once()
        for start in range(0, len(X), step):
            block = slice(start, start + step)
            result[block] = self._features(self._images(X[block])).reshape(len(X[block]), -1)
        return result

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """What each feature is. input_features: checked against those X had, otherwise unused."""
        super().get_feature_names_out(input_features)
        return np.array(self._names_, dtype=object)

    def _prepare(self, X: Array) -> list[str]:
        raise NotImplementedError

    def _features(self, images: Array) -> Array:
        raise NotImplementedError

    def _images_at_once(self) -> int:
        return max(1, BLOCK_VALUES // self._values_per_image())

    def _values_per_image(self) -> int:
        """About how many numbers the work on one image takes."""
        return 4 * self.n_features_in_

    def _result_type(self, X: Array) -> np.dtype[Any]:
        return computing_type(X)

    def _images(self, rows: Array) -> Array:
        """Rows as images (n, C, H, W) of their own, black 0 and white 1."""
        return self._brightness(rows).reshape(-1, *self.image_shape_)

    def _brightness(self, pixels: Array) -> Array:
        """A copy of pixels as floats, black 0 and white 1."""
        white = brightness_range(type(self).__name__, self.pixel_range, pixels)
        scaled = pixels.astype(computing_type(pixels), order="C")
        if white != 1:
            scaled /= white
        return scaled

    def _check(self, allowed: bool, requirement: str) -> None:
        """Raise ConfigError, naming the class, unless a setting is allowed."""
        if not allowed:
            raise ConfigError(f"{type(self).__name__}: {requirement}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
