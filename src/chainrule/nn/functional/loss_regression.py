"""Losses of numbers."""

from __future__ import annotations

from chainrule import ops
from chainrule.nn.functional.arguments import Reduction, reduction_of, warn_of_broadcasting
from chainrule.tensor import Tensor

__all__ = [
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared error ℓ = w·(x - t)², elementwise, then reduced.

    input x, target t of one shape; others broadcast, with a warning. weight w has x's shape;
    "mean" then divides by its sum. Raises ShapeError, DTypeError.
    """
    warn_of_broadcasting("mse_loss", input, target)
    return ops.mse_loss(input, target, reduction_of(reduction, size_average, reduce), weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute error ℓ = w·|x - t|; its gradient is 0 where x = t. Otherwise as `mse_loss`."""
    warn_of_broadcasting("l1_loss", input, target)
    return ops.l1_loss(input, target, reduction_of(reduction, size_average, reduce), weight)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """ℓ = d²/(2β) where |d| = |x - t| < β, else |d| - β/2; β = 0 is `l1_loss`.

    Shapes as `mse_loss`. Raises ShapeError, DTypeError, ConfigError (β < 0).
    Source: Girshick 2015, arXiv:1504.08083.
    """
    warn_of_broadcasting("smooth_l1_loss", input, target)
    return ops.smooth_l1_loss(input, target, reduction_of(reduction, size_average, reduce), beta)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: Reduction = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """ℓ = d²/2 where |d| = |x - t| ≤ δ, else δ·(|d| - δ/2); weight multiplies each.

    Shapes as `mse_loss`; "mean" divides by the number of elements. Raises ShapeError,
    DTypeError, ConfigError (δ ≤ 0). Source: Huber 1964.
    """
    warn_of_broadcasting("huber_loss", input, target)
    return ops.huber_loss(input, target, reduction, delta, weight)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-ln P(t) of counts t: ℓ = eˣ - t·x (x = ln λ), or λ - t·ln(λ + eps) for log_input=False.

    full adds Stirling's t·ln t - t + ln(2πt)/2 where t > 1. Raises ShapeError, DTypeError.
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.poisson_nll_loss(input, target, log_input, full, eps, chosen)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: Reduction = "mean",
) -> Tensor:
    """-ln of a normal density: ℓ = (ln v + (x - t)²/v)/2, variance v at least eps.

    var v: of x's shape; one a row (without the last axis, or of length one in one axis); or a
    number. full adds ln(2π)/2. Raises ShapeError, ConfigError (v < 0).
    Source: Nix & Weigend 1994.
    """
    return ops.gaussian_nll_loss(input, target, var, full, eps, reduction)
