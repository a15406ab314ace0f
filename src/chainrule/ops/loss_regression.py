"""Losses of numbers: squared and absolute errors, those between them, and likelihoods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.arithmetic import clamp, exp, log, sign, square, where
from chainrule.ops.loss import (
    Reduction,
    added,
    at_least,
    of_pairs,
    paired,
    reduce,
    scaled,
    through_float32,
    values_of,
)
from chainrule.ops.op import Op, op
from chainrule.ops.reduction import sum
from chainrule.ops.shape import unsqueeze

__all__ = [
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]

Array = Any


# -- errors ------------------------------------------------------------------------------------


@through_float32
def mse_loss(
    input: Array, target: Array, reduction: Reduction = "mean", weight: Array = None
) -> Array:
    """The squared error (x - t)², elementwise, then reduced. dx = 2·(x - t).

    weight, of the input's shape, multiplies each; "mean" then divides by the weights' sum.
    Shapes broadcast. Raises ShapeError, DTypeError.
    """
    if weight is None:
        return of_pairs(_mse_loss, input, target, reduction)
    return _weighted_mean(_mse_loss, input, target, reduction, weight)


@through_float32
def l1_loss(
    input: Array, target: Array, reduction: Reduction = "mean", weight: Array = None
) -> Array:
    """The absolute error |x - t|, elementwise, then reduced. dx = sign(x - t), 0 at 0.

    Arguments as `mse_loss`.
    """
    if weight is None:
        return of_pairs(_l1_loss, input, target, reduction)
    return _weighted_mean(_l1_loss, input, target, reduction, weight)


@through_float32
def smooth_l1_loss(
    input: Array, target: Array, reduction: Reduction = "mean", beta: float = 1.0
) -> Array:
    """The squared error d²/(2β) where |d| = |x - t| < β, beyond it the straight |d| - β/2.

    dx = clamp(d/β, -1, 1): outliers pull no harder than 1. β = 0 is `l1_loss`. Shapes broadcast.
    Source: Girshick 2015, Fast R-CNN, arXiv:1504.08083, eq. 3.
    """
    if beta < 0:
        raise ConfigError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return of_pairs(_l1_loss, input, target, reduction)
    return of_pairs(_smooth_l1_loss, input, target, reduction, beta)


@through_float32
def huber_loss(
    input: Array,
    target: Array,
    reduction: Reduction = "mean",
    delta: float = 1.0,
    weight: Array = None,
) -> Array:
    """The squared error d²/2 where |d| = |x - t| ≤ δ, beyond it the straight δ·(|d| - δ/2).

    dx = clamp(d, -δ, δ). It is δ · smooth_l1_loss with β = δ. weight, of the input's shape,
    multiplies each; "mean" divides by the number of elements all the same, as in PyTorch.
    Source: Huber 1964, Robust estimation of a location parameter.
    """
    if delta <= 0:
        raise ConfigError(f"huber_loss: delta must be positive, got {delta}")
    if weight is None:
        return of_pairs(_huber_loss, input, target, reduction, delta)
    _check_weight("huber_loss", input, weight)
    return reduce(of_pairs(_huber_loss, input, target, "none", delta) * weight, reduction)


def _weighted_mean(
    loss: Op, input: Array, target: Array, reduction: Reduction, weight: Array
) -> Array:
    _check_weight(loss.name, input, weight)
    losses = of_pairs(loss, input, target, "none") * weight
    return sum(losses) / sum(weight) if reduction == "mean" else reduce(losses, reduction)


def _check_weight(name: str, input: Array, weight: Array) -> None:
    if tuple(weight.shape) != tuple(input.shape):
        raise ShapeError(
            f"{name}: weight and input need one shape\n"
            f"  input {tuple(input.shape)}; weight {tuple(weight.shape)}"
        )


@op(name="mse_loss")
def _mse_loss(input: Array, target: Array, factor: float | None = None) -> Array:
    """(x - t)², summed with a factor."""
    if factor is not None:
        return kernels.huber_sum(input, target, math.inf) * (2 * factor)
    d = input - target
    d *= d
    return d


@op(name="l1_loss")
def _l1_loss(input: Array, target: Array, factor: float | None = None) -> Array:
    """|x - t|, summed with a factor."""
    return added(np.abs(input - target), factor)


@op(name="smooth_l1_loss")
def _smooth_l1_loss(
    input: Array, target: Array, factor: float | None = None, beta: float = 1.0
) -> Array:
    """Huber's loss of β, divided by β, summed with a factor."""
    if factor is not None:
        return kernels.huber_sum(input, target, beta) * (factor / beta)
    return _huber(input, target, beta, 1 / beta)


