"""Writing entries by number: a copy of x with other values at some places, or joined with them.

All are built on ``x[index] = value`` and its transpose, of `chainrule.ops.indexing`: what is
written receives the gradient of where it lies, what was overwritten receives none; what is
added distributes the gradient to both. See docs/derivations/selection.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.arithmetic import add, div, mul, times_number, where
from chainrule.ops.axes import axis_of
from chainrule.ops.elementwise import cast, expand, fill
from chainrule.ops.indexing import (
    add_at,
    flat,
    getitem,
    grid_of,
    index_put,
    slices_of,
    whole_numbers,
)
from chainrule.ops.logic import eq
from chainrule.ops.op import op, spelled, values_of
from chainrule.ops.shape import atleast_1d, reshape

__all__ = [
    "diagonal_scatter",
    "index_add",
    "index_copy",
    "index_fill",
    "index_reduce",
    "masked_fill",
    "masked_scatter",
    "put",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "select_scatter",
    "slice_scatter",
]

Array = Any


# -- along one axis ----------------------------------------------------------------------------


@spelled
def scatter(
    x: Array, dim: int, index: Array, src: Array = None, *, value: float | None = None,
    reduce: str | None = None,
) -> Array:  # fmt: skip
    """A copy of x with ``src`` written along one axis: for dim 1, y[i, index[i, j]] = src[i, j].

    src: shaped like index or larger, or a number (also ``value``). Where index names an entry
    twice, either value may stay. reduce "add" or "multiply" joins them with x's instead, as
    `scatter_reduce` does.
    """
    if (src is None) == (value is None):
        raise ConfigError("scatter: give either src or value")
    source = _cut_to(index, value if src is None else src)
    if reduce is None:
        return reshape(index_put(atleast_1d(x), grid_of(dim, index), source), tuple(x.shape))
    if reduce not in ("add", "multiply"):
        raise ConfigError(f'scatter: reduce must be "add" or "multiply", got {reduce!r}')
    if isinstance(source, bool | int | float):
        source = np.full(np.shape(index), source, x.dtype)
    return scatter_reduce(x, dim, index, source, "sum" if reduce == "add" else "prod")


@spelled
def scatter_add(x: Array, dim: int, index: Array, src: Array) -> Array:
    """A copy of x with ``src`` added along one axis: for dim 1, y[i, index[i, j]] += src[i, j].

    The transpose of `gather`; an entry named twice receives both.
    """
    shape = tuple(x.shape)
    return x + reshape(add_at(_cut_to(index, src), grid_of(dim, index), shape or (1,)), shape)


def _cut_to(index: Array, src: Array) -> Array:
    """``src`` cut to the shape of ``index``, both at least vectors; or a number."""
    if isinstance(src, int | float):
        return src
    index, src = atleast_1d(index), atleast_1d(src)
    if tuple(src.shape) == tuple(index.shape):
        return src
    return getitem(src, tuple(slice(n) for n in index.shape))


@spelled
def index_add(x: Array, dim: int, index: Array, source: Array, alpha: float = 1) -> Array:
    """A copy of x with α·source added to the slices that index (I,) names; twice: both."""
    where_to = slices_of("index_add", x, dim, index)
    wide = atleast_1d(x)
    source = atleast_1d(source)
    added = add_at(times_number(source, alpha), where_to, tuple(wide.shape))
    return reshape(wide + added, tuple(x.shape))


@spelled
def index_copy(x: Array, dim: int, index: Array, source: Array) -> Array:
    """A copy of x with ``source`` as the slices that index (I,) names along ``dim``."""
    where_to = slices_of("index_copy", x, dim, index)
    return reshape(index_put(atleast_1d(x), where_to, source), tuple(x.shape))


@spelled
def index_fill(x: Array, dim: int, index: Array, value: Array) -> Array:
    """A copy of x with one value in the slices that index (I,) names along ``dim``."""
    where_to = slices_of("index_fill", x, dim, np.unique(whole_numbers("index_fill", index)))
    return reshape(index_put(atleast_1d(x), where_to, value), tuple(x.shape))


@spelled
def select_scatter(x: Array, src: Array, dim: int, index: int) -> Array:
    """A copy of x with ``src`` as its slice number ``index`` along ``dim``."""
    return index_put(x, (*(slice(None),) * axis_of("select_scatter", dim, x.ndim), index), src)


@spelled
def slice_scatter(
    x: Array, src: Array, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Array:  # fmt: skip
    """A copy of x with ``src`` as x[..., start:end:step, ...] along ``dim``."""
    axis = axis_of("slice_scatter", dim, x.ndim)
    return index_put(x, (*(slice(None),) * axis, slice(start, end, step)), src)


@spelled
def diagonal_scatter(x: Array, src: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """A copy of x with ``src`` as the diagonal between two axes."""
    a, b = axis_of("diagonal_scatter", dim1, x.ndim), axis_of("diagonal_scatter", dim2, x.ndim)
    numbers = np.arange(int(np.prod(x.shape, dtype=np.int64))).reshape(x.shape)
    return put(x, np.diagonal(numbers, offset, a, b), src)


# -- by number in the flattened array ----------------------------------------------------------


@op
def overwrite(x: Array, part: Array, at: Array, source: Array) -> Array:
    """A copy of x whose elements number ``at`` are those number ``source`` of ``part``.

    Numbers are row-major; source None: all of part's elements, in order. No number in ``at``
    or in ``source`` comes twice. This is what a change of a view does to another.
    """
    y = x.reshape(-1).copy()
    y[at] = part.reshape(-1) if source is None else part.reshape(-1)[source]
    return y.reshape(x.shape)


def _overwrite_part(g: Array, at: Array, source: Array, part_shape: tuple[int, ...]) -> Array:
    d = getitem(flat(g), at)
    if source is None:
        return reshape(d, part_shape)
    size = int(np.prod(part_shape, dtype=np.int64))
    return reshape(add_at(d, source, (size,)), part_shape)


overwrite.vjp(
    x=lambda g, at: reshape(index_put(flat(g), at, 0.0), tuple(g.shape)),
    part=_overwrite_part,
)


def put(x: Array, index: Array, source: Array, accumulate: bool = False) -> Array:
    """A copy of x with ``source`` written (or added) at row-major numbers."""
    index = whole_numbers("put", index).reshape(-1)
    values = flat(source)
    if accumulate:
        size = int(np.prod(x.shape, dtype=np.int64))
        y = flat(x) + add_at(values, index, (size,))
    else:
        y = index_put(flat(x), index, values)
    return reshape(y, tuple(x.shape))


# -- by a mask ---------------------------------------------------------------------------------


def masked_fill(x: Array, mask: Array, value: Array) -> Array:
    """A copy of x with ``value`` (a number, or 0-d) where the mask is true; they broadcast."""
    if getattr(value, "ndim", 0) > 0:
        raise ShapeError(
            f"masked_fill: value must be a number\n  value {tuple(value.shape)}; "
            "use where(mask, value, x)"
        )
    if not isinstance(value, bool | int | float):
        value = cast(value, x.dtype)
    elif x.dtype.kind in "bui":
        value = np.asarray(value, x.dtype)
    return where(mask, value, x)


def masked_scatter(x: Array, mask: Array, source: Array) -> Array:
    """A copy of x with source's elements, in order, where the mask is true; they broadcast."""
    mask = np.asarray(mask)
    shape = np.broadcast_shapes(tuple(x.shape), mask.shape)
    at = np.flatnonzero(np.broadcast_to(mask, shape))
    available = int(np.prod(source.shape, dtype=np.int64))
    if at.size > available:
        raise ShapeError(
            f"masked_scatter: the mask is true {at.size} times, source has {available} elements"
        )
    values = getitem(flat(source), slice(0, at.size))
    return reshape(index_put(flat(expand(x, shape)), at, values), shape)


