"""Losses of yes-or-no questions, one a number: binary cross entropy and its relatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.activation import sigmoid
from chainrule.ops.arithmetic import clamp, log, log1p, maximum
from chainrule.ops.elementwise import cast, elementwise, expand
from chainrule.ops.loss import (
    Reduction,
    added,
    check_same_shape,
    of_pairs,
    reduce,
    scaled,
    through_float32,
    values_of,
)
from chainrule.ops.op import op
from chainrule.ops.reduction import mean

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
]

Array = Any

LEAST_LOG = -100.0
"""What a logarithm of a probability counts at least: a certain answer that is wrong costs 100."""


@elementwise
def log1p_exp(x: Array) -> Array:
    """ln(1 + eˣ), exact for any x. dx = g·σ(x)."""
    return kernels.softplus(x, 1.0, math.inf)


log1p_exp.vjp(x=lambda g, x: g * sigmoid(x))


# -- from logits -------------------------------------------------------------------------------


@through_float32
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array = None,
    reduction: Reduction = "mean",
    pos_weight: Array = None,
) -> Array:
    """Binary cross entropy of p = σ(x), computed from the logit x: nothing overflows or cancels.

    ℓ = -w·[w₊·t·ln σ(x) + (1 - t)·ln(1 - σ(x))] = w·[(1 - t)·x + (1 + (w₊ - 1)·t)·ln(1 + e⁻ˣ)].
    dx = w·[(w₊·t + 1 - t)·σ(x) - w₊·t], without w₊ the famous σ(x) - t.

    input x, target t in 0..1 (any value between is a soft label): one shape. weight w and
    pos_weight w₊ (of the answers yes: above 1 for recall) broadcast to it.
    Raises ShapeError, DTypeError, ConfigError.
    """
    name = "binary_cross_entropy_with_logits"
    check_same_shape(name, input=input, target=target)
    if pos_weight is not None:
        pos_weight = _spread(name, "pos_weight", cast(pos_weight, input.dtype), input)
    if weight is None:
        return of_pairs(_bce_with_logits, input, target, reduction, pos_weight)
    loss = of_pairs(_bce_with_logits, input, target, "none", pos_weight)
    return reduce(loss * _spread(name, "weight", weight, input), reduction)


def _spread(name: str, role: str, weight: Array, input: Array) -> Array:
    if weight.shape == input.shape:
        return weight
    try:
        return expand(weight, tuple(input.shape))
    except ShapeError:
        raise ShapeError(
            f"{name}: {role} must broadcast to the input\n"
            f"  input {tuple(input.shape)}; {role} {tuple(weight.shape)}"
        ) from None


@op(name="binary_cross_entropy_with_logits")
def _bce_with_logits(
    input: Array, target: Array, factor: float | None = None, pos_weight: Array = None
) -> Array:
    """(1 - t)·x + (1 + (w₊ - 1)·t)·ln(1 + e⁻ˣ), summed with a factor; all of one shape."""
    log_yes = kernels.logsigmoid(input)
    if pos_weight is not None:
        log_yes *= (pos_weight - 1) * target + 1
    losses = (1 - target) * input
    losses -= log_yes
    return added(losses, factor)


def _logit_vjp(g: Array, input: Array, target: Array, pos_weight: Array, factor: Any) -> Array:
    """dx = g·((w₊·t + 1 - t)·σ(x) - w₊·t)."""
    if pos_weight is None:
        return (sigmoid(input) - target) * scaled(g, factor)
    positive = pos_weight * target
    return ((positive + 1 - target) * sigmoid(input) - positive) * scaled(g, factor)


def _logit_target_vjp(g: Array, input: Array, pos_weight: Array, factor: Any) -> Array:
    """dt = g·(-x + (w₊ - 1)·ln(1 + e⁻ˣ))."""
    if pos_weight is None:
        return input * scaled(g, factor, -1)
    return ((pos_weight - 1) * log1p_exp(-input) - input) * scaled(g, factor)


_bce_with_logits.vjp(
    input=_logit_vjp,
    target=_logit_target_vjp,
    pos_weight=lambda g, input, target, factor: target * log1p_exp(-input) * scaled(g, factor),
)


# -- from probabilities ------------------------------------------------------------------------


@through_float32
def binary_cross_entropy(
    input: Array, target: Array, weight: Array = None, reduction: Reduction = "mean"
) -> Array:
    """ℓ = -w·[t·ln p + (1 - t)·ln(1 - p)], each logarithm at least -100.

    dp = w·(p - t) / max(p·(1 - p), 10⁻¹²).

    input p: probabilities, target t, both in 0..1 and of one shape; weight w broadcasts to it.
    Where p comes from a sigmoid, `binary_cross_entropy_with_logits` is exact and cheaper.
    Raises ShapeError, ConfigError (a value outside 0..1).
    """
    name = "binary_cross_entropy"
    check_same_shape(name, input=input, target=target)
    for role, values in (("input", values_of(input)), ("target", values_of(target))):
        if ((values < 0) | (values > 1)).any():
            raise ConfigError(
                f"{name}: all elements of {role} should be between 0 and 1; for scores use "
                "binary_cross_entropy_with_logits"
            )
    if weight is None:
        return of_pairs(_binary_cross_entropy, input, target, reduction)
    loss = of_pairs(_binary_cross_entropy, input, target, "none")
    return reduce(loss * _spread(name, "weight", weight, input), reduction)


@op(name="binary_cross_entropy")
def _binary_cross_entropy(input: Array, target: Array, factor: float | None = None) -> Array:
    """-(t·ln p + (1 - t)·ln(1 - p)), summed with a factor."""
    with np.errstate(divide="ignore"):
        yes, no = np.log(input), np.log1p(-input)
    losses = (target - 1) * np.maximum(no, LEAST_LOG) - target * np.maximum(yes, LEAST_LOG)
    return added(losses, factor)


_binary_cross_entropy.vjp(
    input=lambda g, input, target, factor: (
        scaled(g, factor) * (input - target) / maximum(input * (1 - input), 1e-12)
    ),
    target=lambda g, input, factor: (
        scaled(g, factor) * (clamp(log1p(-input), LEAST_LOG) - clamp(log(input), LEAST_LOG))
    ),
)


# -- labels +1 and -1, and several labels a sample ---------------------------------------------


@through_float32
def soft_margin_loss(input: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """The logistic loss ℓ = ln(1 + e^(-y·x)) of a score x and a label y = 1 or -1.

    It is binary cross entropy in the labels of the support vector machine. dx = -y·σ(-y·x).
    Shapes broadcast. Large -y·x give -y·x, where e^(-y·x) alone would overflow.
    """
    return of_pairs(_soft_margin_loss, input, target, reduction)


@op(name="soft_margin_loss")
def _soft_margin_loss(input: Array, target: Array, factor: float | None = None) -> Array:
    """ln(1 + e^(-y·x)), summed with a factor."""
    return added(-kernels.logsigmoid(target * input), factor)


_soft_margin_loss.vjp(
    input=lambda g, input, target, factor: (
        scaled(g, factor, -1) * target * sigmoid(-target * input)
    ),
    target=lambda g, input, target, factor: (
        scaled(g, factor, -1) * input * sigmoid(-target * input)
    ),
)


@through_float32
def multilabel_soft_margin_loss(
    input: Array, target: Array, weight: Array = None, reduction: Reduction = "mean"
) -> Array:
    """Binary cross entropy with logits, averaged over the classes: several may hold at once.

    ℓ_n = -Σ_c w_c·[t_c·ln σ(x_c) + (1 - t_c)·ln σ(-x_c)] / C.
    input x, target t: (N, C) or (..., C), broadcasting; weight w (C,) broadcasts.
    """
    loss = of_pairs(_bce_with_logits, input, target, "none", None)
    if weight is not None:
        loss = loss * weight
    return reduce(mean(loss, -1), reduction)
