"""Arithmetic, bounds and selection, and the everyday functions of one number.

Gates: add distributes the gradient, multiply swaps its inputs, max routes it. The functions of
one number scale it by their slope.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import DTypeError
from chainrule.ops.dtypes import NUMBERS
from chainrule.ops.elementwise import elementwise, zeros_like
from chainrule.ops.op import spelled

__all__ = [
    "abs",
    "add",
    "addcdiv",
    "addcmul",
    "clamp",
    "cos",
    "div",
    "exp",
    "expm1",
    "floor_divide",
    "lerp",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "mul",
    "neg",
    "pow",
    "reciprocal",
    "remainder",
    "rsqrt",
    "sign",
    "sin",
    "sqrt",
    "square",
    "sub",
    "where",
]

Array = Any

# -- arithmetic ------------------------------------------------------------------------------


def times_number(x: Array, number: float) -> Array:
    """x times a number, in x's dtype: of integers, the number's whole part.

    A negative number goes round where there are no signs; one that is too large is refused.
    """
    if x.dtype.kind == "f":
        return x if number == 1 else x * number
    if x.dtype.kind != "b" and number > np.iinfo(x.dtype).max:
        raise OverflowError(f"a factor of {number} is larger than {x.dtype} can hold")
    return x * np.asarray(number).astype(x.dtype)


def _check_alpha(name: str, a: Array, b: Array, alpha: float) -> None:
    if isinstance(alpha, float) and not any(_is_float(x) for x in (a, b)):
        raise DTypeError(f"{name}: alpha must be a whole number for integers, got {alpha}")


def _is_float(x: Array) -> bool:
    return isinstance(x, float) or getattr(getattr(x, "dtype", None), "kind", "") == "f"


@elementwise(operands=("a", "b"))
def add(a: Array, b: Array, alpha: float = 1) -> Array:
    """a + αb. The gate that distributes: da = g, db = αg."""
    if alpha != 1:
        return a + (times_number(b, alpha) if type(b) is np.ndarray else alpha * b)
    if type(a) is type(b) is np.ndarray and a.ndim == 4 and a.shape == b.shape:
        return kernels.add(a, b)  # of images: a pass over memory worth its threads
    return a + b


add.vjp(a=lambda g: g, b=lambda g, alpha: g if alpha == 1 else g * alpha)


@elementwise(operands=("a", "b"))
def sub(a: Array, b: Array, alpha: float = 1) -> Array:
    """a - αb. da = g, db = -αg."""
    return np.subtract(a, b if alpha == 1 else times_number(np.asarray(b), alpha))


add.check = sub.check = _check_alpha
sub.vjp(a=lambda g: g, b=lambda g, alpha: -g if alpha == 1 else g * -alpha)


@elementwise
def mul(a: Array, b: Array) -> Array:
    """a · b. The gate that swaps: da = g·b, db = g·a."""
    return a * b


mul.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)


@elementwise(to_float=True)
def div(a: Array, b: Array) -> Array:
    """a / b. da = g/b, db = -g·a/b². Integers divide to floats."""
    return np.true_divide(a, b)


div.vjp(a=lambda g, b: g / b, b=lambda g, a, b: -g * a / (b * b))


@elementwise
def floor_divide(a: Array, b: Array) -> Array:
    """⌊a / b⌋. Piecewise constant: its gradient is zero."""
    return np.floor_divide(a, b)


floor_divide.vjp(a=lambda g: zeros_like(g), b=lambda g: zeros_like(g))


@elementwise
def remainder(a: Array, b: Array) -> Array:
    """a - b·⌊a/b⌋, with the sign of b. da = g, db = -g·⌊a/b⌋ (away from the jumps)."""
    return np.remainder(a, b)


remainder.vjp(a=lambda g: g, b=lambda g, a, b: -g * floor_divide(a, b))


@elementwise
def neg(x: Array) -> Array:
    """-x. dx = -g."""
    return -x


neg.vjp(x=lambda g: -g)


@elementwise
def pow(a: Array, b: Array) -> Array:
    """a^b. da = g·b·a^(b-1) (0 where b = 0), db = g·y·ln a (0 where a = 0 and b ≥ 0).

    Of integers it is rounded towards 0; a negative number as exponent is refused there.
    """
    if type(b) is np.ndarray and b.dtype.kind == "i" and (b < 0).any():
        odd = np.where(b % 2 == 1, a, 1)  # ±1 to a negative power; all others are below 1
        return np.where(b >= 0, a ** np.maximum(b, 0), np.where(np.abs(a) == 1, odd, 0))
    y = a**b
    if y.dtype == np.int8 and np.result_type(a) == np.bool_:
        raise DTypeError("pow: booleans have no powers; convert with .int() or .float()")
    return y


def _no_negative_power(name: str, a: Array, b: Array) -> None:
    if isinstance(b, int) and b < 0 and a.dtype.kind != "f":
        raise DTypeError(f"{name}: {a.dtype} has no power {b}; convert with .float()")


pow.check = _no_negative_power


def _pow_base(g: Array, a: Array, b: Array) -> Array:
    if isinstance(b, int | float):
        return g * (2 * a) if b == 2 else g * (b * a ** (b - 1)) if b != 0 else zeros_like(g)
    return where(b == 0, 0.0, g * b * a ** where(b == 0, 1, b - 1))


def _pow_exponent(g: Array, y: Array, a: Array, b: Array) -> Array:
    defined = (a != 0) | (b < 0)
    return where(defined, g * y * log(where(defined, a, 1.0)), 0.0)


pow.vjp(a=_pow_base, b=_pow_exponent)


@elementwise
def maximum(a: Array, b: Array) -> Array:
    """The larger of two. The gate that routes: g goes to the winner, half each at a tie."""
    return np.maximum(a, b)


@elementwise
def minimum(a: Array, b: Array) -> Array:
    """The smaller of two. g goes to the winner, half each at a tie."""
    return np.minimum(a, b)


def _winner(g: Array, wins: Array, ties: Array) -> Array:
    return where(wins, g, where(ties, g / 2, 0.0))


maximum.vjp(
    a=lambda g, a, b: _winner(g, a > b, a == b),
    b=lambda g, a, b: _winner(g, b > a, a == b),
)
minimum.vjp(
    a=lambda g, a, b: _winner(g, a < b, a == b),
    b=lambda g, a, b: _winner(g, b < a, a == b),
)


@elementwise
def clamp(x: Array, min: Array = None, max: Array = None) -> Array:
    """min(max(x, min), max); either bound may be None.

    dx = g where min ≤ x ≤ max; a bound receives g where it was taken.
    """
    bounds = single_bounds(min, max)
    if bounds and x.dtype.kind == "f":
        return kernels.hardtanh(x, *bounds)
    y = x if min is None else np.maximum(x, min)
    return y if max is None else np.minimum(y, max)


def single_bounds(min: Any, max: Any) -> tuple[float, float] | None:
    """Both bounds as numbers, infinite where there is none; None if they are not single numbers.

    A bound that is not a number is none of these: it makes the result NaN.
    """
    bounds = []
    for bound, without in ((min, -math.inf), (max, math.inf)):
        if type(bound) not in NUMBERS:
            return None
        bounds.append(without if bound is None else float(bound))
    low, high = bounds
    return None if math.isnan(low) or math.isnan(high) else (low, high)


def _clamp_inside(g: Array, x: Array, min: Array, max: Array) -> Array:
    if type(g) is np.ndarray and (bounds := single_bounds(min, max)):
        return kernels.clamp_backward(g, x, *bounds)
    if min is not None:
        g = where(x >= min, g, 0.0)
    return g if max is None else where(x <= max, g, 0.0)


clamp.vjp(
    x=_clamp_inside,
    min=lambda g, x, min, max: where(x < min if max is None else (x < min) & (min < max), g, 0.0),
    max=lambda g, x, min, max: where(x > max if min is None else (x > max) | (max < min), g, 0.0),
)


@elementwise(operands=("a", "b"))
def where(condition: Array, a: Array, b: Array) -> Array:
    """a where the condition holds, else b. da = g there, 0 elsewhere; db the opposite."""
    return np.where(condition, a, b)


where.vjp(
    a=lambda g, condition: where(condition, g, 0.0),
    b=lambda g, condition: where(condition, 0.0, g),
)


@spelled
def lerp(start: Array, end: Array, weight: Array) -> Array:
    """start + w·(end - start): a way from start to end, w = ``weight``."""
    return add(start, mul(weight, sub(end, start)))


@spelled
def addcmul(x: Array, a: Array, b: Array, value: float = 1) -> Array:
    """x + value·a·b."""
    product = mul(a, b)
    return add(x, product if value == 1 else times_number(product, value))


@spelled
def addcdiv(x: Array, a: Array, b: Array, value: float = 1) -> Array:
    """x + value·a/b."""
    return add(x, div(a, b), value)


# -- functions of one number -------------------------------------------------------------------


@elementwise
def abs(x: Array) -> Array:
    """|x|. dx = g·sign(x), 0 at 0."""
    return np.abs(x)


@elementwise
def sign(x: Array) -> Array:
    """-1, 0 or 1; 0 for NaN. Piecewise constant: its gradient is zero."""
    return x.copy() if x.dtype == np.bool_ else np.subtract(x > 0, x < 0, dtype=x.dtype)


abs.vjp(x=lambda g, x: g * sign(x))
sign.vjp(x=lambda g: zeros_like(g))


@elementwise(to_float=True)
def exp(x: Array) -> Array:
    """eˣ. dx = g·y."""
    return np.exp(x)


exp.vjp(x=lambda g, y: g * y)


@elementwise(to_float=True)
def expm1(x: Array) -> Array:
    """eˣ - 1, exact near 0. dx = g·(y + 1)."""
    return np.expm1(x)


expm1.vjp(x=lambda g, y: g * (y + 1))


@elementwise(to_float=True)
def log(x: Array) -> Array:
    """Natural logarithm. dx = g/x."""
    return np.log(x)


log.vjp(x=lambda g, x: g / x)


@elementwise(to_float=True)
def log1p(x: Array) -> Array:
    """ln(1 + x), exact near 0. dx = g/(1 + x)."""
    return np.log1p(x)


log1p.vjp(x=lambda g, x: g / (x + 1))


@elementwise(to_float=True)
def sqrt(x: Array) -> Array:
    """√x. dx = g/(2y)."""
    return np.sqrt(x)


sqrt.vjp(x=lambda g, y: g / (2 * y))


@elementwise(to_float=True)
def rsqrt(x: Array) -> Array:
    """1/√x. dx = -g·y³/2."""
    return 1 / np.sqrt(x)


rsqrt.vjp(x=lambda g, y: g * (y * y * y) * -0.5)


@elementwise(to_float=True)
def reciprocal(x: Array) -> Array:
    """1/x. dx = -g·y²."""
    return np.true_divide(1, x)


reciprocal.vjp(x=lambda g, y: -g * (y * y))


@elementwise
def square(x: Array) -> Array:
    """x². dx = 2·g·x. Booleans become int64."""
    return x * (x.astype(np.int64) if x.dtype == np.bool_ else x)


square.vjp(x=lambda g, x: g * (2 * x))


@elementwise(to_float=True)
def sin(x: Array) -> Array:
    """Sine, x in radians. dx = g·cos x."""
    return np.sin(x)


@elementwise(to_float=True)
def cos(x: Array) -> Array:
    """Cosine, x in radians. dx = -g·sin x."""
    return np.cos(x)


sin.vjp(x=lambda g, x: g * cos(x))
cos.vjp(x=lambda g, x: -g * sin(x))
