"""Support vector machines: hinge losses, which are 0 once a margin is kept.

For a score s and a label y = ±1 the binary hinge asks that y·s be at least Δ. For C classes
there are three generalisations: Weston & Watkins add up the hinges of all wrong classes,
Crammer & Singer count the worst of them, and one-vs-all trains C binary machines side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, DTypeError, LabelError, ShapeError
from chainrule.ops.activation import relu
from chainrule.ops.arithmetic import square, where
from chainrule.ops.indexing import getitem
from chainrule.ops.loss import (
    Reduction,
    check_class_weights,
    check_same_shape,
    check_target,
    class_numbers,
    reduce,
    through_float32,
    values_of,
)
from chainrule.ops.op import op
from chainrule.ops.reduction import sum
from chainrule.ops.shape import squeeze, unsqueeze

__all__ = [
    "crammer_singer_loss",
    "hinge_loss",
    "multi_margin_loss",
    "multiclass_svm_loss",
    "multilabel_margin_loss",
    "one_vs_all_svm_loss",
    "squared_hinge_loss",
]

Array = Any


# -- binary ------------------------------------------------------------------------------------


@through_float32
def hinge_loss(
    input: Array, target: Array, margin: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """The binary support vector machine: ℓ = max(0, Δ - y·s), labels y = ±1.

    ds = -y where y·s < Δ, else 0.   input: scores s, target: labels y, of one shape.
    Raises ShapeError, LabelError (a label other than 1 and -1).
    Source: Cortes & Vapnik 1995, Support-vector networks.
    """
    return reduce(_binary_hinge("hinge_loss", input, target, margin), reduction)


@through_float32
def squared_hinge_loss(
    input: Array, target: Array, margin: float = 1.0, reduction: Reduction = "mean"
) -> Array:
    """The binary L2-SVM: ℓ = max(0, Δ - y·s)², labels y = ±1.

    ds = -2y·max(0, Δ - y·s): continuous, where the hinge's gradient jumps. As `hinge_loss`.
    Source: Tang 2013, arXiv:1306.0239.
    """
    return reduce(square(_binary_hinge("squared_hinge_loss", input, target, margin)), reduction)


def _binary_hinge(name: str, scores: Array, target: Any, margin: float) -> Array:
    check_target(name, target)
    check_same_shape(name, input=scores, target=target)
    labels = np.asarray(values_of(target))
    wrong = np.abs(labels.astype(scores.dtype)) != 1
    if wrong.any():
        raise LabelError(
            f"{name}: target {labels[wrong].flat[0]} is no label: labels are 1 and -1 "
            "(of 0 and 1 make 2 * target - 1)"
        )
    return relu(margin - scores * labels.astype(scores.dtype))


# -- multiclass --------------------------------------------------------------------------------


@through_float32
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
    name = "multi_margin_loss"
    scores, labels = _scores_and_labels(name, input, target, p)
    check_class_weights(name, scores, weight)
    loss = _multi_margin_loss(scores, labels, p, margin) * (1 / max(scores.shape[1], 1))
    if weight is not None:
        loss = loss * getitem(weight, labels)
    return reduce(squeeze(loss, 0) if input.ndim == 1 else loss, reduction)


@through_float32
def multiclass_svm_loss(
    input: Array, target: Any, margin: float = 1.0, p: int = 1, reduction: Reduction = "mean"
) -> Array:
    """The multiclass SVM of the lectures: ℓ_n = Σ_{j≠t} max(0, s_j - s_t + Δ)^p.

    With random small scores it starts near (C-1)·Δ^p. input: scores s (N, C) or (C,); target:
    class numbers (N,); p 1 or 2 (squared: the L2-SVM).
    Source: Weston & Watkins 1999, Support vector machines for multi-class pattern
    recognition; CS231n, Linear classification.
    """
    scores, labels = _scores_and_labels("multiclass_svm_loss", input, target, p)
    loss = _multi_margin_loss(scores, labels, p, margin)
    return reduce(squeeze(loss, 0) if input.ndim == 1 else loss, reduction)


@through_float32
def crammer_singer_loss(
    input: Array, target: Any, margin: float = 1.0, p: int = 1, reduction: Reduction = "mean"
) -> Array:
    """The multiclass SVM that counts the worst competitor: max(0, Δ + max_{j≠t} s_j - s_t)^p.

    The max gate routes the gradient to the strongest wrong class alone (equal ones share it).
    With random small scores it starts near Δ^p. Arguments as `multiclass_svm_loss`.
    Source: Crammer & Singer 2001, On the algorithmic implementation of multiclass
    kernel-based vector machines, JMLR 2.
    """
    scores, labels = _scores_and_labels("crammer_singer_loss", input, target, p)
    loss = _crammer_singer_loss(scores, labels, p, margin)
    return reduce(squeeze(loss, 0) if input.ndim == 1 else loss, reduction)


@through_float32
def one_vs_all_svm_loss(
    input: Array, target: Any, margin: float = 1.0, p: int = 1, reduction: Reduction = "mean"
) -> Array:
    """C binary machines side by side, this class or any other: ℓ_n = Σ_j max(0, Δ - y_j s_j)^p.

    y_j = 1 for j = t, else -1: the score of each class is judged by itself, not against the
    others. With random small scores it starts near C·Δ^p. Arguments as `multiclass_svm_loss`.
    Source: Rifkin & Klautau 2004, In defense of one-vs-all classification, JMLR 5.
    """
    scores, labels = _scores_and_labels("one_vs_all_svm_loss", input, target, p)
    loss = _one_vs_all_loss(scores, labels, p, margin)
    return reduce(squeeze(loss, 0) if input.ndim == 1 else loss, reduction)


def _scores_and_labels(name: str, input: Array, target: Any, p: int) -> tuple[Array, Any]:
    """Scores (N, C) and labels (N,), also of one sample alone."""
    if p not in (1, 2):
        raise ConfigError(f"{name}: only p = 1 and p = 2 are supported, got {p}")
    if input.ndim not in (1, 2):
        raise ShapeError(f"{name}: scores must be (N, C) or (C,), got {tuple(input.shape)}")
    labels = class_numbers(name, input, target)
    return (input, labels) if input.ndim == 2 else (unsqueeze(input, 0), labels.reshape(1))


def _is_target(scores: Array, labels: Any) -> Any:
    """onehot(t) as booleans (N, C)."""
    return labels[:, None] == np.arange(scores.shape[1])


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
    own = _is_target(input, target)
    active = where((gap > 0) & ~own, gap * 2 if p == 2 else gap * 0 + 1, 0.0)
    return unsqueeze(g, 1) * (active - own.astype(input.dtype) * sum(active, 1, keepdim=True))


_multi_margin_loss.vjp(input=_multi_margin_vjp)


@op(name="crammer_singer_loss")
def _crammer_singer_loss(input: Array, target: Any, p: int, margin: float) -> Array:
    """Per-sample max(0, Δ - s_t + max_{j≠t} s_j)^p."""
    return kernels.crammer_singer_loss(input, target, p, margin)


def _crammer_singer_vjp(g: Array, input: Array, target: Any, p: int, margin: float) -> Array:
    """ds = g·u, squared: g·u·2(Δ + Σ_j u_j s_j).

    u is 1 at the worst rival r, -1 at t, and 0 where the margin is kept: Σ_j u_j s_j = s_r - s_t.
    """
    if isinstance(g, np.ndarray):
        return kernels.crammer_singer_loss_backward(g, input, target, p, margin)
    ones, scores = np.ones(len(target), input.dtype), values_of(input)
    slope = kernels.crammer_singer_loss_backward(ones, scores, target, 1, margin)
    if p == 2:
        slope = slope * 2 * (sum(input * slope, 1, keepdim=True) + margin)
    return unsqueeze(g, 1) * slope


_crammer_singer_loss.vjp(input=_crammer_singer_vjp)


@op(name="one_vs_all_svm_loss")
def _one_vs_all_loss(input: Array, target: Any, p: int, margin: float) -> Array:
    """Per-sample Σ_j max(0, Δ - y_j s_j)^p."""
    return kernels.one_vs_all_loss(input, target, p, margin)


def _one_vs_all_vjp(g: Array, input: Array, target: Any, p: int, margin: float) -> Array:
    """ds = g·u, squared: g·u·2(Δ + u s), with u = -y_j where the margin is not kept, else 0."""
    if isinstance(g, np.ndarray):
        return kernels.one_vs_all_loss_backward(g, input, target, p, margin)
    ones, scores = np.ones(len(target), input.dtype), values_of(input)
    slope = kernels.one_vs_all_loss_backward(ones, scores, target, 1, margin)
    return unsqueeze(g, 1) * (slope * 2 * (input * slope + margin) if p == 2 else slope)


_one_vs_all_loss.vjp(input=_one_vs_all_vjp)


# -- several classes hold at once --------------------------------------------------------------


@through_float32
def multilabel_margin_loss(input: Array, target: Any, reduction: Reduction = "mean") -> Array:
    """Each class that holds should beat each that does not by 1.

    ℓ_n = Σ_{j∈T} Σ_{i∉T} max(0, 1 - (s_j - s_i)) / C, where T are the class numbers in row n
    of the target before its first -1.

    input: scores s (N, C) or (C,); target: integers of the same shape, -1 after the last.
    Raises ShapeError, DTypeError, LabelError.
    """
    name = "multilabel_margin_loss"
    check_target(name, target)
    check_same_shape(name, input=input, target=target)
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{name}: target must hold class numbers (integers), got {target.dtype}")
    if input.ndim > 2:
        raise ShapeError(f"{name}: scores must be (N, C) or (C,), got {tuple(input.shape)}")
    classes = input.shape[-1] if input.ndim else 1
    scores, listed = input.reshape(-1, classes), np.asarray(values_of(target)).reshape(-1, classes)
    if ((listed < -1) | (listed >= classes)).any():
        raise LabelError(
            f"{name}: the target holds {listed.min()} to {listed.max()}; {classes} classes are "
            f"numbered 0 to {classes - 1}, and -1 ends a list"
        )
    counts = np.logical_and.accumulate(listed >= 0, axis=1)
    chosen = np.where(counts, listed, 0)
    rows = np.arange(len(listed))[:, None]
    holds = np.zeros(listed.shape, bool)
    np.logical_or.at(holds, (rows, chosen), counts)
    gaps = unsqueeze(scores, 1) - unsqueeze(getitem(scores, (rows, chosen)), 2) + 1  # (N, j, i)
    hinges = where(counts[:, :, None] & ~holds[:, None, :], relu(gaps), 0.0)
    loss = sum(hinges, (1, 2)) * (1 / classes)
    return reduce(squeeze(loss, 0) if input.ndim < 2 else loss, reduction)
