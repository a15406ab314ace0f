"""The exponential of a matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.decomposition import solve
from chainrule.ops.elementwise import cast
from chainrule.ops.op import Recorded, spelled
from chainrule.ops.reduction import check_float

__all__ = ["matrix_exp"]

Array = Any

# of the numerator of degree 13, divided by the first; the denominator's have alternating signs
PADE = [
    math.factorial(26 - i) * math.factorial(13)
    / (math.factorial(26) * math.factorial(i) * math.factorial(13 - i))
    for i in range(14)
]  # fmt: skip
LARGEST_NORM = 5.37  # up to which the quotient is exact to float64's last digits


@spelled
def matrix_exp(x: Array) -> Array:
    """I + X + X²/2! + X³/3! + ..., for square matrices.   (..., N, N) -> the same.

    A quotient of polynomials of degree 13 near 0, and e^X = (e^{X/2})² to come there. The
    gradient is that of these products. Raises ShapeError (not square), DTypeError.
    Source: Higham 2005, "The scaling and squaring method for the matrix exponential revisited",
    SIAM J. Matrix Anal. Appl. 26(4), algorithm 2.3.
    """
    check_float("matrix_exp", x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_exp: needs square matrices\n  x {tuple(x.shape)} = (..., N, N)")
    if x.dtype == np.float16:
        return cast(matrix_exp(cast(x, np.float32)), np.float16)
    values = x.array if isinstance(x, Recorded) else x
    norm = float(np.abs(values).sum(axis=-2, dtype=np.float64).max(initial=0.0))
    halvings = max(0, math.ceil(math.log2(norm / LARGEST_NORM))) if 0 < norm < math.inf else 0
    a = x * 0.5**halvings
    odd, even = _polynomial(a)
    y = solve(even - odd, even + odd)
    for _ in range(halvings):
        y = y @ y
    return y


def _polynomial(a: Array) -> tuple[Array, Array]:
    """The odd and the even terms of the numerator, by six products."""
    b = PADE
    one = np.eye(a.shape[-1], dtype=a.dtype)
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2

    def terms(i: int) -> Array:
        high = a6 @ (a6 * b[12 + i] + a4 * b[10 + i] + a2 * b[8 + i])
        return high + a6 * b[6 + i] + a4 * b[4 + i] + a2 * b[2 + i] + one * b[i]

    return a @ terms(1), terms(0)
