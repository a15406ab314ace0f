"""Batch, layer and group normalisation.

The computational graph of the training form, per channel over the m = N·H·W values:

    μ = mean(x) ─► x - μ ─► σ² = mean((x-μ)²) ─► x̂ = (x-μ)/√(σ²+ε) ─► y = w·x̂ + b

Backwards along it (Ioffe & Szegedy 2015, §3), with gₓ̂ = w·g:

    dσ² = Σ gₓ̂·(x-μ) · -½(σ²+ε)^{-3/2},   dμ = -Σ gₓ̂ / √(σ²+ε)   (the σ² path into μ sums to 0)
    dx  = gₓ̂/√(σ²+ε) + dσ²·2(x-μ)/m + dμ/m

and put together, with every sum over the m values of a channel:

    db = Σ g,   dw = Σ g·x̂,   dx = w/√(σ²+ε) · (g - db/m - x̂·dw/m).

Layer and group norm take μ and σ² over values of one sample, among which w differs, so that
it stays with g:   dx = (gₓ̂ - mean(gₓ̂) - x̂·mean(gₓ̂·x̂)) / √(σ²+ε).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ShapeError
from chainrule.kernels.reference.precision import half_in_single
from chainrule.ops.elementwise import rsqrt, square
from chainrule.ops.op import op
from chainrule.ops.reduction import channel_sum, check_float, mean, sum
from chainrule.ops.shape import reshape

__all__ = ["batch_norm", "group_norm", "layer_norm"]

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
    Raises ShapeError (fewer than two values per channel in training), DTypeError.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2.
    """
    per_channel = (_channels(x),)
    for role, v in (("weight", weight), ("bias", bias), ("running_mean", running_mean)):
        if v is not None and v.shape != per_channel:
            raise ShapeError(
                f"batch_norm: {role} {tuple(v.shape)} must hold one value per channel of x\n"
                f"  x {x.shape} = (N, C, *)"
            )
    if training or running_mean is None:
        return _normalise_by_batch(x, running_mean, running_var, weight, bias, momentum, eps)
    return batch_norm_inference(x, weight, bias, running_mean, running_var, eps)


def _channels(x: Array) -> int:
    shape = x.shape
    if len(shape) < 2:
        raise ShapeError(f"batch_norm: x needs at least two axes\n  x {shape} = (N, C, *)")
    check_float("batch_norm", x)
    return int(shape[1])


def _normalise_by_batch(
    x: Array, running_mean: Any, running_var: Any, weight: Array, bias: Array,
    momentum: float, eps: float,
) -> Array:  # fmt: skip
    count = math.prod(x.shape) // max(x.shape[1], 1)
    if count == 1:
        raise ShapeError(
            "batch_norm: one value per channel has no variance; in training use a batch of at "
            f"least two images, or call model.eval()\n  x {x.shape} = (N, C, *)"
        )
    y, (mu, variance) = batch_norm_training.with_aux(x, weight, bias, eps)
    if running_mean is not None and count:
        running_mean += momentum * (mu - running_mean)
        running_var += momentum * (variance * (count / (count - 1)) - running_var)
    return y


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
    axes = _all_but_channels(x)
    normal, inverse = _standardised(x, axes, eps)
    slopes = g if weight is None else g * per_channel(weight, x.ndim)
    return _through_moments(slopes, normal, inverse, axes), sum(g * normal, axes), sum(g, axes)