@op(name="huber_loss")
def _huber_loss(
    input: Array, target: Array, factor: float | None = None, delta: float = 1.0
) -> Array:
    """d²/2 where |d| ≤ δ, else δ(|d| - δ/2), summed with a factor."""
    if factor is not None:
        return kernels.huber_sum(input, target, delta) * factor
    return _huber(input, target, delta, 1)


def _huber(input: Array, target: Array, delta: float, scale: float) -> Array:
    """scale·c·(d - c/2), where c is d = x - t clipped to ±δ: both branches in one."""
    d = input - target
    clipped = np.clip(d, -delta, delta)
    d -= clipped * 0.5
    d *= clipped if scale == 1 else clipped * scale
    return d


def _clipped_error(
    g: Array, x: Array, t: Array, factor: float | None, delta: float, scale: float
) -> Array:
    """g·factor·scale·c: the gradient of all three, with respect to x."""
    if factor is not None and isinstance(g, np.ndarray):
        return kernels.huber_sum_backward(x, t, delta, float(g) * factor * scale)
    d = x - t if delta == math.inf else clamp(x - t, -delta, delta)
    return d * scaled(g, factor, scale)


_mse_loss.vjp(
    input=lambda g, input, target, factor: _clipped_error(g, input, target, factor, math.inf, 2),
    target=lambda g, input, target, factor: _clipped_error(g, target, input, factor, math.inf, 2),
)
_l1_loss.vjp(
    input=lambda g, input, target, factor: sign(input - target) * scaled(g, factor),
    target=lambda g, input, target, factor: sign(target - input) * scaled(g, factor),
)
_smooth_l1_loss.vjp(
    input=lambda g, input, target, factor, beta: _clipped_error(
        g, input, target, factor, beta, 1 / beta
    ),
    target=lambda g, input, target, factor, beta: _clipped_error(
        g, target, input, factor, beta, 1 / beta
    ),
)
_huber_loss.vjp(
    input=lambda g, input, target, factor, delta: _clipped_error(
        g, input, target, factor, delta, 1
    ),
    target=lambda g, input, target, factor, delta: _clipped_error(
        g, target, input, factor, delta, 1
    ),
)


# -- likelihoods -------------------------------------------------------------------------------


@through_float32
def poisson_nll_loss(
    input: Array,
    target: Array,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: Reduction = "mean",
) -> Array:
    """-ln P(t) of a count t under a Poisson distribution, without the constant ln t!.

    ℓ = eˣ - t·x for x = ln λ (log_input), else λ - t·ln(λ + eps). full adds Stirling's
    ln t! ≈ t·ln t - t + ln(2πt)/2, where t > 1. Shapes broadcast.
    """
    x, t = paired("poisson_nll_loss", input, target)
    loss = exp(x) - t * x if log_input else x - t * log(x + eps)
    if full:
        many = t > 1
        safe = where(many, t, 1.0)
        stirling = safe * log(safe) - safe + log(safe * (2 * math.pi)) * 0.5
        loss = loss + where(many, stirling, 0.0)
    return reduce(loss, reduction)


@through_float32
def gaussian_nll_loss(
    input: Array,
    target: Array,
    var: Array,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Array:
    """-ln of the density of t under a normal distribution with mean x and variance v.

    ℓ = (ln v + (x - t)²/v)/2, v at least eps; full adds ln(2π)/2.

    var v: of the input's shape, or one for each row (the last axis left out, or of length
    one), or a number. The gradient passes to a variance below eps as if it had been eps.
    Raises ShapeError, ConfigError (a negative variance). Source: Nix & Weigend 1994.
    """
    name = "gaussian_nll_loss"
    if not hasattr(var, "dtype"):
        var = np.asarray(var, input.dtype)
        spread = True
    elif spread := tuple(var.shape) == tuple(input.shape[:-1]) and input.ndim > 0:
        var = unsqueeze(var, -1)
    if (values_of(var) < 0).any():
        raise ConfigError(f"{name}: var has negative entries; a variance is at least 0")
    if not (spread or _spreads(tuple(var.shape), tuple(input.shape))):
        raise ShapeError(
            f"{name}: var is of incorrect size; it is the input's, or without the last axis, or "
            f"1 in one axis\n  input {tuple(input.shape)}; var {tuple(var.shape)}"
        )
    v = at_least(var, eps)
    loss = (log(v) + square(input - target) / v) * 0.5
    return reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def _spreads(var: tuple[int, ...], input: tuple[int, ...]) -> bool:
    """Whether they are equal, but for at most one axis, where var has length one."""
    if len(var) != len(input):
        return False
    return [a for a, b in zip(var, input, strict=True) if a != b] in ([], [1])
