"""Arranging: rolling, rotating, stacking in several ways, diagonals, grids, repetition.

All are composed of the moves in `chainrule.ops.shape`, so gradients move back the same way.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.elementwise import expand
from chainrule.ops.op import op, spelled
from chainrule.ops.padding import constant_pad
from chainrule.ops.shape import (
    _axis,
    cat,
    flip,
    getitem,
    narrow,
    permute,
    reshape,
    split,
    stack,
    transpose,
    unsqueeze,
)

__all__ = [
    "adjoint",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_tensors",
    "cartesian_prod",
    "column_stack",
    "combinations",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "dsplit",
    "dstack",
    "fliplr",
    "flipud",
    "hsplit",
    "hstack",
    "meshgrid",
    "movedim",
    "repeat_interleave",
    "roll",
    "rot90",
    "tensor_split",
    "unflatten",
    "unfold_view",
    "vander",
    "vsplit",
    "vstack",
]

Array = Any
Dims = int | Sequence[int]


def _tuple(dims: Dims) -> tuple[int, ...]:
    return (dims,) if isinstance(dims, int) else tuple(dims)


# -- moving axes and elements ------------------------------------------------------------------


@spelled
def movedim(x: Array, source: Dims, destination: Dims) -> Array:
    """Move axes to other places; the rest keep their order."""
    start = [_axis("movedim", d, x.ndim) for d in _tuple(source)]
    end = [_axis("movedim", d, x.ndim) for d in _tuple(destination)]
    if len(start) != len(end) or len(set(start)) < len(start) or len(set(end)) < len(end):
        raise ShapeError(
            f"movedim: source {source} and destination {destination} must name as many axes, "
            "each once"
        )
    order = [i for i in range(x.ndim) if i not in start]
    for at, axis in sorted(zip(end, start, strict=True)):
        order.insert(at, axis)
    return permute(x, tuple(order))


@spelled
def unflatten(x: Array, dim: int, sizes: Sequence[int]) -> Array:
    """One axis written as several of these lengths, one of which may be -1."""
    axis = _axis("unflatten", dim, x.ndim)
    sizes = _tuple(sizes)
    known = math.prod(n for n in sizes if n != -1)
    length = x.shape[axis]
    if list(sizes).count(-1) == 1 and known and length % known == 0:
        sizes = tuple(length // known if n == -1 else n for n in sizes)
    if math.prod(sizes) != length or min(sizes, default=0) < 0:
        raise ShapeError(f"unflatten: sizes {tuple(sizes)} do not multiply to {length} (dim {dim})")
    return reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


@spelled
def adjoint(x: Array) -> Array:
    """The last two axes swapped (numbers are real)."""
    return transpose(x, -2, -1)


@op
def _roll(x: Array, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    """Shift along axes; what leaves at one end enters at the other. Undone by -shifts."""
    return np.roll(x, shifts, dims)


_roll.vjp(x=lambda g, shifts, dims: _roll(g, tuple(-s for s in shifts), dims))


@spelled
def roll(x: Array, shifts: Dims, dims: Dims | None = None) -> Array:
    """Shift along ``dims`` (None: the flattened array); what leaves at one end enters again."""
    moves = _tuple(shifts)
    if dims is None or dims == ():
        if len(moves) != 1:
            raise ShapeError(f"roll: {len(moves)} shifts need as many dims")
        return reshape(_roll(reshape(x, (-1,)), moves, (0,)), tuple(x.shape)) if _size(x) else x
    axes = tuple(_axis("roll", d, x.ndim) for d in _tuple(dims))
    if len(moves) != len(axes):
        raise ShapeError(f"roll: {len(moves)} shifts need as many dims, got {len(axes)}")
    return _roll(x, moves, axes)


def _size(x: Array) -> int:
    return math.prod(x.shape)


@spelled
def rot90(x: Array, k: int = 1, dims: Sequence[int] = (0, 1)) -> Array:
    """Turn the plane of two axes by k quarters, from the first towards the second."""
    a, b = (_axis("rot90", d, x.ndim) for d in dims)
    if a == b:
        raise ShapeError(f"rot90: dims {tuple(dims)} must be two axes")
    turned = k % 4
    if turned == 2:
        return flip(x, (a, b))
    if turned == 1:
        return transpose(flip(x, (b,)), a, b)
    return flip(transpose(x, a, b), (b,)) if turned == 3 else getitem(x, ...)


@spelled
def fliplr(x: Array) -> Array:
    """The columns in reverse order."""
    if x.ndim < 2:
        raise ShapeError(f"fliplr: needs at least two axes\n  x {tuple(x.shape)}")
    return flip(x, (1,))


@spelled
def flipud(x: Array) -> Array:
    """The rows in reverse order."""
    if x.ndim < 1:
        raise ShapeError("flipud: needs at least one axis\n  x ()")
    return flip(x, (0,))


def unfold_view(x: Array, dimension: int, size: int, step: int) -> Array:
    """Windows of ``size`` along an axis, ``step`` apart, as a new last axis: x.unfold."""
    axis = _axis("unfold", dimension, max(x.ndim, 1))
    length = x.shape[axis] if x.ndim else 1
    if not 0 <= size <= length or step <= 0:
        raise ShapeError(
            f"unfold: size {size} must lie in 0..{length}, and step {step} be at least 1"
        )
    if x.ndim == 0:
        return reshape(x, (1,)) if size else reshape(getitem(reshape(x, (1,)), slice(0, 0)), (0,))
    at = np.arange(0, length - size + 1, step)[:, None] + np.arange(size)
    windows = getitem(x, (*(slice(None),) * axis, at))
    return movedim(windows, axis + 1, -1)


# -- joining and cutting -----------------------------------------------------------------------


def atleast_1d(*tensors: Array) -> Any:
    """Each with at least one axis."""
    return _each(tensors, lambda x: x if x.ndim else reshape(x, (1,)))


def atleast_2d(*tensors: Array) -> Any:
    """Each with at least two axes, new ones first."""
    return _each(
        tensors, lambda x: x if x.ndim > 1 else reshape(x, (1, *(x.shape if x.ndim else (1,))))
    )


def atleast_3d(*tensors: Array) -> Any:
    """Each with at least three axes: a vector (N,) becomes (1, N, 1), a matrix (N, M, 1)."""

    def wide(x: Array) -> Array:
        shapes = {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}
        return reshape(x, shapes[x.ndim]) if x.ndim < 3 else x

    return _each(tensors, wide)


def _each(tensors: tuple[Array, ...], change: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        return tuple(change(x) for x in tensors[0])
    return change(tensors[0]) if len(tensors) == 1 else tuple(change(x) for x in tensors)


@spelled
def hstack(tensors: Sequence[Array]) -> Array:
    """Join along the columns (vectors: end to end)."""
    wide = [atleast_1d(t) for t in tensors]
    return cat(wide, 0 if wide and wide[0].ndim == 1 else 1)


@spelled
def vstack(tensors: Sequence[Array]) -> Array:
    """Join along the rows; a vector is one row."""
    return cat([atleast_2d(t) for t in tensors], 0)


@spelled
def dstack(tensors: Sequence[Array]) -> Array:
    """Join along the third axis."""
    return cat([atleast_3d(t) for t in tensors], 2)


@spelled
def column_stack(tensors: Sequence[Array]) -> Array:
    """Join along the columns; a vector is one column."""
    return cat([reshape(t, (_size(t), 1)) if t.ndim < 2 else t for t in tensors], 1)


@spelled
def tensor_split(
    x: Array, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None,
    sections: int | None = None,
) -> tuple[Array, ...]:  # fmt: skip
    """Cut along ``dim`` into n pieces (the first ones one longer), or before the given places."""
    where: Any = next(a for a in (indices_or_sections, indices, sections) if a is not None)
    axis = _axis("tensor_split", dim, x.ndim)
    length = x.shape[axis]
    if np.ndim(where) == 0 and not isinstance(where, list | tuple):
        n = int(where)
        if n < 1:
            raise ShapeError(f"tensor_split: the number of pieces must be at least 1, got {n}")
        sizes = [length // n + (i < length % n) for i in range(n)]
        return split(x, sizes, axis)
    cuts = [slice(None, int(i)).indices(length)[1] for i in where]
    starts, ends = [0, *cuts], [*cuts, length]
    return tuple(
        narrow(x, axis, a, builtins.max(b - a, 0)) if b > a else narrow(x, axis, 0, 0)
        for a, b in zip(starts, ends, strict=True)
    )


def _split_along(name: str, x: Array, where: Any, dim: int, least: int) -> tuple[Array, ...]:
    if x.ndim < least:
        raise ShapeError(f"{name}: needs at least {least} axes\n  x {tuple(x.shape)}")
    if isinstance(where, int) and x.shape[dim] % where:
        raise ShapeError(f"{name}: {x.shape[dim]} entries (dim {dim}) do not make {where} pieces")
    return tensor_split(x, where, dim)


@spelled
def hsplit(x: Array, indices_or_sections: Any) -> tuple[Array, ...]:
    """Cut along the columns (a vector: along its axis)."""
    return _split_along("hsplit", x, indices_or_sections, 1 if x.ndim > 1 else 0, 1)


@spelled
def vsplit(x: Array, indices_or_sections: Any) -> tuple[Array, ...]:
    """Cut along the rows."""
    return _split_along("vsplit", x, indices_or_sections, 0, 2)


@spelled
def dsplit(x: Array, indices_or_sections: Any) -> tuple[Array, ...]:
    """Cut along the third axis."""
    return _split_along("dsplit", x, indices_or_sections, 2, 3)


def broadcast_tensors(*tensors: Array) -> tuple[Array, ...]:
    """All expanded to their common shape."""
    shape = np.broadcast_shapes(*(tuple(t.shape) for t in tensors))
    return tuple(expand(t, shape) for t in tensors)


def block_diag(*tensors: Array) -> Array:
    """Matrices along the diagonal of a larger one, zeros elsewhere."""
    blocks = [atleast_2d(t) for t in tensors]
    width = builtins.sum(b.shape[1] for b in blocks)
    left, rows = 0, []
    for b in blocks:
        rows.append(constant_pad(b, (left, width - left - b.shape[1])))
        left += b.shape[1]
    return cat(rows, 0)


# -- diagonals ---------------------------------------------------------------------------------


@op(view=True)
def diagonal(x: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """The entries (i, i + offset) of two axes, as a new last axis.

    The gradient lies on the diagonal, zeros elsewhere.
    """
    y = np.diagonal(x, offset, dim1, dim2)
    if x.flags.writeable:  # NumPy's diagonals are read-only; this one may be changed as any view
        y.flags.writeable = True
    return y


@op
def diagonal_backward(g: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    """Zeros with g (..., D) on the diagonal: the transpose of `diagonal`."""
    y = np.zeros(shape, g.dtype)
    d = np.diagonal(y, offset, dim1, dim2)
    d.flags.writeable = True
    d[...] = g
    return y


diagonal.vjp(
    x=lambda g, x_shape, offset, dim1, dim2: diagonal_backward(g, x_shape, offset, dim1, dim2)
)
diagonal_backward.vjp(g=lambda u, offset, dim1, dim2: diagonal(u, offset, dim1, dim2))


@spelled
def diag_embed(x: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    """Matrices of zeros with x's last axis on the diagonal between two new axes."""
    n = x.shape[-1] + builtins.abs(offset)
    ndim = x.ndim + 1
    a, b = _axis("diag_embed", dim1, ndim), _axis("diag_embed", dim2, ndim)
    if a == b:
        raise ShapeError(f"diag_embed: dim1 {dim1} and dim2 {dim2} are one axis")
    shape = list(x.shape[:-1])
    for at in sorted((a, b)):
        shape.insert(at, n)
    return diagonal_backward(x, tuple(shape), offset, a, b)


