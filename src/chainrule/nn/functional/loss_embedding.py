"""Losses of pairs and triplets."""

from __future__ import annotations

from collections.abc import Callable

from chainrule import ops
from chainrule.nn.functional.arguments import Reduction, reduction_of
from chainrule.tensor import Tensor

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos φ where y = 1 (they belong together), max(0, cos φ - Δ) where y = -1.

    input1, input2 (N, D) with target y (N,), or (D,) with (). Raises ShapeError.
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.cosine_embedding_loss(input1, input2, target, margin, chosen)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """A distance x where y = 1 (they belong together), max(0, Δ - x) where y = -1."""
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.hinge_embedding_loss(input, target, margin, chosen)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -y·(x₁ - x₂) + Δ): x₁ ranks above x₂ where y = 1, below where y = -1.

    Raises ShapeError (not the same number of axes).
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.margin_ranking_loss(input1, input2, target, margin, chosen)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + Δ), d the `pairwise_distance` with p and eps.

    swap: takes d(p, n) for d(a, n) where it is less. anchor, positive, negative: (N, D) or
    (D,). Raises ShapeError, ConfigError (Δ ≤ 0).
    Source: Schroff et al. 2015, arXiv:1503.03832; Balntas et al. 2016 (swap).
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, chosen)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """As `triplet_margin_loss`, with any distance of two tensors (None: `pairwise_distance`)."""
    return ops.triplet_margin_with_distance_loss(
        anchor, positive, negative,
        distance_function=distance_function, margin=margin, swap=swap, reduction=reduction,
    )  # fmt: skip
