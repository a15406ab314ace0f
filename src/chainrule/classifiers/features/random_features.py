"""A layer that nobody trained."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.kernel_approximation import RBFSampler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from chainrule.classifiers.images import Array, computing_type
from chainrule.errors import ConfigError

BLOCK_VALUES = 2**22
"""Values of X, or of the result, that are made at once."""


class RandomFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Random features: a linear classifier of them is about a kernel machine of X.

    X (n, D) -> (n, M), whose products approach a kernel, z(x)ᵀz(y) → k(x, y), as M grows, with
    an error of order 1/√M.

    kind="fourier": z = √(2/M) cos(Wx + b), W ~ N(0, 2γ), b uniform in [0, 2π):
        k = e^(-γ|x - y|²), the Gaussian kernel (Rahimi & Recht 2007, Random features for
        large-scale kernel machines, NIPS, algorithm 1).
    kind="relu": z = √(2/M) max(0, Wx), W ~ N(0, 1), the hidden layer of a network before any
        training: k = |x||y| (sin θ + (π - θ) cos θ)/π, θ the angle between x and y (Cho & Saul
        2009, Kernel methods for deep learning, NIPS, the arc-cosine kernel of order 1, with its
        scale).

    "fourier" draws its weights with scikit-learn's RBFSampler. gamma: γ; "scale": 1/(D · the
    variance of X's values). Both want features of one scale: put StandardScaler or `PCA` before
    it. random_state: the seed.
    W is `weights_` (D, M), b `offset_` (M,). Derived in docs/derivations/features.md.
    Raises ConfigError; InvalidParameterError for a gamma that is none.
    """

    def __init__(
        self,
        n_components: int = 500,
        *,
        kind: str = "fourier",
        gamma: float | str = "scale",
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.kind = kind
        self.gamma = gamma
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> RandomFeatures:
        """Draw the weights for the width of X (n, D), and find the scale. y: unused."""
        X = validate_data(self, X)
        if self.kind not in ("fourier", "relu"):
            raise ConfigError(
                f'RandomFeatures: kind must be "fourier" or "relu", got {self.kind!r}'
            )
        if self.n_components < 1:
            raise ConfigError(
                f"RandomFeatures: n_components must be at least 1, got {self.n_components}"
            )
        if self.kind == "fourier":
            drawn = RBFSampler(
                gamma=self.gamma, n_components=self.n_components, random_state=self.random_state
            ).fit(X)
            weights, offset = drawn.random_weights_, drawn.random_offset_
        else:
            draw = check_random_state(self.random_state)
            weights = draw.normal(size=(X.shape[1], self.n_components))
            offset = np.zeros(self.n_components)
        self.weights_, self.offset_ = (a.astype(computing_type(X)) for a in (weights, offset))
        self._n_features_out = self.n_components
        return self

    def transform(self, X: Any) -> Array:
        """The random features (n, M)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        dtype = computing_type(X)
        weights, offset = (a.astype(dtype, copy=False) for a in (self.weights_, self.offset_))
        result = np.empty((len(X), self.n_components), dtype)
        step = max(1, BLOCK_VALUES // max(weights.shape))
        for start in range(0, len(X), step):
            z = result[start : start + step]
            np.matmul(X[start : start + step].astype(dtype, copy=False), weights, out=z)
            z += offset
            if self.kind == "fourier":
                np.cos(z, out=z)
            else:
                np.maximum(z, 0, out=z)
            z *= dtype.type(math.sqrt(2 / self.n_components))
        return result

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
