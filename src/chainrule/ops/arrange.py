"""Arranging: entries in another order, repeated, in windows, on diagonals and grids.

Most are composed of the moves in `chainrule.ops.shape` and `chainrule.ops.indexing`, so the
gradient moves back the same way; copies add theirs.
"""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.arithmetic import where
from chainrule.ops.axes import Dims, as_tuple, axis_of
from chainrule.ops.elementwise import apart, clone, constant, expand
from chainrule.ops.indexing import getitem
from chainrule.ops.joining import stack
from chainrule.ops.op import op, spelled
from chainrule.ops.shape import atleast_1d, movedim, reshape, transpose, unsqueeze

__all__ = [
    "cartesian_prod",
    "combinations",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "flip",
    "fliplr",
    "flipud",
    "meshgrid",
    "repeat_interleave",
    "roll",
    "rot90",
    "tile",
    "tril",
    "triu",
    "unfold_view",
    "vander",
]

Array = Any


# -- turning -----------------------------------------------------------------------------------


@op
def flip(x: Array, dims: int | Sequence[int]) -> Array:
    """Reverse the order along each axis in ``dims``. Its own inverse."""
    axes = tuple([axis_of("flip", d, max(x.ndim, 1)) for d in as_tuple(dims)])
    return np.flip(x, axes if x.ndim else ()).copy()


flip.vjp(x=lambda g, dims: flip(g, dims))


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


@op
def _roll(x: Array, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    """Shift along axes; what leaves at one end enters at the other. Undone by -shifts."""
    return np.roll(x, shifts, dims)


_roll.vjp(x=lambda g, shifts, dims: _roll(g, tuple(-s for s in shifts), dims))


@spelled
def roll(x: Array, shifts: Dims, dims: Dims | None = None) -> Array:
    """Shift along ``dims`` (None: the flattened array); what leaves at one end enters again."""
    moves = as_tuple(shifts)
    if dims is None or dims == ():
        if len(moves) != 1:
            raise ShapeError(f"roll: {len(moves)} shifts need as many dims")
        if not math.prod(x.shape):
            return x
        return reshape(_roll(reshape(x, (-1,)), moves, (0,)), tuple(x.shape))
    axes = tuple(axis_of("roll", d, x.ndim) for d in as_tuple(dims))
    if len(moves) != len(axes):
        raise ShapeError(f"roll: {len(moves)} shifts need as many dims, got {len(axes)}")
    return _roll(x, moves, axes)


@spelled
def rot90(x: Array, k: int = 1, dims: Sequence[int] = (0, 1)) -> Array:
    """Turn the plane of two axes by k quarters, from the first towards the second."""
    a, b = (axis_of("rot90", d, x.ndim) for d in dims)
    if a == b:
        raise ShapeError(f"rot90: dims {tuple(dims)} must be two axes")
    turned = k % 4
    if turned == 2:
        return flip(x, (a, b))
    if turned == 1:
        return transpose(flip(x, (b,)), a, b)
    return flip(transpose(x, a, b), (b,)) if turned == 3 else clone(x)


# -- repetition and windows --------------------------------------------------------------------


@spelled
def tile(x: Array, dims: Sequence[int]) -> Array:
    """x repeated dims[i] times along axis i, counted from the last; copies add their gradients."""
    dims = (1,) * (x.ndim - len(dims)) + tuple(dims)
    shape = (1,) * (len(dims) - x.ndim) + tuple(x.shape)
    pairs = reshape(x, tuple(n for length in shape for n in (1, length)))
    copies = expand(pairs, tuple(n for pair in zip(dims, shape, strict=True) for n in pair))
    return apart(reshape(copies, tuple(d * n for d, n in zip(dims, shape, strict=True))), x)


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
        x, dim = reshape(x, (math.prod(x.shape),)), 0
    axis = axis_of("repeat_interleave", dim, x.ndim)
    if isinstance(repeats, int):
        if repeats < 0:
            raise ShapeError(f"repeat_interleave: repeats must not be negative, got {repeats}")
        shape = tuple(x.shape)
        wide = expand(unsqueeze(x, axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
        joined = reshape(wide, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))
        return apart(joined, x)
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


def unfold_view(x: Array, dimension: int, size: int, step: int) -> Array:
    """Windows of ``size`` along an axis, ``step`` apart, as a new last axis: x.unfold."""
    axis = axis_of("unfold", dimension, max(x.ndim, 1))
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


# -- diagonals and triangles -------------------------------------------------------------------


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
    a, b = axis_of("diag_embed", dim1, ndim), axis_of("diag_embed", dim2, ndim)
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
    return clone(from_matrix(x, diagonal, 0, 1))


@spelled
def diagflat(x: Array, offset: int = 0) -> Array:
    """The matrix with all elements of x on its diagonal."""
    return diag_embed(reshape(x, (math.prod(x.shape),)), offset)


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


# -- grids and combinations --------------------------------------------------------------------


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
    return stack([reshape(g, (math.prod(g.shape),)) for g in meshgrid(*tensors)], 1)


@spelled
def combinations(x: Array, r: int = 2, with_replacement: bool = False) -> Array:
    """All ways to choose r elements of a vector, in order: (number of ways, r)."""
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = np.asarray(list(choose(range(len(x)), r)), np.int64).reshape(-1, r)
    return getitem(x, chosen)


@spelled
def vander(x: Array, N: int | None = None, increasing: bool = False) -> Array:
    """The powers 0 ... N-1 of a vector's elements, by column; falling unless ``increasing``."""
    n = x.shape[0] if N is None else N
    powers = [x**k for k in range(n)]
    return stack(powers if increasing else powers[::-1], 1)
