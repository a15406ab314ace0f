"""Shape operations: they move numbers and change none.

Their VJPs move the gradient back the way the numbers came: reshape by reshape, a
permutation by its inverse, a selection by writing into zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.dtypes import promote_types
from chainrule.ops.elementwise import cast, expand, sum_to, where
from chainrule.ops.op import no_such_axis, op, spelled

__all__ = [
    "add_at",
    "broadcast_to",
    "cat",
    "chunk",
    "flatten",
    "flip",
    "gather",
    "getitem",
    "index_put",
    "index_select",
    "masked_select",
    "narrow",
    "nonzero",
    "one_hot",
    "permute",
    "reshape",
    "scatter",
    "scatter_add",
    "split",
    "squeeze",
    "stack",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unbind",
    "unsqueeze",
]

Array = Any


@op(view=True)
def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """The same elements in row-major order under another shape; one length may be -1."""
    if (-1 not in shape and math.prod(shape) != x.size) or (x.size == 0 and -1 in shape):
        known = math.prod(n for n in shape if n != -1)
        if -1 not in shape or known == 0:
            raise ShapeError(
                f"reshape: shape {tuple(shape)} does not hold {x.size} elements\n  x {x.shape}"
            )
    try:
        return x.reshape(shape)
    except ValueError:
        raise ShapeError(
            f"reshape: shape {tuple(shape)} does not hold {x.size} elements\n  x {x.shape}"
        ) from None


reshape.vjp(x=lambda g, x_shape: reshape(g, x_shape))


@op(view=True)
def permute(x: Array, dims: Sequence[int]) -> Array:
    """Reorder the axes: axis i of the result is axis dims[i] of x."""
    if sorted(_axis("permute", d, x.ndim) for d in dims) != list(range(x.ndim)):
        raise ShapeError(f"permute: dims {tuple(dims)} do not name each axis once\n  x {x.shape}")
    return x.transpose(dims)


permute.vjp(x=lambda g, dims: permute(g, tuple(np.argsort([d % g.ndim for d in dims]).tolist())))


@spelled
def transpose(x: Array, dim0: int, dim1: int) -> Array:
    """Swap two axes."""
    if x.ndim == 0:
        return permute(x, ())
    order = list(range(x.ndim))
    a, b = _axis("transpose", dim0, x.ndim), _axis("transpose", dim1, x.ndim)
    order[a], order[b] = b, a
    return permute(x, tuple(order))


@spelled
def flatten(x: Array, start_dim: int = 0, end_dim: int = -1) -> Array:
    """Join the axes start_dim ... end_dim into one."""
    shape = tuple(x.shape)  # whose slices are plain, and cheaper than those of a Size
    ndim = len(shape)
    if ndim == 0:
        return reshape(x, (1,))
    start, end = _axis("flatten", start_dim, ndim), _axis("flatten", end_dim, ndim)
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    joined = math.prod(shape[start : end + 1])
    return reshape(x, (*shape[:start], joined, *shape[end + 1 :]))


def _axis(name: str, dim: int, ndim: int) -> int:
    """``dim`` counted from the front."""
    if not -ndim <= dim < ndim:
        raise no_such_axis(name, dim, ndim)
    return int(dim % ndim)


@spelled
def squeeze(x: Array, dim: int | Sequence[int] | None = None) -> Array:
    """Drop axes of length one: those in ``dim`` (others of them are left alone), or all."""
    if dim is None:
        drop = range(x.ndim)
    else:
        dims = (dim,) if isinstance(dim, int) else dim
        drop = [_axis("squeeze", d, max(x.ndim, 1)) for d in dims]  # type: ignore[assignment]
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in drop))


@spelled
def unsqueeze(x: Array, dim: int) -> Array:
    """Insert an axis of length one before axis ``dim``."""
    at = _axis("unsqueeze", dim, x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


@spelled
def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    """As `expand`."""
    return expand(x, tuple(shape))


@spelled
def tile(x: Array, dims: Sequence[int]) -> Array:
    """x repeated dims[i] times along axis i, counted from the last; copies add their gradients."""
    dims = (1,) * (x.ndim - len(dims)) + tuple(dims)
    shape = (1,) * (len(dims) - x.ndim) + tuple(x.shape)
    pairs = reshape(x, tuple(n for length in shape for n in (1, length)))
    copies = expand(pairs, tuple(n for pair in zip(dims, shape, strict=True) for n in pair))
    return reshape(copies, tuple(d * n for d, n in zip(dims, shape, strict=True)))


@op
def flip(x: Array, dims: int | Sequence[int]) -> Array:
    """Reverse the order along each axis in ``dims``. Its own inverse."""
    return np.flip(x, dims if isinstance(dims, int) else tuple(dims)).copy()


flip.vjp(x=lambda g, dims: flip(g, dims))


# -- joining and splitting ---------------------------------------------------------------------


@spelled
def cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    """Join along an existing axis; the other lengths agree, dtypes are promoted.

    Tensors of shape (0,) go with all others, so that a result can start as ``tensor([])``.
    """
    tensors = _one_dtype("cat", tensors)
    if len({len(t.shape) for t in tensors}) > 1:
        tensors = [t for t in tensors if tuple(t.shape) != (0,)]
    return _cat(tensors, dim)


@spelled
def stack(tensors: Sequence[Array], dim: int = 0) -> Array:
    """Join along a new axis ``dim``; all shapes agree."""
    tensors = _one_dtype("stack", tensors)
    if len({tuple(t.shape) for t in tensors}) > 1:
        raise ShapeError(f"stack: shapes differ: {[tuple(t.shape) for t in tensors]}")
    return _cat([unsqueeze(t, dim) for t in tensors], dim)


def _one_dtype(name: str, tensors: Sequence[Array]) -> list[Array]:
    tensors = list(tensors)
    if not tensors:
        raise ShapeError(f"{name}: expects at least one tensor, got an empty sequence")
    dtype = tensors[0].dtype
    for t in tensors[1:]:
        dtype = promote_types(dtype, t.dtype)
    return [t if t.dtype == dtype else cast(t, dtype) for t in tensors]


@op(variadic=True, name="cat")
def _cat(tensors: Sequence[Array], dim: int) -> Array:
    """Concatenate arrays of one dtype. The gradient is cut where the arrays meet."""
    shapes = [t.shape for t in tensors]
    axis = _axis("cat", dim, len(shapes[0]))
    rest = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
    if len({len(s) for s in shapes}) > 1 or len(rest) > 1:
        raise ShapeError(f"cat: shapes must agree except along dim {dim}, got {shapes}")
    if len(shapes[0]) != 4 or axis != 1:
        return np.concatenate(tensors, axis)
    # images joined by channel: keep channels-last memory
    return np.concatenate([t.transpose(0, 2, 3, 1) for t in tensors], 3).transpose(0, 3, 1, 2)


def _cat_vjp(g: Array, tensors_shape: Sequence[tuple[int, ...]], dim: int) -> list[Array]:
    axis = _axis("cat", dim, g.ndim)
    ends = np.cumsum([s[axis] for s in tensors_shape]).tolist()
    starts = [0, *ends[:-1]]
    return [narrow(g, axis, a, b - a) for a, b in zip(starts, ends, strict=True)]


_cat.vjp(tensors=_cat_vjp)


@spelled
def split(x: Array, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    """Cut along ``dim`` into pieces of one size (the last may be shorter) or of given sizes."""
    length = x.shape[_axis("split", dim, x.ndim)]
    sizes = split_size_or_sections
    if isinstance(sizes, int):
        if sizes <= 0:
            raise ShapeError(f"split: the size of a piece must be at least 1, got {sizes}")
        sizes = [min(sizes, length - i) for i in range(0, length, sizes)] or [0]
    if sum(sizes) != length:
        raise ShapeError(f"split: sizes {list(sizes)} do not add up to {length} (dim {dim})")
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(narrow(x, dim, a, n) for a, n in zip(starts, sizes, strict=False))


@spelled
def chunk(x: Array, chunks: int, dim: int = 0) -> tuple[Array, ...]:
    """Cut along ``dim`` into at most ``chunks`` pieces of equal size (the last shorter)."""
    if chunks < 1:
        raise ShapeError(f"chunk: the number of pieces must be at least 1, got {chunks}")
    length = x.shape[_axis("chunk", dim, x.ndim)]
    return split(x, -(-length // chunks) if length else [0] * chunks, dim)


@spelled
def unbind(x: Array, dim: int = 0) -> tuple[Array, ...]:
    """The slices along ``dim``, without that axis."""
    axis = _axis("unbind", dim, x.ndim)
    lead = (slice(None),) * axis
    return tuple(getitem(x, (*lead, i)) for i in range(x.shape[axis]))


@spelled
def narrow(x: Array, dim: int, start: int, length: int) -> Array:
    """The ``length`` entries from ``start`` on along ``dim``; a negative start counts back."""
    axis = _axis("narrow", dim, x.ndim)
    total = x.shape[axis]
    first = start + total if start < 0 else start
    if not 0 <= first <= first + length <= total:
        raise ShapeError(
            f"narrow: entries {start} to {start + length - 1} do not lie in 0 to {total - 1} "
            f"(dim {dim})\n  x {tuple(x.shape)}"
        )
    return getitem(x, (*(slice(None),) * axis, slice(first, first + length)))


# -- selecting ---------------------------------------------------------------------------------

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
    if any(isinstance(p, np.ndarray | list) and np.asarray(p).dtype != bool for p in parts):
        np.add.at(out, index, g)  # an entry may be named more than once
    else:
        out[index] = g
    return out


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


class ValuesAndIndices(NamedTuple):
    """Chosen elements, and where they were along the axis."""

    values: Array
    indices: Array


@op
def gather(x: Array, dim: int, index: Array) -> Array:
    """Pick along one axis: for dim 1, y[i, j] = x[i, index[i, j]]. Shapes as in PyTorch."""
    if index.dtype.kind not in "iu":
        raise DTypeError(f"gather: index must hold integers, got {index.dtype}")
    return np.take_along_axis(_trim(x, dim, index), index, dim)


def _trim(x: Array, dim: int, index: Array) -> Array:
    """x cut to the lengths of index in every axis but ``dim``."""
    axis = _axis("gather", dim, x.ndim)
    fits = x.ndim == index.ndim and all(
        m <= n for i, (m, n) in enumerate(zip(index.shape, x.shape, strict=True)) if i != axis
    )
    if not fits:
        raise ShapeError(
            f"gather: index must have x's axes and fit x except along dim {dim}\n"
            f"  x {x.shape}; index {index.shape}"
        )
    return x[tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(index.shape))]


def _grid(dim: int, index: Array) -> tuple[Array, ...]:
    """The entries that ``index`` names along ``dim``, as an index of NumPy's."""
    index = np.asarray(index)
    grid: list[Array] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[_axis("scatter", dim, index.ndim)] = index
    return tuple(grid)


