"""Comparison, logic, questions, and the bits of whole numbers: none of them has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.ops.elementwise import elementwise

__all__ = [
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "eq",
    "gcd",
    "ge",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "lcm",
    "le",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "nextafter",
    "signbit",
]

Array = Any


@elementwise
def eq(a: Array, b: Array) -> Array:
    """a = b, as booleans."""
    return np.equal(a, b)


@elementwise
def ne(a: Array, b: Array) -> Array:
    """a ≠ b, as booleans."""
    return np.not_equal(a, b)


@elementwise
def lt(a: Array, b: Array) -> Array:
    """a < b, as booleans."""
    return np.less(a, b)


@elementwise
def le(a: Array, b: Array) -> Array:
    """a ≤ b, as booleans."""
    return np.less_equal(a, b)


@elementwise
def gt(a: Array, b: Array) -> Array:
    """a > b, as booleans."""
    return np.greater(a, b)


@elementwise
def ge(a: Array, b: Array) -> Array:
    """a ≥ b, as booleans."""
    return np.greater_equal(a, b)


@elementwise(operands=("a", "b"))
def isclose(
    a: Array, b: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """|a - b| ≤ atol + rtol·|b|, as booleans. NaN is close to nothing, or to NaN (equal_nan)."""
    return np.isclose(a, b, rtol, atol, equal_nan)


@elementwise
def logical_and(a: Array, b: Array) -> Array:
    """True where both are nonzero."""
    return np.logical_and(a, b)


@elementwise
def logical_or(a: Array, b: Array) -> Array:
    """True where either is nonzero."""
    return np.logical_or(a, b)


@elementwise
def logical_xor(a: Array, b: Array) -> Array:
    """True where one of both is nonzero."""
    return np.logical_xor(a, b)


@elementwise
def logical_not(x: Array) -> Array:
    """True where x is zero."""
    return np.logical_not(x)


@elementwise
def bitwise_and(a: Array, b: Array) -> Array:
    """a & b for booleans and integers."""
    return np.bitwise_and(a, b)


@elementwise
def bitwise_or(a: Array, b: Array) -> Array:
    """a | b for booleans and integers."""
    return np.bitwise_or(a, b)


@elementwise
def bitwise_xor(a: Array, b: Array) -> Array:
    """a ^ b for booleans and integers."""
    return np.bitwise_xor(a, b)


@elementwise
def bitwise_not(x: Array) -> Array:
    """~x for booleans and integers."""
    return np.invert(x)


@elementwise
def isnan(x: Array) -> Array:
    """True where x is not a number."""
    return np.isnan(x)


@elementwise
def isinf(x: Array) -> Array:
    """True where x is an infinity."""
    return np.isinf(x)


@elementwise
def isfinite(x: Array) -> Array:
    """True where x is neither an infinity nor not a number."""
    return np.isfinite(x)


@elementwise
def gcd(a: Array, b: Array) -> Array:
    """The greatest common divisor of whole numbers."""
    return np.gcd(a, b)


@elementwise
def lcm(a: Array, b: Array) -> Array:
    """The least common multiple of whole numbers."""
    return np.lcm(a, b)


@elementwise
def bitwise_left_shift(a: Array, b: Array) -> Array:
    """a·2^b for integers."""
    return np.left_shift(a, b)


@elementwise
def bitwise_right_shift(a: Array, b: Array) -> Array:
    """⌊a/2^b⌋ for integers."""
    return np.right_shift(a, b)


@elementwise
def nextafter(a: Array, b: Array) -> Array:
    """The float next to a on the way to b."""
    return np.nextafter(a, b)


@elementwise
def signbit(x: Array) -> Array:
    """True where x is negative, -0 included."""
    return np.signbit(x)


@elementwise
def isposinf(x: Array) -> Array:
    """True where x is +∞."""
    return np.isposinf(x)


@elementwise
def isneginf(x: Array) -> Array:
    """True where x is -∞."""
    return np.isneginf(x)


@elementwise
def isreal(x: Array) -> Array:
    """True: every number here is real."""
    return np.ones_like(x, np.bool_)
