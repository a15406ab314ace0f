"""Losses of class scores and of distributions over classes."""

from __future__ import annotations

import warnings
from typing import Any

from chainrule import ops
from chainrule.nn.functional.arguments import reduction_of
from chainrule.tensor import Tensor

__all__ = ["cross_entropy", "kl_div", "nll_loss"]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """ℓ_n = -w_t (z_t - ln Σ_j e^{z_j}): what softmax makes of the right class, -log.

    input z: scores (N, C, *) or (C,); target t: class numbers (N, *), or probabilities of
    z's shape. weight w (C,); "mean" divides by the sum of the targets' weights. Targets equal
    to ignore_index count for nothing. label_smoothing s gives each class s/C.
    Starts near ln C. Raises ShapeError, LabelError (a target that is no class), DTypeError,
    ConfigError.
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.cross_entropy(input, target, weight, ignore_index, chosen, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ℓ_n = -w_t · log_p[n, t], for log-probabilities (N, C, *) and class numbers (N, *).

    Reduction and errors as `cross_entropy`.
    """
    chosen = reduction_of(reduction, size_average, reduce)
    return ops.nll_loss(input, target, weight, ignore_index, chosen)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """ℓ = t·(ln t - x): the divergence KL(t ‖ q) of a target t from a prediction x = ln q.

    log_target: the target is ln t. The divergence proper is "batchmean", the sum over classes
    averaged over the batch; "mean" divides by the number of all elements, and warns.
    Shapes broadcast. Raises ShapeError, DTypeError. Source: Kullback & Leibler 1951.
    """
    chosen: Any = reduction_of(reduction, size_average, reduce)
    if chosen == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "kl_div: reduction 'mean' divides by the number of all elements; the divergence as "
            "mathematics defines it is 'batchmean', which divides by the batch alone",
            stacklevel=2,
        )
    return ops.kl_div(input, target, chosen, log_target)
