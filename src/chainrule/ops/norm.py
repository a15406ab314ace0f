"""Batch normalisation.

The computational graph of the training form, per channel over the m = N·H·W values:

    μ = mean(x) ─► x - μ ─► σ² = mean((x-μ)²) ─► x̂ = (x-μ)/√(σ²+ε) ─► y = w·x̂ + b

Backwards along it (Ioffe & Szegedy 2015, §3), with gₓ̂ = w·g:

    dσ² = Σ gₓ̂·(x-μ) · -½(σ²+ε)^{-3/2},   dμ = -Σ gₓ̂ / √(σ²+ε)   (the σ² path into μ sums to 0)
    dx  = gₓ̂/√(σ²+ε) + dσ²·2(x-μ)/m + dμ/m

and put together, with every sum over the m values of a channel:

    db = Σ g,   dw = Σ g·x̂,   dx = w/√(σ²+ε) · (g - db/m - x̂·dw/m).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.kernels.reference.precision import half_in_single
from chainrule.ops.arithmetic import rsqrt, square
from chainrule.ops.elementwise import cast
from chainrule.ops.op import op
from chainrule.ops.reduction import channel_sum, check_float, mean, sum
from chainrule.ops.shape import reshape

__all__ = ["batch_norm"]

Array = Any


def batch_norm(
    x: Array,
    running_mean: Any,
    running_var: Any,
    weight: Array = None,
    bias: Array = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """Normalise each channel to mean 0 and variance 1, then scale and shift.

    y = (x - μ) / √(σ² + ε) · weight + bias

    x (N, C, *); weight, bias, running_mean, running_var (C,) or None. In training μ and the
    biased σ² are those of the batch, and the running statistics (NumPy arrays) move in place
    by ``momentum`` towards the batch's mean and *unbiased* variance. Otherwise, μ and σ² are
    the running statistics.
    Raises ShapeError (fewer than two values per channel in training), DTypeError, ConfigError.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2.
    """
    if check_channels("batch_norm", x, weight, bias, running_mean, running_var):
        y = batch_norm(
            cast(x, np.float32), running_mean, running_var, weight, bias, training, momentum, eps
        )
        return cast(y, HALF)
    if eps < 0 or (eps == 0 and training):
        raise ConfigError(
            f"batch_norm: eps must be positive in training, and never negative; got {eps}"
        )
    if training or running_mean is None:
        return _normalise_by_batch(x, running_mean, running_var, weight, bias, momentum, eps)
    return batch_norm_inference(x, weight, bias, running_mean, running_var, eps)


HALF = np.dtype(np.float16)


def any_wider(*parameters: Any) -> bool:
    """Whether float16 values would meet others: then all is computed in float32."""
    return any(v is not None and v.dtype != HALF for v in parameters)


def check_channels(
    name: str, x: Array, weight: Array, bias: Array, running_mean: Any, running_var: Any
) -> bool:
    """Raise unless x is (N, C, *) of floats, and each of the others (C,) or None.

    Returns whether float16 values meet others.
    """
    shape, dtype = x.shape, x.dtype
    if len(shape) < 2:
        raise ShapeError(f"{name}: x needs at least two axes\n  x {shape} = (N, C, *)")
    if dtype.kind != "f":
        check_float(name, x)
    if (running_mean is None) is not (running_var is None):
        raise ConfigError(f"{name}: pass both running_mean and running_var, or neither")
    per_channel = (shape[1],)
    if (
        (weight is not None and weight.shape != per_channel)
        or (bias is not None and bias.shape != per_channel)
        or (running_mean is not None and running_mean.shape != per_channel)
        or (running_var is not None and running_var.shape != per_channel)
    ):
        vectors = {
            "weight": weight, "bias": bias, "running_mean": running_mean,
            "running_var": running_var,
        }  # fmt: skip
        wrong = {r: v for r, v in vectors.items() if v is not None and v.shape != per_channel}
        role, v = next(iter(wrong.items()))
        raise ShapeError(
            f"{name}: {role} {tuple(v.shape)} must hold one value per channel of x\n"
            f"  x {shape} = (N, C, *)"
        )
    return dtype.itemsize == 2 and any_wider(weight, bias, running_mean, running_var)


def _normalise_by_batch(
    x: Array, running_mean: Any, running_var: Any, weight: Array, bias: Array,
    momentum: float, eps: float,
) -> Array:  # fmt: skip
    shape = tuple(x.shape)
    count = math.prod(shape) // max(shape[1], 1)
    if count == 1:
        raise ShapeError(
            "batch_norm: one value per channel has no variance; in training use a batch of at "
            f"least two images, or call model.eval()\n  x {shape} = (N, C, *)"
        )
    y, (mu, variance) = batch_norm_training.with_aux(x, weight, bias, eps)
    if running_mean is not None and count:
        move_statistics(running_mean, running_var, mu, variance * (count / (count - 1)), momentum)
    return y


def move_statistics(
    running_mean: Any, running_var: Any, mean: Any, variance: Any, momentum: float
) -> None:
    """Let the running statistics follow those of a batch, in place."""
    # Not r + m·(b - r), which forgets the digits of a small variance next to a large one.
    for running, of_batch in ((running_mean, mean), (running_var, variance)):
        running *= 1 - momentum
        running += momentum * of_batch


@op(name="batch_norm", aux=True)
def batch_norm_training(
    x: Array, weight: Array, bias: Array, eps: float
) -> tuple[Array, tuple[Array, Array]]:
    """Normalise by the statistics of the batch: (y, (mean, biased variance))."""
    y, mu, variance = _by_own_moments(x, weight, bias, eps)
    return y, (mu, variance)


@half_in_single  # once around both: moments in half precision would be too coarse to subtract
def _by_own_moments(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    mu, variance = kernels.moments(x)
    return kernels.normalise(x, mu, variance, weight, bias, eps), mu, variance


@batch_norm_training.joint_vjp("x", "weight", "bias")
def batch_norm_vjp(
    g: Array, x: Array, weight: Array, bias: Array, aux: tuple[Array, Array], eps: float
) -> tuple[Array, Array, Array]:
    """The formulas above. They need no bias, but with a ReLU's gradient in front of them the
    sign of the result is computed again, which does."""
    if isinstance(g, np.ndarray):
        return kernels.batch_norm_backward(g, x, weight, *aux, eps)
    axes = all_but_channels(x)
    normal, inverse = standardised(x, axes, eps)
    slopes = g if weight is None else g * per_channel(weight, x.ndim)
    return through_moments(slopes, normal, inverse, axes), sum(g * normal, axes), sum(g, axes)


def standardised(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """x̂ and 1/√(σ²+ε), on Tensors: the formulas above, with μ and σ² functions of x."""
    centred = x - mean(x, axes, keepdim=True)
    inverse = rsqrt(mean(square(centred), axes, keepdim=True) + eps)
    return centred * inverse, inverse


def through_moments(slopes: Array, normal: Array, inverse: Array, axes: tuple[int, ...]) -> Array:
    """dx from the slopes gₓ̂ = w·g, on Tensors."""
    level = mean(slopes, axes, keepdim=True)
    return inverse * (slopes - level - normal * mean(slopes * normal, axes, keepdim=True))


def per_channel(v: Array, ndim: int) -> Array:
    """(C,) as (1, C, 1, ...), to broadcast against (N, C, *)."""
    return reshape(v, (1, v.shape[0], *(1,) * (ndim - 2)))


@op(aux=True)
def batch_norm_inference(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
) -> tuple[Array, tuple[Array, Array]]:
    """Normalise by given statistics: one scale and one shift for each channel."""
    scale, shift, inverse = kernels.scale_and_shift(mean, var, weight, bias, eps)
    return kernels.scale_shift(x, scale, shift), (mean.copy(), inverse)


def all_but_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _scaled_gradient(g: Array, weight: Array, aux: tuple[Array, Array]) -> Array:
    scale = aux[1] if weight is None else weight * aux[1]
    return g * per_channel(scale, g.ndim)


def _weight_gradient(g: Array, x: Array, aux: tuple[Array, Array]) -> Array:
    mu, inverse = (per_channel(v, g.ndim) for v in aux)
    return sum(g * ((x - mu) * inverse), all_but_channels(g))


batch_norm_inference.vjp(x=_scaled_gradient, weight=_weight_gradient, bias=channel_sum)
