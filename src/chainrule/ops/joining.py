"""Joining along an axis, and cutting: each is the other's transpose.

What was joined is cut where it met, and so is its gradient; the gradients of pieces lie side by
side again.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.axes import axis_of
from chainrule.ops.dtypes import promote_types
from chainrule.ops.elementwise import cast
from chainrule.ops.indexing import narrow
from chainrule.ops.op import op, spelled
from chainrule.ops.padding import constant_pad
from chainrule.ops.shape import atleast_1d, atleast_2d, atleast_3d, reshape, unsqueeze

__all__ = [
    "block_diag",
    "cat",
    "chunk",
    "column_stack",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "split",
    "stack",
    "tensor_split",
    "vsplit",
    "vstack",
]

Array = Any


# -- joining -----------------------------------------------------------------------------------


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
    axis = axis_of("cat", dim, len(shapes[0]))
    rest = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
    if len({len(s) for s in shapes}) > 1 or len(rest) > 1:
        raise ShapeError(f"cat: shapes must agree except along dim {dim}, got {shapes}")
    if len(shapes[0]) != 4 or axis != 1:
        return np.concatenate(tensors, axis)
    # images joined by channel: keep channels-last memory
    return np.concatenate([t.transpose(0, 2, 3, 1) for t in tensors], 3).transpose(0, 3, 1, 2)


def _cat_vjp(g: Array, tensors_shape: Sequence[tuple[int, ...]], dim: int) -> list[Array]:
    axis = axis_of("cat", dim, g.ndim)
    ends = np.cumsum([s[axis] for s in tensors_shape]).tolist()
    starts = [0, *ends[:-1]]
    return [narrow(g, axis, a, b - a) for a, b in zip(starts, ends, strict=True)]


_cat.vjp(tensors=_cat_vjp)


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
    return cat([reshape(t, (math.prod(t.shape), 1)) if t.ndim < 2 else t for t in tensors], 1)


def block_diag(*tensors: Array) -> Array:
    """Matrices along the diagonal of a larger one, zeros elsewhere."""
    blocks = [atleast_2d(t) for t in tensors]
    width = builtins.sum(b.shape[1] for b in blocks)
    left, rows = 0, []
    for b in blocks:
        rows.append(constant_pad(b, (left, width - left - b.shape[1])))
        left += b.shape[1]
    return cat(rows, 0)


# -- cutting -----------------------------------------------------------------------------------


@spelled
def split(x: Array, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    """Cut along ``dim`` into pieces of one size (the last may be shorter) or of given sizes."""
    length = x.shape[axis_of("split", dim, x.ndim)]
    sizes = split_size_or_sections
    if isinstance(sizes, int):
        if sizes < 0 or (sizes == 0 and length):
            raise ShapeError(f"split: the size of a piece must be at least 1, got {sizes}")
        sizes = [min(sizes, length - i) for i in range(0, length, max(sizes, 1))] or [0]
    if sum(sizes) != length:
        raise ShapeError(f"split: sizes {list(sizes)} do not add up to {length} (dim {dim})")
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(narrow(x, dim, a, n) for a, n in zip(starts, sizes, strict=False))


@spelled
def chunk(x: Array, chunks: int, dim: int = 0) -> tuple[Array, ...]:
    """Cut along ``dim`` into at most ``chunks`` pieces of equal size (the last shorter)."""
    if chunks < 1:
        raise ShapeError(f"chunk: the number of pieces must be at least 1, got {chunks}")
    length = x.shape[axis_of("chunk", dim, x.ndim)]
    return split(x, -(-length // chunks) if length else [0] * chunks, dim)


@spelled
def tensor_split(
    x: Array, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None,
    sections: int | None = None,
) -> tuple[Array, ...]:  # fmt: skip
    """Cut along ``dim`` into n pieces (the first ones one longer), or before the given places."""
    where: Any = next(a for a in (indices_or_sections, indices, sections) if a is not None)
    axis = axis_of("tensor_split", dim, x.ndim)
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
