"""Distances between rows of numbers, and the rows that are nearest.

Rows are uint8, float32 or float64, and need not be of one dtype; distances are float64, of rows
as float64 holds them. Where the shortcut x² + y² - 2xy loses digits (docs/derivations/
nearest_neighbours.md says how many), the differences themselves are summed.
"""

from collections.abc import Iterator

import numpy as np

from chainrule.errors import ConfigError, DataError, ShapeError

__all__ = [
    "METRICS",
    "checked",
    "distances",
    "distances_in_one_loop",
    "nearest",
    "require_finite",
    "selected",
]

METRICS = ("l2", "l1", "cosine")
BLOCK_BYTES = 1 << 23
UNIT = 2.0**-53  # the largest relative error of rounding to float64


def distances(queries: np.ndarray, points: np.ndarray, metric: str) -> np.ndarray:
    """How far every query is from every point.

    queries (Q, D), points (N, D) -> (Q, N) float64. ``metric`` is one of

        l2       √Σ(x - y)²
        l1       Σ|x - y|
        cosine   1 - Σxy / (|x| |y|); 1 from a row of zeros to any other

    Raises ShapeError, ConfigError, and DataError for numbers that are not finite.
    """
    rows, others = checked(queries, points, metric)
    found = np.empty((len(rows), len(others)))
    for some, these in _blocks(rows, others):
        x, y = _rows(rows[some], metric), _rows(others[these], metric)
        if metric == "l1":
            found[some, these] = _gaps(x, y)
            continue
        squares, error = _expanded_squares(x, y, metric)
        row, col = np.nonzero(squares < 2.0**20 * error)  # fewer than 20 bits are lost of others
        squares[row, col] = _squares_of_differences(x, y, row, col, metric)
        found[some, these] = _from_squares(squares, metric)
    return found


def distances_in_one_loop(queries: np.ndarray, points: np.ndarray, metric: str) -> np.ndarray:
    """The same, a query at a time: its differences to all points, in blocks of these."""
    rows, others = checked(queries, points, metric)
    found = np.empty((len(rows), len(others)))
    for these in _pieces(len(others), rows.shape[1]):
        y = _rows(others[these], metric)
        for i in range(len(rows)):
            x = _rows(rows[i : i + 1], metric)
            if metric == "l1":
                found[i, these] = np.abs(x - y).sum(axis=1)
            else:
                found[i, these] = _from_squares(_sum_squares(x, y, metric), metric)
    return found