# -- many into one -----------------------------------------------------------------------------


REDUCE = ("sum", "prod", "mean", "amax", "amin")


@spelled
def scatter_reduce(
    x: Array, dim: int, index: Array, src: Array, reduce: str, *, include_self: bool = True
) -> Array:
    """Join what lands in one place: for dim 1, all src[i, j] with index[i, j] = k to x[i, k].

    reduce: "sum", "prod", "mean", "amax" or "amin". include_self: whether x's own value counts
    where something lands (elsewhere it stays). Equal extrema share the gradient evenly.
    """
    index = whole_numbers("scatter_reduce", index)
    wide, source = atleast_1d(x), _cut_to(index, src)
    y = _reduce_at("scatter_reduce", wide, grid_of(dim, index), source, reduce, include_self)
    return y if x.ndim else reshape(y, ())


@spelled
def index_reduce(
    x: Array, dim: int, index: Array, source: Array, reduce: str, *, include_self: bool = True
) -> Array:
    """As `scatter_reduce`, for whole slices: index (I,) names them along ``dim``."""
    where_to = slices_of("index_reduce", x, dim, index)
    return _reduce_at("index_reduce", x, where_to, source, reduce, include_self)


def _reduce_at(
    name: str, x: Array, at: tuple[Any, ...], src: Array, reduce: str, include_self: bool
) -> Array:
    if reduce not in REDUCE:
        raise ConfigError(f"{name}: reduce must be one of {', '.join(REDUCE)}, got {reduce!r}")
    if not x.ndim:
        raise ShapeError(f"{name}: x needs at least one axis")
    shape = tuple(x.shape)
    number = np.zeros(shape, np.int64)  # how many land in each place
    np.add.at(number, at, 1)
    if reduce in ("amax", "amin"):
        return _extremum_at(x, at, src, reduce, include_self, number)
    start: Any = x
    if not include_self:
        neutral = 1 if reduce == "prod" else 0
        start = where(number > 0, np.asarray(neutral, x.dtype), x)
    if reduce == "prod":
        return multiply_at(start, src, at)
    total = start + add_at(src, at, shape)
    if reduce == "sum":
        return total
    count = np.maximum(number + 1 if include_self else number, 1).astype(x.dtype)
    if x.dtype.kind != "f":
        return total // count
    return div(total, count)


