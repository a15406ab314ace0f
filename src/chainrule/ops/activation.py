"""Activation functions: elementwise gates between layers, and softmax over classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.ops.elementwise import elementwise, exp, where
from chainrule.ops.op import op
from chainrule.ops.reduction import check_float, sum

__all__ = ["leaky_relu", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]

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


@elementwise(operands=("x",))
def leaky_relu(x: Array, negative_slope: float = 0.01) -> Array:
    """x where x > 0, else negative_slope · x. dx = g or negative_slope · g.

    Source: Maas et al. 2013, Rectifier Nonlinearities Improve Neural Network Acoustic Models.
    """
    return np.where(x > 0, x, x * negative_slope)


leaky_relu.vjp(x=lambda g, x, negative_slope: where(x > 0, g, g * negative_slope))


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


def _softmax_vjp(g: Array, y: Array, dim: int) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.softmax_backward(g, y, dim)
    return y * (g - sum(g * y, dim, keepdim=True))


def _log_softmax_vjp(g: Array, y: Array, dim: int) -> Array:
    if isinstance(g, np.ndarray):
        return kernels.log_softmax_backward(g, y, dim)
    return g - exp(y) * sum(g, dim, keepdim=True)


softmax.vjp(x=_softmax_vjp)
log_softmax.vjp(x=_log_softmax_vjp)
