"""Sorting, order statistics, distinct values, histograms: topk, median, quantile, unique, ...

What picks an element routes the gradient to it; what counts has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.arithmetic import where
from chainrule.ops.axes import axis_of
from chainrule.ops.elementwise import constant
from chainrule.ops.indexing import ValuesAndIndices, gather, getitem
from chainrule.ops.op import op, spelled, values_of
from chainrule.ops.reduction import check_float, extremum_vjp, take_extremum
from chainrule.ops.shape import permute, reshape, squeeze, transpose, unsqueeze

__all__ = [
    "argsort",
    "bincount",
    "bucketize",
    "cummax",
    "cummin",
    "histc",
    "histogram",
    "isin",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "nanquantile",
    "quantile",
    "searchsorted",
    "sort",
    "topk",
    "unique",
    "unique_consecutive",
]

Array = Any

# -- sorting -----------------------------------------------------------------------------------


@op
def argsort(x: Array, dim: int = -1, descending: bool = False, stable: bool = True) -> Array:
    """Where the elements in order lie along ``dim``. Always stable; NaN counts as the largest."""
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, dim, kind="stable")
    backwards = np.argsort(np.flip(x, dim), dim, kind="stable")  # so that equal ones keep theirs
    return np.flip(x.shape[dim] - 1 - backwards, dim)


@spelled
def sort(
    x: Array, dim: int = -1, descending: bool = False, stable: bool = True
) -> ValuesAndIndices:
    """The elements in order along ``dim``, and their indices: see `argsort`."""
    index = argsort(x, dim, descending, stable)
    return ValuesAndIndices(gather(x, dim, index) if x.ndim else x, index)


@spelled
def topk(
    x: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> ValuesAndIndices:
    """The k largest (or smallest) elements along ``dim``, best first, and their indices.

    Raises ShapeError where there are fewer than k.
    """
    axis = axis_of("topk", dim, max(x.ndim, 1))
    length = x.shape[axis] if x.ndim else 1
    if not 0 <= k <= length:
        raise ShapeError(f"topk: k = {k} of {length} elements (dim {dim})\n  x {tuple(x.shape)}")
    index = topk_index(x, k, axis, largest) if x.ndim else argsort(x)
    return ValuesAndIndices(gather(x, axis, index), index)


@op
def topk_index(x: Array, k: int, dim: int, largest: bool) -> Array:
    """Where the k largest (or smallest) elements lie along ``dim``, best first; NaN is largest."""
    n = x.shape[dim]
    if 0 < k < n // 2:  # find them before they are put in order
        places = np.argpartition(x, n - k if largest else k - 1, dim)
        some = np.sort(np.take(places, range(n - k, n) if largest else range(k), dim), dim)
        order = argsort.forward(np.take_along_axis(x, some, dim), dim, largest)
        return np.take_along_axis(some, order, dim)
    return np.take(argsort.forward(x, dim, largest), range(k), dim)


@spelled
def msort(x: Array) -> Array:
    """The elements in order along the first axis."""
    return sort(x, 0).values


# -- picking by rank ---------------------------------------------------------------------------


@op
def rank_index(x: Array, k: int, dim: int) -> Array:
    """Where the k-th smallest (from 0) lies along ``dim``; NaN counts as the largest."""
    return np.take(np.argsort(x, dim, kind="stable"), k, dim)


@spelled
def kthvalue(x: Array, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The k-th smallest element (from 1) along ``dim``, and where it lies."""
    axis = axis_of("kthvalue", dim, max(x.ndim, 1))
    length = x.shape[axis] if x.ndim else 1
    if not 1 <= k <= length:
        raise ShapeError(f"kthvalue: k = {k} of {length} elements (dim {dim})\n  x {x.shape}")
    if x.ndim == 0:
        return take_extremum(x, rank_index(reshape(x, (1,)), 0, 0), 0, keepdim)
    return take_extremum(x, rank_index(x, k - 1, axis), axis, keepdim)


@op
def median_index(x: Array, dim: int, skip_nan: bool) -> Array:
    """Where the lower median lies along ``dim``; the first NaN, if any counts."""
    order = np.argsort(x, dim, kind="stable")
    nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, np.bool_)
    number = np.sum(~nan, dim, keepdims=True)
    middle = (x.shape[dim] - 1) // 2 + 0 * number
    if skip_nan:
        middle = np.maximum(number - 1, 0) // 2
    at = np.take_along_axis(order, middle, dim)
    if not skip_nan:
        at = np.where(number < x.shape[dim], np.argmax(nan, dim, keepdims=True), at)
    return np.squeeze(at, dim)


