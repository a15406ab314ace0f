"""Attention: each query takes the mean of the values, weighted by how their keys fit it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import DTypeError, ShapeError
from chainrule.ops.activation import softmax_vjp
from chainrule.ops.arithmetic import add, mul
from chainrule.ops.arrange import repeat_interleave
from chainrule.ops.dropout import dropout
from chainrule.ops.elementwise import cast
from chainrule.ops.linalg import matmul
from chainrule.ops.op import op, values_of
from chainrule.ops.reduction import check_float

__all__ = ["scaled_dot_product_attention"]

Array = Any
NAME = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Array:
    """Y = P V with P = softmax(S) along the keys, S = Q Kᵀ · scale + mask.

    query (..., L, E), key (..., S, E), value (..., S, F) -> (..., L, F); the other arguments are
    those of `chainrule.nn.functional.scaled_dot_product_attention`. With G = dL/dY:
    dV = Pᵀ G, dP = G Vᵀ, dS = P · (dP - Σ_keys dP · P), dQ = scale · dS K, dK = scale · dSᵀ Q,
    and dS is the mask's gradient. Composed of products of matrices and one softmax; derived in
    docs/derivations/attention.md. Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
    """
    if enable_gqa:
        key, value = _serve_several_heads(query, key, value)
    _check(query, key, value)
    allowed = None
    if is_causal:
        allowed = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    factor = 1 / math.sqrt(query.shape[-1] or 1) if scale is None else float(scale)
    scores = matmul(mul(query, factor), key.mT)
    if attn_mask is not None:
        _check_mask(attn_mask, scores)
        if attn_mask.dtype == bool:
            mask = values_of(attn_mask)
            allowed = mask if allowed is None else mask & allowed
        else:
            scores = add(scores, cast(attn_mask, scores.dtype))
    return matmul(dropout(_masked_softmax(scores, allowed), dropout_p), value)


@op(name="masked_softmax")
def _masked_softmax(x: Array, allowed: Array) -> Array:
    """y_i = e^{x_i} / Σ_j e^{x_j} over the last axis, of what ``allowed`` (None: all) leaves.

    0 for what it does not, and for rows where nothing greater than -∞ is left. As such zeros
    take no part in the sums, dx = y · (g - Σ g·y), softmax's.
    """
    check_float(NAME, x)
    if allowed is not None:
        x = np.where(allowed, x, x.dtype.type(-math.inf))
    empty = x.max(axis=-1, keepdims=True, initial=-math.inf) == -math.inf
    if not empty.any():
        return kernels.softmax(x, -1)
    return np.where(empty, 0, kernels.softmax(np.where(empty, 0, x), -1)).astype(
        x.dtype, copy=False
    )


_masked_softmax.vjp(x=lambda g, y: softmax_vjp(g, y, -1))


def _check(query: Array, key: Array, value: Array) -> None:
    fits = min(query.ndim, key.ndim, value.ndim) > 1
    if not fits or query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"{NAME}: query and key need the same last axis, key and value as many rows\n"
            f"  {_shapes(query, key, value)}"
        )
    if not query.dtype == key.dtype == value.dtype:
        raise DTypeError(
            f"{NAME}: dtypes of query, key, value differ: {query.dtype}, {key.dtype}, "
            f"{value.dtype}; convert"
        )


def _shapes(query: Array, key: Array, value: Array) -> str:
    return (
        f"query {tuple(query.shape)} = (..., L, E); key {tuple(key.shape)} = (..., S, E); "
        f"value {tuple(value.shape)} = (..., S, F)"
    )


def _check_mask(mask: Array, scores: Array) -> None:
    if mask.dtype.kind not in "bf":
        raise DTypeError(f"{NAME}: attn_mask holds booleans or floats, got {mask.dtype}")
    try:
        fits = np.broadcast_shapes(mask.shape, scores.shape) == tuple(scores.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{NAME}: attn_mask {tuple(mask.shape)} does not broadcast to the scores "
            f"{tuple(scores.shape)} = (..., L, S)"
        )


def _serve_several_heads(query: Array, key: Array, value: Array) -> tuple[Array, Array]:
    """Key and value repeated so that there is a head of each for every head of queries."""
    heads = [t.shape[-3] if t.ndim > 2 else 0 for t in (query, key, value)]
    if not all(heads) or heads[0] % heads[1] or heads[0] % heads[2]:
        raise ShapeError(
            f"{NAME}: enable_gqa needs heads (axis -3) of key and value that divide those of "
            f"query\n  {_shapes(query, key, value)}"
        )
    return tuple(
        t if n == heads[0] else repeat_interleave(t, heads[0] // n, -3)
        for t, n in zip((key, value), heads[1:], strict=True)
    )
