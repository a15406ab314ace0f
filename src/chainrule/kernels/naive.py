"""The naive tier: loops as in a textbook. The definition, and the oracle for the other tiers.

Everything is computed one number at a time in Python floats (float64) and rounded to the
argument's dtype at the end. Hundreds of times slower than the other tiers: for tests and for
reading. The contracts, with shapes and sources, are the docstrings in reference/.
"""

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from chainrule.kernels.epilogue import NOTHING, Epilogue
from chainrule.kernels.geometry import (
    Pair,
    adaptive_bins,
    conv_output_size,
    pool_output_size,
    window_counts,
)
from chainrule.kernels.reference import __all__ as __all__
from chainrule.kernels.reference.neighbours import checked, require_finite

Window = Iterator[tuple[int, int, int, int]]


def relu(x: np.ndarray) -> np.ndarray:
    return _each(lambda value: value if value > 0 or math.isnan(value) else 0.0, x)


def relu_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _each(lambda slope, value: slope if value > 0 else 0.0, g, y)


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return _each(lambda one, other: one + other, a, b)


def accumulate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    for place in np.ndindex(a.shape):
        a[place] = float(a[place]) + float(b[place])
    return a


def sigmoid(x: np.ndarray) -> np.ndarray:
    return _each(lambda v: 1 / (1 + math.exp(-v)) if v >= 0 else math.exp(v) / (1 + math.exp(v)), x)


def sigmoid_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _each(lambda slope, value: slope * value * (1 - value), g, y)


def tanh(x: np.ndarray) -> np.ndarray:
    return _each(math.tanh, x)


def tanh_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _each(lambda slope, value: slope * (1 - value**2), g, y)


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    return _each(lambda value: value if value > 0 else slope * value, x)


def leaky_relu_backward(g: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    return _each(lambda each, value: each if value > 0 else slope * each, g, x)


def elu(x: np.ndarray, alpha: float, scale: float, input_scale: float) -> np.ndarray:
    def function(value: float) -> float:
        return scale * (value if value > 0 else alpha * (math.exp(input_scale * value) - 1))

    return _each(function, x)


def elu_backward(
    g: np.ndarray, x: np.ndarray, alpha: float, scale: float, input_scale: float
) -> np.ndarray:
    def slope(each: float, value: float) -> float:
        below = alpha * input_scale * math.exp(min(input_scale * value, 0))
        return each * scale * (1 if value > 0 else below)

    return _each(slope, g, x)


def gelu(x: np.ndarray, by_tanh: bool) -> np.ndarray:
    def function(value: float) -> float:
        if by_tanh:
            u = math.sqrt(2 / math.pi) * (value + 0.044715 * value**3)
            return value * (1 + math.tanh(u)) / 2
        return value * (1 + math.erf(value / math.sqrt(2))) / 2

    return _each(function, x)


def gelu_backward(g: np.ndarray, x: np.ndarray, by_tanh: bool) -> np.ndarray:
    def slope(each: float, value: float) -> float:
        if by_tanh:
            u = math.sqrt(2 / math.pi) * (value + 0.044715 * value**3)
            du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * value**2)
            t = math.tanh(u)
            return each * ((1 + t) / 2 + value * (1 - t * t) * du / 2)
        density = math.exp(-(value**2) / 2) / math.sqrt(2 * math.pi)
        return each * ((1 + math.erf(value / math.sqrt(2))) / 2 + value * density)

    return _each(slope, g, x)


def silu(x: np.ndarray) -> np.ndarray:
    return _each(lambda value: value * (1 + math.tanh(value / 2)) / 2, x)


def silu_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    def slope(each: float, value: float) -> float:
        s = (1 + math.tanh(value / 2)) / 2
        return each * (s + value * s * (1 - s))

    return _each(slope, g, x)


def hardswish(x: np.ndarray) -> np.ndarray:
    return _each(lambda value: value * min(max(value + 3, 0), 6) / 6, x)


def hardswish_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    def slope(each: float, value: float) -> float:
        return 0.0 if value <= -3 else each if value >= 3 else each * (value / 3 + 0.5)

    return _each(slope, g, x)


def hardsigmoid(x: np.ndarray) -> np.ndarray:
    return _each(lambda value: min(max(value + 3, 0), 6) / 6, x)


def hardsigmoid_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    return _each(lambda each, value: each / 6 if -3 < value < 3 else 0.0, g, x)


def mish(x: np.ndarray) -> np.ndarray:
    return _each(lambda value: value * math.tanh(math.log1p(math.exp(value))), x)


def mish_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    def slope(each: float, value: float) -> float:
        t = math.tanh(math.log1p(math.exp(value)))
        return each * (t + value * (1 - t * t) / (1 + math.exp(-value)))

    return _each(slope, g, x)


def hardtanh(x: np.ndarray, low: float, high: float) -> np.ndarray:
    return _each(lambda value: value if math.isnan(value) else min(max(value, low), high), x)


def hardtanh_backward(g: np.ndarray, x: np.ndarray, low: float, high: float) -> np.ndarray:
    return _each(lambda each, value: 0.0 if value <= low or value >= high else each, g, x)


def clamp_backward(g: np.ndarray, x: np.ndarray, low: float, high: float) -> np.ndarray:
    return _each(lambda each, value: each if low <= value <= high else 0.0, g, x)


def clamp_in_place(x: np.ndarray, low: float, high: float) -> np.ndarray:
    x[...] = hardtanh(x, low, high)
    return x


def softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    def function(value: float) -> float:
        z = beta * value
        return value if z > threshold else (max(z, 0) + math.log1p(math.exp(-abs(z)))) / beta

    return _each(function, x)


def softplus_backward(g: np.ndarray, x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    def slope(each: float, value: float) -> float:
        z = beta * value
        return each if z > threshold else each * (1 + math.tanh(z / 2)) / 2

    return _each(slope, g, x)


def logsigmoid(x: np.ndarray) -> np.ndarray:
    return _each(lambda value: min(value, 0) - math.log1p(math.exp(-abs(value))), x)


def logsigmoid_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    return _each(lambda each, value: each * (1 - math.tanh(value / 2)) / 2, g, x)


def hardshrink(x: np.ndarray, lambd: float) -> np.ndarray:
    return _each(lambda value: 0.0 if -lambd <= value <= lambd else value, x)


def softshrink(x: np.ndarray, lambd: float) -> np.ndarray:
    return _each(lambda value: value - min(max(value, -lambd), lambd), x)


def shrink_backward(g: np.ndarray, x: np.ndarray, lambd: float) -> np.ndarray:
    return _each(lambda each, value: 0.0 if -lambd <= value <= lambd else each, g, x)


def prelu(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        value = float(x[place])
        y[place] = value if value > 0 else float(weight[place[1]]) * value
    return y.astype(x.dtype)


def prelu_backward(
    g: np.ndarray, x: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    dx, dweight = np.zeros(x.shape), np.zeros(weight.shape)
    for place in np.ndindex(x.shape):
        slope, value = float(g[place]), float(x[place])
        dx[place] = slope if value > 0 else float(weight[place[1]]) * slope
        dweight[place[1]] += 0 if value > 0 else slope * value
    return dx.astype(x.dtype), dweight.astype(x.dtype)


def linear(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, relu: bool = False
) -> np.ndarray:
    y = np.zeros((len(x), len(weight)))
    for n, o in np.ndindex(*y.shape):
        total = 0.0 if bias is None else float(bias[o])
        for i in range(x.shape[1]):
            total += float(x[n, i]) * float(weight[o, i])
        y[n, o] = max(total, 0.0) if relu else total
    return y.astype(x.dtype)


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    epilogue: Epilogue = NOTHING,
) -> np.ndarray:
    scale, shift, other, rectified = epilogue
    shape = _conv_shape(x.shape, weight.shape, stride, padding, dilation)
    y = np.zeros(shape)
    for n, o, i, j in np.ndindex(shape):
        total = 0.0 if bias is None else float(bias[o])
        for c, channel, kh, kw, h, w in _seen(
            x.shape, weight.shape, o, i, j, stride, padding, dilation, groups
        ):
            total += float(weight[o, c, kh, kw]) * float(x[n, channel, h, w])
        if scale is not None and shift is not None:
            total = total * float(scale[o]) + float(shift[o])
        if other is not None:
            total += float(other[n, o, i, j])
        y[n, o, i, j] = max(total, 0.0) if rectified else total
    return y.astype(x.dtype)


def conv2d_moments(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = conv2d(x, weight, bias, stride, padding, dilation, groups)
    return y, *moments(y)


def conv2d_input_grad(
    g: np.ndarray,
    weight: np.ndarray,
    x_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for n, o, i, j in np.ndindex(g.shape):
        for c, channel, kh, kw, h, w in _seen(
            x_shape, weight.shape, o, i, j, stride, padding, dilation, groups
        ):
            dx[n, channel, h, w] += float(g[n, o, i, j]) * float(weight[o, c, kh, kw])
    return dx.astype(g.dtype)


def conv2d_weight_grad(
    g: np.ndarray,
    x: np.ndarray,
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    dw = np.zeros(weight_shape)
    for n, o, i, j in np.ndindex(g.shape):
        for c, channel, kh, kw, h, w in _seen(
            x.shape, weight_shape, o, i, j, stride, padding, dilation, groups
        ):
            dw[o, c, kh, kw] += float(g[n, o, i, j]) * float(x[n, channel, h, w])
    return dw.astype(g.dtype)


def gather_frames(
    x: np.ndarray, taps: int, stride: int, padding: int, dilation: int, groups: int
) -> np.ndarray:
    images, channels, depth, height, width = x.shape
    places = conv_output_size(depth, taps, stride, padding, dilation)
    y = np.zeros((images * places, taps * channels, height, width), x.dtype)
    for n, c, i, tap in np.ndindex(images, channels, places, taps):
        frame = i * stride + tap * dilation - padding
        if 0 <= frame < depth:
            y[n * places + i, _gathered(c, tap, channels, taps, groups)] = x[n, c, frame]
    return y


def add_frames(
    g: np.ndarray,
    x_shape: tuple[int, ...],
    taps: int,
    stride: int,
    padding: int,
    dilation: int,
    groups: int,
) -> np.ndarray:
    images, channels, depth, _, _ = x_shape
    places = conv_output_size(depth, taps, stride, padding, dilation)
    dx = np.zeros(x_shape)
    for n, c, i, tap in np.ndindex(images, channels, places, taps):
        frame = i * stride + tap * dilation - padding
        if 0 <= frame < depth:
            dx[n, c, frame] += g[n * places + i, _gathered(c, tap, channels, taps, groups)]
    return dx.astype(g.dtype)


def _gathered(channel: int, tap: int, channels: int, taps: int, groups: int) -> int:
    """Which channel of a gathered image this tap's channel is."""
    group, within = divmod(channel, channels // groups)
    return (group * taps + tap) * (channels // groups) + within


def max_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
) -> tuple[np.ndarray, np.ndarray]:
    size = _pool_size(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    y = np.full((*x.shape[:2], *size), lowest, x.dtype)
    index = np.zeros(y.shape, np.uint8 if math.prod(kernel_size) <= 256 else np.int32)
    for n, c, i, j in np.ndindex(y.shape):
        for kh, kw, h, w in _window(x.shape, kernel_size, i, j, stride, padding, dilation):
            value = x[n, c, h, w]
            if value > y[n, c, i, j] or math.isnan(value):
                y[n, c, i, j] = value
                index[n, c, i, j] = kh * kernel_size[1] + kw
    return y, index


def max_pool2d_backward(
    g: np.ndarray,
    index: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for n, c, i, j in np.ndindex(g.shape):
        for kh, kw, h, w in _window(x_shape, kernel_size, i, j, stride, padding, dilation):
            if kh * kernel_size[1] + kw == index[n, c, i, j]:
                dx[n, c, h, w] += float(g[n, c, i, j])
    return dx.astype(g.dtype)


def max_pool2d_gather(
    x: np.ndarray,
    index: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> np.ndarray:
    y = np.zeros(index.shape, x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        for kh, kw, h, w in _window(x.shape, kernel_size, i, j, stride, padding, dilation):
            if kh * kernel_size[1] + kw == index[n, c, i, j]:
                y[n, c, i, j] = x[n, c, h, w]
    return y


def avg_pool2d(
    x: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> np.ndarray:
    size = _pool_size(x.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    area = _areas(x.shape, size, kernel_size, stride, padding, count_include_pad)
    y = np.zeros((*x.shape[:2], *size))
    for n, c, i, j in np.ndindex(y.shape):
        window = _window(x.shape, kernel_size, i, j, stride, padding, (1, 1))
        y[n, c, i, j] = sum(float(x[n, c, h, w]) for _, _, h, w in window) / area[i, j]
    return y.astype(x.dtype)


def avg_pool2d_backward(
    g: np.ndarray,
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> np.ndarray:
    area = _areas(x_shape, g.shape[2:], kernel_size, stride, padding, count_include_pad)
    dx = np.zeros(x_shape)
    for n, c, i, j in np.ndindex(g.shape):
        for _, _, h, w in _window(x_shape, kernel_size, i, j, stride, padding, (1, 1)):
            dx[n, c, h, w] += float(g[n, c, i, j]) / area[i, j]
    return dx.astype(g.dtype)


def adaptive_avg_pool2d(x: np.ndarray, output_size: Pair) -> np.ndarray:
    y = np.zeros((*x.shape[:2], *output_size))
    for n, c, i, j in np.ndindex(y.shape):
        bin_ = _bin(x.shape, output_size, i, j)
        y[n, c, i, j] = sum(float(x[n, c, h, w]) for h, w in bin_) / len(bin_)
    return y.astype(x.dtype)


def adaptive_avg_pool2d_backward(g: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    dx = np.zeros(x_shape)
    for n, c, i, j in np.ndindex(g.shape):
        bin_ = _bin(x_shape, g.shape[2:], i, j)
        for h, w in bin_:
            dx[n, c, h, w] += float(g[n, c, i, j]) / len(bin_)
    return dx.astype(g.dtype)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, var = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for c in range(x.shape[1]):
        mean[c], var[c] = _moments([float(value) for value in x[:, c].flat])
    return mean.astype(x.dtype), var.astype(x.dtype)


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
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        c = place[1]
        scale = (1.0 if weight is None else float(weight[c])) / math.sqrt(float(var[c]) + eps)
        value = (float(x[place]) - float(mean[c])) * scale
        value += 0.0 if bias is None else float(bias[c])
        value += 0.0 if add is None else float(add[place])
        y[place] = max(value, 0.0) if relu else value
    return y.astype(x.dtype)


def batch_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dweight, dbias = np.zeros(x.shape), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for c in range(x.shape[1]):
        inverse_std = 1 / math.sqrt(float(var[c]) + eps)
        slopes = [float(value) for value in g[:, c].flat]
        x_hat = [(float(value) - float(mean[c])) * inverse_std for value in x[:, c].flat]
        count = max(len(slopes), 1)
        dbias[c] = math.fsum(slopes)
        dweight[c] = math.fsum(s * z for s, z in zip(slopes, x_hat, strict=True))
        scale = (1.0 if weight is None else float(weight[c])) * inverse_std
        values = [
            scale * (s - dbias[c] / count - z * dweight[c] / count)
            for s, z in zip(slopes, x_hat, strict=True)
        ]
        dx[:, c] = np.reshape(values, x[:, c].shape)
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)


def batch_norm_relu_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = normalise(x, mean, var, weight, bias, eps)
    return batch_norm_backward(relu_backward(g, y), x, weight, mean, var, eps)


def batch_norm_add_relu_backward(
    g: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    masked = relu_backward(g, y)
    return *batch_norm_backward(masked, x, weight, mean, var, eps), masked


def scale_and_shift(
    mean: np.ndarray,
    var: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scale, shift, inverse = np.zeros((3, len(mean)))
    for c in range(len(mean)):
        inverse[c] = 1 / math.sqrt(float(var[c]) + eps)
        scale[c] = inverse[c] * (1.0 if weight is None else float(weight[c]))
        shift[c] = (0.0 if bias is None else float(bias[c])) - float(mean[c]) * scale[c]
    return scale.astype(mean.dtype), shift.astype(mean.dtype), inverse.astype(mean.dtype)


def scale_shift(
    x: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    add: np.ndarray | None = None,
    relu: bool = False,
) -> np.ndarray:
    y = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        value = float(x[place]) * float(scale[place[1]]) + float(shift[place[1]])
        value += 0.0 if add is None else float(add[place])
        y[place] = max(value, 0.0) if relu else value
    return y.astype(x.dtype)


def channel_sum(g: np.ndarray) -> np.ndarray:
    sums = [math.fsum(float(slope) for slope in g[:, c].flat) for c in range(g.shape[1])]
    return np.array(sums).astype(g.dtype)


def relu_bias_backward(g: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    masked = relu_backward(g, y)
    return masked, channel_sum(masked)


def layer_norm(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, mean, var = np.zeros(x.shape), np.zeros(len(x)), np.zeros(len(x))
    for n, row in enumerate(x):
        normal, mean[n], var[n] = _standardised([float(value) for value in row], eps)
        for i in range(x.shape[1]):
            scale = 1.0 if weight is None else float(weight[i])
            y[n, i] = normal[i] * scale + (0.0 if bias is None else float(bias[i]))
    return y.astype(x.dtype), mean.astype(x.dtype), var.astype(x.dtype)


def layer_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dweight, dbias = np.zeros(x.shape), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for n in range(len(x)):
        inverse_std = 1 / math.sqrt(float(var[n]) + eps)
        normal = [(float(value) - float(mean[n])) * inverse_std for value in x[n]]
        scales = [1.0] * x.shape[1] if weight is None else [float(w) for w in weight]
        slopes = [float(slope) * w for slope, w in zip(g[n], scales, strict=True)]
        dx[n] = _through_standardising(slopes, normal, inverse_std)
        dweight += [float(slope) * z for slope, z in zip(g[n], normal, strict=True)]
        dbias += g[n].astype(float)
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)


def rms_norm(x: np.ndarray, weight: np.ndarray | None, eps: float) -> tuple[np.ndarray, np.ndarray]:
    y, square = np.zeros(x.shape), np.zeros(len(x))
    for n, row in enumerate(x):
        square[n] = math.fsum(float(value) ** 2 for value in row) / max(len(row), 1)
        for i in range(x.shape[1]):
            scale = 1.0 if weight is None else float(weight[i])
            y[n, i] = float(row[i]) / math.sqrt(square[n] + eps) * scale
    return y.astype(x.dtype), square.astype(x.dtype)


def rms_norm_backward(
    g: np.ndarray, x: np.ndarray, weight: np.ndarray | None, square: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    dx, dweight = np.zeros(x.shape), np.zeros(x.shape[1])
    for n in range(len(x)):
        inverse = 1 / math.sqrt(float(square[n]) + eps)
        normal = [float(value) * inverse for value in x[n]]
        scales = [1.0] * x.shape[1] if weight is None else [float(w) for w in weight]
        slopes = [float(slope) * w for slope, w in zip(g[n], scales, strict=True)]
        products = [s * z for s, z in zip(slopes, normal, strict=True)]
        projection = math.fsum(products) / max(len(products), 1)
        dx[n] = [inverse * (s - z * projection) for s, z in zip(slopes, normal, strict=True)]
        dweight += [float(slope) * z for slope, z in zip(g[n], normal, strict=True)]
    return dx.astype(x.dtype), dweight.astype(x.dtype)


def group_norm(
    x: np.ndarray, groups: int, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, mean, var = np.zeros(x.shape), np.zeros((len(x), groups)), np.zeros((len(x), groups))
    for (n, group), members in _groups(x, groups):
        values = [float(value) for value in x[n, members].flat]
        normal, mean[n, group], var[n, group] = _standardised(values, eps)
        y[n, members] = np.reshape(normal, x[n, members].shape)
    for place in np.ndindex(x.shape):
        y[place] *= 1.0 if weight is None else float(weight[place[1]])
        y[place] += 0.0 if bias is None else float(bias[place[1]])
    return y.astype(x.dtype), mean.astype(x.dtype), var.astype(x.dtype)


def group_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dx, dweight, dbias = np.zeros(x.shape), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    normal, slopes = np.zeros(x.shape), np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        n, c = place[:2]
        group = c // (x.shape[1] // mean.shape[1])
        inverse_std = 1 / math.sqrt(float(var[n, group]) + eps)
        normal[place] = (float(x[place]) - float(mean[n, group])) * inverse_std
        slopes[place] = float(g[place]) * (1.0 if weight is None else float(weight[c]))
        dweight[c] += float(g[place]) * normal[place]
        dbias[c] += float(g[place])
    for (n, group), members in _groups(x, mean.shape[1]):
        dx[n, members] = np.reshape(
            _through_standardising(
                [float(slope) for slope in slopes[n, members].flat],
                [float(z) for z in normal[n, members].flat],
                1 / math.sqrt(float(var[n, group]) + eps),
            ),
            x[n, members].shape,
        )
    return dx.astype(x.dtype), dweight.astype(x.dtype), dbias.astype(x.dtype)


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    return _along(axis, _softmax, x)


def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    return _along(axis, _log_softmax, x)


def softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    def one(g: list[float], y: list[float]) -> list[float]:
        mean = sum(s * p for s, p in zip(g, y, strict=True))
        return [p * (s - mean) for s, p in zip(g, y, strict=True)]

    return _along(axis, one, g, y)


def log_softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    def one(g: list[float], y: list[float]) -> list[float]:
        return [s - math.exp(log_p) * sum(g) for s, log_p in zip(g, y, strict=True)]

    return _along(axis, one, g, y)


def cross_entropy(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_probs = log_softmax(logits, 1)
    loss = [-log_probs[n, target[n]] for n in range(len(target))]
    return np.array(loss, logits.dtype), log_probs


def cross_entropy_backward(g: np.ndarray, log_probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    dlogits = np.zeros(log_probs.shape)
    for n, j in np.ndindex(log_probs.shape):
        probability = math.exp(float(log_probs[n, j]))
        dlogits[n, j] = float(g[n]) * (probability - (j == target[n]))
    return dlogits.astype(log_probs.dtype)


def huber_sum(x: np.ndarray, t: np.ndarray, delta: float) -> np.ndarray:
    total = 0.0
    for place in np.ndindex(x.shape):
        size = abs(float(x[place]) - float(t[place]))
        total += size**2 / 2 if size <= delta else delta * (size - delta / 2)
    return np.asarray(total, x.dtype)


def huber_sum_backward(x: np.ndarray, t: np.ndarray, delta: float, scale: float) -> np.ndarray:
    return _each(lambda a, b: scale * max(-delta, min(delta, a - b)), x, t)


def multi_margin_loss(scores: np.ndarray, target: np.ndarray, p: int, margin: float) -> np.ndarray:
    loss = np.zeros(len(target))
    for n, j in np.ndindex(scores.shape):
        if j != target[n]:
            loss[n] += max(0.0, margin - float(scores[n, target[n]]) + float(scores[n, j])) ** p
    return loss.astype(scores.dtype)


def multi_margin_loss_backward(
    g: np.ndarray, scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    dscores = np.zeros(scores.shape)
    for n, j in np.ndindex(scores.shape):
        hinge = margin - float(scores[n, target[n]]) + float(scores[n, j])
        if j != target[n] and hinge > 0:
            slope = float(g[n]) * p * hinge ** (p - 1)
            dscores[n, j] += slope
            dscores[n, target[n]] -= slope
    return dscores.astype(scores.dtype)


def distances(queries: np.ndarray, points: np.ndarray, metric: str) -> np.ndarray:
    queries, points = checked(queries, points, metric)
    require_finite(queries)
    require_finite(points)
    found = np.zeros((len(queries), len(points)))
    for i, j in np.ndindex(found.shape):
        found[i, j] = DISTANCES[metric](queries[i].tolist(), points[j].tolist())
    return found


def _euclidean(x: list[float], y: list[float]) -> float:
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True)))


def _manhattan(x: list[float], y: list[float]) -> float:
    return math.fsum(abs(a - b) for a, b in zip(x, y, strict=True))


def _cosine(x: list[float], y: list[float]) -> float:
    along = math.fsum(a * b for a, b in zip(x, y, strict=True))
    lengths = math.hypot(*x) * math.hypot(*y)
    return max(0.0, 1 - along / lengths) if lengths else 1.0


DISTANCES = {"l2": _euclidean, "l1": _manhattan, "cosine": _cosine}


def nearest(
    queries: np.ndarray, points: np.ndarray, k: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    queries, points = checked(queries, points, metric, k)
    found, index = np.zeros((len(queries), k)), np.zeros((len(queries), k), np.int64)
    for i, row in enumerate(distances(queries, points, metric)):
        for place, j in enumerate(sorted(range(len(points)), key=lambda j: (row[j], j))[:k]):
            found[i, place], index[i, place] = row[j], j
    return found, index


def crammer_singer_loss(
    scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    loss = [max(0.0, gap) ** p for gap, _ in _worst_rivals(scores, target, margin)]
    return np.array(loss, scores.dtype)


def crammer_singer_loss_backward(
    g: np.ndarray, scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    dscores = np.zeros(scores.shape)
    for n, (gap, rivals) in enumerate(_worst_rivals(scores, target, margin)):
        if gap > 0:
            slope = float(g[n]) * p * gap ** (p - 1)
            for j in rivals:
                dscores[n, j] += slope / len(rivals)
            dscores[n, target[n]] -= slope
    return dscores.astype(scores.dtype)


def _worst_rivals(
    scores: np.ndarray, target: np.ndarray, margin: float
) -> Iterator[tuple[float, list[int]]]:
    """Row by row margin - s_t + s_j of the strongest wrong classes j, and which they are."""
    for row, own in zip(scores, target, strict=True):
        gaps = {j: margin - float(row[own]) + float(s) for j, s in enumerate(row) if j != own}
        worst = max(gaps.values(), default=-math.inf)
        yield worst, [j for j, gap in gaps.items() if gap == worst]


def one_vs_all_loss(scores: np.ndarray, target: np.ndarray, p: int, margin: float) -> np.ndarray:
    loss = np.zeros(len(target))
    for n, j in np.ndindex(scores.shape):
        sign = 1 if j == target[n] else -1
        loss[n] += max(0.0, margin - sign * float(scores[n, j])) ** p
    return loss.astype(scores.dtype)


def one_vs_all_loss_backward(
    g: np.ndarray, scores: np.ndarray, target: np.ndarray, p: int, margin: float
) -> np.ndarray:
    dscores = np.zeros(scores.shape)
    for n, j in np.ndindex(scores.shape):
        sign = 1 if j == target[n] else -1
        hinge = margin - sign * float(scores[n, j])
        if hinge > 0:
            dscores[n, j] = -float(g[n]) * sign * p * hinge ** (p - 1)
    return dscores.astype(scores.dtype)


def linear_classifier(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    target: np.ndarray,
    loss: str,
    p: int,
    margin: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    exact = x.astype(np.float64)
    scores = linear(exact, weight, bias)
    share = np.full(len(x), 1 / max(len(x), 1))
    if loss == "cross_entropy":
        for n, own in enumerate(target):
            scores[n, own] -= margin
        losses, log_probs = cross_entropy(scores, target)
        slopes = cross_entropy_backward(share, log_probs, target)
    else:
        value, backward = {
            "weston_watkins": (multi_margin_loss, multi_margin_loss_backward),
            "crammer_singer": (crammer_singer_loss, crammer_singer_loss_backward),
            "one_vs_all": (one_vs_all_loss, one_vs_all_loss_backward),
        }[loss]
        losses = value(scores, target, p, margin)
        slopes = backward(share, scores, target, p, margin)
    dweight, dbias = np.zeros(weight.shape), np.zeros(len(weight))
    for n, c in np.ndindex(scores.shape):  # the sum over samples, which the chain rule asks for
        dbias[c] += slopes[n, c]
        for d in range(x.shape[1]):
            dweight[c, d] += slopes[n, c] * exact[n, d]
    return tuple(a.astype(x.dtype) for a in (losses, dweight, dbias))  # type: ignore[return-value]


def dropout(x: np.ndarray, p: float, key: int) -> np.ndarray:
    y = np.zeros(x.shape)
    order = np.moveaxis(y, 1, -1) if x.ndim > 1 else y
    scale = float(x.dtype.type(1 / (1 - p)))
    for i, place in enumerate(np.ndindex(order.shape)):
        tile, rest = divmod(i, 64)
        word, lane = divmod(rest, 16)
        block = 16 * tile + lane
        counter = (block % 2**32, block // 2**32, 0, 0)
        if philox(counter, (key % 2**32, key // 2**32))[word] >= int(p * 2**32):
            own = (place[0], place[-1], *place[1:-1]) if x.ndim > 1 else place
            y[own] = float(x[own]) * scale
    return y.astype(x.dtype)


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10: four random words from a counter. Salmon et al. 2011."""
    for turn in range(10):
        k0, k1 = (key[0] + turn * 0x9E3779B9) % 2**32, (key[1] + turn * 0xBB67AE85) % 2**32
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = (
            (second >> 32) ^ counter[1] ^ k0,
            second % 2**32,
            (first >> 32) ^ counter[3] ^ k1,
            first % 2**32,
        )
    return counter


def sgd_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    buffers: list[np.ndarray] | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    for i, (w, g) in enumerate(zip(weights, grads, strict=True)):
        for place in np.ndindex(w.shape):
            slope = _slope(w[place], g[place], weight_decay, maximize)
            if buffers:
                v = momentum * float(buffers[i][place]) + (1 - dampening) * slope
                buffers[i][place] = v
                slope = slope + momentum * v if nesterov else v
            w[place] -= lr * slope


def adam_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    means: list[np.ndarray],
    squares: list[np.ndarray],
    peaks: list[np.ndarray] | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> None:
    for i, (w, g, m, v) in enumerate(zip(weights, grads, means, squares, strict=True)):
        for place in np.ndindex(w.shape):
            slope = _slope(w[place], g[place], 0 if decoupled else weight_decay, maximize)
            if decoupled:
                w[place] *= 1 - lr * weight_decay
            m[place] = beta1 * m[place] + (1 - beta1) * slope
            v[place] = beta2 * v[place] + (1 - beta2) * slope**2
            largest = v[place]
            if peaks:
                largest = peaks[i][place] = max(v[place], peaks[i][place])
            mean, square = m[place] / (1 - beta1**step), largest / (1 - beta2**step)
            w[place] -= lr * mean / (math.sqrt(square) + eps)


def momentum_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    velocities: list[np.ndarray],
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    for w, g, (v,), place in _elements(weights, grads, velocities):
        before = float(v[place])
        slope = _slope(w[place], g[place], weight_decay, maximize)
        v[place] = now = momentum * before - lr * slope
        w[place] += -momentum * before + (1 + momentum) * now if nesterov else now


def moments_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    means: list[np.ndarray],
    squares: list[np.ndarray],
    mean_rate: float,
    grad_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    keep: float,
    adaptive: bool,
    maximize: bool,
) -> None:
    for w, g, (m, v), place in _elements(weights, grads, means, squares):
        slope = _slope(w[place], g[place], weight_decay, maximize)
        m[place] = mean = beta1 * float(m[place]) + (1 - beta1) * slope
        v[place] = square = beta2 * float(v[place]) + (1 - beta2) * slope**2
        divisor = math.sqrt(square) + eps if adaptive else 1
        step = (mean_rate * mean + grad_rate * slope) / divisor
        w[place] = keep * float(w[place]) - step


def adamax_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    means: list[np.ndarray],
    norms: list[np.ndarray],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    for w, g, (m, u), place in _elements(weights, grads, means, norms):
        slope = _slope(w[place], g[place], weight_decay, maximize)
        m[place] = mean = beta1 * float(m[place]) + (1 - beta1) * slope
        u[place] = norm = max(beta2 * float(u[place]), abs(slope) + eps)
        w[place] -= lr * mean / norm


def adagrad_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    sums: list[np.ndarray],
    lr: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    for w, g, (s,), place in _elements(weights, grads, sums):
        slope = _slope(w[place], g[place], weight_decay, maximize)
        s[place] = total = float(s[place]) + slope**2
        w[place] -= lr * slope / (math.sqrt(total) + eps)


def rmsprop_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    squares: list[np.ndarray],
    means: list[np.ndarray] | None,
    buffers: list[np.ndarray] | None,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    for w, g, (v, m, b), place in _elements(weights, grads, squares, means, buffers):
        slope = _slope(w[place], g[place], weight_decay, maximize)
        v[place] = spread = alpha * float(v[place]) + (1 - alpha) * slope**2
        if m is not None:
            m[place] = mean = alpha * float(m[place]) + (1 - alpha) * slope
            spread = max(spread - mean**2, 0.0)
        step = slope / (math.sqrt(spread) + eps)
        if b is not None:
            b[place] = step = momentum * float(b[place]) + step
        w[place] -= lr * step


def adadelta_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    squares: list[np.ndarray],
    deltas: list[np.ndarray],
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    for w, g, (v, d), place in _elements(weights, grads, squares, deltas):
        slope = _slope(w[place], g[place], weight_decay, maximize)
        v[place] = square = rho * float(v[place]) + (1 - rho) * slope**2
        step = math.sqrt(float(d[place]) + eps) / math.sqrt(square + eps) * slope
        d[place] = rho * float(d[place]) + (1 - rho) * step**2
        w[place] -= lr * step


def asgd_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    averages: list[np.ndarray],
    lr: float,
    keep: float,
    share: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    for w, g, (a,), place in _elements(weights, grads, averages):
        slope = _slope(w[place], g[place], weight_decay, maximize)
        w[place] = now = keep * float(w[place]) - lr * slope
        a[place] = float(a[place]) + share * (now - float(a[place]))


def rprop_step(
    weights: list[np.ndarray],
    grads: list[np.ndarray],
    before: list[np.ndarray],
    sizes: list[np.ndarray],
    shrink: float,
    grow: float,
    smallest: float,
    largest: float,
    maximize: bool,
) -> None:
    for w, g, (old, size), place in _elements(weights, grads, before, sizes):
        slope = _slope(w[place], g[place], 0, maximize)
        agreement = slope * float(old[place])
        factor = grow if agreement > 0 else shrink if agreement < 0 else 1
        size[place] = step = min(max(float(size[place]) * factor, smallest), largest)
        old[place] = kept = 0.0 if agreement < 0 else slope
        w[place] -= step * ((kept > 0) - (kept < 0))


def _slope(w: Any, g: Any, weight_decay: float, maximize: bool) -> float:
    """The gradient that the rules begin with."""
    return (-float(g) if maximize else float(g)) + weight_decay * float(w)


def _elements(
    weights: list[np.ndarray], grads: list[np.ndarray], *state: list[np.ndarray] | None
) -> Iterator[tuple[np.ndarray, np.ndarray, list[Any], tuple[int, ...]]]:
    """Each place of each parameter: its weight, gradient, state (None: no such list), place."""
    for i, (w, g) in enumerate(zip(weights, grads, strict=True)):
        own = [None if each is None else each[i] for each in state]
        for place in np.ndindex(w.shape):
            yield w, g, own, place


def _each(function: Callable[..., float], *arrays: np.ndarray) -> np.ndarray:
    """A function of numbers, at every place."""
    y = np.zeros(arrays[0].shape, arrays[0].dtype)
    for place in np.ndindex(y.shape):
        y[place] = function(*(float(array[place]) for array in arrays))
    return y


def _moments(values: list[float]) -> tuple[float, float]:
    """Mean and biased variance; zeros of nothing."""
    count = max(len(values), 1)
    mean = math.fsum(values) / count
    return mean, math.fsum((value - mean) ** 2 for value in values) / count


def _standardised(values: list[float], eps: float) -> tuple[list[float], float, float]:
    """Values with mean 0 and variance (almost) 1; what mean and variance they had."""
    mean, var = _moments(values)
    return [(value - mean) / math.sqrt(var + eps) for value in values], mean, var


def _through_standardising(
    slopes: list[float], normal: list[float], inverse_std: float
) -> list[float]:
    """The gradient of what was standardised to `normal`."""
    count = max(len(slopes), 1)
    mean = math.fsum(slopes) / count
    projection = math.fsum(s * z for s, z in zip(slopes, normal, strict=True)) / count
    return [inverse_std * (s - mean - z * projection) for s, z in zip(slopes, normal, strict=True)]


def _groups(x: np.ndarray, groups: int) -> Iterator[tuple[tuple[int, int], slice]]:
    """Image and group, and the channels of that group."""
    size = x.shape[1] // groups
    for n, group in np.ndindex(len(x), groups):
        yield (n, group), slice(group * size, (group + 1) * size)


def _along(axis: int, function: Callable[..., list[float]], *arrays: np.ndarray) -> np.ndarray:
    """A function of lists, along one axis."""
    y = np.zeros(arrays[0].shape, arrays[0].dtype)
    lines = [np.moveaxis(array, axis, -1) for array in (y, *arrays)]
    for place in np.ndindex(lines[0].shape[:-1] if y.size else 0):
        lines[0][place] = function(*([float(v) for v in line[place]] for line in lines[1:]))
    return y


def _log_softmax(x: list[float]) -> list[float]:
    log_sum = math.log(sum(math.exp(value - max(x)) for value in x))
    return [value - max(x) - log_sum for value in x]


def _softmax(x: list[float]) -> list[float]:
    return [math.exp(value) for value in _log_softmax(x)]


def _window(
    x_shape: tuple[int, ...],
    kernel_size: tuple[int, ...],
    i: int,
    j: int,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Window:
    """Taps (kh, kw) of the window at output (i, j) that lie in the image, and their pixels."""
    for kh, kw in product(range(kernel_size[0]), range(kernel_size[1])):
        h = i * stride[0] - padding[0] + kh * dilation[0]
        w = j * stride[1] - padding[1] + kw * dilation[1]
        if 0 <= h < x_shape[2] and 0 <= w < x_shape[3]:
            yield kh, kw, h, w


def _seen(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    o: int,
    i: int,
    j: int,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Iterator[tuple[int, int, int, int, int, int]]:
    """What filter o sees at (i, j): its channel c, that channel of x, the tap, the pixel."""
    outputs, channels, *kernel_size = weight_shape
    first_channel = o // (outputs // groups) * channels
    for kh, kw, h, w in _window(x_shape, tuple(kernel_size), i, j, stride, padding, dilation):
        for c in range(channels):
            yield c, first_channel + c, kh, kw, h, w


def _conv_shape(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> tuple[int, ...]:
    axes = zip(x_shape[2:], weight_shape[2:], stride, padding, dilation, strict=True)
    return (x_shape[0], weight_shape[0], *(conv_output_size(*axis) for axis in axes))


def _pool_size(
    x_shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
) -> tuple[int, ...]:
    axes = zip(x_shape[2:], kernel_size, stride, padding, dilation, strict=True)
    return tuple(pool_output_size(*axis, ceil_mode) for axis in axes)


def _areas(
    x_shape: tuple[int, ...],
    output_size: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    count_include_pad: bool,
) -> np.ndarray:
    axes = zip(x_shape[2:], output_size, kernel_size, stride, padding, strict=True)
    rows, cols = (window_counts(*axis, count_include_pad) for axis in axes)
    return np.outer(rows, cols)


def _bin(
    x_shape: tuple[int, ...], output_size: tuple[int, ...], i: int, j: int
) -> list[tuple[int, int]]:
    rows = adaptive_bins(x_shape[2], output_size[0])[i]
    cols = adaptive_bins(x_shape[3], output_size[1])[j]
    return list(product(range(rows.start, rows.stop), range(cols.start, cols.stop)))


def resample(
    x: np.ndarray, dim: int, starts: np.ndarray, index: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    lines = np.moveaxis(x, dim, -1)
    y = np.zeros((*lines.shape[:-1], len(starts) - 1))
    for *line, output in np.ndindex(y.shape):
        for j in range(starts[output], starts[output + 1]):
            y[*line, output] += float(weight[j]) * float(lines[*line, index[j]])
    return np.moveaxis(y, -1, dim).astype(x.dtype)


def sample_images(
    x: np.ndarray, at: np.ndarray, nearest: bool, outside: int, units: int
) -> np.ndarray:
    y = np.zeros((*at.shape[:2], x.shape[1]))
    for n, p, row, col, weight, _, _ in _reads(x.shape, at, nearest, outside, units):
        y[n, p] += weight * x[n, :, row, col].astype(float)
    return y.astype(x.dtype)


def sample_images_input_grad(
    g: np.ndarray,
    at: np.ndarray,
    x_shape: tuple[int, ...],
    nearest: bool,
    outside: int,
    units: int,
) -> np.ndarray:
    dx = np.zeros(x_shape)
    for n, p, row, col, weight, _, _ in _reads(x_shape, at, nearest, outside, units):
        dx[n, :, row, col] += weight * g[n, p].astype(float)
    return dx.astype(g.dtype)


def sample_images_place_grad(
    g: np.ndarray, x: np.ndarray, at: np.ndarray, nearest: bool, outside: int, units: int
) -> np.ndarray:
    dat = np.zeros(at.shape)
    for n, p, row, col, _, by_x, by_y in _reads(x.shape, at, nearest, outside, units):
        along = sum(float(g[n, p, c]) * float(x[n, c, row, col]) for c in range(x.shape[1]))
        dat[n, p] += np.array([by_x, by_y]) * along
    return dat.astype(at.dtype)


Reads = Iterator[tuple[int, int, int, int, float, float, float]]


def _reads(
    x_shape: tuple[int, ...], at: np.ndarray, nearest: bool, outside: int, units: int
) -> Reads:
    """(image, point, row, col) of all pixels read, the weight, and its slopes by x and y."""
    for n, p in np.ndindex(at.shape[:2]):
        x, y = (float(coordinate) for coordinate in at[n, p])
        rows = _weights(y, x_shape[2], nearest, outside, units)
        cols = _weights(x, x_shape[3], nearest, outside, units)
        for (row, down, by_y), (col, across, by_x) in product(rows, cols):
            yield n, p, row, col, down * across, down * by_x, by_y * across


def _weights(
    at: float, n: int, nearest: bool, outside: int, units: int
) -> list[tuple[int, float, float]]:
    """The pixels of an axis that a coordinate reads, their weights, and the slopes of these."""
    edges, centres = units == 0, units == 1
    scale = n / 2 if edges else (n - 1) / 2 if centres else 1.0
    at = ((at + 1) * n - 1) / 2 if edges else (at + 1) * scale if centres else at
    low, high = (-0.5, n - 0.5) if edges else (0.0, n - 1.0)
    if outside == 2 and low < high:
        while not low <= at <= high:
            at, scale = (2 * low if at < low else 2 * high) - at, -scale
    if outside and not 0 < at < n - 1:
        at, scale = min(max(at, 0.0), n - 1.0), 0.0
    first = math.floor(at)
    share = at - first
    found = [(first, 1 - share, -scale), (first + 1, share, scale)]
    if nearest:
        found = [(round(at), 1.0, 0.0)]
    return [each for each in found if 0 <= each[0] < n]
