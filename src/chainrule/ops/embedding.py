"""Rows of a table by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ConfigError, DTypeError, LabelError, ShapeError
from chainrule.ops.arithmetic import mul, where
from chainrule.ops.indexing import add_at, gather, getitem
from chainrule.ops.op import op
from chainrule.ops.reduction import sum
from chainrule.ops.shape import reshape, squeeze

__all__ = ["embedding", "embedding_bag", "one_hot"]

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


def embedding_bag(
    input: Array,
    weight: Array,
    offsets: Array = None,
    mode: str = "mean",
    scale_grad_by_freq: bool = False,
    per_sample_weights: Array = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Array:
    """For each bag of row numbers the sum, mean or maximum (by element) of those rows.

    input (B, N), or (T,) with a bag beginning at each of ``offsets`` (include_last_offset: their
    last is the end of the last bag); weight (V, D) -> (B, D), zeros for an empty bag.
    per_sample_weights, of input's shape: factors of the rows, for sums. Row padding_idx is left
    out.
    An add gate distributes the gradient to the rows (divided by their number for a mean), a max
    gate routes it to the first largest. Raises ShapeError, ConfigError, and as `embedding`.
    """
    if mode not in ("sum", "mean", "max"):
        raise ConfigError(f'embedding_bag: mode is "sum", "mean" or "max", got {mode!r}')
    if mode != "sum" and per_sample_weights is not None:
        raise ConfigError(f'embedding_bag: per_sample_weights need mode "sum", got {mode!r}')
    if mode == "max" and scale_grad_by_freq:
        raise ConfigError("embedding_bag: scale_grad_by_freq is for sums and means")
    rows = np.asarray(input)
    places, present = _bags(rows, offsets, include_last_offset)
    vectors = embedding(rows.reshape(-1), weight, padding_idx, scale_grad_by_freq)
    if per_sample_weights is not None:
        if tuple(per_sample_weights.shape) != rows.shape:
            raise ShapeError(
                f"embedding_bag: per_sample_weights {tuple(per_sample_weights.shape)} need the "
                f"shape of input {rows.shape}"
            )
        vectors = mul(vectors, reshape(per_sample_weights, (-1, 1)))
    if padding_idx is not None:
        present &= rows.reshape(-1)[places] != padding_index(padding_idx, weight.shape[0])
    each, there = getitem(vectors, places), present[..., None]  # (B, longest bag, D)
    if mode == "max" and present.any():
        values = np.where(there, getattr(each, "array", each), -np.inf)
        largest = squeeze(gather(each, 1, values.argmax(1)[:, None]), 1)
        return where(there.any(1), largest, weight.dtype.type(0))
    total = sum(where(there, each, weight.dtype.type(0)), 1)
    if mode != "mean":
        return total
    return mul(total, (1 / np.maximum(there.sum(1), 1)).astype(weight.dtype))


def _bags(
    rows: np.ndarray[Any, Any], offsets: Array, include_last_offset: bool
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where in the flat input each bag's members are, and which of these places are of the bag.

    Both (B, N), N the length of the longest bag.
    """
    if rows.ndim not in (1, 2) or (offsets is None) != (rows.ndim == 2):
        raise ShapeError(
            "embedding_bag: input is (B, N), or (T,) with offsets; "
            f"input {rows.shape}, offsets {None if offsets is None else tuple(offsets.shape)}"
        )
    if offsets is None:
        return np.arange(rows.size).reshape(rows.shape), np.ones(rows.shape, bool)
    bounds = np.asarray(offsets)
    if not include_last_offset:
        bounds = np.append(bounds, rows.size)
    lengths = np.diff(bounds)
    in_order = bounds.ndim == 1 and len(bounds) > 0 and not (lengths < 0).any()
    if not in_order or (len(lengths) and bounds[0] != 0) or bounds[-1] > rows.size:
        raise ConfigError(
            f"embedding_bag: offsets begin with 0, never decrease and end by {rows.size}, the "
            f"length of input; got {np.asarray(offsets).tolist()}"
        )
    steps = np.arange(lengths.max(initial=0))
    present = steps < lengths[:, None]
    return np.where(present, bounds[:-1, None] + steps, 0), present


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
