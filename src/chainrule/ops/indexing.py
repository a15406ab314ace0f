"""Reading and writing single entries and slices by number, along one axis or the flattened array.

All of them are built on ``x[index]`` and ``x[index] = value`` of `chainrule.ops.shape`, whose
gradients are each other's: what is read sends its gradient back to where it was read, what is
written receives the gradient of where it lies, what was overwritten receives none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.elementwise import add, cast, div, eq, expand, fill, mul, where
from chainrule.ops.op import op, spelled, values_of
from chainrule.ops.shape import (
    _axis,
    _grid,
    _source,
    add_at,
    gather,
    getitem,
    index_put,
    nonzero,
    reshape,
)

__all__ = [
    "argwhere",
    "diagonal_scatter",
    "index_add",
    "index_copy",
    "index_fill",
    "index_reduce",
    "masked_fill",
    "masked_scatter",
    "put",
    "scatter_reduce",
    "select",
    "select_scatter",
    "slice_scatter",
    "take",
    "take_along_dim",
]

Array = Any


def _whole(name: str, index: Array) -> Array:
    """An index as an array of integers."""
    index = np.asarray(index)
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{name}: index must hold integers, got {index.dtype}")
    return index


def _flat(x: Array) -> Array:
    return reshape(x, (-1,)) if x.ndim != 1 else x


# -- the flattened array -----------------------------------------------------------------------


@op
def take(x: Array, index: Array) -> Array:
    """x's elements by their row-major numbers, in the shape of index. Negative: from the end."""
    return x.reshape(-1)[_whole("take", index)]


def _take_vjp(g: Array, index: Array, x_shape: tuple[int, ...]) -> Array:
    size = int(np.prod(x_shape, dtype=np.int64))
    return reshape(add_at(g, np.asarray(index), (size,)), x_shape)


take.vjp(x=_take_vjp)


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
    d = getitem(_flat(g), at)
    if source is None:
        return reshape(d, part_shape)
    size = int(np.prod(part_shape, dtype=np.int64))
    return reshape(add_at(d, source, (size,)), part_shape)


overwrite.vjp(
    x=lambda g, at: reshape(index_put(_flat(g), at, 0.0), tuple(g.shape)),
    part=_overwrite_part,
)


def put(x: Array, index: Array, source: Array, accumulate: bool = False) -> Array:
    """A copy of x with ``source`` written (or added) at row-major numbers."""
    index = _whole("put", index).reshape(-1)
    values = _flat(source)
    if accumulate:
        flat = _flat(x) + add_at(values, index, (x.size if _is_array(x) else x.numel(),))
    else:
        flat = index_put(_flat(x), index, values)
    return reshape(flat, tuple(x.shape))


def _is_array(x: Array) -> bool:
    return isinstance(x, np.ndarray)


# -- one axis ----------------------------------------------------------------------------------


@spelled
def select(x: Array, dim: int, index: int) -> Array:
    """The slice number ``index`` along ``dim``, without that axis."""
    return getitem(x, (*(slice(None),) * _axis("select", dim, x.ndim), index))


@spelled
def take_along_dim(x: Array, indices: Array, dim: int | None = None) -> Array:
    """As `gather`, where x and indices broadcast beside ``dim``; dim None: the flattened x."""
    if dim is None:
        return take(x, _flat(np.asarray(indices)))
    index = _whole("take_along_dim", indices)
    axis = _axis("take_along_dim", dim, x.ndim)
    if x.ndim != index.ndim:
        raise ShapeError(
            f"take_along_dim: x and indices need as many axes\n  x {tuple(x.shape)}; "
            f"indices {index.shape}"
        )

    def beside(shape: Sequence[int]) -> tuple[int, ...]:
        return tuple(1 if i == axis else n for i, n in enumerate(shape))

    common = np.broadcast_shapes(beside(x.shape), beside(index.shape))
    x = expand(x, tuple(x.shape[i] if i == axis else n for i, n in enumerate(common)))
    index = np.broadcast_to(
        index, tuple(index.shape[i] if i == axis else n for i, n in enumerate(common))
    )
    return gather(x, axis, index)


