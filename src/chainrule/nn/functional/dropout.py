"""Dropout."""

from __future__ import annotations

from chainrule import ops
from chainrule.random import Generator
from chainrule.tensor import Tensor

__all__ = ["dropout"]


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p and scale the rest by 1/(1 - p), in training.

    y = x · m / (1 - p), m ~ Bernoulli(1 - p), so E[y] = x; in evaluation, y = x.
    Raises ConfigError (p outside 0..1). Source: Srivastava et al. 2014, JMLR 15(56).
    """
    return ops.dropout(input, p, training, generator)
