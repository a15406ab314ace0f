"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import ops
from chainrule.autograd import no_grad
from chainrule.errors import ConfigError
from chainrule.tensor import Tensor

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


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
    mean, var = _statistics(running_mean, running_var)
    return ops.batch_norm(input, mean, var, weight, bias, training, momentum, eps)


def _statistics(running_mean: Tensor | None, running_var: Tensor | None) -> tuple[Any, Any]:
    """Their arrays, which the op moves in place."""
    if running_mean is not None and running_var is not None:
        # moved by every batch, which the graph is not told
        running_mean.version.is_visible = running_var.version.is_visible = True
        return running_mean.array, running_var.array
    return running_mean, running_var


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each image by itself: y = (x - μ) / √(σ² + ε) · w + b.

    input x (N, C, *); the others (C,) or None. The running statistics, if given, move in place
    by ``momentum`` towards the mean over the images of μ and of the unbiased variance; without
    use_input_stats they take the place of μ and σ².
    Raises ShapeError (one value per channel of an image), DTypeError, ConfigError (no statistics
    to use). Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022.
    """
    mean, var = _statistics(running_mean, running_var)
    return ops.instance_norm(input, mean, var, weight, bias, use_input_stats, momentum, eps)


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


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide each sample by the root mean square of its last axes: y = x / √(mean(x²) + ε) · w.

    normalized_shape: the sizes of these axes; weight has that shape, or None. eps None: the
    machine epsilon of the type computed in, float32 for float16.
    Raises ShapeError, DTypeError. Source: Zhang & Sennrich 2019, arXiv:1910.07467.
    """
    return ops.rms_norm(input, normalized_shape, weight, eps)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Damp each value by its neighbours in channel: y = x / (k + α·mean(x²))^β.

    input x (N, C, *), with at least one position axis; the mean is over a window of ``size``
    channels, those outside counting as 0. The paper has the sum in place of the mean: its
    α = 10⁻⁴ with size 5 is ``alpha=5e-4`` here.
    Raises ShapeError, DTypeError, ConfigError. Source: Krizhevsky, Sutskever & Hinton 2012, §3.3.
    """
    return ops.local_response_norm(input, size, alpha, beta, k)


def normalize(
    input: Tensor,
    p: float = 2.0,
    dim: int | Sequence[int] = 1,
    eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:
    """Divide vectors by their length: y = x / max(‖x‖_p, eps), p-norms over ``dim``.

    out: a tensor to write the result into, without a gradient.
    Raises DTypeError (no floats), AxisError.
    """
    if out is None:
        return ops.normalize(input, p, dim, eps)
    with no_grad():
        return out.copy_(ops.normalize(input, p, dim, eps))