@spelled
def diag(x: Array, diagonal: int = 0) -> Array:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    if x.ndim == 1:
        return diag_embed(x, diagonal)
    if x.ndim != 2:
        raise ShapeError(f"diag: expects a vector or a matrix\n  x {tuple(x.shape)}")
    from_matrix = globals()["diagonal"]  # here the name is the argument
    return from_matrix(x, diagonal, 0, 1)


@spelled
def diagflat(x: Array, offset: int = 0) -> Array:
    """The matrix with all elements of x on its diagonal."""
    return diag_embed(reshape(x, (_size(x),)), offset)


# -- grids, combinations, repetition -----------------------------------------------------------


def meshgrid(*tensors: Array, indexing: str = "ij") -> tuple[Array, ...]:
    """The coordinates of a grid: of vectors of lengths N, M, ... arrays (N, M, ...) each.

    indexing "xy" swaps the first two axes, as for images: (M, N, ...).
    """
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ConfigError(f'meshgrid: indexing must be "ij" or "xy", got {indexing!r}')
    vectors = [atleast_1d(t) for t in tensors]
    if builtins.any(v.ndim > 1 for v in vectors):
        raise ShapeError(f"meshgrid: expects vectors, got {[tuple(t.shape) for t in tensors]}")
    shape = tuple(v.shape[0] for v in vectors)
    grids = tuple(
        expand(reshape(v, tuple(n if i == j else 1 for j, n in enumerate(shape))), shape)
        for i, v in enumerate(vectors)
    )
    if indexing == "xy" and len(grids) > 1:
        grids = tuple(transpose(g, 0, 1) for g in grids)
    return grids


