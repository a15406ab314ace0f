"""Activation functions: elementwise gates between layers, and softmax over classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.arithmetic import abs, add, exp, mul, neg, where
from chainrule.ops.axes import no_such_axis
from chainrule.ops.dtypes import result_type
from chainrule.ops.elementwise import cast, elementwise, expand
from chainrule.ops.error_function import erfc
from chainrule.ops.joining import chunk
from chainrule.ops.op import Recorded, op
from chainrule.ops.reduction import argmax, check_float, sum, take_extremum
from chainrule.ops.shape import reshape
from chainrule.random import Generator, default_generator, uniform

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "maxout",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]

Array = Any


@elementwise
def relu(x: Array) -> Array:
    """max(x, 0). dx = g where y > 0, else 0 (0 at 0).

    Source: Nair & Hinton 2010, Rectified Linear Units Improve Restricted Boltzmann Machines.
    """
    return kernels.relu(x)


@op
def relu_backward(g: Array, y: Array) -> Array:
    """g where y > 0, else 0: linear in g, constant in y."""
    return kernels.relu_backward(g, y)


relu.vjp(x=lambda g, y: relu_backward.in_vjp(g, y))
relu_backward.vjp(g=lambda u, y: relu_backward.in_vjp(u, y))


# -- bent lines --------------------------------------------------------------------------------


@elementwise(to_float=True, operands=("x",))
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x where x > 0, else negative_slope · x. dx = g or negative_slope · g.

    Source: Maas et al. 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models.
    """
    return kernels.leaky_relu(x, negative_slope)


def _leaky_relu_vjp(g: Array, x: Array, negative_slope: float) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.leaky_relu_backward(g, x, negative_slope)
    return where(x > 0, g, g * negative_slope)


leaky_relu.vjp(x=_leaky_relu_vjp)


def prelu(x: Array, weight: Array) -> Array:
    """x where x > 0, else a · x, with a learned: one number, or one for each channel.

    x (N, C, *), weight (1,), () or (C,). dx = g or a·g; da = Σ g·x over the x ≤ 0 it met.
    Source: He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852, section 2.1.
    """
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or math.prod(weight.shape) not in (1, channels):
        raise ShapeError(
            f"prelu: weight needs one number, or one for each of {channels} channels\n"
            f"  x {tuple(x.shape)} = (N, C, *); weight {tuple(weight.shape)} = (C,)"
        )
    if x.dtype != weight.dtype:
        dtype = result_type([_values(x), _values(weight)])
        x, weight = cast(x, dtype), cast(weight, dtype)
    weight = reshape(weight, (-1,))
    if x.ndim > 1:
        return _prelu(x, expand(weight, (channels,)))
    return reshape(_prelu(reshape(x, (-1, 1)), weight), tuple(x.shape))


@op(name="prelu")
def _prelu(x: Array, weight: Array) -> Array:
    """x where x > 0, else weight · x.   x (N, C, *), weight (C,)."""
    return kernels.prelu(x, weight)


