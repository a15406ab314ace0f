"""Attention."""

from __future__ import annotations

import math
from typing import Any

from chainrule import ops
from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.nn.functional.dropout import dropout
from chainrule.nn.functional.linear import linear
from chainrule.tensor import Tensor

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

NAME = "multi_head_attention_forward"


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
    """softmax(Q Kᵀ · scale + mask) V: for each query the mean of values whose keys fit it.

    query (..., L, E), key (..., S, E), value (..., S, F) -> (..., L, F). scale: 1/√E unless given.
    attn_mask, broadcast to (..., L, S): booleans, True where attention is allowed, or numbers added
    to the scores. A query that may attend to nothing gets zeros. is_causal: query i sees keys
    0 ... i, of those that the mask leaves. dropout_p: of the weights, in evaluation too.
    enable_gqa: each head (axis -3) of key and value serves several of query.
    Raises ShapeError, DTypeError.
    Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1; Ainslie et al. 2023, arXiv:2305.13245
    (enable_gqa).
    """
    return ops.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
    )


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention by heads: what `chainrule.nn.MultiheadAttention` computes, given its weights.

    With the channels cut into H heads, head_h = attention(Q W_hᑫ, K W_hᵏ, V W_hᵛ) and the output
    is [head_1, ..., head_H] Wᵒ + bᵒ. query (L, N, E), key (S, N, *), value (S, N, *), or without
    N. in_proj_weight (3E, E) holds the three weights one below the other; with
    use_separate_proj_weight they are q_, k_ and v_proj_weight. static_k, static_v
    (N·H, S, E/H): keys and values in place of those computed. Masks, bias_k and bias_v,
    add_zero_attn and the results as there. Raises ShapeError, DTypeError, ConfigError.
    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.2.2.
    """
    if is_causal and attn_mask is None:
        raise ConfigError(f"{NAME}: is_causal says of attn_mask what it is; give it")
    _check_sequences(query, key, value, embed_dim_to_check, num_heads)
    batched = query.ndim == 3
    sequences = [t if batched else t.unsqueeze(1) for t in (query, key, value)]
    projections: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
    if not use_separate_proj_weight:
        if in_proj_weight is None:
            raise ConfigError(f"{NAME}: give in_proj_weight, or use_separate_proj_weight")
        projections = in_proj_weight.chunk(3)
    biases: Any = [None] * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
    q, k, v = (linear(*each) for each in zip(sequences, projections, biases, strict=True))
    batch, keys = q.shape[1], k.shape[0]
    q = _by_heads(q, num_heads)
    k = _keys_by_heads(k, num_heads, bias_k, static_k, add_zero_attn)
    v = _keys_by_heads(v, num_heads, bias_v, static_v, add_zero_attn)
    padding = key_padding_mask
    if padding is not None and not batched:
        padding = padding.unsqueeze(0)
    mask = _merged_mask(attn_mask, padding, q, keys, k.shape[-2])
    p = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = q / math.sqrt(q.shape[-1]) @ k.mT
        weights = dropout(ops.softmax(scores if mask is None else scores + mask, -1), p)
        out = weights @ v
        weights = weights.mean(1) if average_attn_weights else weights
        weights = weights if batched else weights.squeeze(0)
    else:
        out = scaled_dot_product_attention(q, k, v, mask, p)
    out = out.permute(2, 0, 1, 3).reshape(query.shape[0], batch, embed_dim_to_check)
    out = linear(out, out_proj_weight, out_proj_bias)
    return (out if batched else out.squeeze(1)), weights


def _check_sequences(query: Tensor, key: Tensor, value: Tensor, width: int, heads: int) -> None:
    if heads < 1 or width % heads:
        raise ConfigError(f"{NAME}: {heads} heads must divide {width} channels")
    fits = query.ndim in (2, 3) and query.ndim == key.ndim == value.ndim
    fits = fits and key.shape[:-1] == value.shape[:-1] and query.shape[1:-1] == key.shape[1:-1]
    if not fits or query.shape[-1] != width:
        raise ShapeError(
            f"{NAME}: query needs {width} channels, key and value as many rows as each other, all "
            f"one batch size\n  query {tuple(query.shape)} = (L, N, E) or (L, E); "
            f"key {tuple(key.shape)}; value {tuple(value.shape)}"
        )


def _keys_by_heads(
    x: Tensor, heads: int, bias: Tensor | None, static: Tensor | None, zero: bool
) -> Tensor:
    """Keys or values (S, N, E) as (N, heads, S, E/heads), with those added that are asked for."""
    if static is not None and bias is not None:
        raise ConfigError(f"{NAME}: give bias_k and bias_v, or static_k and static_v, not both")
    if bias is not None:
        x = ops.cat([x, bias.expand(1, *x.shape[1:])])
    if static is None:
        x = _by_heads(x, heads)
    else:
        x = static.reshape(x.shape[1], heads, *static.shape[-2:])
    return ops.cat([x, x.new_zeros(*x.shape[:2], 1, x.shape[-1])], 2) if zero else x


def _by_heads(x: Tensor, heads: int) -> Tensor:
    """(L, N, E) -> (N, heads, L, E/heads)."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).permute(1, 2, 0, 3)


def _merged_mask(
    attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, keys: int, all_keys: int
) -> Any:
    """Both masks as numbers to be added to the scores (N, heads, L, S); added keys are seen."""
    batch, heads, queries, _ = q.shape
    shapes = {
        "attn_mask": ((queries, keys), (batch * heads, queries, keys)),
        "key_padding_mask": ((batch, keys),),
    }
    total: Any = None
    for (name, expected), mask in zip(shapes.items(), (attn_mask, padding), strict=True):
        if mask is None:
            continue
        if tuple(mask.shape) not in expected:
            raise ShapeError(
                f"{NAME}: {name} is {' or '.join(map(str, expected))}, got {tuple(mask.shape)}"
            )
        if mask.dtype == bool:
            mask = ops.where(mask, q.new_full((), -math.inf), q.new_zeros(()))
        elif mask.dtype.kind != "f":
            raise DTypeError(f"{NAME}: {name} holds booleans or floats, got {mask.dtype}")
        if name == "key_padding_mask":
            mask = mask.reshape(batch, 1, 1, keys)
        elif mask.ndim == 3:
            mask = mask.reshape(batch, heads, queries, keys)
        if all_keys > keys:
            mask = ops.pad(mask, (0, all_keys - keys))
        mask = mask.type(q.dtype)
        total = mask if total is None else total + mask
    return total
