"""Dropout: noise that keeps units from relying on each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import kernels
from chainrule.errors import ConfigError
from chainrule.ops.elementwise import mul, zeros_like
from chainrule.ops.op import op
from chainrule.ops.reduction import check_float
from chainrule.random import Generator, default_generator

__all__ = ["dropout"]

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
    if not 0 <= p <= 1:
        raise ConfigError(f"dropout: p is a probability between 0 and 1, got {p}")
    if not training or p == 0:
        return x
    if p == 1:
        return mul(x, zeros_like(x))
    check_float("dropout", x)
    rng = (generator or default_generator).rng
    return _dropout(x, float(p), int(rng.integers(2**64, dtype=np.uint64)))


@op(name="dropout")
def _dropout(x: Array, p: float, key: int) -> Array:
    """Dropout by the mask that ``key`` stands for: linear in x, so its own gradient."""
    return kernels.dropout(x, p, key)


_dropout.vjp(x=lambda g, p, key: _dropout(g, p, key))
