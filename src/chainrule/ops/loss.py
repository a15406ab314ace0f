"""Losses: how wrong the scores of a batch are, as one number."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.ops.activation import log_softmax, softmax
from chainrule.ops.elementwise import abs, square, where
from chainrule.ops.op import op
from chainrule.ops.reduction import mean, sum
from chainrule.ops.shape import gather, getitem, reshape, squeeze, unsqueeze

__all__ = [
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "multi_margin_loss",
    "multiclass_svm_loss",
    "nll_loss",
]

Array = Any
Reduction = Literal["mean", "sum", "none"]


def reduce(loss: Array, reduction: Reduction) -> Array:
    """The mean or the sum of the per-sample losses, or the losses themselves."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    if reduction == "none":
        return loss
    raise ConfigError(f'reduction must be "mean", "sum" or "none", got {reduction!r}')


def _factor(reduction: Reduction, samples: int) -> float | None:
    """What a reduction multiplies the sum of the losses with; None if it adds nothing up."""
    if reduction == "mean":
        return 1 / samples if samples else math.nan
    return 1.0 if reduction == "sum" else None


def _check_labels(name: str, scores: Array, target: Any, ignore_index: int | None = None) -> Any:
    """The labels as an integer array, each of them a class of ``scores`` (N, C, *)."""
    _check_target(name, target)
    expected = (scores.shape[0], *scores.shape[2:]) if scores.ndim > 1 else ()
    if scores.dtype.kind != "f":
        raise DTypeError(f"{name}: scores must be floats, got {scores.dtype}")
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{name}: target must hold class numbers (integers), got {target.dtype}")
    if tuple(target.shape) != expected:
        raise ShapeError(
            f"{name}: target must be {expected}\n"
            f"  scores {tuple(scores.shape)} = (N, C, *); target {tuple(target.shape)}"
        )
    labels = np.asarray(target)
    classes = scores.shape[1 if scores.ndim > 1 else 0]
    if labels.size:
        wrong = (labels < 0) | (labels >= classes)
        if ignore_index is not None:
            wrong &= labels != ignore_index
        if wrong.any():
            raise ShapeError(
                f"{name}: target {labels[wrong].flat[0]} is no class: {classes} classes are "
                f"numbered 0 to {classes - 1}"
            )
    return labels


def _check_target(name: str, target: Any) -> None:
    if not hasattr(target, "dtype"):
        raise DTypeError(
            f"{name}: target must be a tensor or an array, got {type(target).__name__}"
        )


# -- cross entropy -----------------------------------------------------------------------------


