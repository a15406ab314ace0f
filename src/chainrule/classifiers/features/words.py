"""Pictures as bags of visual words: which small patches they consist of."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state

from chainrule.classifiers.features.cells import (
    cell_sums_channels_last,
    fitting_grid,
    pixels_in_cells,
)
from chainrule.classifiers.features.image_transformer import ImageTransformer
from chainrule.classifiers.features.pca import PCA
from chainrule.classifiers.images import Array

CONTRAST_FLOOR = 10 / 255**2
"""Added to a patch's variance: a grain of 3 of 255 grey levels is no contrast."""
WHITENING_FLOOR = 0.1
"""Added to the variance of patches of contrast 1 along each principal axis."""


class BagOfVisualWords(ImageTransformer):
    """How often each word of a visual vocabulary occurs in every part of a picture.

    Learnt from ``n_patches`` random patches of ``patch_size`` x ``patch_size`` pixels:

    1. each patch p, a vector, gets mean 0 and contrast 1: (p - mean p)/√(var p + 10/255²);
    2. they are whitened, by ZCA with ε = 0.1: x;
    3. k-means finds the words c_1 ... c_K, the means of clusters of such x.

    Of a picture, all patches at every ``stride``-th pixel are described in the same way, with
    d_k = |x - c_k|, as

    - assignment="hard": 1 for the nearest word, 0 for all others (Csurka et al.);
    - assignment="triangle": max(0, mean_j d_j - d_k): nothing for words farther than the average
      (Coates, Ng & Lee);

    and what is found is averaged in each cell of a ``grid`` x ``grid`` of the patches' places.
    X (n, C·H·W) -> (n, grid²·K), the first cell first.

    n_words: K, at most the number of patches there are. A picture smaller than a patch is one.
    words_ (K, C·patch²), whitened; whitening_: the fitted `PCA`. random_state: the seed.
    image_shape: (C, H, W), or "auto" (see `find_image_shape`). pixel_range: the value of white;
    "auto": 255 for whole numbers, 1 for floats.
    Raises ConfigError.
    Source: Csurka, Dance, Fan, Willamowski & Bray 2004, Visual categorization with bags of
    keypoints, ECCV workshop; Coates, Ng & Lee 2011, An analysis of single-layer networks in
    unsupervised feature learning, AISTATS.
    """

    def __init__(
        self,
        n_words: int = 200,
        *,
        patch_size: int = 6,
        stride: int = 1,
        grid: int = 2,
        assignment: str = "triangle",
        n_patches: int = 100_000,
        image_shape: Any = "auto",
        pixel_range: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.n_words = n_words
        self.patch_size = patch_size
        self.stride = stride
        self.grid = grid
        self.assignment = assignment
        self.n_patches = n_patches
        self.image_shape = image_shape
        self.pixel_range = pixel_range
        self.random_state = random_state

    def _prepare(self, X: Array) -> list[str]:
        counts = self.n_words, self.patch_size, self.stride, self.grid, self.n_patches
        self._check(
            min(counts) >= 1,
            "n_words, patch_size, stride, grid and n_patches must be at least 1, got "
            f"{', '.join(map(str, counts))}",
        )
        self._check(
            self.assignment in ("hard", "triangle"),
            f'assignment must be "hard" or "triangle", got {self.assignment!r}',
        )
        _, height, width = self.image_shape_
        self.patch_ = min(self.patch_size, height), min(self.patch_size, width)
        self.places_ = (
            (height - self.patch_[0]) // self.stride + 1,
            (width - self.patch_[1]) // self.stride + 1,
        )
        self.grid_ = fitting_grid(self.grid, self.places_)
        draw = check_random_state(self.random_state)
        patches = self._described(self._some_patches(X, draw))
        self.whitening_ = PCA(whiten="zca", epsilon=WHITENING_FLOOR).fit(patches)
        words = min(self.n_words, len(patches))
        clusters = KMeans(words, n_init=1, max_iter=50, random_state=draw)
        self.words_ = clusters.fit(self.whitening_.transform(patches)).cluster_centers_
        cells = list(product(*map(range, self.grid_)))
        return [f"word{k}_cell{y}_{x}" for y, x in cells for k in range(words)]

    def _some_patches(self, X: Array, draw: Any) -> Array:
        """Random patches (P, C·h·w) of the pictures in X, black 0 and white 1."""
        n = min(self.n_patches, len(X) * self.places_[0] * self.places_[1])
        windows = self._windows(X.reshape(-1, *self.image_shape_))
        image = draw.randint(len(X), size=n)
        y, x = (draw.randint(places, size=n) for places in self.places_)
        return self._brightness(windows[image, :, y, x]).reshape(n, -1)

    def _windows(self, images: Array) -> Array:
        """The patches of images (n, C, H, W): (n, C, rows, columns, h, w), without copying."""
        windows = np.lib.stride_tricks.sliding_window_view(images, self.patch_, axis=(2, 3))
        return windows[:, :, :: self.stride, :: self.stride]

    def _described(self, patches: Array) -> Array:
        """Patches (P, C·h·w) of mean 0 and contrast 1."""
        patches = patches - patches.mean(axis=1, keepdims=True)
        variance = np.mean(patches * patches, axis=1, keepdims=True)
        patches /= np.sqrt(variance + CONTRAST_FLOOR)
        return patches

    def _values_per_image(self) -> int:
        patches = self.places_[0] * self.places_[1]
        return 2 * self.n_features_in_ + patches * (3 * self.words_.shape[1] + 2 * len(self.words_))

    def _features(self, images: Array) -> Array:
        patches = self._windows(images).transpose(0, 2, 3, 1, 4, 5)
        described = self.whitening_.transform(
            self._described(patches.reshape(-1, self.words_.shape[1]))
        )
        found = self._found(described).reshape(len(images), *self.places_, -1)
        sums = cell_sums_channels_last(found, self.grid_)
        return sums / pixels_in_cells(self.places_, self.grid_)[:, :, None].astype(sums.dtype)

    def _found(self, x: Array) -> Array:
        """How much of each word is in each patch: (P, D) -> (P, K)."""
        words = self.words_.astype(x.dtype, copy=False)
        squares = x @ (-2 * words.T)
        squares += (x * x).sum(axis=1, keepdims=True)
        squares += (words * words).sum(axis=1)
        if self.assignment == "hard":
            found = np.zeros_like(squares)
            found[np.arange(len(x)), squares.argmin(axis=1)] = 1
            return found
        distances = np.sqrt(np.maximum(squares, 0, out=squares), out=squares)
        nearness = distances.mean(axis=1, keepdims=True) - distances
        return np.maximum(nearness, 0, out=nearness)
