"""Attention layers."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ConfigError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.layers.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor
from chainrule.tensor.creation import empty

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
        swap = self.batch_first and query.ndim == 3
        if swap:
            query, key, value = (t.transpose(0, 1) for t in (query, key, value))
        out, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            self.training,
            key_padding_mask,
            need_weights,
            attn_mask,
            not self._qkv_same_embed_dim,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (out.transpose(0, 1) if swap else out), weights
