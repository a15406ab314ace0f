"""Linear classifiers: the loss of a matrix of samples and its gradient, in one go."""

from collections.abc import Callable

import numpy as np

from chainrule.kernels.reference.linear import linear
from chainrule.kernels.reference.loss import (
    crammer_singer_loss,
    crammer_singer_loss_backward,
    cross_entropy,
    cross_entropy_backward,
    multi_margin_loss,
    multi_margin_loss_backward,
    one_vs_all_loss,
    one_vs_all_loss_backward,
)
from chainrule.kernels.reference.precision import half_in_single

__all__ = ["linear_classifier"]

HINGES: dict[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]] = {
    "weston_watkins": (multi_margin_loss, multi_margin_loss_backward),
    "crammer_singer": (crammer_singer_loss, crammer_singer_loss_backward),
    "one_vs_all": (one_vs_all_loss, one_vs_all_loss_backward),
}


@half_in_single
def linear_classifier(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    target: np.ndarray,
    loss: str,
    p: int,
    margin: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The losses of the scores s = x Wᵀ + b, and the gradient of their mean.

    x (N, D), weight (C, D), bias (C,) or None; target (N,) integers in [0, C). loss: one of the
    hinges with their p and margin: "weston_watkins" (which is `multi_margin_loss`),
    "crammer_singer", "one_vs_all"; or "cross_entropy" of scores that are lower by the margin at t
    (without p), of which Crammer & Singer's hinge is the limit for long weights.
    Returns the losses (N,), dW = gᵀx (C, D) and db = Σ g (C,), where g (N, C) is the gradient
    with respect to the scores of the losses' mean.
    """
    scores = linear(x, weight, bias)
    share = np.full(len(x), 1 / max(len(x), 1), x.dtype)
    if loss == "cross_entropy":
        scores[np.arange(len(x)), target] -= margin
        losses, log_probs = cross_entropy(scores, target)
        slopes = cross_entropy_backward(share, log_probs, target)
    else:
        value, backward = HINGES[loss]
        losses = value(scores, target, p, margin)
        slopes = backward(share, scores, target, p, margin)
    dbias = slopes.sum(axis=0, dtype=np.float64).astype(x.dtype)  # down a column NumPy rounds most
    return losses, linear(slopes.T, x.T, None), dbias