@op
def multiply_at(x: Array, src: Array, at: tuple[Any, ...]) -> Array:
    """A copy of x with ``src`` multiplied into x[at], as often as a place is named.

    A place receives the product of all others that land there: with y the product of those
    that are not zero and z how many are, d = g·y/x where z = 0, g·y for the only zero.
    """
    y = x.copy()
    np.multiply.at(y, at, src)
    return y


@multiply_at.joint_vjp("x", "src")
def _multiply_at_vjp(g: Array, x: Array, src: Array, at: tuple[Any, ...]) -> tuple[Array, Array]:
    zero_x, zero_src = eq(x, 0), eq(src, 0)
    one = np.ones((), x.dtype)
    safe_x, safe_src = where(zero_x, one, x), where(zero_src, one, src)
    zeros = cast(zero_x, x.dtype) + add_at(cast(zero_src, x.dtype), at, tuple(x.shape))
    product = mul(g, multiply_at(safe_x, safe_src, at))
    others_x = zeros - cast(zero_x, x.dtype)
    others_src = getitem(zeros, at) - cast(zero_src, x.dtype)
    none = np.zeros((), x.dtype)
    return (
        where(eq(others_x, 0), product / safe_x, none),
        where(eq(others_src, 0), getitem(product, at) / safe_src, none),
    )


def _extremum_at(
    x: Array, at: tuple[Any, ...], src: Array, reduce: str, include_self: bool, number: Array
) -> Array:
    """The winners are found on plain arrays; the value is their mean, so they share g evenly."""
    values, own = values_of(src), values_of(x)
    y = own.copy()
    if not include_self:
        y[number > 0] = _least(own.dtype) if reduce == "amax" else _largest(own.dtype)
    (np.maximum if reduce == "amax" else np.minimum).at(y, at, values)
    if x.dtype.kind != "f":
        return fill(x, y)
    wins_src = (values == y[at]) | np.isnan(y[at])
    wins_x = ((own == y) | np.isnan(y)) & (include_self | (number == 0))
    count = wins_x.astype(own.dtype)
    np.add.at(count, at, wins_src)
    mine = mul(where(wins_x, x, 0.0), 1 / np.maximum(count, 1))
    theirs = mul(where(wins_src, src, 0.0), 1 / count[at])
    return add(mine, add_at(theirs, at, tuple(x.shape)))


def _least(dtype: Any) -> Any:
    if dtype.kind == "b":
        return False
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _largest(dtype: Any) -> Any:
    if dtype.kind == "b":
        return True
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max
