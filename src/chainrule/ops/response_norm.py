"""Local response normalisation: each value damped by its neighbours in channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ConfigError, ShapeError
from chainrule.kernels.reference.precision import half_in_single
from chainrule.ops.arithmetic import square
from chainrule.ops.op import op
from chainrule.ops.reduction import check_float

__all__ = ["local_response_norm"]

Array = Any


def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Divide each value by a power of the mean square around it, across channels.

    y_c = x_c · d_c^{-β},  d_c = k + α/size · Σ x_j²  over j = c - ⌊size/2⌋ ... c + ⌊(size-1)/2⌋,
    where channels outside count as 0. x (N, C, *) with at least one position axis.
    α/size is PyTorch's convention; the paper multiplies the sum by α itself, so that its
    α = 10⁻⁴, β = 0.75, k = 2 for size 5 are ``alpha=5e-4, beta=0.75, k=2`` here.

    x_j takes part in its own quotient and in the d of its neighbours:
    dx_j = g_j·d_j^{-β} - 2αβ/size · x_j · Σ g_c·x_c·d_c^{-β-1}  over the c whose window holds j.
    Raises ShapeError, DTypeError, ConfigError (size below 1).
    Source: Krizhevsky, Sutskever & Hinton 2012, "ImageNet classification with deep
    convolutional neural networks", §3.3; docs/derivations/response_norm.md.
    """
    check_float("local_response_norm", x)
    if x.ndim < 3:
        raise ShapeError(f"local_response_norm: x needs positions\n  x {x.shape} = (N, C, *)")
    if size < 1:
        raise ConfigError(f"local_response_norm: size must be at least 1, got {size}")
    return _local_response_norm(x, size, alpha, beta, k)


@op(name="local_response_norm", aux=True)
def _local_response_norm(
    x: Array, size: int, alpha: float, beta: float, k: float
) -> tuple[Array, Array]:
    """(y, d)."""
    return _respond(x, size, alpha, beta, k)


@half_in_single
def _respond(x: Array, size: int, alpha: float, beta: float, k: float) -> tuple[Array, Array]:
    d = _window_sum(np.square(x), size // 2, (size - 1) // 2)
    d *= alpha / size
    d += k
    y = _inverse_power(d, beta)
    y *= x
    return y, d


def _inverse_power(d: Array, beta: float) -> Array:
    """d^-beta; the usual 3/4 by two square roots, at a fraction of the time."""
    if beta != 0.75:
        return d**-beta
    root = np.sqrt(d)
    return 1 / (root * np.sqrt(root))


def _local_response_norm_vjp(
    g: Array, x: Array, aux: Array, size: int, alpha: float, beta: float, k: float
) -> Array:
    slope = -2 * alpha * beta / size
    before, after = size // 2, (size - 1) // 2
    if isinstance(g, np.ndarray):
        return _respond_backward(g, x, aux, slope, before, after, beta)
    d = channel_window_sum(square(x), before, after) * (alpha / size) + k
    shares = channel_window_sum(g * x * d ** (-beta - 1), after, before)
    return g * d**-beta + slope * x * shares


_local_response_norm.vjp(x=_local_response_norm_vjp)


@half_in_single
def _respond_backward(
    g: Array, x: Array, d: Array, slope: float, before: int, after: int, beta: float
) -> Array:
    dx = _inverse_power(d, beta)
    dx *= g
    shares = dx * x
    shares /= d
    shares = _window_sum(shares, after, before)
    shares *= x
    shares *= slope
    dx += shares
    return dx


@op
def channel_window_sum(x: Array, before: int, after: int) -> Array:
    """y_c = x_{c-before} + ... + x_{c+after}, where there are such channels.   x (N, C, *).

    Each x_j is copied to the windows that hold it, those of j - after ... j + before: copies sum.
    """
    return _window_sum(x, before, after)


channel_window_sum.vjp(x=lambda g, before, after: channel_window_sum(g, after, before))


def _window_sum(x: Array, before: int, after: int) -> Array:
    total = x.copy(order="K")
    channels = x.shape[1]
    for shift in range(1, min(max(before, after) + 1, channels)):
        if shift <= before:
            total[:, shift:] += x[:, :-shift]
        if shift <= after:
            total[:, :-shift] += x[:, shift:]
    return total
