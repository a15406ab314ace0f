"""Normalisation within a sample: over the values of a row, or of a group of channels."""

import numpy as np

from chainrule.kernels.reference.precision import half_in_single

__all__ = [
    "group_norm",
    "group_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "rms_norm",
    "rms_norm_backward",
]

Affine = np.ndarray | None
Three = tuple[np.ndarray, np.ndarray, np.ndarray]


@half_in_single
def layer_norm(x: np.ndarray, weight: Affine, bias: Affine, eps: float) -> Three:
    """Each row by its own moments: (x - mean) / sqrt(var + eps) · weight + bias.

    x (M, D); weight, bias (D,) or None. Returns y like x, mean and biased variance (M,).
    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """
    mean, var = _moments(x, (1,))
    y = (x - mean) * _inverse_std(var, eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean[:, 0], var[:, 0]


@half_in_single
def layer_norm_backward(
    g: np.ndarray, x: np.ndarray, weight: Affine, mean: np.ndarray, var: np.ndarray, eps: float
) -> Three:
    """Gradients of layer_norm, with mean and var (M,) as it returned them.

    dx = (s - mean(s) - x_hat · mean(s · x_hat)) / std of the slopes s = weight · g, like x;
    dweight = sum(g · x_hat) and dbias = sum(g) over the rows, (D,).
    """
    inverse = _inverse_std(var[:, None], eps)
    x_hat = (x - mean[:, None]) * inverse
    dx = _through_moments(g if weight is None else g * weight, x_hat, inverse, (1,))
    return dx, (g * x_hat).sum(axis=0), g.sum(axis=0)


@half_in_single
def rms_norm(x: np.ndarray, weight: Affine, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Each row by its root mean square: x / sqrt(mean(x²) + eps) · weight.

    x (M, D); weight (D,) or None. Returns y like x, and the mean squares (M,).
    Source: Zhang & Sennrich 2019, arXiv:1910.07467.
    """
    square = np.square(x).sum(axis=1, keepdims=True) / _count(x, (1,))
    y = x * _inverse_std(square, eps)
    return y if weight is None else y * weight, square[:, 0]


@half_in_single
def rms_norm_backward(
    g: np.ndarray, x: np.ndarray, weight: Affine, square: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of rms_norm, with the mean squares (M,) as it returned them.

    dx = (s - x_hat · mean(s · x_hat)) / rms of the slopes s = weight · g, like x;
    dweight = sum(g · x_hat) over the rows, (D,).
    """
    inverse = _inverse_std(square[:, None], eps)
    x_hat = x * inverse
    slopes = g if weight is None else g * weight
    projection = (slopes * x_hat).sum(axis=1, keepdims=True) / _count(x, (1,))
    return inverse * (slopes - x_hat * projection), (g * x_hat).sum(axis=0)


@half_in_single
def group_norm(x: np.ndarray, groups: int, weight: Affine, bias: Affine, eps: float) -> Three:
    """Each group of neighbouring channels of each image by its own moments, then as layer_norm.

    x (N, C, *), C a multiple of groups; weight, bias (C,) or None. Returns y like x, mean and
    biased variance (N, groups). Source: Wu & He 2018, arXiv:1803.08494.
    """
    parts = _grouped(x, groups)
    axes = tuple(range(2, parts.ndim))
    mean, var = _moments(parts, axes)
    y = ((parts - mean) * _inverse_std(var, eps)).reshape(x.shape)
    y = y if weight is None else y * _channels(weight, x)
    y = y if bias is None else y + _channels(bias, x)
    return y, mean.reshape(mean.shape[:2]), var.reshape(var.shape[:2])


@half_in_single
def group_norm_backward(
    g: np.ndarray, x: np.ndarray, weight: Affine, mean: np.ndarray, var: np.ndarray, eps: float
) -> Three:
    """Gradients of group_norm, with mean and var (N, groups) as it returned them.

    dx as in layer_norm_backward, over a group; dweight and dbias (C,) sum over all but channels.
    """
    groups = mean.shape[1]
    parts = _grouped(x, groups)
    axes = tuple(range(2, parts.ndim))
    statistic = (*mean.shape, *(1,) * len(axes))
    inverse = _inverse_std(var.reshape(statistic), eps)
    x_hat = (parts - mean.reshape(statistic)) * inverse
    slopes = g if weight is None else g * _channels(weight, x)
    dx = _through_moments(_grouped(slopes, groups), x_hat, inverse, axes)
    others = (0, *range(2, x.ndim))
    normal = x_hat.reshape(x.shape)
    return dx.reshape(x.shape), (g * normal).sum(axis=others), g.sum(axis=others)


def _moments(x: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance, corrected as in the kernel `moments`; axes stay, of size one."""
    count = _count(x, axes)
    mean = x.sum(axis=axes, keepdims=True) / count
    distance = x - mean
    off = distance.sum(axis=axes, keepdims=True) / count
    distance *= distance
    return mean + off, distance.sum(axis=axes, keepdims=True) / count - off * off


def _through_moments(
    slopes: np.ndarray, x_hat: np.ndarray, inverse: np.ndarray, axes: tuple[int, ...]
) -> np.ndarray:
    count = _count(slopes, axes)
    mean = slopes.sum(axis=axes, keepdims=True) / count
    projection = (slopes * x_hat).sum(axis=axes, keepdims=True) / count
    return inverse * (slopes - mean - x_hat * projection)


def _count(x: np.ndarray, axes: tuple[int, ...]) -> int:
    """Values of a mean; 1 if there are none, as their sums are 0."""
    return max(int(np.prod([x.shape[axis] for axis in axes])), 1)


def _inverse_std(var: np.ndarray, eps: float) -> np.ndarray:
    return 1 / np.sqrt(var + var.dtype.type(eps))


def _grouped(x: np.ndarray, groups: int) -> np.ndarray:
    """(N, C, *) -> (N, groups, C/groups, *); a view."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _channels(vector: np.ndarray, like: np.ndarray) -> np.ndarray:
    """(C,) -> (C, 1, ...), so that it broadcasts along axis 1."""
    return vector.reshape(-1, *(1,) * (like.ndim - 2))
