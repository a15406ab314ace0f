"""Affine maps: one matrix product, which is its own kind of gradient."""

import numpy as np

from chainrule.kernels.epilogue import finish
from chainrule.kernels.reference.precision import half_in_single

__all__ = ["linear"]


@half_in_single
def linear(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, relu: bool = False
) -> np.ndarray:
    """y = x Wᵀ + b, and relu of it where asked for.

    x (N, I), weight (O, I), bias (O,) or None -> (N, O). Any strides.

    Both gradients are products of the same kind, so transposed views must cost no copy:
    dx = linear(g, Wᵀ) and dW = linear(gᵀ, xᵀ).
    """
    y = np.matmul(x, weight.T)
    if bias is not None:
        y += bias
    return finish(y, None, relu)