@_prelu.joint_vjp("x", "weight")
def _prelu_vjp(g: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    if isinstance(g, np.ndarray):
        return kernels.prelu_backward(g, x, weight)
    each = reshape(weight, (-1, *(1,) * (x.ndim - 2)))
    below = where(x > 0, 0.0, g * x)
    return where(x > 0, g, each * g), sum(below, (0, *range(2, x.ndim)))


def rrelu(
    x: Array,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    generator: Generator | None = None,
) -> Array:
    """Leaky ReLU with a slope drawn from lower..upper for each x ≤ 0; in evaluation, their mean.

    dx = g, or slope · g where x ≤ 0. Source: Xu et al. 2015, arXiv:1505.00853.
    """
    if lower > upper:
        raise ConfigError(f"rrelu: lower {lower} must not exceed upper {upper}")
    if not training:
        return leaky_relu(x, (lower + upper) / 2)
    check_float("rrelu", x)
    values = _values(x)
    drawn = uniform((generator or default_generator).rng, values.shape, values.dtype)
    slopes = drawn * values.dtype.type(upper - lower) + values.dtype.type(lower)
    return mul(x, np.where(values > 0, values.dtype.type(1), slopes))


def _values(x: Array) -> Any:
    """The array behind x, outside the graph."""
    return x.array if isinstance(x, Recorded) else x


@elementwise(operands=("x",))
def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """min(max(x, min_val), max_val). dx = g where min_val < x < max_val, else 0."""
    return kernels.hardtanh(x, min_val, max_val)


def _hardtanh_vjp(g: Array, x: Array, min_val: float, max_val: float) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.hardtanh_backward(g, x, min_val, max_val)
    return where((x <= min_val) | (x >= max_val), 0.0, g)


hardtanh.vjp(x=_hardtanh_vjp)


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6). dx = g where 0 < x < 6. Source: Howard et al. 2017 (MobileNets)."""
    return hardtanh(x, 0.0, 6.0)


@elementwise(to_float=True)
def hardsigmoid(x: Array) -> Array:
    """min(max(x + 3, 0), 6)/6, a straight sigmoid. dx = g/6 where -3 < x < 3, else 0."""
    return kernels.hardsigmoid(x)


def _hardsigmoid_vjp(g: Array, x: Array) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.hardsigmoid_backward(g, x)
    return where((x > -3) & (x < 3), g / 6, 0.0)


hardsigmoid.vjp(x=_hardsigmoid_vjp)


@elementwise(to_float=True)
def hardswish(x: Array) -> Array:
    """x · min(max(x + 3, 0), 6)/6. dx = 0 where x ≤ -3, g where x ≥ 3, g·(x/3 + ½) between.

    Source: Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244, section 5.2.
    """
    return kernels.hardswish(x)


def _hardswish_vjp(g: Array, x: Array) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.hardswish_backward(g, x)
    return where(x <= -3, 0.0, where(x >= 3, g, g * (x / 3 + 0.5)))


hardswish.vjp(x=_hardswish_vjp)


@elementwise(operands=("x",))
def threshold(x: Array, threshold: float, value: float) -> Array:
    """``value`` where x ≤ threshold, else x (NaN too). dx = 0 where x ≤ threshold, else g."""
    return np.where(x <= threshold, x.dtype.type(value), x)


threshold.vjp(x=lambda g, x, threshold: where(x <= threshold, 0.0, g))


@elementwise(to_float=True, operands=("x",))
def hardshrink(x: Array, lambd: float = 0.5) -> Array:
    """x where |x| > λ, else 0. dx = g there, else 0."""
    return kernels.hardshrink(x, lambd)


def _shrink_vjp(g: Array, x: Array, lambd: float) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.shrink_backward(g, x, lambd)
    return where((x >= -lambd) & (x <= lambd), 0.0, g)


hardshrink.vjp(x=_shrink_vjp)


def softshrink(x: Array, lambd: float = 0.5) -> Array:
    """x - λ where x > λ, x + λ where x < -λ, 0 between: L1's proximal step. dx as `hardshrink`."""
    if lambd < 0:
        raise ConfigError(f"softshrink: lambd is a distance, at least 0; got {lambd}")
    return _softshrink(x, lambd)


@elementwise(to_float=True, operands=("x",))
def _softshrink(x: Array, lambd: float) -> Array:
    return kernels.softshrink(x, lambd)


_softshrink.vjp(x=_shrink_vjp)


# -- curves ------------------------------------------------------------------------------------


def elu(x: Array, alpha: float = 1.0) -> Array:
    """x where x > 0, else α(eˣ - 1). dx = g, or g·α·eˣ.

    Source: Clevert et al. 2015, arXiv:1511.07289.
    """
    return _elu(x, alpha, 1.0, 1.0)


# So that a normal distribution of inputs keeps mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(x: Array) -> Array:
    """λx where x > 0, else λα(eˣ - 1), with λ ≈ 1.0507 and α ≈ 1.6733. dx = gλ, or gλα·eˣ.

    Source: Klambauer et al. 2017, Self-Normalizing Neural Networks, arXiv:1706.02515, eq. 2.
    """
    return _elu(x, SELU_ALPHA, SELU_SCALE, 1.0)


def celu(x: Array, alpha: float = 1.0) -> Array:
    """x where x > 0, else α(e^(x/α) - 1), whose slope has no jump. dx = g, or g·e^(x/α).

    Source: Barron 2017, arXiv:1704.07483.
    """
    if alpha == 0:
        raise ConfigError("celu: alpha divides and cannot be 0; use relu")
    return _elu(x, alpha, 1.0, 1 / alpha)


@elementwise(to_float=True, operands=("x",))
def _elu(x: Array, alpha: float, scale: float, input_scale: float) -> Array:
    """scale · x where x > 0, else scale · α · (e^(input_scale · x) - 1)."""
    return kernels.elu(x, alpha, scale, input_scale)


def _elu_vjp(g: Array, x: Array, alpha: float, scale: float, input_scale: float) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.elu_backward(g, x, alpha, scale, input_scale)
    below = exp(where(x > 0, 0.0, x) * input_scale) * (alpha * scale * input_scale)
    return g * where(x > 0, scale, below)


_elu.vjp(x=_elu_vjp)


