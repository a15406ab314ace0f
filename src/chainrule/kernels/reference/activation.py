"""Elementwise gates between layers."""

import math

import numpy as np

from chainrule.kernels.reference.erf import erfc
from chainrule.kernels.reference.precision import half_in_single
from chainrule.kernels.summation import add_up

__all__ = [
    "clamp_backward",
    "clamp_in_place",
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "hardshrink",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "logsigmoid",
    "logsigmoid_backward",
    "mish",
    "mish_backward",
    "prelu",
    "prelu_backward",
    "relu",
    "relu_backward",
    "shrink_backward",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softplus",
    "softplus_backward",
    "softshrink",
    "tanh",
    "tanh_backward",
]

SQRT_HALF = math.sqrt(0.5)
DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)  # of the normal distribution
# GELU by tanh: 1 + tanh u = 2σ(2u), with 2u = x (LINEAR + CUBIC x²).
LINEAR = 2 * math.sqrt(2 / math.pi)
CUBIC = 0.044715 * LINEAR
MISH_IS_LINEAR = 25.0  # float64 cannot tell tanh(ln(1 + eˣ)) from 1 beyond


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0). Any shape, strides and real dtype; NaN stays NaN."""
    return np.maximum(x, x.dtype.type(0))


def relu_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g where y > 0, else 0 (0 at y == 0). Any shape and strides; y is relu's result."""
    return np.where(y > 0, g, g.dtype.type(0))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ), for x < 0 as eˣ / (1 + eˣ): nothing overflows, small results keep their
    digits. Any strides."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, x.dtype.type(1), e) / (1 + e)


def sigmoid_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g y (1 - y); y is sigmoid's result. Any strides."""
    return g * (y * (1 - y))


def tanh(x: np.ndarray) -> np.ndarray:
    """(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ). Any strides."""
    return np.tanh(x)