def nearest(
    queries: np.ndarray, points: np.ndarray, k: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """The k points nearest to each query, the nearest first: of equally near ones the one that
    stands first in ``points``.

    queries (Q, D), points (N, D), 0 ≤ k ≤ N -> distances (Q, k) float64, indices (Q, k) int64.
    Distances are those of `distances`, each from its differences, summed as NumPy sums a row;
    every point that may be among the k after all rounding errors is looked at so. Needs little
    memory beyond its arguments and results, whatever the sizes. Raises as `distances` does.
    """
    rows, others = checked(queries, points, metric, k)
    found, index = np.empty((len(rows), k)), np.empty((len(rows), k), np.int64)
    if k == 0:
        return found, index
    best = _Best(0, k)
    for some, these in _blocks(rows, others):
        if these.start == 0:
            best = _Best(len(rows[some]), k)
        x, y = _rows(rows[some], metric), _rows(others[these], metric)
        if metric == "l1":
            gaps = _gaps(x, y)
            row, col = np.nonzero(gaps <= best.limits(gaps)[:, None])
            exact = gaps[row, col]
        else:
            squares, error = _expanded_squares(x, y, metric)
            limit = best.limits(_from_squares(squares + error, metric))[:, None]
            least = _from_squares(np.maximum(squares - error, 0), metric)
            row, col = np.nonzero(~(least > limit * (1 + 4 * UNIT)))  # those of NaN, too
            exact = _from_squares(_squares_of_differences(x, y, row, col, metric), metric)
        best.add(row, exact, col + these.start)
        if these.stop >= len(others):
            found[some], index[some] = best.distance, best.index
    return found, index


def checked(
    queries: np.ndarray, points: np.ndarray, metric: str, k: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The arguments, if they fit each other; that numbers are finite is checked later."""
    queries, points = np.asarray(queries), np.asarray(points)
    if queries.ndim != 2 or points.ndim != 2 or queries.shape[1] != points.shape[1]:
        raise ShapeError(
            "nearest: queries and points need rows of the same length\n"
            f"  queries {queries.shape} = (Q, D); points {points.shape} = (N, D)"
        )
    if metric not in METRICS:
        raise ConfigError(f"nearest: unknown metric {metric!r}; choose one of {', '.join(METRICS)}")
    if k is not None and not 0 <= k <= len(points):
        raise ShapeError(f"nearest: k = {k}, but there are {len(points)} points")
    return queries, points


def require_finite(x: np.ndarray) -> None:
    if not np.isfinite(x).all():
        raise DataError("nearest: queries or points hold NaN or infinity; remove or replace them")


def selected(distances: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k smallest of each row and where they stand, ascending; of equal ones the first."""
    best = _Best(len(distances), k)
    if k:
        row, col = np.nonzero(distances <= best.limits(distances)[:, None])
        best.add(row, distances[row, col], col)
    return best.distance, best.index


class _Best:
    """The nearest points so far of some queries."""

    def __init__(self, queries: int, k: int) -> None:
        self.k = k
        self.distance, self.index = np.empty((queries, 0)), np.empty((queries, 0), np.int64)

    def limits(self, upper: np.ndarray) -> np.ndarray:
        """Of each query: what is farther is not among the k. `upper`: bounds of more distances."""
        both = np.concatenate([self.distance, upper], axis=1)
        if both.shape[1] < self.k:
            return np.full(len(both), np.inf)
        return np.partition(both, self.k - 1, axis=1)[:, self.k - 1]

    def add(self, row: np.ndarray, distance: np.ndarray, index: np.ndarray) -> None:
        """More distances, each of the query `row`."""
        queries, known = self.distance.shape
        row = np.concatenate([np.repeat(np.arange(queries), known), row])
        distance = np.concatenate([self.distance.ravel(), distance])
        index = np.concatenate([self.index.ravel(), index])
        order = np.lexsort((index, distance, row))
        counts = np.bincount(row, minlength=queries)
        starts = np.cumsum(counts) - counts
        keep = int(min(self.k, counts.min(initial=self.k)))
        order = order[starts[:, None] + np.arange(keep)]
        self.distance, self.index = distance[order], index[order]


def _blocks(rows: np.ndarray, others: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Pairs of pieces: for some of the rows, all of the others piece by piece."""
    for some in _pieces(len(rows), rows.shape[1], most=256):
        for these in _pieces(len(others), max(rows.shape[1], 256)):
            yield some, these


def _pieces(n: int, width: int, most: int = 1 << 20) -> Iterator[slice]:
    step = min(max(BLOCK_BYTES // (8 * max(width, 1)), 1), most)
    return (slice(first, min(first + step, n)) for first in range(0, n, step))


def _rows(x: np.ndarray, metric: str) -> np.ndarray:
    """In float64; of length one where only directions count (zeros stay)."""
    x = x.astype(np.float64, order="C")
    require_finite(x)
    if metric == "cosine":
        lengths = np.sqrt((x * x).sum(axis=1, keepdims=True))
        x = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    return x


def _expanded_squares(x: np.ndarray, y: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Σ(x - y)² for every pair as x² + y² - 2xy, and a bound of its error, both (Q, N).

    All are measured from the mean of the points: the error grows with x² + y².
    """
    if metric == "l2":
        centre = y.mean(axis=0)
        x, y = x - centre, y - centre
    with np.errstate(over="ignore", invalid="ignore"):
        sums = _lengths(x, metric)[:, None] + _lengths(y, metric)
        squares = x @ y.T
        squares *= -2
        squares += sums
    np.maximum(squares, 0, out=squares)
    sums *= 2 * UNIT * (x.shape[1] + 16)
    return squares, sums


def _lengths(x: np.ndarray, metric: str) -> np.ndarray:
    """Squared. Zeros count as one more direction, at right angles to all others."""
    with np.errstate(over="ignore"):
        lengths = (x * x).sum(axis=1)
    return lengths + ~x.any(axis=1) if metric == "cosine" else lengths


def _squares_of_differences(
    x: np.ndarray, y: np.ndarray, row: np.ndarray, col: np.ndarray, metric: str
) -> np.ndarray:
    """Σ(x[row] - y[col])² for each of the pairs."""
    squares = np.empty(len(row))
    for some in _pieces(len(row), 2 * x.shape[1]):
        a, b = x[row[some]], y[col[some]]
        squares[some] = _sum_squares(a, b, metric)
    return squares


def _sum_squares(x: np.ndarray, y: np.ndarray, metric: str) -> np.ndarray:
    """Σ(x - y)² row by row."""
    with np.errstate(over="ignore"):
        squares = ((x - y) ** 2).sum(axis=1)
    if metric == "cosine":
        return np.where(x.any(axis=1) & y.any(axis=1), squares, 2.0)
    return squares


def _from_squares(squares: np.ndarray, metric: str) -> np.ndarray:
    """1 - cos of an angle is half the square between directions: no digits are lost near 0."""
    return squares / 2 if metric == "cosine" else np.sqrt(squares)


def _gaps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Σ|x - y| for every pair."""
    gaps = np.empty((len(x), len(y)))
    for i in range(len(x)):
        for these in _pieces(len(y), y.shape[1]):
            gaps[i, these] = np.abs(x[i] - y[these]).sum(axis=1)
    return gaps