@elementwise(to_float=True)
def sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ), for x < 0 as eˣ / (1 + eˣ), which cannot overflow. dx = g·y·(1 - y)."""
    return kernels.sigmoid(x)


def _sigmoid_vjp(g: Array, y: Array) -> Array:
    return kernels.sigmoid_backward(g, y) if isinstance(g, np.ndarray) else g * (y * (1 - y))


sigmoid.vjp(x=_sigmoid_vjp)


@elementwise(to_float=True)
def tanh(x: Array) -> Array:
    """(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ). dx = g·(1 - y²)."""
    return kernels.tanh(x)


def _tanh_vjp(g: Array, y: Array) -> Array:
    return kernels.tanh_backward(g, y) if isinstance(g, np.ndarray) else g * (1 - y * y)


tanh.vjp(x=_tanh_vjp)


def gelu(x: Array, approximate: str = "none") -> Array:
    """x·Φ(x), Φ the normal distribution: x weighted by how probably a smaller one comes.

    dx = g·(Φ(x) + x·e^(-x²/2)/√(2π)). "tanh": Φ ≈ ½(1 + tanh √(2/π)(x + 0.044715 x³)).
    Source: Hendrycks & Gimpel 2016, arXiv:1606.08415.
    """
    if approximate not in ("none", "tanh"):
        raise ConfigError(f'gelu: approximate is "none" or "tanh", got {approximate!r}')
    return _gelu(x, approximate == "tanh")


@elementwise(to_float=True, operands=("x",))
def _gelu(x: Array, by_tanh: bool) -> Array:
    return kernels.gelu(x, by_tanh)


def _gelu_vjp(g: Array, x: Array, by_tanh: bool) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.gelu_backward(g, x, by_tanh)
    if by_tanh:  # 1 + tanh u = 2σ(2u)
        linear = 2 * math.sqrt(2 / math.pi)
        cubic = 0.044715 * linear
        below = sigmoid(x * (x * x * cubic + linear))
        return g * (below + x * (below * (1 - below) * (x * x * (3 * cubic) + linear)))
    density = exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return g * (erfc(x * -math.sqrt(0.5)) * 0.5 + x * density)


_gelu.vjp(x=_gelu_vjp)


@elementwise(to_float=True)
def silu(x: Array) -> Array:
    """x·σ(x), also called swish. dx = g·σ(x)·(1 + x(1 - σ(x))).

    Source: Elfwing et al. 2017, arXiv:1702.03118; Ramachandran et al. 2017, arXiv:1710.05941.
    """
    return kernels.silu(x)


def _silu_vjp(g: Array, x: Array) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.silu_backward(g, x)
    below = sigmoid(x)
    return g * (below * (x * (1 - below) + 1))


silu.vjp(x=_silu_vjp)


@elementwise(to_float=True, operands=("x",))
def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """ln(1 + e^(βx))/β, a smooth ReLU; x itself where βx > threshold. dx = g·σ(βx), or g.

    Computed as max(z, 0) + ln(1 + e^-|z|), z = βx, which cannot overflow.
    """
    return kernels.softplus(x, beta, threshold)


def _softplus_vjp(g: Array, x: Array, beta: float, threshold: float) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.softplus_backward(g, x, beta, threshold)
    return where(x * beta > threshold, g, g * sigmoid(x * beta))


softplus.vjp(x=_softplus_vjp)


@elementwise(to_float=True)
def mish(x: Array) -> Array:
    """x·tanh(ln(1 + eˣ)). With t that tanh: dx = g·(t + x(1 - t²)σ(x)).

    Source: Misra 2019, arXiv:1908.08681.
    """
    return kernels.mish(x)


def _mish_vjp(g: Array, x: Array) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.mish_backward(g, x)
    t = tanh(softplus(x))
    return g * (t + x * (1 - t * t) * sigmoid(x))


mish.vjp(x=_mish_vjp)


@elementwise(to_float=True)
def logsigmoid(x: Array) -> Array:
    """ln σ(x) = min(x, 0) - ln(1 + e^-|x|). dx = g·σ(-x)."""
    return kernels.logsigmoid(x)


def _logsigmoid_vjp(g: Array, x: Array) -> Array:
    return kernels.logsigmoid_backward(g, x) if isinstance(g, np.ndarray) else g * sigmoid(-x)


logsigmoid.vjp(x=_logsigmoid_vjp)


@elementwise(to_float=True)
def softsign(x: Array) -> Array:
    """x/(1 + |x|). dx = g/(1 + |x|)². Source: Glorot & Bengio 2010."""
    return x / (1 + np.abs(x))


def _softsign_vjp(g: Array, x: Array) -> Array:
    below = abs(x) + 1
    return g / (below * below)


softsign.vjp(x=_softsign_vjp)


@elementwise(to_float=True)
def tanhshrink(x: Array) -> Array:
    """x - tanh x. dx = g·tanh² x."""
    return x - np.tanh(x)


def _tanhshrink_vjp(g: Array, x: Array) -> Array:
    t = tanh(x)
    return g * (t * t)


tanhshrink.vjp(x=_tanhshrink_vjp)


# -- gates of several numbers ------------------------------------------------------------------


def glu(x: Array, dim: int = -1) -> Array:
    """a·σ(b), with a and b the halves of x along ``dim``: a multiply gate that x itself opens.

    x (..., 2C, ...) -> (..., C, ...). da = g·σ(b), db = g·a·σ(b)(1 - σ(b)).
    Raises ShapeError (odd length). Source: Dauphin et al. 2016, arXiv:1612.08083.
    """
    if not -x.ndim <= dim < x.ndim:
        raise no_such_axis("glu", dim, x.ndim)
    if x.shape[dim] % 2:
        raise ShapeError(
            f"glu: halves need an even length, dim {dim} has {x.shape[dim]}\n  x {tuple(x.shape)}"
        )
    a, b = chunk(x, 2, dim)
    return mul(a, sigmoid(b))


def maxout(x: Array, num_pieces: int, dim: int = 1) -> Array:
    """The largest of each ``num_pieces`` neighbouring channels.

    x (N, C·k, *) -> (N, C, *): y_c = max_j x_{ck + j}, of k pieces j. A max gate routes: g goes to
    the (first) largest piece. With linear pieces it can form any convex function.
    Raises ShapeError (channels that do not divide). Source: Goodfellow et al. 2013,
    arXiv:1302.4389.
    """
    if not -x.ndim <= dim < x.ndim:
        raise no_such_axis("maxout", dim, x.ndim)
    dim %= x.ndim
    if num_pieces < 1 or x.shape[dim] % num_pieces:
        raise ShapeError(
            f"maxout: dim {dim} of length {x.shape[dim]} does not divide into groups of "
            f"{num_pieces} pieces\n  x {tuple(x.shape)}"
        )
    groups = (x.shape[dim] // num_pieces, num_pieces)
    pieces = reshape(x, (*x.shape[:dim], *groups, *x.shape[dim + 1 :]))
    return take_extremum(pieces, argmax(pieces, dim + 1), dim + 1, False)[0]


# -- over classes ------------------------------------------------------------------------------


@op
def softmax(x: Array, dim: int) -> Array:
    """y_i = e^{x_i} / Σ_j e^{x_j} along ``dim``, shifted by the maximum.

    With ∂y_i/∂x_j = y_i (δ_ij - y_j):  dx = y · (g - Σ g·y).
    """
    check_float("softmax", x)
    return kernels.softmax(x, dim)


@op
def log_softmax(x: Array, dim: int) -> Array:
    """y_i = x_i - ln Σ_j e^{x_j} along ``dim``.  dx = g - e^y · Σ g."""
    check_float("log_softmax", x)
    return kernels.log_softmax(x, dim)


def softmax_vjp(g: Array, y: Array, dim: int) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.softmax_backward(g, y, dim)
    return y * (g - sum(g * y, dim, keepdim=True))


def log_softmax_vjp(g: Array, y: Array, dim: int) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.log_softmax_backward(g, y, dim)
    return g - exp(y) * sum(g, dim, keepdim=True)


softmax.vjp(x=softmax_vjp)
log_softmax.vjp(x=log_softmax_vjp)


def softmin(x: Array, dim: int) -> Array:
    """softmax(-x) along ``dim``. dx = -y·(g - Σ g·y)."""
    return softmax(neg(x), dim)


def gumbel_softmax(
    x: Array,
    tau: float = 1.0,
    hard: bool = False,
    dim: int = -1,
    generator: Generator | None = None,
) -> Array:
    """softmax((x + n)/τ) with noise n = -ln E, E ~ Exp(1): nearly a draw from softmax(x).

    The largest of x + n is a draw from softmax(x) (the Gumbel-max trick); small τ come near it.
    hard: that draw as 0 and 1, with the gradient of the soft one (straight through).
    Source: Jang et al. 2016, arXiv:1611.01144; Maddison et al. 2016, arXiv:1611.00712.
    """
    check_float("gumbel_softmax", x)
    rng = (generator or default_generator).rng
    noise = -np.log(rng.standard_exponential(tuple(x.shape))).astype(x.dtype)
    y = softmax(add(x, noise) / tau, dim)
    return straight_through_max(y, dim) if hard else y


@op
def straight_through_max(y: Array, dim: int) -> Array:
    """1 at the (first) largest along ``dim``, 0 elsewhere, with the gradient of y: dy = g."""
    chosen = np.zeros_like(y)
    np.put_along_axis(chosen, np.expand_dims(y.argmax(dim), dim), 1, dim)
    return chosen


straight_through_max.vjp(y=lambda g: g)
