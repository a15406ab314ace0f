"""Reading entries by number: ``x[index]``, what it is transposed to, and what is composed of it.

What is read sends its gradient back to where it was read (`add_at`), and what is read twice is
a copy: both gradients add. A place has no gradient. See docs/derivations/selection.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import DTypeError, ShapeError
from chainrule.ops.axes import axis_of
from chainrule.ops.elementwise import cast, expand, sum_to
from chainrule.ops.op import op, spelled
from chainrule.ops.shape import atleast_1d, reshape

__all__ = [
    "add_at",
    "argwhere",
    "gather",
    "getitem",
    "index_put",
    "index_select",
    "masked_select",
    "narrow",
    "nonzero",
    "select",
    "take",
    "take_along_dim",
    "unbind",
]

Array = Any
Index = Any  # an int, slice, None, Ellipsis, array, or a tuple of them


@op(view=True)
def getitem(x: Array, index: Index) -> Array:
    """x[index]: any NumPy index (slices, integers, None, ..., integer and boolean arrays)."""
    y = x[index]
    if isinstance(y, np.generic):  # one element: still a view, so that it can be changed in place
        y = x[(*index, ...)] if isinstance(index, tuple) else x[index, ...]
    return y


@op
def add_at(g: Array, index: Index, shape: tuple[int, ...]) -> Array:
    """Zeros of ``shape`` to which ``g`` is added at ``index``: the transpose of getitem.

    In g's memory order where both have the same number of axes, as after x[:, :, ::2, ::2].
    """
    out = np.zeros_like(g, shape=shape)
    parts = index if isinstance(index, tuple) else (index,)
    if not any(isinstance(p, np.ndarray | list) and np.asarray(p).dtype != bool for p in parts):
        out[index] = g
    elif out.ndim > 1 and out.flags.c_contiguous and _are_numbers_and_slices(parts, out.ndim):
        number = _row_major(parts, shape)
        g = np.broadcast_to(g, number.shape)
        np.add.at(out.reshape(-1), number.reshape(-1), g.reshape(-1))
    else:
        np.add.at(out, index, g)  # an entry may be named more than once
    return out


def _are_numbers_and_slices(parts: Sequence[Any], ndim: int) -> bool:
    """Whether an index is as many arrays of numbers as axes, or x[:, ..., vector of numbers]."""
    arrays = [p for p in parts if isinstance(p, np.ndarray) and p.dtype.kind in "iu"]
    if len(arrays) == len(parts) == ndim:
        return True
    whole = all(isinstance(p, slice) and p == slice(None) for p in parts[:-1])
    return whole and len(arrays) == 1 and parts[-1] is arrays[0] and arrays[0].ndim == 1


def _places(index: Array, length: int) -> Array:
    """Numbers of entries along an axis, counted from the front."""
    if index.size and not -length <= index.min() <= index.max() < length:
        wrong = index.max() if index.max() >= length else index.min()
        raise IndexError(f"index {wrong} is out of bounds for an axis of length {length}")
    return np.where(index < 0, index + length, index)


def _row_major(parts: Sequence[Any], shape: Sequence[int]) -> Array:
    """The numbers of entries in the flattened array: NumPy adds to a vector much faster."""
    if len(parts) < len(shape) or isinstance(parts[0], slice):  # slices, and one vector
        lengths = [*shape[: len(parts) - 1], len(parts[-1]), *shape[len(parts) :]]
        grid = list(np.ogrid[tuple(slice(n) for n in lengths)])
        grid[len(parts) - 1] = parts[-1].reshape((-1,) + (1,) * (len(shape) - len(parts)))
        parts = grid
    number: Any = 0
    for index, length in zip(parts, shape, strict=True):
        number = number * length + _places(index, length)
    return number


getitem.vjp(x=lambda g, index, x_shape: add_at(g, index, x_shape))


add_at.vjp(g=lambda u, index: getitem(u, index))


@op
def index_put(x: Array, index: Index, value: Array) -> Array:
    """A copy of x in which x[index] is replaced by ``value`` (broadcast)."""
    out = x.copy(order="K")
    assign_at(out, index, value)
    return out


def assign_at(x: Array, index: Index, value: Any) -> None:
    """x[index] = value, where value may have axes of length one in front, as PyTorch allows.

    NumPy does too, except where x[index] is a single number.
    """
    try:
        x[index] = value
    except ValueError:
        if getattr(value, "size", 0) != 1:
            raise
        x[index] = value.reshape(())


def _put_x(g: Array, index: Index) -> Array:
    return index_put(g, index, 0.0)


def _put_value(g: Array, index: Index, value_shape: tuple[int, ...], value_dtype: Any) -> Array:
    d = getitem(g, index)
    lead = max(len(value_shape) - d.ndim, 0)  # axes of length one that assignment drops
    return cast(reshape(sum_to(d, value_shape[lead:]), value_shape), value_dtype)


index_put.vjp(x=_put_x, value=_put_value)


# -- along one axis ----------------------------------------------------------------------------


@spelled
def narrow(x: Array, dim: int, start: int, length: int) -> Array:
    """The ``length`` entries from ``start`` on along ``dim``; a negative start counts back."""
    axis = axis_of("narrow", dim, x.ndim)
    total = x.shape[axis]
    first = start + total if start < 0 else start
    if not 0 <= first <= first + length <= total:
        raise ShapeError(
            f"narrow: entries {start} to {start + length - 1} do not lie in 0 to {total - 1} "
            f"(dim {dim})\n  x {tuple(x.shape)}"
        )
    return getitem(x, (*(slice(None),) * axis, slice(first, first + length)))


@spelled
def select(x: Array, dim: int, index: int) -> Array:
    """The slice number ``index`` along ``dim``, without that axis."""
    return getitem(x, (*(slice(None),) * axis_of("select", dim, x.ndim), index))


@spelled
def unbind(x: Array, dim: int = 0) -> tuple[Array, ...]:
    """The slices along ``dim``, without that axis."""
    axis = axis_of("unbind", dim, x.ndim)
    lead = (slice(None),) * axis
    return tuple(getitem(x, (*lead, i)) for i in range(x.shape[axis]))


@spelled
def index_select(x: Array, dim: int, index: Array) -> Array:
    """The slices of x that the integers (I,) in ``index`` name along ``dim``."""
    y = getitem(atleast_1d(x), slices_of("index_select", x, dim, index))
    return y if x.ndim else reshape(y, ())


def slices_of(name: str, x: Array, dim: int, index: Array) -> tuple[Any, ...]:
    """The slices that ``index`` (I,) names along ``dim``, as an index of NumPy's."""
    index = whole_numbers(name, index)
    if index.ndim > 1:
        raise ShapeError(f"{name}: index must be a vector\n  index {index.shape}")
    axis = axis_of(name, dim, max(x.ndim, 1))
    return (*(slice(None),) * axis, index.reshape(-1))


