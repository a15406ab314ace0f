"""Batch normalisation: moments of each channel, and what is made of them."""

import numpy as np

from chainrule.kernels.epilogue import finish
from chainrule.kernels.reference.activation import relu_backward
from chainrule.kernels.reference.precision import half_in_single
from chainrule.kernels.summation import add_up

__all__ = [
    "batch_norm_add_relu_backward",
    "batch_norm_backward",
    "batch_norm_relu_backward",
    "channel_sum",
    "moments",
    "normalise",
    "relu_bias_backward",
    "scale_and_shift",
    "scale_shift",
]


@half_in_single
def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each channel, over all axes but 1.

    x (N, C, *) -> (C,), (C,). The variance is a mean of squared distances from the mean: a
    difference of two sums would lose every digit far from zero. What rounding left over in
    the mean shows in the mean distance, and is put right.
    Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", eq. 1.7.
    """
    count = _count(x)
    mean = _channel_sum(x) / count
    distance = x - _channels(mean, x)
    off = _channel_sum(distance) / count
    distance *= distance
    return mean + off, _channel_sum(distance) / count - off * off


@half_in_single
def normalise(
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    add: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    """relu((x - mean) · (weight / sqrt(var + eps)) + bias + add), along axis 1.

    x (N, C, *); mean, var (C,); weight, bias (C,) or None; add like x or None; the ReLU only
    where asked for. Source: Ioffe & Szegedy 2015, arXiv:1502.03167.
    """
    y = x - _channels(mean, x)
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    y *= _channels(scale if weight is None else scale * weight, x)
    if bias is not None:
        y += _channels(bias, x)
    return finish(y, add, relu)


@half_in_single
def scale_and_shift(
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What makes one step of normalise: y = x · scale + shift; and the inverse deviation.

    inverse = 1 / sqrt(var + eps), scale = inverse · weight, shift = bias - mean · scale.
    mean, var (C,); weight, bias (C,) or None -> (scale, shift, inverse), each (C,).
    """
    inverse = 1 / np.sqrt(var + var.dtype.type(eps))
    scale = inverse.copy() if weight is None else inverse * weight
    shift = mean * -scale
    return scale, shift if bias is None else shift + bias, inverse


@half_in_single
def batch_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of normalise by x's own moments: dx = w/std (g - mean(g) - x_hat mean(g x_hat)).

    g, x (N, C, *); mean, var (C,) as moments(x) returned them; weight (C,) or None.
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
def batch_norm_relu_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of relu(normalise(x)), as batch_norm_backward's of g where the ReLU let it by.

    The result is not needed: its sign is computed again, with normalise's very roundings.
    """
    y = normalise(x, mean, var, weight, bias, eps)
    return batch_norm_backward(relu_backward(g, y), x, weight, mean, var, eps)


@half_in_single
def batch_norm_add_relu_backward(
    g: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of y = relu(normalise(x) + add): those of batch_norm_backward, then add's.

    The gradient of add is g where y > 0, and 0 elsewhere.
    """
    masked = relu_backward(g, y)
    return *batch_norm_backward(masked, x, weight, mean, var, eps), masked


@half_in_single
def scale_shift(
    x: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    add: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    """relu(x · scale[c] + shift[c] + add) on axis 1.

    x (N, C, *); scale, shift (C,); add like x or None; the ReLU only where asked for.
    """
    y = x * _channels(scale, x)
    y += _channels(shift, x)
    return finish(y, add, relu)


@half_in_single
def channel_sum(g: np.ndarray) -> np.ndarray:
    """Sum over every axis but 1: the gradient of a bias.   g (N, C, *) -> (C,)."""
    return _channel_sum(g)


@half_in_single
def relu_bias_backward(g: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Through y = relu(z + bias): (relu_backward(g, y), its channel_sum).   g, y (N, C, *)."""
    masked = relu_backward(g, y)
    return masked, _channel_sum(masked)


def _channels(vector: np.ndarray, like: np.ndarray) -> np.ndarray:
    """(C,) -> (C, 1, ...), so that it broadcasts along axis 1."""
    return vector.reshape(-1, *(1,) * (like.ndim - 2))


def _count(x: np.ndarray) -> int:
    """Values that each channel's mean is over; 1 for an empty batch, whose sums are 0."""
    return max(x.size // max(x.shape[1], 1), 1)


def _channel_sum(x: np.ndarray) -> np.ndarray:
    """Sum over every axis but 1."""
    return add_up(x, (0, *range(2, x.ndim)), False, x.dtype)
