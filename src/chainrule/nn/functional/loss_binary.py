"""Losses of yes-or-no questions, one a number."""

from __future__ import annotations

from chainrule import ops
from chainrule.nn.functional.arguments import reduction_of
from chainrule.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
]


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ℓ = -w·[t·ln p + (1 - t)·ln(1 - p)], each logarithm at least -100.

    input p: probabilities; target t in 0..1, of p's shape; weight w broadcasts to it.
    For scores `binary_cross_entropy_with_logits` is exact and cheaper.
    Raises ShapeError, ConfigError (a value outside 0..1).
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.binary_cross_entropy(input, target, weight, chosen)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """ℓ = -w·[w₊·t·ln σ(x) + (1 - t)·ln(1 - σ(x))], computed from the score x: never overflows.

    input x: scores (logits); target t in 0..1, of x's shape. weight w, and pos_weight w₊ of
    the answers yes, broadcast to it. The gradient is w·(σ(x) - t) where w₊ = 1.
    Raises ShapeError, DTypeError, ConfigError.
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.binary_cross_entropy_with_logits(input, target, weight, chosen, pos_weight)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The logistic loss ℓ = ln(1 + e^(-y·x)) of a score x and a label y = 1 or -1.

    Shapes broadcast. Stays finite where PyTorch's overflows. Raises ShapeError, DTypeError.
    """
    return ops.soft_margin_loss(input, target, reduction_of(reduction, size_average, reduce))


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy of scores (..., C), averaged over the classes, which may all hold.

    ℓ_n = -Σ_c w_c·[t_c·ln σ(x_c) + (1 - t_c)·ln σ(-x_c)] / C.   target t in 0..1; weight (C,).
    Raises ShapeError, DTypeError.
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.multilabel_soft_margin_loss(input, target, weight, chosen)
