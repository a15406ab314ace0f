"""The error function: how much of a normal distribution lies near its middle."""

from __future__ import annotations

import math
from typing import Any

from chainrule.kernels.reference import erf as approximation
from chainrule.ops.arithmetic import exp
from chainrule.ops.elementwise import elementwise

__all__ = ["erf", "erfc", "erfinv"]

Array = Any
SLOPE_AT_0 = 2 / math.sqrt(math.pi)


@elementwise(to_float=True)
def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ e^(-t²) dt. dx = g·2/√π·e^(-x²)."""
    return approximation.erf(x)


@elementwise(to_float=True)
def erfc(x: Array) -> Array:
    """1 - erf(x), exact for large x. dx = -g·2/√π·e^(-x²)."""
    return approximation.erfc(x)


@elementwise(to_float=True)
def erfinv(x: Array) -> Array:
    """The y whose erf is x in (-1, 1); ±∞ at ±1, NaN beyond. dx = g·√π/2·e^(y²).

    Of uniform numbers it makes normal ones: √2·erfinv(u) for u in (-1, 1).
    """
    return approximation.erfinv(x)


erf.vjp(x=lambda g, x: g * (exp(-(x * x)) * SLOPE_AT_0))
erfc.vjp(x=lambda g, x: g * (exp(-(x * x)) * -SLOPE_AT_0))
erfinv.vjp(x=lambda g, y: g * (exp(y * y) * (1 / SLOPE_AT_0)))
