"""Products, running reductions, reductions that skip NaN, and pairs of reductions.

Arguments are those of `chainrule.ops.reduction`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.arithmetic import clamp, div, exp, log, mul, sqrt, sub, where
from chainrule.ops.arrange import diagonal, flip
from chainrule.ops.axes import axis_of
from chainrule.ops.elementwise import cast
from chainrule.ops.indexing import narrow
from chainrule.ops.joining import cat
from chainrule.ops.linalg import matmul
from chainrule.ops.logic import eq, isnan, ne
from chainrule.ops.op import op, spelled, values_of
from chainrule.ops.reduction import (
    amax,
    amin,
    check_float,
    cumsum,
    mean,
    std,
    sum,
    var,
)
from chainrule.ops.shape import reshape, transpose, unsqueeze

__all__ = [
    "aminmax",
    "corrcoef",
    "count_nonzero",
    "cov",
    "cumprod",
    "cumulative_trapezoid",
    "diff",
    "logcumsumexp",
    "nanmean",
    "nansum",
    "prod",
    "std_mean",
    "trapezoid",
    "var_mean",
]

Array = Any
Dim = int | Sequence[int] | None


def _converted(x: Array, dtype: Any) -> Array:
    """x in ``dtype`` if one is given, else integers as int64, as they are counted in."""
    if dtype is not None:
        return cast(x, np.dtype(dtype))
    return cast(x, np.int64) if x.dtype.kind in "bui" else x


def _flat(x: Array) -> Array:
    return reshape(x, (math.prod(x.shape),))


# -- products ----------------------------------------------------------------------------------


@op
def product(x: Array, dim: int, keepdim: bool) -> Array:
    """Π x along one axis. Each factor receives g times the product of all others."""
    return np.prod(x, dim, dtype=x.dtype, keepdims=keepdim)


@op
def running_product(x: Array, dim: int) -> Array:
    """y_i = x_0 · ... · x_i along ``dim``."""
    return np.multiply.accumulate(x, dim)


def _others(x: Array, dim: int) -> Array:
    """For each factor the product of all others along ``dim``: those before, times those after."""
    ones = np.ones_like(values_of(x))
    one, n = narrow(ones, dim, 0, 1), x.shape[dim]

    def before(v: Array) -> Array:
        return running_product(cat([one, narrow(v, dim, 0, n - 1)], dim), dim)

    return before(x) * flip(before(flip(x, dim)), dim)


def _product_vjp(g: Array, x: Array, dim: int, keepdim: bool) -> Array:
    if not x.shape[dim]:
        return mul(x, 0)
    return (g if keepdim else unsqueeze(g, dim)) * _others(x, dim)


product.vjp(x=_product_vjp)


def _running_product_vjp(g: Array, x: Array, y: Array, dim: int) -> Array:
    """dx_k = Σ_{i ≥ k} g_i Π_{j ≤ i, j ≠ k} x_j: Σ g_i y_i / x_k, where there is no zero.

    With a zero: the running products of each row in which x_k is replaced by one, n·n numbers.
    """
    if not _has_zero(x):
        return flip(cumsum(flip(g * y, dim), dim), dim) / x
    n = x.shape[dim]
    x, g = transpose(x, dim, -1), transpose(g, dim, -1)
    without = where(np.eye(n, dtype=np.bool_), np.ones((), x.dtype), unsqueeze(x, -2))
    upto = where(np.tri(n, dtype=np.bool_).T, running_product(without, without.ndim - 1), 0.0)
    return transpose(sum(unsqueeze(g, -2) * upto, -1), dim, -1)


def _has_zero(x: Array) -> bool:
    return bool((x == 0).any())


running_product.vjp(x=_running_product_vjp)


@spelled
def prod(x: Array, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """Π x along ``dim``, or of all elements. Booleans and integers multiply as int64."""
    x = _converted(x, dtype)
    if dim is None:
        return product(_flat(x), 0, False)
    axis = axis_of("prod", dim, max(x.ndim, 1))
    return product(x, axis, keepdim) if x.ndim else product(_flat(x), 0, False)


@spelled
def cumprod(x: Array, dim: int, *, dtype: Any = None) -> Array:
    """y_i = x_0 · ... · x_i along ``dim``. Booleans and integers multiply as int64."""
    x = _converted(x, dtype)
    axis = axis_of("cumprod", dim, max(x.ndim, 1))
    return running_product(x, axis) if x.ndim else x * 1


@op
def logcumsumexp(x: Array, dim: int) -> Array:
    """y_i = ln(e^{x_0} + ... + e^{x_i}) along ``dim``, without overflow.

    dx_k = e^{x_k} Σ_{i ≥ k} g_i e^{-y_i}, the sums taken in logarithms for g > 0 and g < 0 apart.
    """
    check_float("logcumsumexp", x)
    return np.logaddexp.accumulate(x, dim) if x.ndim else x.copy()


def _logcumsumexp_vjp(g: Array, x: Array, y: Array, dim: int) -> Array:
    if not x.ndim:
        return g

    def part(g: Array, chosen: Array) -> Array:
        exponent = where(chosen, log(where(chosen, g, 1.0)) - y, float("-inf"))
        gathered = flip(logcumsumexp(flip(exponent, dim), dim), dim)
        none = eq(gathered, float("-inf"))
        return where(none, 0.0, exp(where(none, 0.0, gathered) + x))

    return part(g, g > 0) - part(-g, g < 0)


logcumsumexp.vjp(x=_logcumsumexp_vjp)


# -- without NaN -------------------------------------------------------------------------------


@spelled
def nansum(x: Array, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """Σ of what is not NaN over ``dim``."""
    x = x if dtype is None else cast(x, np.dtype(dtype))
    return sum(where(isnan(x), np.zeros((), x.dtype), x), dim, keepdim)


@spelled
def nanmean(x: Array, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The mean of what is not NaN over ``dim``."""
    x = x if dtype is None else cast(x, np.dtype(dtype))
    check_float("nanmean", x)
    counted = cast(sum(~isnan(x), dim, keepdim), x.dtype)
    return div(nansum(x, dim, keepdim), counted)


