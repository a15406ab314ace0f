"""Losses of pairs and triplets: what belongs together should be close, the rest apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.arithmetic import clamp, minimum, rsqrt, where
from chainrule.ops.distance import pairwise_distance
from chainrule.ops.loss import Reduction, check_reduction, reduce, through_float32
from chainrule.ops.reduction import sum

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

Array = Any


@through_float32
def cosine_embedding_loss(
    input1: Array,
    input2: Array,
    target: Array,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """1 - cos φ for pairs that belong together (y = 1), max(0, cos φ - Δ) for others (y = -1).

    input1, input2: (N, D) with target y (N,), or (D,) with y of no axes.
    Raises ShapeError.
    """
    if target.ndim > 1 or not input1.ndim == input2.ndim == target.ndim + 1:
        raise ShapeError(
            "cosine_embedding_loss: a target (N,) expects inputs (N, D), a target () inputs (D,)\n"
            f"  input1 {tuple(input1.shape)}; input2 {tuple(input2.shape)}; "
            f"target {tuple(target.shape)}"
        )
    tiny = 1e-12  # PyTorch's; not the eps of cosine_similarity, and inside the root
    squares = (sum(input1 * input1, -1) + tiny) * (sum(input2 * input2, -1) + tiny)
    cosine = sum(input1 * input2, -1) * rsqrt(squares)
    together = where(target == 1, 1 - cosine, 0.0)
    apart = where(target == -1, clamp(cosine - margin, 0), 0.0)
    return reduce(together + apart, reduction)


@through_float32
def hinge_embedding_loss(
    input: Array, target: Array, margin: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """A distance x itself for pairs that belong together (y = 1), max(0, Δ - x) for others (-1).

    Shapes broadcast.
    """
    together = where(target != -1, input, 0.0)
    apart = where(target != 1, clamp(margin - input, 0), 0.0)
    return reduce(together + apart, reduction)


@through_float32
def margin_ranking_loss(
    input1: Array,
    input2: Array,
    target: Array,
    margin: float = 0.0,
    reduction: Reduction = "mean",
) -> Array:
    """max(0, -y·(x₁ - x₂) + Δ): x₁ should exceed x₂ by Δ where y = 1, the reverse where y = -1.

    The three have the same number of axes and broadcast. Raises ShapeError.
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss: all inputs should have the same number of axes\n"
            f"  input1 {tuple(input1.shape)}; input2 {tuple(input2.shape)}; "
            f"target {tuple(target.shape)}"
        )
    return reduce(clamp(margin - target * (input1 - input2), 0), reduction)


@through_float32
def triplet_margin_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Array:
    """max(0, d(a, p) - d(a, n) + Δ): the positive should be nearer to the anchor by Δ.

    d is `pairwise_distance` with p and eps. swap: the negative's distance is the lesser of
    those to anchor and positive. anchor, positive, negative: (N, D) or (D,).
    Raises ShapeError, ConfigError.
    Source: Schroff et al. 2015, FaceNet, arXiv:1503.03832; Balntas et al. 2016 (swap).
    """
    return _triplet(
        "triplet_margin_loss", anchor, positive, negative,
        lambda a, b: pairwise_distance(a, b, p, eps), margin, swap, reduction,
    )  # fmt: skip


def triplet_margin_with_distance_loss(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    distance_function: Callable[[Array, Array], Array] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: Reduction = "mean",
) -> Array:
    """As `triplet_margin_loss`, with any distance of two tensors (None: `pairwise_distance`)."""
    return _triplet(
        "triplet_margin_with_distance_loss", anchor, positive, negative,
        distance_function or pairwise_distance, margin, swap, reduction,
    )  # fmt: skip


def _triplet(
    name: str, anchor: Array, positive: Array, negative: Array,
    distance: Callable[[Array, Array], Array], margin: float, swap: bool, reduction: Reduction,
) -> Array:  # fmt: skip
    check_reduction(reduction)
    if margin <= 0:
        raise ConfigError(f"{name}: margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            f"{name}: anchor, positive and negative should have the same number of axes\n"
            f"  anchor {tuple(anchor.shape)}; positive {tuple(positive.shape)}; "
            f"negative {tuple(negative.shape)}"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduce(clamp(near - far + margin, 0), reduction)
