"""Softmax, its logarithm, and the losses on top of them."""

import numpy as np

from chainrule.kernels.reference.precision import half_in_single

__all__ = [
    "crammer_singer_loss",
    "crammer_singer_loss_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "huber_sum",
    "huber_sum_backward",
    "log_softmax",
    "log_softmax_backward",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "one_vs_all_loss",
    "one_vs_all_loss_backward",
    "softmax",
    "softmax_backward",
]


@half_in_single
def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """exp(x - max) / sum exp(x - max) along axis: the shift keeps exp from overflowing."""
    y = np.exp(_shift_by_maximum(x, axis))
    y /= y.sum(axis=axis, keepdims=True)
    return y


@half_in_single
def softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """y * (g - sum(g * y)) along axis; y is softmax's result."""
    return y * (g - (g * y).sum(axis=axis, keepdims=True))


@half_in_single
def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """x - max - log sum exp(x - max) along axis."""
    shifted = _shift_by_maximum(x, axis)
    if x.size:
        shifted -= np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return shifted


@half_in_single
def log_softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """g - exp(y) * sum(g) along axis; y is log_softmax's result."""
    return g - np.exp(y) * g.sum(axis=axis, keepdims=True)


@half_in_single
def cross_entropy(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-log softmax(logits)[target] for each row.

    logits (N, C); target (N,) integers in [0, C). Returns the loss (N,), unreduced, and the
    log-probabilities (N, C), which the backward pass needs.
    """
    log_probs = log_softmax(logits, 1)
    return -log_probs[np.arange(len(target)), target], log_probs


@half_in_single
def cross_entropy_backward(g: np.ndarray, log_probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """g * (softmax - onehot(target)).   g (N,), log_probs (N, C), target (N,) -> (N, C)."""
    dlogits = np.exp(log_probs)
    dlogits[np.arange(len(target)), target] -= 1
    dlogits *= g[:, None]
    return dlogits


@half_in_single
def multi_margin_loss(scores: np.ndarray, target: np.ndarray, p: int, margin: float) -> np.ndarray:
    """Multiclass SVM: sum over j != t of max(0, margin - s_t + s_j)^p for each row.

    scores (N, C); target (N,) integers in [0, C); p 1 or 2; margin in units of the score.
    Returns (N,): a sum over classes, not PyTorch's mean. Source: Weston & Watkins 1999.
    """
    hinge = _hinge(scores, target, margin)
    return (hinge**p).sum(axis=1)


@half_in_single
def multi_margin_loss_backward(
    g: np.ndarray, scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    """g * p * hinge^(p-1) for j != t, minus their sum at t (0 at the kink).

    g (N,), scores (N, C) -> (N, C).
    """
    hinge = _hinge(scores, target, margin)
    slope = (hinge > 0).astype(scores.dtype) if p == 1 else p * hinge ** (p - 1)
    slope[np.arange(len(target)), target] = -slope.sum(axis=1)
    slope *= g[:, None]
    return slope


@half_in_single
def crammer_singer_loss(
    scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    """Multiclass SVM: max(0, margin - s_t + max over j != t of s_j)^p for each row.

    Arguments and result as `multi_margin_loss`. Source: Crammer & Singer 2001.
    """
    return _hinge(scores, target, margin).max(axis=1, initial=0) ** p


@half_in_single
def crammer_singer_loss_backward(
    g: np.ndarray, scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    """g * p * hinge^(p-1) for the worst j != t (equal ones share it), minus that at t.

    g (N,), scores (N, C) -> (N, C).
    """
    hinge = _hinge(scores, target, margin)
    worst = hinge.max(axis=1, initial=0, keepdims=True)
    slope = ((hinge == worst) & (hinge > 0)).astype(scores.dtype)
    slope *= p * worst ** (p - 1) / np.maximum(slope.sum(axis=1, keepdims=True), 1)
    slope[np.arange(len(target)), target] = -slope.sum(axis=1)
    slope *= g[:, None]
    return slope


@half_in_single
def one_vs_all_loss(scores: np.ndarray, target: np.ndarray, p: int, margin: float) -> np.ndarray:
    """C binary SVMs: sum over j of max(0, margin - y_j s_j)^p, y_j = 1 for j = t, else -1.

    Arguments and result as `multi_margin_loss`. Source: Rifkin & Klautau 2004.
    """
    hinge = np.maximum(margin - _signs(scores, target) * scores, 0)
    return (hinge**p).sum(axis=1)


@half_in_single
def one_vs_all_loss_backward(
    g: np.ndarray, scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    """-g * y_j * p * hinge^(p-1) where the hinge is positive.   g (N,), scores (N, C) -> (N, C)."""
    signs = _signs(scores, target)
    hinge = np.maximum(margin - signs * scores, 0)
    slope = (hinge > 0).astype(scores.dtype) if p == 1 else p * hinge ** (p - 1)
    return -g[:, None] * signs * slope


@half_in_single
def huber_sum(x: np.ndarray, t: np.ndarray, delta: float) -> np.ndarray:
    """The sum of d²/2 where |d| = |x - t| ≤ delta, else delta·(|d| - delta/2).

    x, t: one shape, any strides; delta > 0, also infinite: half the sum of squares.
    Returns an array without axes.
    """
    d = x - t
    if np.isinf(delta):
        d *= d
        return np.asarray(d.sum() * 0.5, x.dtype)
    clipped = np.clip(d, -delta, delta)
    d -= clipped * 0.5
    d *= clipped
    return np.asarray(d.sum(), x.dtype)


@half_in_single
def huber_sum_backward(x: np.ndarray, t: np.ndarray, delta: float, scale: float) -> np.ndarray:
    """scale·(x - t), the difference clipped to ±delta: the gradient of scale·huber_sum."""
    d = np.asarray(x - t)
    if not np.isinf(delta):
        np.clip(d, -delta, delta, out=d)
    d *= scale
    return d


def _shift_by_maximum(x: np.ndarray, axis: int) -> np.ndarray:
    return x - x.max(axis=axis, keepdims=True) if x.size else x.copy()


def _hinge(scores: np.ndarray, target: np.ndarray, margin: float) -> np.ndarray:
    """max(0, margin - s_t + s_j), and 0 at j = t."""
    rows = np.arange(len(target))
    hinge = scores - scores[rows, target][:, None]
    hinge += scores.dtype.type(margin)
    np.maximum(hinge, 0, out=hinge)
    hinge[rows, target] = 0
    return hinge


def _signs(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """1 for the target's class, -1 for the others."""
    signs = np.full(scores.shape, -1, scores.dtype)
    signs[np.arange(len(target)), target] = 1
    return signs
