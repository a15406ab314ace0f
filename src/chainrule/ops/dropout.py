"""Dropout: noise that keeps units from relying on each other."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ConfigError
from chainrule.ops.elementwise import mul, zeros_like
from chainrule.random import Generator, default_generator

Array = Any


def dropout(
    x: Array, p: float = 0.5, training: bool = True, generator: Generator | None = None
) -> Array:
    """Inverted dropout: in training, zero each element with probability p, scale the rest.

    y = x · m / (1 - p), m ~ Bernoulli(1 - p); so E[y] = x, and evaluation is the identity.
    dx = g · m / (1 - p), with the same m.
    Source: Srivastava et al. 2014, JMLR 15(56).
    """
    if not 0 <= p <= 1:
        raise ConfigError(f"dropout: p is a probability between 0 and 1, got {p}")
    if not training or p == 0:
        return x
    if p == 1:
        return mul(x, zeros_like(x))
    rng = (generator or default_generator).rng
    kept = rng.random(tuple(x.shape), dtype="float32") >= p
    return mul(x, kept.astype(x.dtype) * (1 / (1 - p)))
