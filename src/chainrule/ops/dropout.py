"""Dropout: noise that keeps units from relying on each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError, ShapeError
from chainrule.ops.arithmetic import add, mul
from chainrule.ops.elementwise import zeros_like
from chainrule.ops.op import op
from chainrule.ops.reduction import check_float
from chainrule.random import Generator, default_generator

__all__ = [
    "alpha_dropout",
    "dropout",
    "feature_alpha_dropout",
    "feature_dropout",
    "stochastic_depth",
]

Array = Any


def dropout(
    x: Array, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Array:
    """Inverted dropout: in training, zero each element with probability p, scale the rest.

    y = x · m / (1 - p), m ~ Bernoulli(1 - p); so E[y] = x, and evaluation is the identity.
    dx = g · m / (1 - p), with the same m. The generator gives one number, and a function of it
    and of each element's place gives m: the same on any tier and with any number of threads,
    and nothing is kept for the gradient.
    Source: Srivastava et al. 2014, JMLR 15(56); Salmon et al. 2011 (the function, Philox).
    """
    if _drops_nothing("dropout", x, p, training):
        return x
    if p == 1:
        return mul(x, zeros_like(x))
    return _dropout(x, float(p), _key(generator))


def _drops_nothing(name: str, x: Array, p: float, training: bool) -> bool:
    if not 0 <= p <= 1:
        raise ConfigError(f"{name}: p is a probability between 0 and 1, got {p}")
    if not training or p == 0:
        return True
    check_float(name, x)
    return False


def _key(generator: Generator | None) -> int:
    """One random number, which a whole mask follows from."""
    return int((generator or default_generator).rng.integers(2**64, dtype=np.uint64))


def _kept(
    x: Array, shape: tuple[int, ...], p: float, generator: Generator | None
) -> np.ndarray[Any, Any]:
    """1 with probability 1 - p, else 0, of ``shape`` in x's dtype."""
    if p == 1:
        return np.zeros(shape, x.dtype)
    drawn = kernels.dropout(np.ones(shape, x.dtype), float(p), _key(generator))
    return (drawn != 0).astype(x.dtype)


@op(name="dropout")
def _dropout(x: Array, p: float, key: int) -> Array:
    """Dropout by the mask that ``key`` stands for: linear in x, so its own gradient."""
    return kernels.dropout(x, p, key)


_dropout.vjp(x=lambda g, p, key: _dropout(g, p, key))


def feature_dropout(
    x: Array, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Array:
    """Dropout of whole channels: m is drawn for each channel of each image.

    x (N, C, *). Neighbouring pixels say nearly the same, so dropping single ones hides little.
    y = x · m / (1 - p), dx = g · m / (1 - p). Source: Tompson et al. 2014, arXiv:1411.4280.
    """
    if _drops_nothing("feature_dropout", x, p, training):
        return x
    kept = _kept(x, _channels("feature_dropout", x), p, generator)
    return mul(x, kept if p == 1 else kept * x.dtype.type(1 / (1 - p)))


def _channels(name: str, x: Array) -> tuple[int, ...]:
    if x.ndim < 2:
        raise ShapeError(f"{name}: needs at least two axes\n  x {tuple(x.shape)} = (N, C, *)")
    return (*x.shape[:2], *(1,) * (x.ndim - 2))


# What selu tends to for very negative inputs: -λα.
SELU_FLOOR = -1.7580993408473766


def alpha_dropout(
    x: Array, p: float = 0.5, training: bool = False, generator: Generator | None = None
) -> Array:
    """Dropout for `selu`: dropped elements become its floor α' = -λα, not 0.

    y = a(x·m + α'(1 - m)) + b, with a = ((1 - p)(1 + p α'²))^-½ and b = -a·p·α', so that x of
    mean 0 and variance 1 keeps both. dx = g·a·m.
    Source: Klambauer et al. 2017, arXiv:1706.02515, section "New Dropout Technique".
    """
    if _drops_nothing("alpha_dropout", x, p, training):
        return x
    return _alpha_dropped(x, p, _kept(x, tuple(x.shape), p, generator))


def feature_alpha_dropout(
    x: Array, p: float = 0.5, training: bool = False, generator: Generator | None = None
) -> Array:
    """`alpha_dropout` of whole channels: m is drawn for each channel of each image."""
    if _drops_nothing("feature_alpha_dropout", x, p, training):
        return x
    shape = _channels("feature_alpha_dropout", x)
    return _alpha_dropped(x, p, _kept(x, shape, p, generator))


def _alpha_dropped(x: Array, p: float, kept: np.ndarray[Any, Any]) -> Array:
    if p == 1:
        return mul(x, zeros_like(x))
    a = ((1 - p) * (1 + p * SELU_FLOOR**2)) ** -0.5
    b = -a * p * SELU_FLOOR
    shift = kept * x.dtype.type(-a * SELU_FLOOR) + x.dtype.type(a * SELU_FLOOR + b)
    return add(mul(x, kept * x.dtype.type(a)), shift)


def stochastic_depth(
    x: Array, p: float, mode: str, training: bool = True, generator: Generator | None = None
) -> Array:
    """Drop a residual branch as a whole with probability p, scale it by 1/(1 - p) otherwise.

    x (N, *); mode "row": each sample draws for itself, "batch": all together.
    y = x · m / (1 - p), m ~ Bernoulli(1 - p), so E[y] = x · (1 - p)/(1 - p) = x: evaluation is
    the identity. dx = g · m / (1 - p). Source: Huang et al. 2016, arXiv:1603.09382 (which scales
    in evaluation instead).
    """
    if mode not in ("batch", "row"):
        raise ConfigError(f'stochastic_depth: mode is "batch" or "row", got {mode!r}')
    if _drops_nothing("stochastic_depth", x, p, training):
        return x
    shape = (x.shape[0] if mode == "row" else 1, *(1,) * (x.ndim - 1))
    kept = _kept(x, shape, p, generator)
    return mul(x, kept if p == 1 else kept * x.dtype.type(1 / (1 - p)))
