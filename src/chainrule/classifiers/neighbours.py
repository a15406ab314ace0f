"""k nearest neighbours: the classifier that remembers everything and learns nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from chainrule import kernels
from chainrule.errors import ConfigError
from chainrule.kernels import naive
from chainrule.kernels.reference import neighbours as reference
from chainrule.kernels.table import why_native_is_absent
from chainrule.kernels.votes import closeness, vote_shares

Array = NDArray[Any]
Found = tuple[Array, Array]

METRICS = {
    "l2": "l2",
    "euclidean": "l2",
    "l1": "l1",
    "manhattan": "l1",
    "cityblock": "l1",
    "cosine": "cosine",
}
WEIGHTS = ("uniform", "distance")
ROWS_AT_ONCE = 256


class KNearestNeighbors(ClassifierMixin, BaseEstimator):
    """An example gets the label that most of its k nearest training examples have.

    Training takes no time and prediction all of it: n queries meet N examples of D numbers at a
    cost of n·N·D. Exact: neighbours and distances are those of brute force in float64.

    Parameters
    ----------
    n_neighbors : k. Cross-validation finds a good one: ``chainrule cv DATA --model knn``.
    metric : "l2" (or "euclidean"), √Σ(x - y)²; "l1" (or "manhattan"), Σ|x - y|;
        "cosine", 1 - Σxy / (|x| |y|), which is 1 where a row is all zeros.
    weights : "uniform", every neighbour has one vote; "distance", 1 / distance of it (neighbours
        at distance 0 then decide alone).
    algorithm : how distances are found; results are the same.

        - "two_loops": number by number, in Python. For reading.
        - "one_loop": a query at a time, from its differences to all examples.
        - "no_loop": x² + y² - 2xy, one matrix product for many queries.
        - "native": compiled, on all threads, and without ever holding a matrix of distances.
        - "auto": "native", or "no_loop" where that was not built.

    Labels are of any type that can be sorted. Equal votes go to the label that sorts first, equal
    distances to the example that comes first. X of uint8, float32 or float64 is kept as it is,
    and not copied; images are quickest, and take least memory, in uint8. Sparse X and NaN are
    refused.

    Attributes
    ----------
    classes_ : labels, sorted. n_features_in_ : D. n_samples_fit_ : N.

    Source: Fix & Hodges 1951; Cover & Hart 1967, IEEE Trans. Inf. Theory 13(1). How the native
    search stays exact: docs/derivations/nearest_neighbours.md.
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        metric: str = "l2",
        weights: str = "uniform",
        algorithm: str = "auto",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.weights = weights
        self.algorithm = algorithm

    def fit(self, X: Any, y: Any) -> KNearestNeighbors:
        """Remember the examples X (N, D) and their labels y (N,)."""
        self._check_settings()
        X, y = validate_data(self, X, y, dtype="numeric", multi_output=True)
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        self.classes_, self._labels = np.unique(y, return_inverse=True)
        self._examples = _compact(X)
        self.n_samples_fit_ = len(X)
        return self

    def predict(self, X: Any) -> Array:
        """The label of each row of X (n, D); X=None: of each training example, by the others."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> Array:
        """The part of the votes that each label has, (n, labels), in the order of ``classes_``."""
        distances, index = self.kneighbors(X)
        weights = closeness(distances) if self.weights == "distance" else None
        return vote_shares(self._labels[index], len(self.classes_), weights)

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """The k nearest training examples of each row, the nearest first.

        Returns distances (n, k) in float64 and indices (n, k), or the indices alone. X=None: of
        each training example among all others.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        _check_count(k)
        known = self.n_samples_fit_ - (X is None)
        if k > known:
            raise ConfigError(
                f"KNearestNeighbors: n_neighbors = {k}, but there are {known} examples; "
                f"n_neighbors must be at most n_samples = {known}"
            )
        if X is None:
            distances, index = _without_self(*self._search(self._examples, k + 1))
        else:
            X = validate_data(self, X, dtype="numeric", reset=False)
            distances, index = self._search(_compact(X), k)
        return (distances, index) if return_distance else index

    def _search(self, queries: Array, k: int) -> Found:
        return _searches(self.algorithm)(queries, self._examples, k, METRICS[self.metric])

    def _check_settings(self) -> None:
        _check_count(self.n_neighbors)
        for name, value, known in (
            ("metric", self.metric, METRICS),
            ("weights", self.weights, WEIGHTS),
            ("algorithm", self.algorithm, ALGORITHMS),
        ):
            if value not in known:
                raise ConfigError(
                    f"KNearestNeighbors: unknown {name} {value!r}; choose one of {', '.join(known)}"
                )
        _searches(self.algorithm)


def _check_count(k: Any) -> None:
    if not isinstance(k, Integral) or isinstance(k, bool) or k < 1:
        raise ConfigError(f"KNearestNeighbors: n_neighbors must be a positive integer, got {k!r}")


def _compact(X: Array) -> Array:
    """In a type that the kernels take, with the same numbers; a copy only of other types."""
    if X.dtype in (np.uint8, np.float32, np.float64):
        return X
    if X.dtype == bool:
        return X.astype(np.uint8)
    if X.dtype.kind in "iu" and X.size and X.min() >= 0 and X.max() <= 255:
        return X.astype(np.uint8)
    return X.astype(np.float32 if X.dtype == np.float16 else np.float64)


def _without_self(distances: Array, index: Array) -> Found:
    """Of neighbours among the examples themselves, all but the example, or else but the last."""
    n, k = index.shape
    keep = index != np.arange(n)[:, None]
    keep[keep.all(axis=1), -1] = False  # k + 1 others are as near, and come first
    return distances[keep].reshape(n, k - 1), index[keep].reshape(n, k - 1)


# ---- How distances are found --------------------------------------------------------------------


def _one_loop(queries: Array, points: Array, k: int, metric: str) -> Found:
    parts = [
        reference.selected(reference.distances_in_one_loop(some, points, metric), k)
        for some in _pieces(queries)
    ]
    distances, index = zip(*parts, strict=True)
    return np.concatenate(distances), np.concatenate(index)


def _pieces(queries: Array) -> Iterator[Array]:
    for first in range(0, len(queries), ROWS_AT_ONCE):
        yield queries[first : first + ROWS_AT_ONCE]


def _native(*arguments: Any) -> Found:
    return import_module("chainrule.kernels.native").nearest(*arguments)


def _auto(*arguments: Any) -> Found:
    return kernels.nearest(*arguments)  # of the tier that is active now


ALGORITHMS: dict[str, Callable[..., Found]] = {
    "auto": _auto,
    "two_loops": naive.nearest,
    "one_loop": _one_loop,
    "no_loop": reference.nearest,
    "native": _native,
}


def _searches(algorithm: str) -> Callable[..., Found]:
    if algorithm == "native" and (reason := why_native_is_absent()):
        raise ConfigError(f"KNearestNeighbors: algorithm 'native' cannot be used: {reason}")
    return ALGORITHMS[algorithm]