def tanh_backward(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """g (1 - y²); y is tanh's result. Any strides."""
    return g * (1 - y * y)


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope · x. Any strides."""
    return np.where(x > 0, x, x * x.dtype.type(slope))


def leaky_relu_backward(g: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """g where x > 0, else slope · g. Any strides."""
    return np.where(x > 0, g, g * g.dtype.type(slope))


@half_in_single
def elu(x: np.ndarray, alpha: float, scale: float, input_scale: float) -> np.ndarray:
    """scale · x where x > 0, else scale · alpha · (e^(input_scale · x) - 1). Any strides."""
    below = np.expm1(np.minimum(x, 0) * input_scale) * (alpha * scale)
    return np.where(x > 0, x * scale, below).astype(x.dtype, copy=False)


@half_in_single
def elu_backward(
    g: np.ndarray, x: np.ndarray, alpha: float, scale: float, input_scale: float
) -> np.ndarray:
    """g · scale where x > 0, else g · scale · alpha · input_scale · e^(input_scale · x)."""
    below = np.exp(np.minimum(x, 0) * input_scale) * (alpha * scale * input_scale)
    return g * np.where(x > 0, g.dtype.type(scale), below)


@half_in_single
def gelu(x: np.ndarray, by_tanh: bool) -> np.ndarray:
    """x Φ(x), Φ the normal distribution; by_tanh: Φ ≈ (1 + tanh √(2/π)(x + 0.044715 x³)) / 2."""
    return x * _normal_below(x, by_tanh)


@half_in_single
def gelu_backward(g: np.ndarray, x: np.ndarray, by_tanh: bool) -> np.ndarray:
    """g (Φ(x) + x Φ'(x)). Any strides."""
    below = _normal_below(x, by_tanh)
    if by_tanh:
        density = below * (1 - below) * (LINEAR + 3 * CUBIC * (x * x))
    else:
        density = np.exp(x * x * -0.5) * DENSITY_AT_0
    return g * (below + x * density)


def _normal_below(x: np.ndarray, by_tanh: bool) -> np.ndarray:
    """Φ(x); from erfc, not erf, so that small values keep their digits."""
    return _logistic(x * (LINEAR + CUBIC * (x * x))) if by_tanh else 0.5 * erfc(x * -SQRT_HALF)


@half_in_single
def silu(x: np.ndarray) -> np.ndarray:
    """x / (1 + e⁻ˣ). Any strides."""
    return x * _logistic(x)


@half_in_single
def silu_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g σ(x) (1 + x (1 - σ(x))). Any strides."""
    below = _logistic(x)
    return g * (below * (1 + x * (1 - below)))


def _logistic(x: np.ndarray) -> np.ndarray:
    """As sigmoid; small values keep their digits. e⁻ˣ may be infinite, and the result 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def hardswish(x: np.ndarray) -> np.ndarray:
    """x · min(max(x + 3, 0), 6) / 6. Any strides."""
    return x * np.clip(x + 3, 0, 6) / 6


def hardswish_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """0 where x ≤ -3, g where x ≥ 3, g (x/3 + 1/2) between. Any strides."""
    return np.where(x <= -3, g.dtype.type(0), np.where(x >= 3, g, g * (x / 3 + 0.5)))


def hardsigmoid(x: np.ndarray) -> np.ndarray:
    """min(max(x + 3, 0), 6) / 6. Any strides."""
    return np.clip(x + 3, 0, 6) / 6


def hardsigmoid_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g / 6 where -3 < x < 3, else 0. Any strides."""
    return np.where((x > -3) & (x < 3), g / 6, g.dtype.type(0))


@half_in_single
def mish(x: np.ndarray) -> np.ndarray:
    """x tanh(ln(1 + eˣ)). Any strides."""
    return x * _tanh_of_softplus(np.exp(np.minimum(x, MISH_IS_LINEAR)))


@half_in_single
def mish_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g (t + x (1 - t²) σ(x)), t = tanh(ln(1 + eˣ)). Any strides."""
    e = np.exp(np.minimum(x, MISH_IS_LINEAR))
    t = _tanh_of_softplus(e)
    return g * (t + x * ((1 - t * t) * (e / (1 + e))))


def _tanh_of_softplus(e: np.ndarray) -> np.ndarray:
    """tanh(ln(1 + e)) = m/(m + 2), with m = (1 + e)² - 1 = e(e + 2)."""
    m = e * (e + 2)
    return m / (m + 2)


def hardtanh(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """min(max(x, low), high). Any strides; NaN stays NaN."""
    return np.minimum(np.maximum(x, x.dtype.type(low)), x.dtype.type(high))


def hardtanh_backward(g: np.ndarray, x: np.ndarray, low: float, high: float) -> np.ndarray:
    """g where low < x < high, else 0. Any strides."""
    return np.where((x <= low) | (x >= high), g.dtype.type(0), g)


def clamp_backward(g: np.ndarray, x: np.ndarray, low: float, high: float) -> np.ndarray:
    """g where low ≤ x ≤ high, else 0 (also where x is not a number). Any strides."""
    return np.where((x >= low) & (x <= high), g, g.dtype.type(0))


def clamp_in_place(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """x ← min(max(x, low), high), which is x itself. Any strides; NaN stays NaN."""
    return np.clip(x, x.dtype.type(low), x.dtype.type(high), out=x)


@half_in_single
def softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """ln(1 + e^(βx))/β, as max(z, 0) + ln(1 + e^-|z|), z = βx, which cannot overflow; x itself
    where z > threshold. Any strides."""
    z = x * beta
    smooth = np.abs(z, out=np.empty_like(z))
    np.negative(smooth, out=smooth)
    np.exp(smooth, out=smooth)
    np.log1p(smooth, out=smooth)
    smooth += np.maximum(z, 0)
    return np.where(z > threshold, x, smooth / beta)


@half_in_single
def softplus_backward(g: np.ndarray, x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """g σ(βx); g itself where βx > threshold. Any strides."""
    z = x * beta
    return np.where(z > threshold, g, g * _logistic(z))


@half_in_single
def logsigmoid(x: np.ndarray) -> np.ndarray:
    """ln σ(x) = min(x, 0) - ln(1 + e^-|x|). Any strides."""
    y = np.abs(x, out=np.empty_like(x))
    np.negative(y, out=y)
    np.exp(y, out=y)
    np.log1p(y, out=y)
    return np.subtract(np.minimum(x, 0), y, out=y)


@half_in_single
def logsigmoid_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g σ(-x). Any strides."""
    return g * _logistic(-x)


def hardshrink(x: np.ndarray, lambd: float) -> np.ndarray:
    """0 where -λ ≤ x ≤ λ, else x. Any strides; NaN stays NaN."""
    return np.where((x >= -lambd) & (x <= lambd), x.dtype.type(0), x)


def softshrink(x: np.ndarray, lambd: float) -> np.ndarray:
    """x - λ where x > λ, x + λ where x < -λ, 0 between. Any strides."""
    return x - np.clip(x, -lambd, lambd)


def shrink_backward(g: np.ndarray, x: np.ndarray, lambd: float) -> np.ndarray:
    """0 where -λ ≤ x ≤ λ, else g: hardshrink's and softshrink's. Any strides."""
    return np.where((x >= -lambd) & (x <= lambd), g.dtype.type(0), g)


def prelu(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """x where x > 0, else weight · x.   x (N, C, *) of any strides, weight (C,)."""
    return np.where(x > 0, x, _channels(weight, x) * x)


@half_in_single
def prelu_backward(
    g: np.ndarray, x: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """g or weight · g, and for each channel the sum of g x over the x ≤ 0."""
    dx = np.where(x > 0, g, _channels(weight, g) * g)
    below = np.where(x > 0, x.dtype.type(0), g * x)
    return dx, add_up(below, (0, *range(2, x.ndim)), False, x.dtype)


def _channels(vector: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A vector of one value for each channel, shaped to broadcast against x."""
    return vector.reshape(-1, *(1,) * (x.ndim - 2))
