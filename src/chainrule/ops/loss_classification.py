"""Losses of class scores and of distributions over classes: cross entropy, NLL, KL divergence."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.activation import log_softmax, softmax
from chainrule.ops.arithmetic import exp, log, where
from chainrule.ops.indexing import gather, getitem
from chainrule.ops.loss import (
    Reduction,
    added,
    check_class_weights,
    check_target,
    class_count,
    class_numbers,
    factor_of,
    of_pairs,
    reduce,
    scaled,
    through_float32,
)
from chainrule.ops.op import op
from chainrule.ops.reduction import sum
from chainrule.ops.shape import reshape, squeeze, unsqueeze

__all__ = ["cross_entropy", "kl_div", "nll_loss"]

Array = Any


@through_float32
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
    probability. Raises ShapeError, DTypeError, ConfigError, LabelError (a target that is no
    class).
    """
    if not 0 <= label_smoothing <= 1:
        raise ConfigError(f"cross_entropy: label_smoothing must lie in 0..1, got {label_smoothing}")
    check_target("cross_entropy", target)
    check_class_weights("cross_entropy", input, weight)
    if target.dtype.kind == "f":
        if ignore_index >= 0:
            raise ConfigError(
                "cross_entropy: ignore_index names a class number to ignore; a float target is "
                f"a distribution and has none, got {ignore_index}"
            )
        return _cross_entropy_of_distribution(input, target, weight, reduction, label_smoothing)
    labels = class_numbers("cross_entropy", input, target, ignore_index)
    plain = input.ndim == 2 and weight is None and not label_smoothing
    if plain and not (labels == ignore_index).any():
        return _cross_entropy(input, labels, factor_of(reduction, len(labels)))
    log_p = log_softmax(input, 1 if input.ndim > 1 else 0)
    hard = nll_loss(log_p, labels, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    even = _smoothing_loss(log_p, labels, weight, ignore_index, reduction)
    return hard * (1 - label_smoothing) + even * (label_smoothing / max(class_count(input), 1))


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
            f"shape; class numbers are integers\n  scores {tuple(input.shape)}; "
            f"target {tuple(target.shape)}"
        )
    axis = 1 if input.ndim > 1 else 0
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / class_count(input)
    terms = log_softmax(input, axis) * target
    if weight is not None:
        terms = terms * _weights_of_classes(weight, input.ndim)
    return reduce(-sum(terms, axis), reduction)


@op(name="cross_entropy", aux=True)
def _cross_entropy(input: Array, target: Any, factor: float | None = None) -> tuple[Array, Array]:
    """Cross entropy of scores (N, C) and class numbers (N,), and log p.

    Of each sample, or with a factor: factor · the sum over samples, in one step of the graph.
    """
    losses, log_p = kernels.cross_entropy(input, target)
    return added(losses, factor), log_p


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


@through_float32
def nll_loss(
    input: Array,
    target: Any,
    weight: Array = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log likelihood: ℓ_n = -w_t · log_p[n, t].

    input: log-probabilities (N, C, *) or (C,); target: class numbers (N, *). "mean" divides
    by the sum of the weights of the targets that count. Raises as `cross_entropy`.
    """
    labels = class_numbers("nll_loss", input, target, ignore_index)
    check_class_weights("nll_loss", input, weight)
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


# -- Kullback-Leibler divergence ---------------------------------------------------------------


@through_float32
def kl_div(
    input: Array,
    target: Array,
    reduction: Literal["mean", "sum", "none", "batchmean"] = "mean",
    log_target: bool = False,
) -> Array:
    """Kullback-Leibler divergence KL(t ‖ q) of a target t from a prediction given as x = ln q.

    ℓ = t·(ln t - x), elementwise, 0 where t = 0; with log_target: e^t·(t - x).
    The divergence proper is the sum over classes, averaged over the batch: "batchmean".
    "mean" divides by the number of all elements. Shapes broadcast.
    Source: Kullback & Leibler 1951.
    """
    loss = _kl_div_of_log if log_target else _kl_div
    if reduction != "batchmean":
        return of_pairs(loss, input, target, reduction)
    total = of_pairs(loss, input, target, "sum")
    return total * (1 / input.shape[0] if input.shape[0] else math.nan) if input.ndim else total


@op(name="kl_div")
def _kl_div(input: Array, target: Array, factor: float | None = None) -> Array:
    """t·(ln t - x), summed with a factor. dx = -g·t;  dt = g·(ln t + 1 - x)."""
    safe = np.where(target == 0, 1, target)
    return added(target * np.log(safe) - target * input, factor)


_kl_div.vjp(
    input=lambda g, target, factor: scaled(g, factor, -1) * target,
    target=lambda g, input, target, factor: scaled(g, factor) * (log(target) + 1 - input),
)


@op(name="kl_div_of_log")
def _kl_div_of_log(input: Array, target: Array, factor: float | None = None) -> Array:
    """e^t·(t - x), summed with a factor. dx = -g·e^t;  dt = g·e^t·(t + 1 - x)."""
    return added(np.exp(target) * (target - input), factor)


_kl_div_of_log.vjp(
    input=lambda g, target, factor: scaled(g, factor, -1) * exp(target),
    target=lambda g, input, target, factor: scaled(g, factor) * exp(target) * (target + 1 - input),
)
