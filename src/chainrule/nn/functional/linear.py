"""Affine and bilinear maps."""

from __future__ import annotations

from chainrule import ops
from chainrule.tensor import Tensor

__all__ = ["bilinear", "linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Affine map y = x Wᵀ + b.

    input x (..., I); weight W (O, I); bias b (O,) or None -> (..., O). A weight (I,) without
    bias makes one output, and no axis of it: (...,).
    Raises ShapeError (features disagree), DTypeError.
    """
    if bias is None and weight.ndim == 1:
        return ops.linear(input, weight.unsqueeze(0)).squeeze(-1)
    return ops.linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = x1ᵀ W_o x2 + b_o.

    input1 x1 (..., I); input2 x2 (..., J), with the same leading axes; weight W (O, I, J); bias b
    (O,) or None -> (..., O). Raises ShapeError, DTypeError.
    """
    return ops.bilinear(input1, input2, weight, bias)