def _slices(name: str, x: Array, dim: int, index: Array) -> tuple[Any, ...]:
    """The slices that ``index`` (I,) names along ``dim``, as an index of NumPy's."""
    index = _whole(name, index)
    if index.ndim > 1:
        raise ShapeError(f"{name}: index must be a vector\n  index {index.shape}")
    axis = _axis(name, dim, max(x.ndim, 1))
    return (*(slice(None),) * axis, index.reshape(-1))


def _at_least_1d(x: Array) -> Array:
    return x if x.ndim else reshape(x, (1,))


@spelled
def index_add(x: Array, dim: int, index: Array, source: Array, alpha: float = 1) -> Array:
    """A copy of x with α·source added to the slices that index (I,) names; twice: both."""
    where_to = _slices("index_add", x, dim, index)
    wide = _at_least_1d(x)
    source = _at_least_1d(source)
    added = add_at(source if alpha == 1 else source * alpha, where_to, tuple(wide.shape))
    return reshape(wide + added, tuple(x.shape))


@spelled
def index_copy(x: Array, dim: int, index: Array, source: Array) -> Array:
    """A copy of x with ``source`` as the slices that index (I,) names along ``dim``."""
    where_to = _slices("index_copy", x, dim, index)
    return reshape(index_put(_at_least_1d(x), where_to, source), tuple(x.shape))


@spelled
def index_fill(x: Array, dim: int, index: Array, value: Array) -> Array:
    """A copy of x with one value in the slices that index (I,) names along ``dim``."""
    where_to = _slices("index_fill", x, dim, np.unique(_whole("index_fill", index)))
    return reshape(index_put(_at_least_1d(x), where_to, value), tuple(x.shape))


@spelled
def select_scatter(x: Array, src: Array, dim: int, index: int) -> Array:
    """A copy of x with ``src`` as its slice number ``index`` along ``dim``."""
    return index_put(x, (*(slice(None),) * _axis("select_scatter", dim, x.ndim), index), src)


@spelled
def slice_scatter(
    x: Array, src: Array, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Array:  # fmt: skip
    """A copy of x with ``src`` as x[..., start:end:step, ...] along ``dim``."""
    axis = _axis("slice_scatter", dim, x.ndim)
    return index_put(x, (*(slice(None),) * axis, slice(start, end, step)), src)


@spelled
def diagonal_scatter(x: Array, src: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """A copy of x with ``src`` as the diagonal between two axes."""
    a, b = _axis("diagonal_scatter", dim1, x.ndim), _axis("diagonal_scatter", dim2, x.ndim)
    numbers = np.arange(int(np.prod(x.shape, dtype=np.int64))).reshape(x.shape)
    return put(x, np.diagonal(numbers, offset, a, b), src)


# -- masks -------------------------------------------------------------------------------------


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
    values = getitem(_flat(source), slice(0, at.size))
    return reshape(index_put(_flat(expand(x, shape)), at, values), shape)


@spelled
def argwhere(x: Array) -> Array:
    """The indices of all nonzero elements: (how many, number of axes)."""
    return nonzero(x)


# -- many to one -------------------------------------------------------------------------------

REDUCE = ("sum", "prod", "mean", "amax", "amin")


@spelled
def scatter_reduce(
    x: Array, dim: int, index: Array, src: Array, reduce: str, *, include_self: bool = True
) -> Array:
    """Join what lands in one place: for dim 1, all src[i, j] with index[i, j] = k to x[i, k].

    reduce: "sum", "prod", "mean", "amax" or "amin". include_self: whether x's own value counts
    where something lands (elsewhere it stays). Equal extrema share the gradient evenly.
    """
    index = _whole("scatter_reduce", index)
    return _reduce_at(
        "scatter_reduce", x, _grid(dim, index), _source(index, src), reduce, include_self
    )


@spelled
def index_reduce(
    x: Array, dim: int, index: Array, source: Array, reduce: str, *, include_self: bool = True
) -> Array:
    """As `scatter_reduce`, for whole slices: index (I,) names them along ``dim``."""
    where_to = _slices("index_reduce", x, dim, index)
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
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _largest(dtype: Any) -> Any:
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max
