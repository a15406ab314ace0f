"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import DTypeError, ShapeError
from chainrule.ops.elementwise import sum_to
from chainrule.ops.op import op
from chainrule.ops.reduction import channel_sum
from chainrule.ops.shape import flatten, permute, reshape, squeeze, unsqueeze

__all__ = ["bilinear", "linear", "matmul"]

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


def undo_batch(d: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an argument of ``shape`` from that of what its batch axes broadcast to."""
    return d if d.shape == shape else sum_to(d, shape)


_matmul.vjp(
    a=lambda g, b, a_shape: undo_batch(g @ b.mT, a_shape),
    b=lambda g, a, b_shape: undo_batch(a.mT @ g, b_shape),
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


def bilinear(x1: Array, x2: Array, weight: Array, bias: Array = None) -> Array:
    """A form of two vectors for each output: y_o = x1ᵀ W_o x2 + b_o.

    x1 (..., I), x2 (..., J) with the same leading axes; weight (O, I, J); bias (O,) or None
    -> (..., O). As a multiply gate it swaps: dx1 = Σ_o g_o W_o x2, dx2 = Σ_o g_o W_oᵀ x1,
    dW_o = g_o x1 x2ᵀ. Composed of products of matrices: x1 W of (I, O·J), then with x2.
    Raises ShapeError, DTypeError.
    """
    outputs, i, j = _check_bilinear(x1, x2, weight)
    rows = linear(_rows(x1), reshape(permute(weight, (0, 2, 1)), (outputs * j, i)))
    count = rows.shape[0]
    y = matmul(reshape(rows, (count, outputs, j)), reshape(_rows(x2), (count, j, 1)))
    y = reshape(y, (*x1.shape[:-1], outputs))
    if bias is None:
        return y
    if bias.shape != (outputs,):
        raise ShapeError(
            f"bilinear: bias must hold one value for each of {outputs} outputs\n"
            f"  weight {tuple(weight.shape)} = (O, I, J); bias {tuple(bias.shape)}"
        )
    return y + bias


def _check_bilinear(x1: Array, x2: Array, weight: Array) -> tuple[int, int, int]:
    fits = weight.ndim == 3 and min(x1.ndim, x2.ndim) > 0 and x1.shape[:-1] == x2.shape[:-1]
    if not fits or (x1.shape[-1], x2.shape[-1]) != tuple(weight.shape[1:]):
        raise ShapeError(
            "bilinear: x1 and x2 must agree but for the last axis, and weight with both of those\n"
            f"  x1 {tuple(x1.shape)} = (..., I); x2 {tuple(x2.shape)} = (..., J); "
            f"weight {tuple(weight.shape)} = (O, I, J)"
        )
    if not x1.dtype == x2.dtype == weight.dtype:
        raise DTypeError(
            f"bilinear: dtypes of x1, x2, weight differ: {x1.dtype}, {x2.dtype}, {weight.dtype}; "
            "convert"
        )
    return weight.shape[0], weight.shape[1], weight.shape[2]
