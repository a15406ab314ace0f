"""Losses."""

from __future__ import annotations

from chainrule import ops
from chainrule.nn.functional.arguments import Reduction
from chainrule.tensor import Tensor

__all__ = [
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "multi_margin_loss",
    "multiclass_svm_loss",
    "nll_loss",
]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """ℓ_n = -w_t (z_t - ln Σ_j e^{z_j}): what softmax makes of the right class, -log.

    input z: scores (N, C, *) or (C,); target t: class numbers (N, *), or probabilities of
    z's shape. "mean" divides by the sum of the targets' weights. Targets equal to
    ignore_index count for nothing. label_smoothing s gives each class s/C.
    Starts near ln C. Raises ShapeError (shapes, a target that is no class), DTypeError.
    """
    return ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """ℓ_n = -w_t · log_p[n, t], for log-probabilities (N, C, *) and class numbers (N, *).

    Reduction and errors as `cross_entropy`.
    """
    return ops.nll_loss(input, target, weight, ignore_index, reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """The multiclass SVM: ℓ_n = w_t Σ_{j≠t} max(0, Δ - s_t + s_j)^p / C, margin Δ.

    input s: scores (N, C) or (C,); target t: class numbers (N,); p 1 or 2.
    Raises ShapeError, DTypeError, ConfigError. Source: Weston & Watkins 1999.
    """
    return ops.multi_margin_loss(input, target, p, margin, weight, reduction)


def multiclass_svm_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The multiclass SVM without the division by C: ℓ_n = Σ_{j≠t} max(0, s_j - s_t + Δ).

    With small random scores it starts near (C - 1)·Δ. Not in PyTorch; see `multi_margin_loss`.
    """
    return ops.multiclass_svm_loss(input, target, margin, reduction)


def mse_loss(input: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """(x - t)², elementwise, then reduced."""
    return ops.mse_loss(input, target, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """|x - t|, elementwise, then reduced."""
    return ops.l1_loss(input, target, reduction)
