"""Attention layers."""

from __future__ import annotations

import math
from typing import Any

from chainrule import ops
from chainrule.creation import empty
from chainrule.errors import ConfigError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.layers.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor

__all__ = ["MultiheadAttention"]


class NonDynamicallyQuantizableLinear(Linear):
    """The linear layer at the end; PyTorch prints it by this name."""


class MultiheadAttention(Module):
    """Attention in ``num_heads`` parts of the channels at once, between two linear layers.

    query (L, N, E), key (S, N, kdim), value (S, N, vdim), or (N, L, E), ... if batch_first, or
    without N; E = embed_dim. Returns the output, as query, and the weights (N, L, S), the mean
    over heads (average_attn_weights=False: (N, heads, L, S)), or None unless need_weights.
    key_padding_mask (N, S) and attn_mask (L, S) or (N·heads, L, S): booleans, True where attention
    is forbidden, or numbers added to the scores. dropout: of the weights, in training.
    add_bias_kv, add_zero_attn: one more key and value, learnt, or zero.
    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.2.2.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
            raise ConfigError(
                f"MultiheadAttention: num_heads {num_heads} must divide embed_dim {embed_dim}"
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim == self.vdim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn

        def parameter(wanted: bool, *shape: int) -> Parameter | None:
            return Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None

        apart = not self._qkv_same_embed_dim
        for name, value in (
            ("in_proj_weight", parameter(not apart, 3 * embed_dim, embed_dim)),
            ("q_proj_weight", parameter(apart, embed_dim, embed_dim)),
            ("k_proj_weight", parameter(apart, embed_dim, self.kdim)),
            ("v_proj_weight", parameter(apart, embed_dim, self.vdim)),
            ("in_proj_bias", parameter(bias, 3 * embed_dim)),
            ("bias_k", parameter(add_bias_kv, 1, 1, embed_dim)),
            ("bias_v", parameter(add_bias_kv, 1, 1, embed_dim)),
        ):
            self.register_parameter(name, value)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight,
                       self.v_proj_weight):  # fmt: skip
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        if is_causal and attn_mask is None:
            raise ConfigError("MultiheadAttention: is_causal says of attn_mask what it is; give it")
        batched = query.ndim == 3
        arguments = [query, key, value]
        if not batched:
            arguments = [t.unsqueeze(1) for t in arguments]
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            arguments = [t.transpose(0, 1) for t in arguments]
        q, k, v = self._projected(*arguments)
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        q, k, v = (self._heads(t) for t in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        if not need_weights:
            out, weights = F.scaled_dot_product_attention(q, k, v, mask, dropout), None
        else:
            scores = q / math.sqrt(self.head_dim) @ k.mT
            weights = F.dropout(ops.softmax(scores if mask is None else scores + mask, -1), dropout)
            out = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights.squeeze(0)
        out = out.permute(2, 0, 1, 3)  # (L, N, heads, E/heads)
        out = self.out_proj(out.reshape(*out.shape[:2], self.embed_dim))
        if not batched:
            return out.squeeze(1), weights
        return (out.transpose(0, 1) if self.batch_first else out), weights

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Query, key and value after their linear layers, with the keys that are added."""
        weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        if self.in_proj_weight is not None:
            weights = list(self.in_proj_weight.chunk(3))
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        arguments = zip((query, key, value), weights, biases, strict=True)
        q, *pair = [F.linear(t, w, b) for t, w, b in arguments]
        one_more = (1, pair[0].shape[1], self.embed_dim)
        if self.bias_k is not None:
            more = [b.expand(one_more) for b in (self.bias_k, self.bias_v)]
            pair = [ops.cat([t, b]) for t, b in zip(pair, more, strict=True)]
        if self.add_zero_attn:
            pair = [ops.cat([t, t.new_zeros(one_more)]) for t in pair]
        return [q, *pair]

    def _heads(self, x: Tensor) -> Tensor:
        """(L, N, E) -> (N, heads, L, E/heads)."""
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).permute(1, 2, 0, 3)

    def _mask(self, attn_mask: Any, padding: Any, q: Tensor, k: Tensor) -> Tensor | None:
        """Both masks as numbers to be added to the scores (N, heads, L, S)."""
        batch, added = q.shape[1], k.shape[0]
        total = None
        for mask, per_head in ((attn_mask, True), (padding, False)):
            if mask is None:
                continue
            if mask.dtype == bool:
                mask = ops.where(mask, q.new_full((), -math.inf), q.new_zeros(()))
            if not per_head:
                mask = mask.reshape(batch, 1, 1, -1)
            elif mask.ndim == 3:
                mask = mask.reshape(batch, self.num_heads, *mask.shape[1:])
            mask = F.pad(mask, (0, added - mask.shape[-1]))  # keys that are added are seen
            total = mask if total is None else total + mask
        return total
