"""PyTorch's `torch.special` by name, as far as images ask for it.

Most are the functions of the top level under a second name; the formulas are in `ops`.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from chainrule import ops
from chainrule.errors import absent_name
from chainrule.tensor import Tensor, functions
from chainrule.tensor.functions import (
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    round,
    sinc,
    softmax,
    xlogy,
)

__all__ = [
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "log1p",
    "log_softmax",
    "logit",
    "logsumexp",
    "ndtr",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]

expit = functions.sigmoid


def ndtr(input: Tensor) -> Tensor:
    """Φ(x), the part of a standard normal distribution below x: erfc(-x/√2)/2."""
    return ops.erfc(input * -math.sqrt(0.5)) * 0.5


def xlog1py(input: Any, other: Any) -> Tensor:
    """x·ln(1 + y), 0 where x = 0 (unless y is NaN)."""
    y = other if isinstance(other, Tensor) else input.new_tensor(other)
    lost = (input == 0) & ((y <= -1) | ops.isinf(y))  # 0·infinity
    return ops.where(lost, 0.0, input * ops.log1p(ops.where(lost, 0.0, y)))


if not TYPE_CHECKING:  # a type checker knows what there is

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(sys.modules[__name__], name)
