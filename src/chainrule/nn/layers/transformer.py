"""Transformers: blocks of attention and two linear layers, each beside a way past it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar

from chainrule import ops
from chainrule.errors import ConfigError, ShapeError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.container import ModuleList
from chainrule.nn.layers.attention import MultiheadAttention
from chainrule.nn.layers.dropout import Dropout
from chainrule.nn.layers.linear import Linear
from chainrule.nn.layers.norm import LayerNorm
from chainrule.nn.module import Module
from chainrule.tensor import Tensor
from chainrule.tensor.creation import full

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Tensor], Tensor]


class _Block(Module):
    """Attention layers, then linear, activation, linear; each with its norm and dropout.

    x + f(x) leaves a way past every part f: an add gate, through which gradients reach the first
    block unchanged. norm_first: x + f(norm(x)), as vision transformers have it; else
    norm(x + f(x)), as in the paper.
    """

    attentions: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        settings = {"batch_first": batch_first, "bias": bias, **where}
        for name in self.attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, dropout, **settings))
        self.linear1 = Linear(d_model, dim_feedforward, bias, **where)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **where)
        self.norm_first = norm_first
        parts = range(1, len(self.attentions) + 2)
        for i in parts:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **where))
        for i in parts:
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = self._named_activation(activation)

    def _named_activation(self, activation: Activation) -> Callable[[Tensor], Tensor]:
        if not isinstance(activation, str):
            return activation
        if activation not in ("relu", "gelu"):
            raise ConfigError(
                f'{type(self).__name__}: activation is "relu", "gelu" or a function, '
                f"got {activation!r}"
            )
        return F.relu if activation == "relu" else F.gelu

    def _beside(
        self, x: Tensor, norm: Module, function: Callable[[Tensor], Tensor], dropout: Module
    ) -> Tensor:
        """x and, added to it, a function of it."""
        if self.norm_first:
            return x + dropout(function(norm(x)))
        return norm(x + dropout(function(x)))

    def _attend(
        self, x: Tensor, attn_mask: Tensor | None, padding: Tensor | None, is_causal: bool
    ) -> Tensor:
        settings: dict[str, Any] = {"attn_mask": attn_mask, "is_causal": is_causal}
        return self.self_attn(x, x, x, padding, need_weights=False, **settings)[0]

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Block):
    """One block of an encoder: self-attention, then linear, activation, linear.

    x = norm1(src + attention(src)), y = norm2(x + W₂ φ(W₁ x + b₁) + b₂); with norm_first
    x = src + attention(norm1(src)), y = x + W₂ φ(W₁ norm2(x) + b₁) + b₂. In training, dropout
    before each sum and after φ.
    src (L, N, E), or (N, L, E) if batch_first, or (L, E), with E = d_model, gives the same shape.
    src_mask and src_key_padding_mask as `MultiheadAttention`'s; is_causal says that src_mask is
    the causal one. activation: "relu", "gelu" or a function.
    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.1; Xiong et al. 2020, arXiv:2002.04745
    (norm_first).
    """

    attentions = ("self_attn",)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self._attend(x, src_mask, src_key_padding_mask, is_causal)

        x = self._beside(src, self.norm1, attend, self.dropout1)
        return self._beside(x, self.norm2, self._feed_forward, self.dropout2)


class TransformerDecoderLayer(_Block):
    """One block of a decoder: self-attention, attention to ``memory``, two linear layers.

    As `TransformerEncoderLayer`, with attention to what an encoder made of another sequence in
    between: tgt (T, N, E), memory (S, N, E) -> (T, N, E).
    Source: Vaswani et al. 2017, arXiv:1706.03762, §3.1.
    """

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self._attend(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def attend_to_memory(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, need_weights=False,
                attn_mask=memory_mask, is_causal=memory_is_causal,
            )[0]  # fmt: skip

        x = self._beside(tgt, self.norm1, attend, self.dropout1)
        x = self._beside(x, self.norm2, attend_to_memory, self.dropout2)
        return self._beside(x, self.norm3, self._feed_forward, self.dropout3)


class TransformerEncoder(Module):
    """``num_layers`` copies of an encoder layer one after the other, then ``norm``, if any.

    The copies begin with the same values, as in PyTorch. enable_nested_tensor and mask_check
    change nothing: masked positions are computed like others.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        for layer in self.layers:
            src = layer(
                src, src_mask=mask, src_key_padding_mask=src_key_padding_mask,
                is_causal=bool(is_causal),
            )  # fmt: skip
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """``num_layers`` copies of a decoder layer one after the other, then ``norm``, if any.

    The copies begin with the same values, as in PyTorch.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        for layer in self.layers:
            tgt = layer(
                tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal), memory_is_causal=memory_is_causal,
            )  # fmt: skip
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder, and a decoder that attends to what it makes.

    src (S, N, E), tgt (T, N, E) -> (T, N, E), E = d_model; batch_first: (N, S, E), ...; the other
    arguments as those of `TransformerEncoderLayer` and of both stacks. All weights start by
    `init.xavier_uniform_`. Raises ShapeError. Source: Vaswani et al. 2017, arXiv:1706.03762.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        settings = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        how = (*settings, bias, device, dtype)

        def norm() -> Module:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            encoder_layer = TransformerEncoderLayer(d_model, nhead, *how)
            custom_encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norm())
        self.encoder = custom_encoder
        if custom_decoder is None:
            decoder_layer = TransformerDecoderLayer(d_model, nhead, *how)
            custom_decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm())
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        batch = 0 if self.batch_first else 1
        of_batches = src.ndim == tgt.ndim == 3
        fits = src.shape[-1] == tgt.shape[-1] == self.d_model and src.ndim == tgt.ndim
        if not fits or (of_batches and src.shape[batch] != tgt.shape[batch]):
            raise ShapeError(
                f"Transformer: src and tgt need d_model {self.d_model} features and one batch size"
                f"\n  src {tuple(src.shape)}; tgt {tuple(tgt.shape)}"
            )
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask (sz, sz): 0 up to the diagonal, -∞ right of it."""
        return ops.triu(full((sz, sz), -math.inf, dtype=dtype, device=device), 1)


def _copies(module: Module, n: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(n)])