class ValuesAndIndices(NamedTuple):
    """Chosen elements, and where they were along the axis."""

    values: Array
    indices: Array


@op
def gather(x: Array, dim: int, index: Array, sparse_grad: bool = False) -> Array:
    """Pick along one axis: for dim 1, y[i, j] = x[i, index[i, j]]. Shapes as in PyTorch.

    What is 0-d goes for a vector of one. sparse_grad is PyTorch's: gradients here are dense.
    """
    if index.dtype.kind not in "iu":
        raise DTypeError(f"gather: index must hold integers, got {index.dtype}")
    if x.ndim == 0 or index.ndim == 0:
        return gather.forward(atleast_1d(x), dim, atleast_1d(index)).reshape(index.shape)
    return np.take_along_axis(_trim(x, dim, index), index, dim)


def _trim(x: Array, dim: int, index: Array) -> Array:
    """x cut to the lengths of index in every axis but ``dim``."""
    axis = axis_of("gather", dim, x.ndim)
    fits = x.ndim == index.ndim and all(
        m <= n for i, (m, n) in enumerate(zip(index.shape, x.shape, strict=True)) if i != axis
    )
    if not fits:
        raise ShapeError(
            f"gather: index must have x's axes and fit x except along dim {dim}\n"
            f"  x {x.shape}; index {index.shape}"
        )
    return x[tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(index.shape))]


def grid_of(dim: int, index: Array) -> tuple[Array, ...]:
    """The entries that ``index`` names along ``dim``, as an index of NumPy's."""
    index = np.atleast_1d(np.asarray(index))
    grid: list[Array] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[axis_of("scatter", dim, index.ndim)] = index
    return tuple(grid)


def _gather_vjp(g: Array, dim: int, index: Array, x_shape: tuple[int, ...]) -> Array:
    d = add_at(atleast_1d(g), grid_of(dim, index), x_shape or (1,))
    return d if x_shape else reshape(d, ())


gather.vjp(x=_gather_vjp)


@spelled
def take_along_dim(x: Array, indices: Array, dim: int | None = None) -> Array:
    """As `gather`, where x and indices broadcast beside ``dim``; dim None: the flattened x."""
    if dim is None:
        return take(x, flat(np.asarray(indices)))
    index = whole_numbers("take_along_dim", indices)
    axis = axis_of("take_along_dim", dim, x.ndim)
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


# -- of the flattened array --------------------------------------------------------------------


def whole_numbers(name: str, index: Array) -> Array:
    """An index as an array of integers."""
    index = np.asarray(index)
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{name}: index must hold integers, got {index.dtype}")
    return index


def flat(x: Array) -> Array:
    """All elements in a row."""
    return reshape(x, (-1,)) if x.ndim != 1 else x


@op
def take(x: Array, index: Array) -> Array:
    """x's elements by their row-major numbers, in the shape of index. Negative: from the end."""
    return x.reshape(-1)[whole_numbers("take", index)]


def _take_vjp(g: Array, index: Array, x_shape: tuple[int, ...]) -> Array:
    size = int(np.prod(x_shape, dtype=np.int64))
    return reshape(add_at(g, np.asarray(index), (size,)), x_shape)


take.vjp(x=_take_vjp)


@spelled
def masked_select(x: Array, mask: Array) -> Array:
    """The elements of x where the mask (of its shape, or broadcast) is true, in a row."""
    try:
        shape = np.broadcast_shapes(x.shape, mask.shape)
    except ValueError:
        raise ShapeError(
            f"masked_select: the mask must have x's shape, or broadcast with it\n  x {x.shape}; "
            f"mask {mask.shape}"
        ) from None
    return getitem(expand(x, shape), np.broadcast_to(np.asarray(mask), shape))


# -- where something lies ----------------------------------------------------------------------


@spelled
def nonzero(x: Array, *, as_tuple: bool = False) -> Any:
    """The indices of all nonzero elements: (how many, number of axes).

    as_tuple: one vector for each axis instead, to index with.
    """
    if not as_tuple:
        return nonzero_indices(x)
    return unbind(nonzero_indices(x if x.ndim else reshape(x, (1,))), 1)


@op
def nonzero_indices(x: Array) -> Array:
    """Row by row, where x's nonzero elements lie."""
    return np.argwhere(x)


@spelled
def argwhere(x: Array) -> Array:
    """The indices of all nonzero elements: (how many, number of axes)."""
    return nonzero(x)
