"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import ops
from chainrule.errors import ConfigError
from chainrule.tensor import Tensor

__all__ = ["batch_norm", "group_norm", "layer_norm"]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel: y = (x - μ) / √(σ² + ε) · w + b.

    input x (N, C, *); the others (C,) or None. In training, μ and the biased σ² are those
    of the batch, and the running statistics move in place by ``momentum`` towards its mean
    and unbiased variance; otherwise the running statistics are used.
    Raises ShapeError (one value per channel in training), DTypeError.
    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithms 1 and 2.
    """
    if not training and running_mean is None:
        raise ConfigError(
            "batch_norm: evaluation needs running statistics; pass running_mean and "
            "running_var, or training=True to use the batch's"
        )
    mean = var = None
    if running_mean is not None and running_var is not None:
        mean, var = running_mean.array, running_var.array
        # moved by every batch, which the graph is not told
        running_mean.version.is_visible = running_var.version.is_visible = True
    return ops.batch_norm(input, mean, var, weight, bias, training, momentum, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample over its last axes: y = (x - μ) / √(σ² + ε) · w + b.

    normalized_shape: the sizes of these axes; weight and bias have that shape, or None.
    Raises ShapeError, DTypeError. Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each group of channels of each image: y = (x - μ) / √(σ² + ε) · w + b.

    input x (N, C, *), C a multiple of num_groups; weight, bias (C,) or None.
    Raises ShapeError, DTypeError. Source: Wu & He 2018, arXiv:1803.08494.
    """
    return ops.group_norm(input, num_groups, weight, bias, eps)
