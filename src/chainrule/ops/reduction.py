"""Reductions: sum, mean, variance, extrema, logsumexp.

``dim`` is None (all axes), an int or a tuple of ints, negative ones counting from the end;
``keepdim`` leaves the reduced axes with length one, so that the result broadcasts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, DTypeError, ShapeError
from chainrule.kernels.summation import add_up
from chainrule.ops.arithmetic import abs, exp, mul, pow, sqrt, square, where
from chainrule.ops.arrange import flip
from chainrule.ops.dtypes import get_default_dtype
from chainrule.ops.elementwise import cast, clone, expand
from chainrule.ops.indexing import ValuesAndIndices, gather
from chainrule.ops.logic import eq, isclose
from chainrule.ops.op import op, spelled
from chainrule.ops.shape import reshape, unsqueeze

__all__ = [
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "cumsum",
    "equal",
    "logsumexp",
    "mean",
    "norm",
    "renorm",
    "std",
    "sum",
    "var",
]

Array = Any
Dim = int | Sequence[int] | None


def _axes(dim: Dim, ndim: int) -> tuple[int, ...]:
    """``dim`` as a tuple of non-negative axes; none at all for an array without axes."""
    if type(dim) is int and 0 <= dim < ndim:  # the usual case, kept fast
        return (dim,)
    dims = () if dim is None else (dim,) if isinstance(dim, int | np.integer) else tuple(dim)
    axes = tuple(np.lib.array_utils.normalize_axis_index(d, max(ndim, 1)) for d in dims)
    return axes if axes and ndim else tuple(range(ndim))


def _kept(shape: tuple[int, ...], dim: Dim) -> tuple[int, ...]:
    """The shape of a reduction of an array of ``shape`` over ``dim`` with keepdim."""
    axes = _axes(dim, len(shape))
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


@op
def sum(x: Array, dim: Dim = None, keepdim: bool = False, dtype: Any = None) -> Array:
    """Σ x over ``dim``, computed in ``dtype``. Booleans and integers add up as int64.

    A sum gate copies its gradient to every term: dx = g, expanded.
    """
    axes = _axes(dim, x.ndim)
    if dtype is not None:
        x = x.astype(dtype, copy=False)
    if x.dtype == np.float16:  # its 11 bits would stop counting at 2048
        return add_up(x, axes, keepdim, np.float32).astype(np.float16)
    return add_up(
        x, axes, keepdim, np.int64 if x.dtype.kind in "bui" and dtype is None else x.dtype
    )


def _sum_vjp(g: Array, x_shape: tuple[int, ...], x_dtype: Any, dim: Dim) -> Array:
    d = expand(reshape(g, _kept(x_shape, dim)), x_shape)
    return d if d.dtype == x_dtype else cast(d, x_dtype)


sum.vjp(x=_sum_vjp)


def channel_sum(g: Array) -> Array:
    """Σ g over every axis but 1: the gradient of a bias.   g (N, C, *) -> (C,)."""
    if isinstance(g, np.ndarray):
        return kernels.channel_sum(g)
    return sum(g, (0, *range(2, g.ndim)))


@op
def cumsum(x: Array, dim: int, dtype: Any = None) -> Array:
    """y_i = x_0 + ... + x_i along ``dim``, in ``dtype``. Integers add up as int64.

    x_i is part of y_i and all after it: dx is the sum of g from the end.
    """
    if dtype is None and x.dtype.kind in "bui":
        dtype = np.int64
    if x.ndim == 0:
        return x.astype(x.dtype if dtype is None else dtype)
    return np.cumsum(x, dim, dtype=dtype)


def _cumsum_vjp(g: Array, dim: int, x_dtype: Any) -> Array:
    d = flip(cumsum(flip(g, dim), dim), dim) if g.ndim else g
    return d if d.dtype == x_dtype else cast(d, x_dtype)


cumsum.vjp(x=_cumsum_vjp)


def check_float(name: str, x: Array) -> None:
    """Raise DTypeError unless ``x`` holds floats."""
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: expects a float tensor, got {x.dtype}; convert with .float()")


@spelled
def mean(x: Array, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """Σ x / n over ``dim``, for floats, computed in ``dtype``. An empty mean is NaN."""
    if dtype is not None:
        x = cast(x, np.dtype(dtype))
    check_float("mean", x)
    if x.dtype == np.float16:  # whose sum may overflow where the mean does not
        return cast(mean(cast(x, np.float32), dim, keepdim), np.float16)
    total = sum(x, dim, keepdim)
    n = _count(x.shape, dim)
    return total * (1 / n if n else float("nan"))


def _count(shape: tuple[int, ...], dim: Dim) -> int:
    """How many elements a reduction over ``dim`` joins."""
    return int(np.prod([shape[a] for a in _axes(dim, len(shape))], dtype=np.int64))


@spelled
def var(
    x: Array,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: int = 1,
) -> Array:
    """Σ (x - mean)² / (n - correction) over ``dim``.

    correction: 1 for the unbiased estimate (the default), 0 for the mean square;
    ``unbiased=False`` says the same in PyTorch's older way.
    """
    if isinstance(dim, bool):  # var(x, False): PyTorch's oldest way
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    total = sum(square(x - mean(x, dim, keepdim=True)), dim, keepdim)
    freedom = _count(x.shape, dim) - correction
    return total * (1 / freedom if freedom > 0 else float("nan"))


@spelled
def std(
    x: Array,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: int = 1,
) -> Array:
    """√var(x): the standard deviation over ``dim``."""
    return root(var(x, dim, unbiased, keepdim, correction=correction))


@spelled
def norm(
    x: Array, p: float | str | None = "fro", dim: Dim = None, keepdim: bool = False,
    dtype: Any = None,
) -> Array:  # fmt: skip
    """(Σ |x|^p)^(1/p) over ``dim``. At x = 0 its gradient is 0.

    p: a number; ±infinity for the largest or smallest |x|; 0 for how many are not zero; "fro"
    or None for 2.
    """
    if dtype is not None:
        x = cast(x, np.dtype(dtype))
    if p in (2, "fro", None):
        return root(sum(square(x), dim, keepdim))
    if isinstance(p, str):
        raise ConfigError(f'norm: p must be a number or "fro", got {p!r}; see linalg.matrix_norm')
    if p == 0:
        return sum(cast(x != 0, x.dtype) + x * 0, dim, keepdim)
    if p == 1:
        return sum(abs(x), dim, keepdim)
    if p == math.inf:
        return amax(abs(x), dim, keepdim)
    if p == -math.inf:
        return amin(abs(x), dim, keepdim)
    if p > 2:
        return pow(sum(pow(abs(x), p), dim, keepdim), 1 / p)
    none = x == 0  # |x|^p has no slope there
    terms = where(none, 0.0 if p > 0 else math.inf, pow(abs(where(none, 1.0, x)), p))
    total = sum(terms, dim, keepdim)
    empty = (total == 0) | (total == math.inf)
    return where(empty, 0.0, pow(where(empty, 1.0, total), 1 / p))


@spelled
def renorm(x: Array, p: float, dim: int, maxnorm: float) -> Array:
    """Each slice along ``dim`` scaled down to the p-norm ``maxnorm`` where it has a larger one.

    y = x · maxnorm / (‖x‖ + 10⁻⁷) there, else x; its gradient goes through the norm too.
    """
    if x.ndim < 2:
        raise ShapeError(f"renorm: x needs at least two axes\n  x {tuple(x.shape)}")
    (kept,) = _axes(dim, x.ndim)
    length = norm(x, p, tuple(a for a in range(x.ndim) if a != kept), keepdim=True)
    return x * where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)


def root(x: Array) -> Array:
    """√x for a sum of squares: at 0, where the slope of √ is infinite, the gradient is 0."""
    zero = x == 0
    return where(zero, 0.0, sqrt(where(zero, 1.0, x)))


@op
def amax(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """The largest value over ``dim``. Equal maxima share the gradient evenly."""
    _not_empty("amax", x, dim)
    return np.max(x, axis=_axes(dim, x.ndim), keepdims=keepdim)


@op
def amin(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """The smallest value over ``dim``. Equal minima share the gradient evenly."""
    _not_empty("amin", x, dim)
    return np.min(x, axis=_axes(dim, x.ndim), keepdims=keepdim)


def _not_empty(name: str, x: Array, dim: Dim) -> None:
    if _count(x.shape, dim) == 0:
        raise ShapeError(f"{name}: no elements to compare over dim {dim}\n  x {x.shape}")


def extremum_vjp(g: Array, x: Array, y: Array, dim: Dim) -> Array:
    """g shared evenly among the elements that equal the result y."""
    kept = _kept(x.shape, dim)
    y = reshape(y, kept)
    winners = cast((x == y) | ((x != x) & (y != y)), x.dtype)  # all NaN, where one wins
    return reshape(g, kept) * winners / sum(winners, dim, keepdim=True)


amax.vjp(x=extremum_vjp)
amin.vjp(x=extremum_vjp)


@op
def argmax(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the (first) largest value lies along ``dim``, or in the flattened array."""
    _not_empty("argmax", x, dim)
    return np.argmax(x, axis=dim, keepdims=keepdim)