@spelled
def count_nonzero(x: Array, dim: Dim = None) -> Array:
    """How many elements over ``dim`` are not zero."""
    return sum(ne(x, 0), dim)


# -- pairs -------------------------------------------------------------------------------------


class MinAndMax(NamedTuple):
    """The smallest and the largest."""

    min: Array
    max: Array


@spelled
def aminmax(x: Array, *, dim: int | None = None, keepdim: bool = False) -> MinAndMax:
    """(smallest, largest) along ``dim``, or of all."""
    return MinAndMax(amin(x, dim, keepdim), amax(x, dim, keepdim))


@spelled
def var_mean(
    x: Array, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: int = 1,
) -> tuple[Array, Array]:  # fmt: skip
    """(variance, mean) over ``dim``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return var(x, dim, unbiased, keepdim, correction=correction), mean(x, dim, keepdim)


@spelled
def std_mean(
    x: Array, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: int = 1,
) -> tuple[Array, Array]:  # fmt: skip
    """(standard deviation, mean) over ``dim``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return std(x, dim, unbiased, keepdim, correction=correction), mean(x, dim, keepdim)


# -- neighbours and variables ------------------------------------------------------------------


@spelled
def diff(x: Array, n: int = 1, dim: int = -1, prepend: Array = None, append: Array = None) -> Array:
    """The differences of neighbours along ``dim``, n times over."""
    axis = axis_of("diff", dim, x.ndim)
    x = cat([t for t in (prepend, x, append) if t is not None], axis) if (
        prepend is not None or append is not None
    ) else x  # fmt: skip
    for _ in range(n):
        length = max(x.shape[axis] - 1, 0)
        if not length:
            return narrow(x, axis, 0, 0)
        after, before = narrow(x, axis, 1, length), narrow(x, axis, 0, length)
        x = ne(after, before) if x.dtype == np.bool_ else sub(after, before)
    return x


def _trapezia(y: Array, x: Array, dx: float, dim: int) -> Array:
    axis = axis_of("trapezoid", dim, y.ndim)
    n = y.shape[axis]
    if n < 2:
        return narrow(y, axis, 0, 0)
    middle = (narrow(y, axis, 1, n - 1) + narrow(y, axis, 0, n - 1)) * 0.5
    if x is None:
        return middle * dx
    width = diff(x, 1, axis if x.ndim == y.ndim else -1)
    if x.ndim == 1:
        width = reshape(width, (n - 1, *(1,) * (y.ndim - axis - 1)))
    return middle * width


@spelled
def trapezoid(y: Array, x: Array = None, *, dx: float = 1, dim: int = -1) -> Array:
    """The integral of y along ``dim`` by the trapezoidal rule, at places x or ``dx`` apart."""
    return sum(_trapezia(y, x, dx, dim), dim)


@spelled
def cumulative_trapezoid(y: Array, x: Array = None, *, dx: float = 1, dim: int = -1) -> Array:
    """As `trapezoid`, up to each place but the first."""
    return cumsum(_trapezia(y, x, dx, dim), dim)


@spelled
def cov(x: Array, *, correction: int = 1, fweights: Array = None, aweights: Array = None) -> Array:
    """The covariance of variables (rows) over observations (columns): (D, N) -> (D, D).

    fweights: how often each observation was made; aweights: how much each counts.
    """
    if x.ndim > 2:
        raise ShapeError(f"cov: expects (variables, observations)\n  x {tuple(x.shape)}")
    rows = x if x.ndim == 2 else reshape(x, (1, -1)) if x.ndim else reshape(x, (1, 1))
    weights = aweights if fweights is None else fweights
    if fweights is not None and aweights is not None:
        weights = fweights * aweights
    if weights is None:
        total: Any = float(rows.shape[1])
        freedom: Any = max(total - correction, 0.0)
        centred = rows - sum(rows, 1, keepdim=True) / total
        scaled = centred
    else:
        total = sum(weights)
        spread = 1 if aweights is None else sum(weights * aweights) / total
        freedom = clamp(total - correction * spread, 0)
        centred = rows - sum(rows * weights, 1, keepdim=True) / total
        scaled = centred * weights
    y = matmul(scaled, transpose(centred, 0, 1)) / freedom
    return y if x.ndim == 2 else reshape(y, ())


@spelled
def corrcoef(x: Array) -> Array:
    """The correlation of variables (rows) over observations (columns), within -1..1."""
    c = cov(x)
    if c.ndim == 0:
        return c / c
    scale = sqrt(diagonal(c))
    return clamp(c / unsqueeze(scale, 1) / unsqueeze(scale, 0), -1, 1)