def _standardised(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """x̂ and 1/√(σ²+ε), on Tensors: the formulas above, with μ and σ² functions of x."""
    centred = x - mean(x, axes, keepdim=True)
    inverse = rsqrt(mean(square(centred), axes, keepdim=True) + eps)
    return centred * inverse, inverse


def _through_moments(slopes: Array, normal: Array, inverse: Array, axes: tuple[int, ...]) -> Array:
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


def _all_but_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _scaled_gradient(g: Array, weight: Array, aux: tuple[Array, Array]) -> Array:
    scale = aux[1] if weight is None else weight * aux[1]
    return g * per_channel(scale, g.ndim)


def _weight_gradient(g: Array, x: Array, aux: tuple[Array, Array]) -> Array:
    mu, inverse = (per_channel(v, g.ndim) for v in aux)
    return sum(g * ((x - mu) * inverse), _all_but_channels(g))


batch_norm_inference.vjp(x=_scaled_gradient, weight=_weight_gradient, bias=channel_sum)


def layer_norm(
    x: Array,
    normalized_shape: int | Sequence[int],
    weight: Array = None,
    bias: Array = None,
    eps: float = 1e-5,
) -> Array:
    """Normalise each sample over its last axes, then scale and shift value by value.

    y = (x - μ) / √(σ² + ε) · weight + bias,  μ and the biased σ² over the axes of
    ``normalized_shape``, the sizes of x's last axes; weight and bias have that shape, or None.
    Raises ShapeError, DTypeError. Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """
    if isinstance(normalized_shape, int):
        normalized_shape = (normalized_shape,)
    shape = tuple(normalized_shape)
    check_float("layer_norm", x)
    if not shape or tuple(x.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"layer_norm: normalized_shape {shape} must be the sizes of x's last axes\n"
            f"  x {x.shape}"
        )
    for role, v in (("weight", weight), ("bias", bias)):
        if v is not None and tuple(v.shape) != shape:
            raise ShapeError(
                f"layer_norm: {role} {tuple(v.shape)} must have normalized_shape {shape}\n"
                f"  x {x.shape}"
            )
    return layer_norm_by_rows(x, weight, bias, len(shape), eps)


@op(name="layer_norm", aux=True)
def layer_norm_by_rows(
    x: Array, weight: Array, bias: Array, last: int, eps: float
) -> tuple[Array, tuple[Array, Array]]:
    """Normalise over the ``last`` axes: (y, (mean, biased variance) of what is a row then)."""
    weight, bias = (None if v is None else v.reshape(-1) for v in (weight, bias))
    y, mu, variance = kernels.layer_norm(_rows(x, last), weight, bias, eps)
    return y.reshape(x.shape), (mu, variance)


def _rows(x: Array, last: int) -> Array:
    split = x.ndim - last
    return x.reshape(math.prod(x.shape[:split]), math.prod(x.shape[split:]))


@layer_norm_by_rows.joint_vjp("x", "weight", "bias")
def _layer_norm_vjp(
    g: Array, x: Array, weight: Array, aux: tuple[Array, Array], last: int, eps: float
) -> tuple[Array, Array, Array]:
    split = x.ndim - last
    if isinstance(g, np.ndarray):
        flat = None if weight is None else weight.reshape(-1)
        dx, dweight, dbias = kernels.layer_norm_backward(
            _rows(g, last), _rows(x, last), flat, *aux, eps
        )
        of_weight = x.shape[split:]
        return dx.reshape(x.shape), dweight.reshape(of_weight), dbias.reshape(of_weight)
    axes, others = tuple(range(split, x.ndim)), tuple(range(split))
    normal, inverse = _standardised(x, axes, eps)
    slopes = g if weight is None else g * weight
    dx = _through_moments(slopes, normal, inverse, axes)
    return dx, _sum_over(g * normal, others), _sum_over(g, others)


def _sum_over(x: Array, axes: tuple[int, ...]) -> Array:
    """sum, where no axes mean none (and not all)."""
    return sum(x, axes) if axes else x


def group_norm(
    x: Array, num_groups: int, weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Array:
    """Normalise each group of neighbouring channels of each image; scale and shift by channel.

    y = (x - μ) / √(σ² + ε) · weight + bias,  μ and the biased σ² over a group's C/num_groups
    channels and all positions. x (N, C, *); weight, bias (C,) or None. One channel a group is
    instance normalisation.
    Raises ShapeError (groups do not divide the channels), DTypeError.
    Source: Wu & He 2018, arXiv:1803.08494.
    """
    check_float("group_norm", x)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: {num_groups} groups must divide the channels of x\n"
            f"  x {x.shape} = (N, C, *)"
        )
    for role, v in (("weight", weight), ("bias", bias)):
        if v is not None and tuple(v.shape) != (x.shape[1],):
            raise ShapeError(
                f"group_norm: {role} {tuple(v.shape)} must hold one value per channel of x\n"
                f"  x {x.shape} = (N, C, *)"
            )
    return group_norm_by_images(x, num_groups, weight, bias, eps)


@op(name="group_norm", aux=True)
def group_norm_by_images(
    x: Array, groups: int, weight: Array, bias: Array, eps: float
) -> tuple[Array, tuple[Array, Array]]:
    """Normalise groups of channels: (y, (mean, biased variance) of each image's groups)."""
    y, mu, variance = kernels.group_norm(x, groups, weight, bias, eps)
    return y, (mu, variance)


@group_norm_by_images.joint_vjp("x", "weight", "bias")
def _group_norm_vjp(
    g: Array, x: Array, weight: Array, groups: int, aux: tuple[Array, Array], eps: float
) -> tuple[Array, Array, Array]:
    if isinstance(g, np.ndarray):
        return kernels.group_norm_backward(g, x, weight, *aux, eps)
    split = (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    axes, others = tuple(range(2, len(split))), _all_but_channels(x)
    normal, inverse = _standardised(reshape(x, split), axes, eps)
    slopes = g if weight is None else g * per_channel(weight, x.ndim)
    dx = reshape(_through_moments(reshape(slopes, split), normal, inverse, axes), x.shape)
    return dx, sum(g * reshape(normal, x.shape), others), sum(g, others)
