"""Normalisation within a sample: layer, group, instance and root-mean-square normalisation.

The graph is that of batch normalisation (`chainrule.ops.norm`), with μ and σ² over values of one
sample, among which w differs, so that it stays with g:

    gₓ̂ = w·g,   dx = (gₓ̂ - mean(gₓ̂) - x̂·mean(gₓ̂·x̂)) / √(σ²+ε),   dw = Σ g·x̂,   db = Σ g,

the last two over all values that the weight was copied to. Instance norm is group norm with one
channel a group. RMS norm takes no mean off, and its dx lacks the mean of gₓ̂ therefore.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.arithmetic import rsqrt, square
from chainrule.ops.elementwise import cast
from chainrule.ops.norm import (
    HALF,
    all_but_channels,
    any_wider,
    batch_norm_inference,
    check_channels,
    move_statistics,
    per_channel,
    standardised,
    through_moments,
)
from chainrule.ops.op import op
from chainrule.ops.reduction import check_float, mean, sum
from chainrule.ops.shape import reshape

__all__ = ["group_norm", "instance_norm", "layer_norm", "rms_norm"]

Array = Any


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
    shape = _last_axes("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    if x.dtype == HALF and any_wider(weight, bias):
        return cast(layer_norm(cast(x, np.float32), shape, weight, bias, eps), HALF)
    return layer_norm_by_rows(x, weight, bias, len(shape), eps)


def _last_axes(
    name: str, x: Array, normalized_shape: int | Sequence[int], **affine: Array
) -> tuple[int, ...]:
    """normalized_shape as a tuple, checked against x and what is to have it."""
    if isinstance(normalized_shape, int):
        normalized_shape = (normalized_shape,)
    shape = tuple(normalized_shape)
    check_float(name, x)
    if not shape or tuple(x.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"{name}: normalized_shape {shape} must be the sizes of x's last axes\n  x {x.shape}"
        )
    for role, v in affine.items():
        if v is not None and tuple(v.shape) != shape:
            raise ShapeError(
                f"{name}: {role} {tuple(v.shape)} must have normalized_shape {shape}\n  x {x.shape}"
            )
    return shape


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
    normal, inverse = standardised(x, axes, eps)
    slopes = g if weight is None else g * weight
    dx = through_moments(slopes, normal, inverse, axes)
    return dx, _sum_over(g * normal, others), _sum_over(g, others)


def _sum_over(x: Array, axes: tuple[int, ...]) -> Array:
    """sum, where no axes mean none (and not all)."""
    return sum(x, axes) if axes else x


def rms_norm(
    x: Array, normalized_shape: int | Sequence[int], weight: Array = None, eps: float | None = None
) -> Array:
    """Divide each sample by the root mean square of its last axes, then scale value by value.

    y = x / √(mean(x²) + ε) · weight,  the mean over the axes of ``normalized_shape``, the sizes
    of x's last axes; weight has that shape, or None. eps None: the distance from 1 to the next
    float of the type computed in (float32 for float16).
    With r = 1/√(mean(x²) + ε), x̂ = x·r and s = weight·g:   dx = r·(s - x̂·mean(s·x̂)),
    dweight = Σ g·x̂ over the samples.
    Raises ShapeError, DTypeError. Source: Zhang & Sennrich 2019, arXiv:1910.07467.
    """
    shape = _last_axes("rms_norm", x, normalized_shape, weight=weight)
    if eps is None:
        eps = float(np.finfo(np.float64 if x.dtype == np.float64 else np.float32).eps)
    if x.dtype == HALF and any_wider(weight):
        return cast(rms_norm(cast(x, np.float32), shape, weight, eps), HALF)
    if weight is not None and weight.dtype != x.dtype:
        return cast(rms_norm_by_rows(x, None, len(shape), eps) * weight, x.dtype)
    return rms_norm_by_rows(x, weight, len(shape), eps)


@op(name="rms_norm", aux=True)
def rms_norm_by_rows(x: Array, weight: Array, last: int, eps: float) -> tuple[Array, Array]:
    """Divide by the root mean square over the ``last`` axes: (y, mean square of each row)."""
    y, square = kernels.rms_norm(
        _rows(x, last), None if weight is None else weight.reshape(-1), eps
    )
    return y.reshape(x.shape), square


@rms_norm_by_rows.joint_vjp("x", "weight")
def _rms_norm_vjp(
    g: Array, x: Array, weight: Array, aux: Array, last: int, eps: float
) -> tuple[Array, Array]:
    split = x.ndim - last
    if isinstance(g, np.ndarray):
        flat = None if weight is None else weight.reshape(-1)
        dx, dweight = kernels.rms_norm_backward(_rows(g, last), _rows(x, last), flat, aux, eps)
        return dx.reshape(x.shape), dweight.reshape(x.shape[split:])
    axes, others = tuple(range(split, x.ndim)), tuple(range(split))
    inverse = rsqrt(mean(square(x), axes, keepdim=True) + eps)
    normal = x * inverse
    slopes = g if weight is None else g * weight
    dx = inverse * (slopes - normal * mean(slopes * normal, axes, keepdim=True))
    return dx, _sum_over(g * normal, others)


def group_norm(
    x: Array, num_groups: int, weight: Array = None, bias: Array = None, eps: float = 1e-5
) -> Array:
    """Normalise each group of neighbouring channels of each image; scale and shift by channel.

    y = (x - μ) / √(σ² + ε) · weight + bias,  μ and the biased σ² over a group's C/num_groups
    channels and all positions. x (N, C, *); weight, bias (C,) or None. One channel a group is
    instance normalisation.
    Raises ShapeError (groups do not divide the channels; one value a group), DTypeError.
    Source: Wu & He 2018, arXiv:1803.08494.
    """
    check_float("group_norm", x)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: {num_groups} groups must divide the channels of x\n"
            f"  x {x.shape} = (N, C, *)"
        )
    if check_channels("group_norm", x, weight, bias, None, None):
        return cast(group_norm(cast(x, np.float32), num_groups, weight, bias, eps), HALF)
    if math.prod(x.shape) == num_groups:
        raise ShapeError(
            "group_norm: one value per group has no variance; use fewer groups or larger images\n"
            f"  x {x.shape} = (N, C, *); num_groups {num_groups}"
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
    axes, others = tuple(range(2, len(split))), all_but_channels(x)
    normal, inverse = standardised(reshape(x, split), axes, eps)
    slopes = g if weight is None else g * per_channel(weight, x.ndim)
    dx = reshape(through_moments(reshape(slopes, split), normal, inverse, axes), x.shape)
    return dx, sum(g * reshape(normal, x.shape), others), sum(g, others)


def instance_norm(
    x: Array,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Array = None,
    bias: Array = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """Normalise each channel of each image by itself, then scale and shift.

    y = (x - μ) / √(σ² + ε) · weight + bias,  μ and the biased σ² over the positions of one
    channel of one image: group norm with one channel a group. x (N, C, *); weight, bias,
    running_mean, running_var (C,) or None. The running statistics (NumPy arrays) move in place by
    ``momentum`` towards the mean over the images of μ and of the *unbiased* variance; without
    use_input_stats they are used instead, as in batch norm's evaluation.
    Raises ShapeError (one value per channel of an image), DTypeError, ConfigError.
    Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022.
    """
    if check_channels("instance_norm", x, weight, bias, running_mean, running_var):
        y = instance_norm(
            cast(x, np.float32), running_mean, running_var, weight, bias,
            use_input_stats, momentum, eps,
        )  # fmt: skip
        return cast(y, HALF)
    if not use_input_stats:
        if running_mean is None:
            raise ConfigError(
                "instance_norm: without use_input_stats it needs running_mean and running_var"
            )
        return batch_norm_inference(x, weight, bias, running_mean, running_var, eps)
    count = math.prod(x.shape[2:])
    if count == 1:
        raise ShapeError(
            "instance_norm: one value per channel of an image has no variance; use larger images\n"
            f"  x {x.shape} = (N, C, *)"
        )
    y, (mu, variance) = group_norm_by_images.with_aux(x, x.shape[1], weight, bias, eps)
    if running_mean is not None and math.prod(x.shape):
        unbiased = variance.mean(axis=0) * (count / (count - 1))
        move_statistics(running_mean, running_var, mu.mean(axis=0), unbiased, momentum)
    return y
