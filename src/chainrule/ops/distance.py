"""How far apart vectors are: differences by a norm, and the cosine of the angle between them."""

from __future__ import annotations

from typing import Any

from chainrule.ops.loss import at_least, paired
from chainrule.ops.reduction import norm, sum

__all__ = ["cosine_similarity", "pairwise_distance"]

Array = Any


def cosine_similarity(x1: Array, x2: Array, dim: int = 1, eps: float = 1e-8) -> Array:
    """cos φ = x₁·x₂ / (max(‖x₁‖, ε)·max(‖x₂‖, ε)) along ``dim``; 0 for a vector of zeros.

    With u_i = x_i/‖x_i‖: dx₁ = g·(u₂ - cos φ·u₁)/‖x₁‖, at a right angle to x₁, since its
    length counts for nothing. Shapes broadcast; the result lacks ``dim``.
    """
    x1, x2 = paired("cosine_similarity", x1, x2, "x1 and x2")
    u1 = x1 / at_least(norm(x1, 2, dim, keepdim=True), eps)
    u2 = x2 / at_least(norm(x2, 2, dim, keepdim=True), eps)
    return sum(u1 * u2, dim)


def pairwise_distance(
    x1: Array, x2: Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Array:
    """‖x₁ - x₂ + ε‖_p along the last axis: the distance of each pair of rows.

    eps keeps the difference away from 0, where the norm has no gradient. Shapes broadcast;
    x1, x2 (N, D) or (D,) -> (N,) or (); keepdim leaves the last axis, of length one.
    """
    x1, x2 = paired("pairwise_distance", x1, x2, "x1 and x2")
    return norm(x1 - x2 + eps, p, -1, keepdim)
