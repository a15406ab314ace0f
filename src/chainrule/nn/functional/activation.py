"""Activations, and softmax."""

from __future__ import annotations

from typing import Any

from chainrule import ops
from chainrule.autograd.change import change
from chainrule.tensor import Tensor

__all__ = ["leaky_relu", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), elementwise."""
    return input.relu_() if inplace else ops.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x. Source: Maas et al. 2013."""
    if inplace:
        return change(input, ops.leaky_relu, negative_slope)
    return ops.leaky_relu(input, negative_slope)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ), elementwise."""
    return ops.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """(eˣ - e⁻ˣ) / (eˣ + e⁻ˣ), elementwise."""
    return ops.tanh(input)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = e^{x_i} / Σ_j e^{x_j} along ``dim``; the input is cast to ``dtype`` first."""
    return ops.softmax(input if dtype is None else ops.cast(input, dtype), dim)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = x_i - ln Σ_j e^{x_j} along ``dim``; the input is cast to ``dtype`` first."""
    return ops.log_softmax(input if dtype is None else ops.cast(input, dtype), dim)