def cross_entropy(
    input: Array,
    target: Any,
    weight: Array = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """-log of the probability that softmax gives the right class.

    ℓ_n = -z_t + ln Σ_j e^{z_j}, computed after subtracting max_j z_j, so nothing overflows.
    With random scores it starts near ln C. The gradient is famous: dz = p - onehot(t).

    input z: scores (N, C, *) or (C,); target: class numbers (N, *), or probabilities of z's
    shape. weight (C,): a factor per class; "mean" then divides by the weights' sum. Targets
    equal to ignore_index count for nothing. label_smoothing s gives each class s/C of the
    probability. Raises ShapeError, DTypeError, ConfigError.
    """
    if not 0 <= label_smoothing <= 1:
        raise ConfigError(f"cross_entropy: label_smoothing must lie in 0..1, got {label_smoothing}")
    _check_target("cross_entropy", target)
    if target.dtype.kind == "f":
        return _cross_entropy_of_distribution(input, target, weight, reduction, label_smoothing)
    labels = _check_labels("cross_entropy", input, target, ignore_index)
    plain = input.ndim == 2 and weight is None and not label_smoothing
    if plain and not (labels == ignore_index).any():
        factor = _factor(reduction, len(labels))
        if factor is None or input.dtype == np.float16:  # whose sum could overflow
            return reduce(_cross_entropy(input, labels), reduction)
        return _cross_entropy(input, labels, factor)
    log_p = log_softmax(input, 1 if input.ndim > 1 else 0)
    hard = nll_loss(log_p, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    even = _smoothing_loss(log_p, labels, weight, ignore_index, reduction)
    return hard * (1 - label_smoothing) + even * (label_smoothing / _classes(input))


def _classes(x: Array) -> int:
    return int(x.shape[1 if x.ndim > 1 else 0])


def _weights_of_classes(weight: Array, ndim: int) -> Array:
    return reshape(weight, (-1,) if ndim == 1 else (1, -1, *(1,) * (ndim - 2)))


def _smoothing_loss(
    log_p: Array, labels: Any, weight: Array, ignore_index: int, reduction: Reduction
) -> Array:
    """-Σ_c w_c log p_c per sample, reduced as the hard loss is."""
    terms = log_p if weight is None else log_p * _weights_of_classes(weight, log_p.ndim)
    kept = labels != ignore_index
    loss = where(kept, -sum(terms, 1 if log_p.ndim > 1 else 0), 0.0)
    if reduction != "mean":
        return reduce(loss, reduction)
    return sum(loss) / _total_weight(log_p, labels, weight, kept)


def _total_weight(log_p: Array, labels: Any, weight: Array, kept: Any) -> Array:
    if weight is None:
        return np.asarray(np.count_nonzero(kept), log_p.dtype)
    return sum(where(kept, getitem(weight, np.where(kept, labels, 0)), 0.0))


def _cross_entropy_of_distribution(
    input: Array, target: Array, weight: Array, reduction: Reduction, label_smoothing: float
) -> Array:
    if tuple(target.shape) != tuple(input.shape):
        raise ShapeError(
            "cross_entropy: a float target is a distribution over classes and needs the scores' "
            f"shape\n  scores {tuple(input.shape)}; target {tuple(target.shape)}"
        )
    axis = 1 if input.ndim > 1 else 0
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / _classes(input)
    terms = log_softmax(input, axis) * target
    if weight is not None:
        terms = terms * _weights_of_classes(weight, input.ndim)
    loss = -sum(terms, axis)
    if reduction == "mean":
        return sum(loss) * (1 / max(math.prod(loss.shape), 1))
    return reduce(loss, reduction)


@op(name="cross_entropy", aux=True)
def _cross_entropy(input: Array, target: Any, factor: float | None = None) -> tuple[Array, Array]:
    """Cross entropy of scores (N, C) and class numbers (N,), and log p.

    Of each sample, or with a factor: factor · the sum over samples, in one step of the graph.
    """
    losses, log_p = kernels.cross_entropy(input, target)
    return losses if factor is None else losses.sum() * factor, log_p


def _cross_entropy_vjp(
    g: Array, input: Array, target: Any, aux: Array, factor: float | None
) -> Array:
    """dz = g · (p - onehot(t)), where g of a reduced loss is one number for all samples."""
    if isinstance(g, np.ndarray):
        if factor is not None:
            g = np.full(len(target), g * factor, g.dtype)
        return kernels.cross_entropy_backward(g, aux, target)
    onehot = np.zeros(input.shape, aux.dtype)
    onehot[np.arange(len(target)), target] = 1
    slopes = unsqueeze(g, 1) if factor is None else g * factor
    return slopes * (softmax(input, 1) - onehot)


_cross_entropy.vjp(input=_cross_entropy_vjp)


def nll_loss(
    input: Array,
    target: Any,
    weight: Array = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log likelihood: ℓ_n = -w_t · log_p[n, t].

    input: log-probabilities (N, C, *) or (C,); target: class numbers (N, *). "mean" divides
    by the sum of the weights of the targets that count.
    """
    labels = _check_labels("nll_loss", input, target, ignore_index)
    if input.ndim == 1:
        one = nll_loss(unsqueeze(input, 0), labels.reshape(1), weight, ignore_index, reduction)
        return squeeze(one, 0) if reduction == "none" else one
    kept = labels != ignore_index
    safe = np.where(kept, labels, 0)
    loss = -squeeze(gather(input, 1, np.expand_dims(safe, 1)), 1)
    if weight is not None:
        loss = loss * getitem(weight, safe)
    if weight is None and kept.all():
        return reduce(loss, reduction)
    loss = where(kept, loss, 0.0)
    if reduction != "mean":
        return reduce(loss, reduction)
    return sum(loss) / _total_weight(input, labels, weight, kept)


# -- multiclass support vector machine ---------------------------------------------------------


def multi_margin_loss(
    input: Array,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Array = None,
    reduction: Reduction = "mean",
) -> Array:
    """The multiclass SVM's hinge loss, divided by the number of classes as in PyTorch.

    ℓ_n = w_t · Σ_{j≠t} max(0, Δ - s_t + s_j)^p / C, with margin Δ; p is 1 or 2.

    `multiclass_svm_loss` is the same without the division. input: scores s (N, C) or (C,);
    target: class numbers (N,). Source: Weston & Watkins 1999.
    """
    scores = unsqueeze(input, 0) if input.ndim == 1 else input
    loss = _hinge("multi_margin_loss", scores, target, p, margin, weight) * (1 / scores.shape[1])
    return reduce(squeeze(loss, 0) if input.ndim == 1 else loss, reduction)


def multiclass_svm_loss(
    input: Array, target: Any, margin: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """The multiclass SVM's hinge loss of the lectures: ℓ_n = Σ_{j≠t} max(0, s_j - s_t + Δ).

    With random small scores it starts near (C-1)·Δ. input: scores s (N, C); target (N,).
    Source: Weston & Watkins 1999; CS231n, Linear classification.
    """
    return reduce(_hinge("multiclass_svm_loss", input, target, 1, margin, None), reduction)


def _hinge(name: str, scores: Array, target: Any, p: int, margin: float, weight: Array) -> Array:
    _check_target(name, target)
    labels = _check_labels(name, scores, target.reshape(-1) if target.ndim == 0 else target)
    if scores.ndim != 2:
        raise ShapeError(f"{name}: scores must be (N, C), got {tuple(scores.shape)}")
    if p not in (1, 2):
        raise ConfigError(f"{name}: p must be 1 or 2, got {p}")
    loss = _multi_margin_loss(scores, labels, p, margin)
    return loss if weight is None else loss * getitem(weight, labels)


@op(name="multi_margin_loss")
def _multi_margin_loss(input: Array, target: Any, p: int, margin: float) -> Array:
    """Per-sample Σ_{j≠t} max(0, Δ - s_t + s_j)^p."""
    return kernels.multi_margin_loss(input, target, p, margin)


def _multi_margin_vjp(g: Array, input: Array, target: Any, p: int, margin: float) -> Array:
    """ds_j = g · p·max(0, Δ - s_t + s_j)^{p-1} where positive; ds_t = minus their sum."""
    if isinstance(g, np.ndarray):
        return kernels.multi_margin_loss_backward(g, input, target, p, margin)
    rows = np.arange(len(target))
    gap = input - unsqueeze(getitem(input, (rows, target)), 1) + margin
    other = np.ones(input.shape, bool)
    other[rows, target] = False
    active = where((gap > 0) & other, gap * 2 if p == 2 else gap * 0 + 1, 0.0)
    onehot = (~other).astype(input.dtype)
    return unsqueeze(g, 1) * (active - onehot * sum(active, 1, keepdim=True))


_multi_margin_loss.vjp(input=_multi_margin_vjp)


# -- regression --------------------------------------------------------------------------------


def mse_loss(input: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """(x - t)², elementwise, then reduced."""
    return reduce(square(input - target), reduction)


def l1_loss(input: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """|x - t|, elementwise, then reduced."""
    return reduce(abs(input - target), reduction)
