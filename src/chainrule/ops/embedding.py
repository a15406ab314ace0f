"""Rows of a table by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, LabelError, ShapeError
from chainrule.ops.op import op
from chainrule.ops.shape import add_at

__all__ = ["embedding"]

Array = Any


def embedding(
    input: Array, weight: Array, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> Array:
    """The rows of ``weight`` that the integers in ``input`` name.

    input (*); weight (V, D) -> (*, D). The gate is a copy: a row's gradient is the sum over its
    copies, or their mean with scale_grad_by_freq. Row padding_idx (negative: from the end) has
    none.
    Raises DTypeError (not integers), LabelError (no such row), ShapeError, ConfigError.
    """
    if weight.ndim != 2:
        raise ShapeError(
            f"embedding: weight needs two axes\n  weight {tuple(weight.shape)} = (V, D)"
        )
    if input.dtype.kind not in "iu":
        raise DTypeError(f"embedding: input must hold integers, got {input.dtype}")
    rows = np.asarray(input)
    count = weight.shape[0]
    if rows.size and not 0 <= rows.min() <= rows.max() < count:
        raise LabelError(
            f"embedding: rows {rows.min()} to {rows.max()} do not lie in 0 to {count - 1}"
        )
    return _embedding(rows, weight, padding_index(padding_idx, count), scale_grad_by_freq)


def padding_index(padding_idx: int | None, count: int) -> int | None:
    """padding_idx counted from the front. Raises ConfigError."""
    if padding_idx is None:
        return None
    if not -count <= padding_idx < count:
        raise ConfigError(f"embedding: padding_idx {padding_idx} is none of {count} rows")
    return padding_idx % count


@op(name="embedding")
def _embedding(
    rows: Array, weight: Array, padding_idx: int | None, scale_grad_by_freq: bool
) -> Array:
    """`embedding` with the checks behind it."""
    return weight[rows]


def _embedding_vjp(
    g: Array,
    rows: Array,
    weight_shape: tuple[int, ...],
    weight_dtype: Any,
    padding_idx: int | None,
    scale_grad_by_freq: bool,
) -> Array:
    share = np.ones(rows.shape, weight_dtype)
    if scale_grad_by_freq:
        share /= np.bincount(rows.reshape(-1), minlength=weight_shape[0])[rows]
    if padding_idx is not None:
        share[rows == padding_idx] = 0
    return add_at(g * share[..., None], rows, weight_shape)


_embedding.vjp(weight=_embedding_vjp)