@op
def argmin(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the (first) smallest value lies along ``dim``, or in the flattened array."""
    _not_empty("argmin", x, dim)
    return np.argmin(x, axis=dim, keepdims=keepdim)


def take_extremum(x: Array, index: Array, dim: int, keepdim: bool) -> ValuesAndIndices:
    """(values, indices) of an extremum along one axis: the max gate routes to one winner."""
    if x.ndim == 0:
        return ValuesAndIndices(clone(x), index)
    values = gather(x, dim, unsqueeze(index, dim))
    if keepdim:
        return ValuesAndIndices(values, unsqueeze(index, dim))
    return ValuesAndIndices(reshape(values, tuple(index.shape)), index)


@op
def logsumexp(x: Array, dim: Dim, keepdim: bool = False) -> Array:
    """ln Σ eˣ over ``dim``, shifted by the maximum so that nothing overflows.

    dx = g · softmax(x) = g · e^(x - y).
    """
    if x.dtype.kind != "f":
        x = x.astype(get_default_dtype())
    axes = _axes(dim, x.ndim)
    top = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        y = np.log(np.sum(np.exp(x - shift), axis=axes, keepdims=True)) + shift
    return y if keepdim else np.squeeze(y, axis=axes)


def _logsumexp_vjp(g: Array, x: Array, y: Array, dim: Dim) -> Array:
    kept = _kept(x.shape, dim)
    y = reshape(y, kept)
    y = where(y == float("-inf"), 0.0, y)  # all -inf: no term carries weight
    return mul(reshape(g, kept), exp(x - y))


logsumexp.vjp(x=_logsumexp_vjp)


@op
def any(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """True where any element over ``dim`` is nonzero."""
    return _as_counted(x, np.any(x, axis=_axes_or_none(dim, x.ndim), keepdims=keepdim))


@op
def all(x: Array, dim: Dim = None, keepdim: bool = False) -> Array:
    """True where all elements over ``dim`` are nonzero."""
    return _as_counted(x, np.all(x, axis=_axes_or_none(dim, x.ndim), keepdims=keepdim))


def _axes_or_none(dim: Dim, ndim: int) -> tuple[int, ...]:
    """``dim`` as a tuple of axes; no axes for no dims, as PyTorch has it here alone."""
    return () if dim is not None and np.size(dim) == 0 else _axes(dim, ndim)


def _as_counted(x: Array, y: Array) -> Array:
    """Booleans, but uint8 for uint8: PyTorch's masks of old."""
    return y.astype(np.uint8) if x.dtype == np.uint8 else y


@spelled
def equal(a: Array, b: Array) -> bool:
    """Whether shapes and all values are equal."""
    return tuple(a.shape) == tuple(b.shape) and bool(all(eq(a, b)))


@spelled
def allclose(
    a: Array, b: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all |a - b| ≤ atol + rtol·|b|: see `isclose`."""
    return bool(all(isclose(a, b, rtol, atol, equal_nan)))