@op(name="median")
def median_of_all(x: Array, skip_nan: bool) -> Array:
    """The lower median of all elements, NaN where there are none. Equal ones share the gradient."""
    flat = x.reshape(-1)
    if not flat.size and x.dtype.kind == "f":
        return np.asarray(np.nan, x.dtype)
    return np.asarray(flat[median_index.forward(flat, 0, skip_nan)])


median_of_all.vjp(x=lambda g, x, y: extremum_vjp(g, x, y, None))


def _median(name: str, x: Array, dim: int | None, keepdim: bool, skip_nan: bool) -> Any:
    if dim is None:
        if 0 in x.shape and x.dtype.kind != "f":
            raise ShapeError(f"{name}: no elements to choose from\n  x {tuple(x.shape)}")
        return median_of_all(x, skip_nan)
    axis = axis_of(name, dim, max(x.ndim, 1))
    if x.ndim == 0:
        return take_extremum(x, median_index(reshape(x, (1,)), 0, skip_nan), 0, keepdim)
    if not x.shape[axis]:
        raise ShapeError(f"{name}: no elements to choose from (dim {dim})\n  x {tuple(x.shape)}")
    return take_extremum(x, median_index(x, axis, skip_nan), axis, keepdim)


@spelled
def median(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle value, of two the lower: of all, or (values, indices) along ``dim``. NaN wins."""
    return _median("median", x, dim, keepdim, skip_nan=False)


@spelled
def nanmedian(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """As `median`, of what is not NaN."""
    return _median("nanmedian", x, dim, keepdim, skip_nan=True)


@op
def mode_index(x: Array, dim: int) -> Array:
    """Where the smallest of the most frequent values lies along ``dim`` (its last place)."""

    def of_row(row: Array) -> Any:
        values, counts = np.unique(row, return_counts=True, equal_nan=False)
        found = values[np.argmax(counts)]
        return np.flatnonzero((row == found) | ((row != row) & (found != found)))[-1]

    if 0 in x.shape:
        return np.zeros((*x.shape[:dim], *x.shape[dim + 1 :]), np.int64)
    return np.apply_along_axis(of_row, dim, x).astype(np.int64)


@spelled
def mode(x: Array, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """The most frequent value along ``dim`` (of several the smallest), and where it lies."""
    axis = axis_of("mode", dim, max(x.ndim, 1))
    if x.ndim and not x.shape[axis]:
        raise ShapeError(f"mode: no elements to choose from (dim {dim})\n  x {tuple(x.shape)}")
    if x.ndim == 0:
        return take_extremum(x, mode_index(reshape(x, (1,)), 0), 0, keepdim)
    return take_extremum(x, mode_index(x, axis), axis, keepdim)


INTERPOLATION = ("linear", "lower", "higher", "midpoint", "nearest")


@spelled
def quantile(
    x: Array, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Array:  # fmt: skip
    """The values below which the fractions ``q`` of the elements along ``dim`` lie.

    q: a number, or a vector (Q,), which gives the result a first axis (Q,). Between the two
    elements beside the place q·(n-1), interpolation is "linear", "lower", "higher", "midpoint"
    or "nearest". A NaN makes the result NaN.
    """
    return _quantile("quantile", x, q, dim, keepdim, interpolation, skip_nan=False)


@spelled
def nanquantile(
    x: Array, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Array:  # fmt: skip
    """As `quantile`, of what is not NaN."""
    return _quantile("nanquantile", x, q, dim, keepdim, interpolation, skip_nan=True)


def _quantile(
    name: str, x: Array, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool
) -> Array:
    check_float(name, x)
    if interpolation not in INTERPOLATION:
        raise ConfigError(f"{name}: interpolation must be one of {', '.join(INTERPOLATION)}")
    fractions = np.asarray(values_of(q), np.float64)
    if fractions.ndim > 1 or ((fractions < 0) | (fractions > 1)).any():
        raise ConfigError(f"{name}: q must be a number, or a vector of them, in 0..1")
    ndim = x.ndim
    if dim is None:
        rows, axis = reshape(x, (int(np.prod(x.shape, dtype=np.int64)),)), 0
    else:
        axis = axis_of(name, dim, max(ndim, 1))
        rows = transpose(x if ndim else reshape(x, (1,)), axis, -1)
    n = rows.shape[-1]
    if n == 0:
        raise ShapeError(f"{name}: no elements to choose from\n  x {tuple(x.shape)}")
    ordered = sort(rows, -1).values
    nan = np.isnan(values_of(ordered))
    valid = np.maximum(np.sum(~nan, -1, keepdims=True), 1) if skip_nan else n
    place = fractions.reshape(-1) * (np.broadcast_to(valid, (*rows.shape[:-1], 1)) - 1)
    y = _between(ordered, place, interpolation)
    if not skip_nan:
        y = where(nan.any(-1, keepdims=True), float("nan"), y)
    if dim is None:
        y = reshape(y, (*(1,) * ndim, -1)) if keepdim else y
    else:
        y = transpose(unsqueeze(y, -2), axis - ndim - 1 if ndim else -2, -2)
        y = y if keepdim else squeeze(y, axis if ndim else 0)
        y = y if ndim or not keepdim else reshape(y, (-1,))
    y = _last_first(y)
    return getitem(y, 0) if fractions.ndim == 0 else y


def _last_first(y: Array) -> Array:
    order = (y.ndim - 1, *range(y.ndim - 1))
    return permute(y, order)


def _between(ordered: Array, place: Array, interpolation: str) -> Array:
    low = np.floor(place).astype(np.int64)
    high = np.ceil(place).astype(np.int64)
    if interpolation == "lower":
        return gather(ordered, -1, low)
    if interpolation == "higher":
        return gather(ordered, -1, high)
    if interpolation == "nearest":
        return gather(ordered, -1, np.round(place).astype(np.int64))
    weight = 0.5 * (high > low) if interpolation == "midpoint" else place - low
    weight = np.asarray(weight, ordered.dtype)
    below, above = gather(ordered, -1, low), gather(ordered, -1, high)
    return where(
        weight < 0.5, below + weight * (above - below), above - (above - below) * (1 - weight)
    )


# -- running extrema ---------------------------------------------------------------------------


@op
def running_extremum_index(x: Array, dim: int, largest: bool) -> Array:
    """Where the largest (or smallest) element so far lies; of equal ones the last, NaN wins."""
    if x.ndim == 0:
        return np.zeros((), np.int64)
    best = (np.maximum if largest else np.minimum).accumulate(x, dim)
    taken = (x == best) | (np.isnan(x) if x.dtype.kind == "f" else False)
    shape = [1] * x.ndim
    shape[dim] = -1
    at = np.where(taken, np.arange(x.shape[dim]).reshape(shape), 0)
    return np.maximum.accumulate(at, dim)


def _running(x: Array, dim: int, largest: bool) -> ValuesAndIndices:
    index = running_extremum_index(x, axis_of("cummax", dim, max(x.ndim, 1)), largest)
    return ValuesAndIndices(gather(x, dim, index) if x.ndim else getitem(x, ...), index)


@spelled
def cummax(x: Array, dim: int) -> ValuesAndIndices:
    """The largest element so far along ``dim``, and where it lies."""
    return _running(x, dim, True)


@spelled
def cummin(x: Array, dim: int) -> ValuesAndIndices:
    """The smallest element so far along ``dim``, and where it lies."""
    return _running(x, dim, False)


# -- distinct values ---------------------------------------------------------------------------


@op
def unique_parts(x: Array, dim: int | None, what: int, consecutive: bool) -> Array:
    """Distinct values (what = 0), where each element is among them (1), how often each is (2)."""
    if not consecutive:
        found: Any = np.unique(
            x, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
        )
        values, inverse, counts = found
        inverse = inverse.reshape(x.shape if dim is None else -1)
        return (values, inverse, counts)[what]
    rows = x.reshape(-1, 1) if dim is None else np.moveaxis(x, dim, 0).reshape(x.shape[dim], -1)
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    starts = np.flatnonzero(new)
    if what == 1:
        inverse = np.cumsum(new) - 1
        return inverse.reshape(x.shape) if dim is None else inverse
    if what == 2:
        return np.diff(np.append(starts, len(rows)))
    return x.reshape(-1)[starts] if dim is None else np.take(x, starts, dim)


def _unique(x: Array, inverse: bool, counts: bool, dim: int | None, consecutive: bool) -> Any:
    wanted = [0, *([1] if inverse else []), *([2] if counts else [])]
    parts = tuple(unique_parts(x, dim, what, consecutive) for what in wanted)
    return parts if len(parts) > 1 else parts[0]


@spelled
def unique(
    x: Array, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The distinct elements (or slices along ``dim``), always in order.

    With return_inverse also where each element is among them, with return_counts how often each
    occurs. No gradient.
    """
    return _unique(x, return_inverse, return_counts, dim, False)


@spelled
def unique_consecutive(
    x: Array, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """As `unique`, but only repetitions side by side are joined; the order is kept."""
    return _unique(x, return_inverse, return_counts, dim, True)


@op
def isin(
    elements: Array, test_elements: Array, assume_unique: bool = False, invert: bool = False
) -> Array:
    """Whether each element is among the test elements (invert: is not), as booleans."""
    return np.isin(elements, test_elements, assume_unique, invert)


# -- counting ----------------------------------------------------------------------------------


@op
def bincount(x: Array, weights: Array = None, minlength: int = 0) -> Array:
    """How often 0, 1, 2, ... occur in a vector; with weights, the sum of theirs."""
    if x.ndim != 1 or x.dtype.kind not in "iu":
        raise DTypeError(f"bincount: expects a vector of integers, got {x.dtype} {x.shape}")
    if x.size and x.min() < 0:
        raise ShapeError(f"bincount: counts whole numbers from 0 on, got {x.min()}")
    y = np.bincount(x, weights, minlength)
    keep = weights is not None and weights.dtype == np.float32
    return y.astype(np.float32) if keep else y


@op
def histc(x: Array, bins: int = 100, min: float = 0, max: float = 0) -> Array:
    """How many elements lie in each of ``bins`` equal parts of min..max (both 0: of all x).

    Elements beyond count nowhere; max itself counts in the last part.
    """
    if bins < 1:
        raise ConfigError(f"histc: bins must be at least 1, got {bins}")
    check_float("histc", x)
    if min == max:
        min, max = (float(x.min()), float(x.max())) if x.size else (0, 1)
        if min == max:
            min, max = min - 1, max + 1
    if min > max:
        raise ConfigError(f"histc: max {max} must be larger than min {min}")
    inside = x[(x >= min) & (x <= max)].astype(np.float64)
    place = ((inside - min) / (max - min) * bins).astype(np.int64)
    return np.bincount(np.minimum(place, bins - 1), minlength=bins).astype(x.dtype)


class Histogram(NamedTuple):
    """Counts, and the edges between them."""

    hist: Array
    bin_edges: Array


@op
def histogram_counts(x: Array, edges: Array, weight: Array, density: bool) -> Array:
    """How many elements (or how much weight) lie between neighbouring edges."""
    y = np.histogram(x, edges, weights=weight, density=density)[0]
    return y.astype(x.dtype)


@spelled
def histogram(
    x: Array, bins: Any, *, range: Any = None, weight: Array = None, density: bool = False
) -> Histogram:
    """Counts of the flattened x in parts: a number of equal ones over ``range``, or by edges."""
    check_float("histogram", x)
    values = values_of(x)
    if isinstance(bins, int):
        low, high = range or ((values.min(), values.max()) if values.size else (0, 1))
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, bins + 1, dtype=values.dtype)
    else:
        edges = np.asarray(values_of(bins))
    counts = histogram_counts(x, edges, weight, density)
    return Histogram(counts, constant(x, edges.astype(values.dtype)))


@op
def searchsorted_op(
    sorted_sequence: Array, values: Array, right: bool, out_int32: bool, sorter: Array
) -> Array:
    """Row by row: before how many elements of an ordered row each value belongs."""
    side: Any = "right" if right else "left"
    dtype = np.int32 if out_int32 else np.int64
    if sorted_sequence.ndim == 1:
        return np.searchsorted(sorted_sequence, values, side, sorter).astype(dtype)
    if sorted_sequence.shape[:-1] != values.shape[:-1]:
        raise ShapeError(
            "searchsorted: all axes but the last must agree\n"
            f"  sorted_sequence {sorted_sequence.shape}; values {values.shape}"
        )
    y = np.empty(values.shape, dtype)
    for i in np.ndindex(*values.shape[:-1]):
        by = None if sorter is None else sorter[i]
        y[i] = np.searchsorted(sorted_sequence[i], values[i], side, by)
    return y


@spelled
def searchsorted(
    sorted_sequence: Array, values: Any, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, sorter: Array = None,
) -> Array:  # fmt: skip
    """Where values belong in ordered rows (..., N): sequence[i-1] < v ≤ sequence[i].

    right (or side="right"): sequence[i-1] ≤ v < sequence[i]. sorter: an index that orders rows.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ConfigError(f'searchsorted: side must be "left" or "right", got {side!r}')
    if isinstance(values, int | float):
        values = np.asarray(values)
    sorter = None if sorter is None else np.asarray(sorter)
    return searchsorted_op(sorted_sequence, values, right or side == "right", out_int32, sorter)


@spelled
def bucketize(x: Any, boundaries: Array, *, out_int32: bool = False, right: bool = False) -> Array:
    """The number of the part between ordered boundaries (N,) that each value lies in: 0 ... N."""
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)
