"""Rows of a table by their numbers."""

from __future__ import annotations

import numpy as np

from chainrule import ops
from chainrule.autograd.pending import before_change
from chainrule.errors import ConfigError
from chainrule.tensor import Tensor

__all__ = ["embedding", "embedding_bag"]


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` that the integers in ``input`` name.

    input (*); weight (V, D) -> (*, D). max_norm: rows that are named and have a larger norm (of
    order norm_type) are first scaled down to it, in weight itself. padding_idx: a row without
    gradient. scale_grad_by_freq: gradients are divided by how often the row is named.
    Raises DTypeError (not integers), LabelError (no such row), ShapeError, ConfigError (sparse).
    """
    if sparse:
        raise ConfigError("embedding: gradients are dense; leave sparse=False")
    if max_norm is not None:
        _shorten(weight, np.asarray(input), float(max_norm), float(norm_type))
    return ops.embedding(input, weight, padding_idx, scale_grad_by_freq)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum, by ``mode``, of the rows of ``weight`` that each bag names.

    input (B, N): B bags of N; or (T,), a bag beginning at each of ``offsets`` (B,) or, with
    include_last_offset, (B + 1,), the last being the end. weight (V, D) -> (B, D), zeros for an
    empty bag. per_sample_weights, of input's shape: factors of the rows; for sums. padding_idx: a
    row that is left out. The other arguments as `embedding`'s.
    Raises ShapeError, DTypeError, LabelError, ConfigError.
    """
    if sparse:
        raise ConfigError("embedding_bag: gradients are dense; leave sparse=False")
    if max_norm is not None:
        _shorten(weight, np.asarray(input), float(max_norm), float(norm_type))
    how = (mode, scale_grad_by_freq, per_sample_weights, include_last_offset, padding_idx)
    return ops.embedding_bag(input, weight, offsets, *how)


def _shorten(weight: Tensor, rows: np.ndarray, max_norm: float, norm_type: float) -> None:
    """Scale the named rows to max_norm, in place and unrecorded, where they are longer."""
    named = np.unique(rows)
    values = weight.array[named]
    norms = np.linalg.norm(values, norm_type, axis=1)
    long = norms > max_norm
    if long.any():
        before_change(weight.array)
        factors = max_norm / (norms[long] + 1e-7)
        weight.array[named[long]] = values[long] * factors[:, None].astype(weight.dtype)
        weight.version.count += 1
