"""Elementwise functions beyond the everyday ones: angles, hyperbolas, logarithms, rounding, ...

Conventions are those of `chainrule.ops.elementwise`. Where a gradient has a limit at a point
that its formula misses, the limit is given.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import DTypeError
from chainrule.ops.arithmetic import clamp, cos, exp, log, mul, pow, sign, sqrt, where
from chainrule.ops.elementwise import cast, elementwise, zeros_like
from chainrule.ops.logic import eq, isfinite
from chainrule.ops.op import spelled, values_of

__all__ = [
    "acos",
    "acosh",
    "angle",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "clamp_max",
    "clamp_min",
    "copysign",
    "cosh",
    "deg2rad",
    "exp2",
    "float_power",
    "floor",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "frexp",
    "heaviside",
    "hypot",
    "ldexp",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logit",
    "nan_to_num",
    "positive",
    "rad2deg",
    "round",
    "sinc",
    "sinh",
    "tan",
    "trunc",
    "xlogy",
]

Array = Any
LN2, LN10 = math.log(2), math.log(10)

# -- angles ------------------------------------------------------------------------------------


@elementwise(to_float=True)
def tan(x: Array) -> Array:
    """Tangent, x in radians. dx = g·(1 + y²)."""
    return np.tan(x)


@elementwise(to_float=True)
def asin(x: Array) -> Array:
    """The angle in -π/2..π/2 whose sine is x. dx = g/√(1 - x²)."""
    return np.arcsin(x)


@elementwise(to_float=True)
def acos(x: Array) -> Array:
    """The angle in 0..π whose cosine is x. dx = -g/√(1 - x²)."""
    return np.arccos(x)


@elementwise(to_float=True)
def atan(x: Array) -> Array:
    """The angle in -π/2..π/2 whose tangent is x. dx = g/(1 + x²)."""
    return np.arctan(x)


@elementwise(to_float=True)
def atan2(a: Array, b: Array) -> Array:
    """The angle of the point (b, a), in -π..π. da = g·b/(a² + b²), db = -g·a/(a² + b²)."""
    return np.arctan2(a, b)


tan.vjp(x=lambda g, y: g * (y * y + 1))
asin.vjp(x=lambda g, x: g / sqrt(1 - x * x))
acos.vjp(x=lambda g, x: -g / sqrt(1 - x * x))
atan.vjp(x=lambda g, x: g / (x * x + 1))
atan2.vjp(
    a=lambda g, a, b: g * (b / (a * a + b * b)),
    b=lambda g, a, b: g * (-a / (a * a + b * b)),
)


@elementwise(to_float=True)
def deg2rad(x: Array) -> Array:
    """Degrees as radians, x·π/180. dx = g·π/180."""
    return np.deg2rad(x)


@elementwise(to_float=True)
def rad2deg(x: Array) -> Array:
    """Radians as degrees, x·180/π. dx = g·180/π."""
    return np.rad2deg(x)


deg2rad.vjp(x=lambda g: g * (math.pi / 180))
rad2deg.vjp(x=lambda g: g * (180 / math.pi))


@elementwise(to_float=True)
def sinc(x: Array) -> Array:
    """sin(πx)/(πx), 1 at 0. dx = g·(cos πx - y)/x, 0 at 0."""
    return np.sinc(x)


def _sinc_vjp(g: Array, x: Array, y: Array) -> Array:
    zero = eq(x, 0)
    return where(zero, 0.0, g * (cos(x * math.pi) - y) / where(zero, 1.0, x))


sinc.vjp(x=_sinc_vjp)


# -- hyperbolas --------------------------------------------------------------------------------


@elementwise(to_float=True)
def sinh(x: Array) -> Array:
    """(eˣ - e⁻ˣ)/2. dx = g·cosh x."""
    return np.sinh(x)


@elementwise(to_float=True)
def cosh(x: Array) -> Array:
    """(eˣ + e⁻ˣ)/2. dx = g·sinh x."""
    return np.cosh(x)


@elementwise(to_float=True)
def asinh(x: Array) -> Array:
    """The inverse of sinh. dx = g/√(x² + 1)."""
    return np.arcsinh(x)


@elementwise(to_float=True)
def acosh(x: Array) -> Array:
    """The inverse of cosh, for x ≥ 1. dx = g/√(x² - 1)."""
    return np.arccosh(x)


@elementwise(to_float=True)
def atanh(x: Array) -> Array:
    """The inverse of tanh, for -1 ≤ x ≤ 1. dx = g/(1 - x²)."""
    return np.arctanh(x)


sinh.vjp(x=lambda g, x: g * cosh(x))
cosh.vjp(x=lambda g, x: g * sinh(x))
asinh.vjp(x=lambda g, x: g / sqrt(x * x + 1))
acosh.vjp(x=lambda g, x: g / sqrt(x * x - 1))
atanh.vjp(x=lambda g, x: g / (1 - x * x))


@elementwise(to_float=True)
def hypot(a: Array, b: Array) -> Array:
    """√(a² + b²), without overflow on the way. da = g·a/y, db = g·b/y."""
    return np.hypot(a, b)


hypot.vjp(a=lambda g, a, y: g * (a / y), b=lambda g, b, y: g * (b / y))


# -- powers and logarithms ---------------------------------------------------------------------


@elementwise(to_float=True)
def exp2(x: Array) -> Array:
    """2ˣ. dx = g·y·ln 2."""
    return np.exp2(x)


@elementwise(to_float=True)
def log2(x: Array) -> Array:
    """The logarithm to base 2. dx = g/(x·ln 2)."""
    return np.log2(x)


@elementwise(to_float=True)
def log10(x: Array) -> Array:
    """The logarithm to base 10. dx = g/(x·ln 10)."""
    return np.log10(x)


exp2.vjp(x=lambda g, y: g * (y * LN2))
log2.vjp(x=lambda g, x: g / (x * LN2))
log10.vjp(x=lambda g, x: g / (x * LN10))


@elementwise(to_float=True)
def logaddexp(a: Array, b: Array) -> Array:
    """ln(eᵃ + eᵇ), without overflow. da = g·e^(a - y), db = g·e^(b - y)."""
    return np.logaddexp(a, b)


@elementwise(to_float=True)
def logaddexp2(a: Array, b: Array) -> Array:
    """log₂(2ᵃ + 2ᵇ), without overflow. da = g·2^(a - y), db = g·2^(b - y)."""
    return np.logaddexp2(a, b)


def _share(difference: Array) -> Array:
    """The exponent a - y; where both are the same infinity, each of the two has half."""
    return where(difference != difference, -LN2, difference)


logaddexp.vjp(
    a=lambda g, a, y: g * exp(_share(a - y)),
    b=lambda g, b, y: g * exp(_share(b - y)),
)
logaddexp2.vjp(
    a=lambda g, a, y: g * exp2(_share(a - y)),
    b=lambda g, b, y: g * exp2(_share(b - y)),
)


@elementwise(to_float=True, operands=("x",))
def logit(x: Array, eps: float | None = None) -> Array:
    """ln(x/(1 - x)), the inverse of sigmoid; eps: x is first clamped to eps..1 - eps.

    dx = g/(x·(1 - x)), 0 outside the clamp.
    """
    if eps is not None:
        x = np.clip(x, eps, 1 - eps)
    return np.log(x / (1 - x))


def _logit_vjp(g: Array, x: Array, eps: float | None) -> Array:
    low = 0.0 if eps is None else eps
    inside = (x >= low) & (x <= 1 - low)
    outside = float("nan") if eps is None else 0.0
    return where(inside, g / (x * (1 - x)), outside)


logit.vjp(x=_logit_vjp)


@elementwise(to_float=True)
def xlogy(a: Array, b: Array) -> Array:
    """a·ln b, 0 where a = 0 (unless b is NaN). da = g·ln b (0 where a = 0, b ≤ 0), db = g·a/b."""
    y = a * np.log(np.where((a == 0) & ~np.isnan(b), 1, b))
    return np.asarray(y, np.result_type(a, b))


def _xlogy_a(g: Array, a: Array, b: Array) -> Array:
    none = eq(a, 0) & (b <= 0)
    return where(none, 0.0, g * log(where(none, 1.0, b)))


xlogy.vjp(a=_xlogy_a, b=lambda g, a, b: g * (a / b))


@spelled
def float_power(a: Array, b: Array) -> Array:
    """a^b computed and given in float64."""
    return pow(_double(a), _double(b))


def _double(x: Array) -> Array:
    return float(x) if isinstance(x, bool | int | float) else cast(x, np.float64)


@spelled
def ldexp(a: Array, b: Array) -> Array:
    """a·2^b."""
    return mul(a, exp2(b))


@elementwise
def frexp_mantissa(x: Array) -> Array:
    """The m of x = m·2^e, ½ ≤ |m| < 1. dx = g/2^e."""
    return np.frexp(x)[0]


def _exponent(x: Array) -> Array:
    return np.frexp(values_of(x))[1]


frexp_mantissa.vjp(x=lambda g, x: g * np.exp2(-_exponent(x)).astype(g.dtype))


@elementwise
def frexp_exponent(x: Array) -> Array:
    """The e of x = m·2^e, as int32."""
    return np.frexp(x)[1]


@spelled
def frexp(x: Array) -> tuple[Array, Array]:
    """(mantissa, exponent): x = m·2^e with ½ ≤ |m| < 1, and (0, 0) for 0."""
    if x.dtype.kind != "f":
        raise DTypeError(f"frexp: expects a float tensor, got {x.dtype}")
    return frexp_mantissa(x), frexp_exponent(x)


# -- rounding and parts of a number ------------------------------------------------------------


@elementwise
def floor(x: Array) -> Array:
    """The largest whole number not above x. Piecewise constant: its gradient is zero."""
    return np.floor(x)


@elementwise
def ceil(x: Array) -> Array:
    """The smallest whole number not below x. Its gradient is zero."""
    return np.ceil(x)


@elementwise(operands=("x",))
def round(x: Array, decimals: int = 0) -> Array:
    """The nearest number with so many decimals, halves to even. Its gradient is zero."""
    return np.round(x, decimals)


@elementwise
def trunc(x: Array) -> Array:
    """x without its fraction: the nearest whole number towards 0. Its gradient is zero."""
    return np.trunc(x)


@elementwise
def frac(x: Array) -> Array:
    """The fraction of x, with its sign: x - trunc x. dx = g."""
    return x - np.trunc(x)


for _step in (floor, ceil, round, trunc):
    _step.vjp(x=lambda g: zeros_like(g))
frac.vjp(x=lambda g: g)


@elementwise
def fmod(a: Array, b: Array) -> Array:
    """a - b·trunc(a/b), with the sign of a. da = g, db = -g·trunc(a/b) (away from the jumps)."""
    return np.fmod(a, b)


fmod.vjp(a=lambda g: g, b=lambda g, a, b: -g * trunc(a / b))


@elementwise
def copysign(a: Array, b: Array) -> Array:
    """|a| with the sign of b. da = g·y/a, 0 at 0."""
    return np.copysign(a, b)


copysign.to_float = True


def _copysign_vjp(g: Array, a: Array, y: Array) -> Array:
    return g * (sign(a) * sign(y))


copysign.vjp(a=_copysign_vjp, b=lambda g: zeros_like(g))


@elementwise(operands=("x",))
def nan_to_num(
    x: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Array:
    """x with numbers for NaN and infinities (by default 0 and the largest finite ones).

    dx = g where x is finite, else 0.
    """
    return np.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


nan_to_num.vjp(x=lambda g, x: where(isfinite(x), g, 0.0))


@elementwise
def heaviside(x: Array, values: Array) -> Array:
    """0 for negative x, 1 for positive, ``values`` at 0. No gradient."""
    return np.where(x == 0, values, x > 0).astype(np.result_type(x, values))


@elementwise
def fmax(a: Array, b: Array) -> Array:
    """The larger of two, where a NaN gives way to a number. g goes to a where a ≥ b, else to b."""
    return np.fmax(a, b)


@elementwise
def fmin(a: Array, b: Array) -> Array:
    """The smaller of two, where a NaN gives way to a number. g goes to a where a ≤ b, else to b."""
    return np.fmin(a, b)


fmax.vjp(
    a=lambda g, a, b: where((a >= b) | (b != b), g, 0.0),
    b=lambda g, a, b: where((a >= b) | (b != b), 0.0, g),
)
fmin.vjp(
    a=lambda g, a, b: where((a <= b) | (b != b), g, 0.0),
    b=lambda g, a, b: where((a <= b) | (b != b), 0.0, g),
)


def clamp_min(x: Array, min: Array) -> Array:
    """max(x, min)."""
    return clamp(x, min=min)


def clamp_max(x: Array, max: Array) -> Array:
    """min(x, max)."""
    return clamp(x, max=max)


@spelled
def positive(x: Array) -> Array:
    """x itself, for numbers."""
    if x.dtype == np.bool_:
        raise DTypeError("positive: booleans have no sign; convert with .int()")
    return x


@elementwise(to_float=True)
def angle(x: Array) -> Array:
    """The angle of a number on the plane: 0, or π where it is negative. Its gradient is zero."""
    return np.where(np.isnan(x), x, np.where(x < 0, math.pi, 0)).astype(x.dtype)


angle.vjp(x=lambda g: zeros_like(g))
