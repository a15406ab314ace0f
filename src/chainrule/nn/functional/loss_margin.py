"""Support vector machines. Those without PyTorch's ``size_average`` are not in PyTorch."""

from __future__ import annotations

from chainrule import ops
from chainrule.nn.functional.arguments import Reduction, reduction_of
from chainrule.tensor import Tensor

__all__ = [
    "crammer_singer_loss",
    "hinge_loss",
    "multi_margin_loss",
    "multiclass_svm_loss",
    "multilabel_margin_loss",
    "one_vs_all_svm_loss",
    "squared_hinge_loss",
]


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The multiclass SVM: ℓ_n = w_t Σ_{j≠t} max(0, Δ - s_t + s_j)^p / C, margin Δ.

    input s: scores (N, C) or (C,); target t: class numbers (N,); p 1 or 2; weight w (C,).
    Raises ShapeError, LabelError, DTypeError, ConfigError. Source: Weston & Watkins 1999.
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.multi_margin_loss(input, target, p, margin, weight, chosen)


def multiclass_svm_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    p: int = 1,
    reduction: Reduction = "mean",
) -> Tensor:
    """The multiclass SVM of Weston & Watkins (1999): ℓ_n = Σ_{j≠t} max(0, s_j - s_t + Δ)^p.

    As the lectures have it, without `multi_margin_loss`'s division by C: with small random
    scores it starts near (C - 1)·Δ^p. Not in PyTorch.

    input s: scores (N, C) or (C,); target t: class numbers (N,) or (); p 1 or 2.
    Raises ShapeError, LabelError, DTypeError, ConfigError.
    """
    return ops.multiclass_svm_loss(input, target, margin, p, reduction)


def crammer_singer_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    p: int = 1,
    reduction: Reduction = "mean",
) -> Tensor:
    """The multiclass SVM of Crammer & Singer (2001): max(0, Δ + max_{j≠t} s_j - s_t)^p.

    Only the strongest wrong class counts. Starts near Δ^p. Not in PyTorch. Arguments and
    errors as `multiclass_svm_loss`.
    """
    return ops.crammer_singer_loss(input, target, margin, p, reduction)


def one_vs_all_svm_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    p: int = 1,
    reduction: Reduction = "mean",
) -> Tensor:
    """One binary SVM a class: ℓ_n = Σ_j max(0, Δ - y_j s_j)^p, y_j = 1 for j = t, else -1.

    Starts near C·Δ^p. Not in PyTorch. Arguments and errors as `multiclass_svm_loss`.
    Source: Rifkin & Klautau 2004.
    """
    return ops.one_vs_all_svm_loss(input, target, margin, p, reduction)


def hinge_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The binary SVM: ℓ = max(0, Δ - y·s) of scores s and labels y = ±1, of one shape.

    Not in PyTorch. Raises ShapeError, LabelError. Source: Cortes & Vapnik 1995.
    """
    return ops.hinge_loss(input, target, margin, reduction)


def squared_hinge_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The binary L2-SVM: ℓ = max(0, Δ - y·s)²; otherwise as `hinge_loss`."""
    return ops.squared_hinge_loss(input, target, margin, reduction)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Each class that holds beats each that does not: Σ_{j∈T} Σ_{i∉T} max(0, 1 - (s_j - s_i)) / C.

    input s: scores (N, C) or (C,); target: of the same shape, each row the numbers of the
    classes T, and -1 after the last. Raises ShapeError, LabelError, DTypeError.
    """
    return ops.multilabel_margin_loss(input, target, reduction_of(reduction, size_average, reduce))
