"""Principal components and whitening, as the course does them by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from chainrule.classifiers.images import Array, computing_type
from chainrule.errors import ConfigError

BLOCK_VALUES = 2**22
"""Values of X that are made floats at once."""


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The axes along which data vary most: rotated to them, reduced to the first, whitened.

    1. x̃ = x - mean.                         X (n, D)
    2. Σ = X̃ᵀX̃/(n - 1) = U diag(λ) Uᵀ, the columns of U by falling λ.
    3. z = Uᵀx̃: decorrelated, of variances λ. The first K of them are the reduced data.
    4. whiten=True: z/√(λ + ε): every variance is λ/(λ + ε), about 1.
       whiten="zca": U (z/√(λ + ε)), turned back: of all whitened data they are nearest to the
       images themselves, and have D values as they do.

    n_components: K; None: min(n, D). A share in (0, 1): as many as hold that share of all
    variance. epsilon: ε, in squared units of X: it keeps directions that hardly vary, mostly
    noise, from being blown up. For bytes 0 to 255 rather 10 than 10⁻⁵.

    components_ (K, D): Uᵀ, each row's largest entry positive; mean_ (D,); explained_variance_,
    explained_variance_ratio_ (K,). They are computed in float64, whatever X is, and X̃ exists only
    in blocks; X of float32 or bytes is transformed in float32. Where n < D the decomposition is
    that of X̃ itself (X̃ = V diag(s) Uᵀ, λ = s²/(n - 1)), and costs n²D instead of D³.
    Derived in docs/derivations/features.md. Raises ConfigError.
    Source: CS231n notes, Neural networks 2; ZCA: Bell & Sejnowski 1997, Vision Research 37.
    """

    def __init__(
        self,
        n_components: float | None = None,
        *,
        whiten: bool | str = False,
        epsilon: float = 1e-5,
    ) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.epsilon = epsilon

    def fit(self, X: Any, y: Any = None) -> PCA:
        """Find the axes of X (n, D). y: unused."""
        X = validate_data(self, X)
        if self.whiten not in (False, True, "zca"):
            raise ConfigError(f'PCA: whiten must be False, True or "zca", got {self.whiten!r}')
        if not self.epsilon >= 0:
            raise ConfigError(f"PCA: epsilon must not be negative, got {self.epsilon}")
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        variances, axes = self._decomposed(X)
        total = variances.sum()
        kept = self._kept(variances, min(X.shape))
        self.components_ = _signed(axes[:kept]).astype(computing_type(X))
        self.explained_variance_ = variances[:kept]
        self.explained_variance_ratio_ = variances[:kept] / (total if total > 0 else 1)
        return self

    def transform(self, X: Any) -> Array:
        """Rotated, reduced and whitened: (n, K), or (n, D) where whiten="zca"."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        turned = self.components_.T.astype(computing_type(X), copy=False)
        if self.whiten:
            turned = turned / self._deviations().astype(turned.dtype)
        if self.whiten == "zca":
            turned = turned @ self.components_.astype(turned.dtype, copy=False)
        result = np.empty((len(X), turned.shape[1]), turned.dtype)
        for rows, centred in self._centred(X, turned.dtype):
            np.matmul(centred, turned, out=result[rows])
        return result

    def inverse_transform(self, X: Any) -> Array:
        """Back to the data (n, D) from what `transform` gave; exact if all K = D were kept."""
        check_is_fitted(self)
        Z = check_array(X, dtype=(np.float64, np.float32))
        if Z.shape[1] != self._n_features_out:
            raise ValueError(f"PCA: X has {Z.shape[1]} features, expected {self._n_features_out}")
        back = self.components_.astype(Z.dtype, copy=False)
        if self.whiten == "zca":
            Z = Z @ back.T
        if self.whiten:
            Z = Z * self._deviations().astype(Z.dtype)
        return Z @ back + self.mean_.astype(Z.dtype)

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[1 if self.whiten == "zca" else 0]

    def _deviations(self) -> Array:
        """√(λ + ε); 1 where that is 0, of a direction that has no variance at all."""
        squares = self.explained_variance_ + self.epsilon
        return np.sqrt(np.where(squares > 0, squares, 1))

    def _kept(self, variances: Array, most: int) -> int:
        asked = self.n_components
        if asked is None:
            return most
        if 0 < asked < 1:
            shares = np.cumsum(variances) / max(variances.sum(), np.finfo(np.float64).tiny)
            return min(most, int(np.searchsorted(shares, asked)) + 1)
        if asked != int(asked) or not 1 <= asked <= most:
            raise ConfigError(
                f"PCA: n_components must be a share in (0, 1) or at most min(n, D) = {most}, "
                f"got {asked}"
            )
        return int(asked)

    def _decomposed(self, X: Array) -> tuple[Array, Array]:
        """λ, falling, and the axes as rows."""
        n, width = X.shape
        if n < width:
            centred = X.astype(np.float64) - self.mean_
            _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
            return lengths**2 / max(n - 1, 1), axes
        scatter = np.zeros((width, width))
        for _, centred in self._centred(X, np.dtype(np.float64)):
            scatter += centred.T @ centred
        variances, axes = np.linalg.eigh(scatter / max(n - 1, 1))
        return np.maximum(variances[::-1], 0), axes.T[::-1]

    def _centred(self, X: Array, dtype: np.dtype[Any]) -> Iterator[tuple[slice, Array]]:
        """X less its mean, by blocks of rows."""
        mean = self.mean_.astype(dtype)
        step = max(1, BLOCK_VALUES // X.shape[1])
        for start in range(0, len(X), step):
            rows = slice(start, min(start + step, len(X)))
            yield rows, X[rows] - mean

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _signed(axes: Array) -> Array:
    """Axes as rows, turned so that the entry of each that is furthest from 0 is positive."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(largest < 0, -1, 1)
