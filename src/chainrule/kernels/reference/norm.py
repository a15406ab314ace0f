"""Batch normalisation, training form, and the affine map that its inference form is."""

import numpy as np

from chainrule.kernels.reference.precision import half_in_single
from chainrule.kernels.summation import add_up

__all__ = ["batch_norm", "batch_norm_backward", "scale_shift"]


@half_in_single
def batch_norm(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x - mean) / sqrt(var + eps) * weight + bias, with the statistics of this batch.

    x (N, C, *); weight, bias (C,) or None. Returns y, and mean and biased variance (C,) over
    all axes but 1. Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    """
    count = _count(x)
    mean = _channel_sum(x) / count
    y = x - _channels(mean, x)
    var = _channel_sum(y * y) / count
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    y *= _channels(scale if weight is None else scale * weight, x)
    if bias is not None:
        y += _channels(bias, x)
    return y, mean, var


@half_in_single
def batch_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of batch_norm: dx = w/std (g - mean(g) - x_hat mean(g x_hat)).

    g, x (N, C, *); mean, var (C,) as batch_norm returned them; weight (C,) or None.
    Returns dx like x, dweight = sum(g x_hat) and dbias = sum(g), both (C,).
    """
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    x_hat = x - _channels(mean, x)
    x_hat *= _channels(scale, x)
    dbias = _channel_sum(g)
    dweight = _channel_sum(g * x_hat)
    count = _count(x)
    dx = x_hat
    dx *= _channels(dweight / -count, x)
    dx += g
    dx -= _channels(dbias / count, x)
    dx *= _channels(scale if weight is None else scale * weight, x)
    return dx, dweight, dbias


@half_in_single
def scale_shift(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """x * scale[c] + shift[c] on axis 1.   x (N, C, *); scale, shift (C,)."""
    y = x * _channels(scale, x)
    y += _channels(shift, x)
    return y


def _channels(vector: np.ndarray, like: np.ndarray) -> np.ndarray:
    """(C,) -> (C, 1, ...), so that it broadcasts along axis 1."""
    return vector.reshape(-1, *(1,) * (like.ndim - 2))


def _count(x: np.ndarray) -> int:
    """Values that each channel's mean is over; 1 for an empty batch, whose sums are 0."""
    return max(x.size // max(x.shape[1], 1), 1)


def _channel_sum(x: np.ndarray) -> np.ndarray:
    """Sum over every axis but 1."""
    return add_up(x, (0, *range(2, x.ndim)), False, x.dtype)