gather.vjp(x=lambda g, dim, index, x_shape: add_at(g, _grid(dim, index), x_shape))


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
    source = _source(index, value if src is None else src)
    if reduce is None:
        return index_put(x, _grid(dim, index), source)
    from chainrule.ops.indexing import scatter_reduce  # which stands on this family

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
    return x + add_at(_source(index, src), _grid(dim, index), tuple(x.shape))


def _source(index: Array, src: Array) -> Array:
    """``src`` cut to the shape of ``index``."""
    if isinstance(src, int | float) or tuple(src.shape) == tuple(index.shape):
        return src
    return getitem(src, tuple(slice(n) for n in index.shape))


@spelled
def index_select(x: Array, dim: int, index: Array) -> Array:
    """The slices of x that the integers (I,) in ``index`` name along ``dim``."""
    return getitem(x, (*(slice(None),) * _axis("index_select", dim, x.ndim), np.asarray(index)))


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


@spelled
def tril(x: Array, diagonal: int = 0) -> Array:
    """The lower triangle of matrices (..., N, M): entries right of the diagonal become zero.

    diagonal: how far to the right of the main one (negative: left). The gradient is cut alike.
    """
    return where(_lower("tril", x, diagonal), x, False if x.dtype == bool else 0)


@spelled
def triu(x: Array, diagonal: int = 0) -> Array:
    """The upper triangle of matrices (..., N, M): entries left of the diagonal become zero."""
    return where(_lower("triu", x, diagonal - 1), False if x.dtype == bool else 0, x)


def _lower(name: str, x: Array, diagonal: int) -> Array:
    """Where the lower triangle of x's matrices is."""
    if x.ndim < 2:
        raise ShapeError(f"{name}: x needs at least two axes\n  x {tuple(x.shape)}")
    return np.tri(x.shape[-2], x.shape[-1], diagonal, bool)


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


@op
def one_hot(target: Array, num_classes: int = -1) -> Array:
    """1 at the class, 0 elsewhere: class numbers (*) -> int64 (*, C). C: one more than the largest.

    Raises DTypeError (not integers), ShapeError (a target that is no class).
    """
    if target.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: target must hold class numbers (integers), got {target.dtype}")
    classes = int(target.max(initial=-1)) + 1 if num_classes == -1 else num_classes
    if target.size and not 0 <= target.min() <= target.max() < classes:
        raise ShapeError(
            f"one_hot: classes {target.min()} to {target.max()} do not lie in 0 to {classes - 1}"
        )
    return (target[..., None] == np.arange(classes)).astype(np.int64)
