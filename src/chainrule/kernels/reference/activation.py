"""Elementwise gates between layers."""

import numpy as np

__all__ = [
    "relu",
    "relu_backward",
    "sigmoid",
    "sigmoid_backward",
    "tanh",
    "tanh_backward",
]


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
