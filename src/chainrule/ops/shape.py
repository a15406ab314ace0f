"""Shape operations: the same numbers, seen with other axes.

Their VJPs see the gradient with the old axes again: reshape by reshape, a permutation by its
inverse. Only where an axis was repeated (`broadcast_to`) is there arithmetic: copies add.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.axes import Dims, as_tuple, axis_of
from chainrule.ops.elementwise import expand
from chainrule.ops.op import op, spelled

__all__ = [
    "adjoint",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_tensors",
    "broadcast_to",
    "flatten",
    "movedim",
    "permute",
    "reshape",
    "squeeze",
    "transpose",
    "unflatten",
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


@spelled
def flatten(x: Array, start_dim: int = 0, end_dim: int = -1) -> Array:
    """Join the axes start_dim ... end_dim into one."""
    shape = tuple(x.shape)  # whose slices are plain, and cheaper than those of a Size
    ndim = len(shape)
    if ndim == 0:
        return reshape(x, (1,))
    start, end = axis_of("flatten", start_dim, ndim), axis_of("flatten", end_dim, ndim)
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    joined = math.prod(shape[start : end + 1])
    return reshape(x, (*shape[:start], joined, *shape[end + 1 :]))


@spelled
def unflatten(x: Array, dim: int, sizes: Sequence[int]) -> Array:
    """One axis written as several of these lengths, one of which may be -1."""
    axis = axis_of("unflatten", dim, x.ndim)
    sizes = as_tuple(sizes)
    known = math.prod(n for n in sizes if n != -1)
    length = x.shape[axis]
    if list(sizes).count(-1) == 1 and known and length % known == 0:
        sizes = tuple(length // known if n == -1 else n for n in sizes)
    if math.prod(sizes) != length or min(sizes, default=0) < 0:
        raise ShapeError(f"unflatten: sizes {tuple(sizes)} do not multiply to {length} (dim {dim})")
    return reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


@spelled
def squeeze(x: Array, dim: int | Sequence[int] | None = None) -> Array:
    """Drop axes of length one: those in ``dim`` (others of them are left alone), or all."""
    if dim is None:
        drop = range(x.ndim)
    else:
        dims = (dim,) if isinstance(dim, int) else dim
        drop = [axis_of("squeeze", d, max(x.ndim, 1)) for d in dims]  # type: ignore[assignment]
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in drop))


@spelled
def unsqueeze(x: Array, dim: int) -> Array:
    """Insert an axis of length one before axis ``dim``."""
    at = axis_of("unsqueeze", dim, x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


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


# -- the order of axes -------------------------------------------------------------------------


@op(view=True)
def permute(x: Array, dims: Sequence[int]) -> Array:
    """Reorder the axes: axis i of the result is axis dims[i] of x."""
    if sorted(axis_of("permute", d, x.ndim) for d in dims) != list(range(x.ndim)):
        raise ShapeError(f"permute: dims {tuple(dims)} do not name each axis once\n  x {x.shape}")
    return x.transpose(dims)


permute.vjp(x=lambda g, dims: permute(g, tuple(np.argsort([d % g.ndim for d in dims]).tolist())))


@spelled
def transpose(x: Array, dim0: int, dim1: int) -> Array:
    """Swap two axes."""
    if x.ndim == 0:
        return permute(x, ())
    order = list(range(x.ndim))
    a, b = axis_of("transpose", dim0, x.ndim), axis_of("transpose", dim1, x.ndim)
    order[a], order[b] = b, a
    return permute(x, tuple(order))


@spelled
def adjoint(x: Array) -> Array:
    """The last two axes swapped (numbers are real)."""
    return transpose(x, -2, -1)


@spelled
def movedim(x: Array, source: Dims, destination: Dims) -> Array:
    """Move axes to other places; the rest keep their order."""
    start = [axis_of("movedim", d, max(x.ndim, 1)) for d in as_tuple(source)]
    end = [axis_of("movedim", d, max(x.ndim, 1)) for d in as_tuple(destination)]
    if len(start) != len(end) or len(set(start)) < len(start) or len(set(end)) < len(end):
        raise ShapeError(
            f"movedim: source {source} and destination {destination} must name as many axes, "
            "each once"
        )
    if x.ndim == 0:
        return permute(x, ())
    order = [i for i in range(x.ndim) if i not in start]
    for at, axis in sorted(zip(end, start, strict=True)):
        order.insert(at, axis)
    return permute(x, tuple(order))


# -- repetition without a copy -----------------------------------------------------------------


@spelled
def broadcast_to(x: Array, shape: Sequence[int]) -> Array:
    """As `expand`."""
    return expand(x, tuple(shape))


def broadcast_tensors(*tensors: Array) -> tuple[Array, ...]:
    """All expanded to their common shape."""
    shape = np.broadcast_shapes(*(tuple(t.shape) for t in tensors))
    return tuple(expand(t, shape) for t in tensors)
