"""Affine maps."""

from __future__ import annotations

from chainrule import ops
from chainrule.tensor import Tensor

__all__ = ["linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Affine map y = x Wᵀ + b.

    input x (..., I); weight W (O, I); bias b (O,) or None -> (..., O).
    Raises ShapeError (features disagree), DTypeError.
    """
    return ops.linear(input, weight, bias)