def cartesian_prod(*tensors: Array) -> Array:
    """All ways to choose one element of each vector: (product of lengths, number of vectors)."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(g, (_size(g),)) for g in meshgrid(*tensors)], 1)


@spelled
def combinations(x: Array, r: int = 2, with_replacement: bool = False) -> Array:
    """All ways to choose r elements of a vector, in order: (number of ways, r)."""
    import itertools

    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = np.asarray(list(choose(range(len(x)), r)), np.int64).reshape(-1, r)
    return getitem(x, chosen)


@spelled
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    """The powers 0 ... N-1 of a vector's elements, by column; falling unless ``increasing``."""
    n = x.shape[0] if N is None else N
    powers = [x**k for k in range(n)]
    return stack(powers if increasing else powers[::-1], 1)


@spelled
def repeat_interleave(
    x: Array, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Array:
    """Each entry along ``dim`` (None: of the flattened x) so many times, side by side.

    repeats: one number, or one for each entry. Given alone, a vector of numbers: the index that
    repeats each place so often. Copies add their gradients.
    """
    if repeats is None:
        counts = np.asarray(x)
        return constant(x, np.repeat(np.arange(len(counts)), counts))
    if dim is None:
        x, dim = reshape(x, (_size(x),)), 0
    axis = _axis("repeat_interleave", dim, x.ndim)
    if isinstance(repeats, int):
        if repeats < 0:
            raise ShapeError(f"repeat_interleave: repeats must not be negative, got {repeats}")
        shape = tuple(x.shape)
        wide = expand(unsqueeze(x, axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
        return reshape(wide, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))
    counts = np.asarray(repeats)
    if counts.dtype.kind not in "iu":
        raise DTypeError(f"repeat_interleave: repeats must be integers, got {counts.dtype}")
    if counts.ndim > 1 or (counts.size not in (1, x.shape[axis])):
        raise ShapeError(
            f"repeat_interleave: repeats {counts.shape} must hold one number for each of the "
            f"{x.shape[axis]} entries (dim {dim})"
        )
    at = np.repeat(np.arange(x.shape[axis]), counts)
    return getitem(x, (*(slice(None),) * axis, at))


@op
def constant(x: Array, values: Array) -> Array:
    """``values``, plain numbers, as an array or a tensor, as x is one."""
    return np.asarray(values)
