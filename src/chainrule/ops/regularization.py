"""Penalties on the size of weights, as one number a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.ops.arithmetic import sign
from chainrule.ops.op import op
from chainrule.ops.reduction import check_float

__all__ = ["elastic_net"]

Array = Any


@op
def elastic_net(x: Array, alpha: float = 1.0, beta: float = 1.0) -> Array:
    """Σ (α|w| + β·w²): L1 and L2 together.   x (any shape) -> ().

    dw = g·(α·sign(w) + 2β·w). At w = 0, where |w| has a kink, its part of the gradient is 0.
    Source: Zou & Hastie 2005, Regularization and variable selection via the elastic net.
    """
    check_float("elastic_net", x)
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    total = np.zeros((), wide)
    if alpha:
        total = total + alpha * np.abs(x).sum(dtype=wide)
    if beta:
        total = total + beta * np.square(x, dtype=wide).sum()
    return total.astype(x.dtype)


def _elastic_net_vjp(g: Array, x: Array, alpha: float, beta: float) -> Array:
    slope = x * (2 * beta) if beta or not alpha else None
    if alpha:
        steady = sign(x) * alpha
        slope = steady if slope is None else slope + steady
    return slope * g


elastic_net.vjp(x=_elastic_net_vjp)
