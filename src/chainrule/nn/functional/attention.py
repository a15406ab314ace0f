"""Attention: each query takes the mean of the values, weighted by how its key fits."""

from __future__ import annotations

import math
from typing import Any

from chainrule import ops
from chainrule.errors import ConfigError
from chainrule.nn.functional.dropout import dropout
from chainrule.tensor import Tensor

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q Kᵀ · scale + mask) V; scale is 1/√E unless given.

    query (..., L, E), key (..., S, E), value (..., S, F) -> (..., L, F). attn_mask, broadcast to
    (..., L, S): booleans, True where attention is allowed, or numbers added to the scores. A query
    that may attend to nothing gets zeros. is_causal: query i sees keys 0 ... i. dropout_p: of the
    weights, always. enable_gqa: each key and value serves several heads (axis -3) of queries.
    Raises ConfigError for is_causal beside a mask. Source: Vaswani et al. 2017, arXiv:1706.03762.
    """
    if enable_gqa:
        key = ops.repeat_interleave(key, query.shape[-3] // key.shape[-3], -3)
        value = ops.repeat_interleave(value, query.shape[-3] // value.shape[-3], -3)
    if is_causal:
        if attn_mask is not None:
            raise ConfigError("scaled_dot_product_attention: give is_causal or attn_mask, not both")
        attn_mask = ops.tril(query.new_ones(query.shape[-2], key.shape[-2], dtype=bool))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    weights = attention_weights((query * factor) @ key.mT, attn_mask)
    return dropout(weights, dropout_p) @ value


def attention_weights(scores: Any, mask: Any) -> Any:
    """softmax over the keys, 0 where the mask allows none."""
    if mask is None:
        return ops.softmax(scores, -1)
    scores = ops.where(mask, scores, -math.inf) if mask.dtype == bool else scores + mask
    lost = ops.all(scores.detach() == -math.inf, -1, True)
    weights = ops.softmax(ops.where(lost, 0.0, scores), -1)
    return ops.where(lost, 0.0, weights)
