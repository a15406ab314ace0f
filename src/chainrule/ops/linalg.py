"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import DTypeError, ShapeError
from chainrule.ops.elementwise import sum_to
from chainrule.ops.op import op
from chainrule.ops.reduction import channel_sum
from chainrule.ops.shape import flatten, squeeze, unsqueeze

__all__ = ["linear", "matmul"]

Array = Any


def matmul(a: Array, b: Array) -> Array:
    """Matrix product, batched over leading axes, which broadcast.

    a (..., N, K), b (..., K, M) -> (..., N, M). A 1-d argument is a vector: the axis it
    lacks is added for the product and dropped after.
    """
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul: both arguments need axes\n  a {a.shape}; b {b.shape}")
    left = a if a.ndim > 1 else unsqueeze(a, 0)
    right = b if b.ndim > 1 else unsqueeze(b, 1)
    y = _matmul(left, right)
    if a.ndim == 1:
        y = squeeze(y, -2)
    return squeeze(y, -1) if b.ndim == 1 else y


@op(name="matmul")
def _matmul(a: Array, b: Array) -> Array:
    """y = a b for matrices; da = g bᵀ, db = aᵀ g, summed where the batch axes broadcast."""
    if a.dtype != b.dtype:
        raise DTypeError(f"matmul: dtypes differ: a is {a.dtype}, b is {b.dtype}; convert one")
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"matmul: a has {a.shape[-1]} columns, b has {b.shape[-2]} rows\n"
            f"  a {a.shape} = (..., N, K); b {b.shape} = (..., K, M)"
        )
    return np.matmul(a, b)


def _undo_batch(d: Array, shape: tuple[int, ...]) -> Array:
    return d if d.shape == shape else sum_to(d, shape)


_matmul.vjp(
    a=lambda g, b, a_shape: _undo_batch(g @ b.mT, a_shape),
    b=lambda g, a, b_shape: _undo_batch(a.mT @ g, b_shape),
)


@op
def linear(x: Array, weight: Array, bias: Array = None) -> Array:
    """Affine map y = x Wᵀ + b.

    x (..., I), weight (O, I), bias (O,) or None -> y (..., O).
    dx = g W;  dW = gᵀ x and db = Σ g, both summed over all rows. Both products are affine
    maps again: g W = linear(g, Wᵀ) and gᵀ x = linear(gᵀ, xᵀ).
    Raises ShapeError, DTypeError.
    """
    check_linear(x, weight, bias)
    y = kernels.linear(_rows(x), weight, bias)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], len(weight))


def check_linear(x: Array, weight: Array, bias: Array) -> None:
    """Raise what `linear` promises to."""
    if x.dtype != weight.dtype or (bias is not None and x.dtype != bias.dtype):
        dtypes = ", ".join(str(a.dtype) for a in (x, weight, bias) if a is not None)
        raise DTypeError(f"linear: dtypes of x, weight, bias differ: {dtypes}; convert")
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: weight expects {weight.shape[-1] if weight.ndim else 0} features, "
            f"x has {x.shape[-1] if x.ndim else 'no axis'}\n"
            f"  x {x.shape} = (..., I); weight {weight.shape} = (O, I)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"linear: bias must hold one value for each of {weight.shape[0]} outputs\n"
            f"  weight {weight.shape} = (O, I); bias {bias.shape}"
        )


def _rows(x: Array) -> Array:
    """All leading axes joined: (..., I) -> (rows, I)."""
    return x if x.ndim == 2 else unsqueeze(x, 0) if x.ndim == 1 else flatten(x, 0, -2)


linear.vjp(
    x=lambda g, weight: linear.in_vjp(g, weight.mT),
    weight=lambda g, x: linear.in_vjp(_rows(g).mT, _rows(x).mT),
    bias=lambda g: channel_sum(_rows(g)),
)
