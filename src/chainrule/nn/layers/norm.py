"""Batch, layer and group normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule.creation import ones, zeros
from chainrule.errors import ConfigError, ShapeError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm"]


class _Norm(Module):
    """Normalisation, then a learnt scale and shift where they are asked for."""

    def _register_affine(
        self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any
    ) -> None:
        for name, wanted, first in (("weight", weight, ones), ("bias", bias, zeros)):
            value = Parameter(first(shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)

    def reset_parameters(self) -> None:
        """Start anew: weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _BatchNorm(_Norm):
    """Normalise each channel over the batch, then scale and shift: `F.batch_norm`.

    Training uses the statistics of the batch and lets the running ones follow them by
    ``momentum`` (None: their plain average over all batches); evaluation uses the running
    ones. affine: learn a weight (starts at 1) and, with ``bias``, a bias (starts at 0) per
    channel.
    """

    axes: ClassVar[tuple[int, ...]]
    layout: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        n = (num_features,)
        self._register_affine(n, affine, affine and bias, device, dtype)
        tracked = track_running_stats
        self.register_buffer(
            "running_mean", zeros(n, device=device, dtype=dtype) if tracked else None
        )
        self.register_buffer(
            "running_var", ones(n, device=device, dtype=dtype) if tracked else None
        )
        self.register_buffer(
            "num_batches_tracked", zeros((), device=device, dtype=np.int64) if tracked else None
        )

    def reset_running_stats(self) -> None:
        """Forget the statistics of all batches seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Start anew: statistics forgotten, weight 1, bias 0."""
        self.reset_running_stats()
        super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            raise ShapeError(
                f"{type(self).__name__}: expects {self.layout}, x is {tuple(input.shape)}"
            )
        weight, bias = self._weight_and_bias()
        buffers = self._buffers
        mean, var = buffers["running_mean"], buffers["running_var"]
        training = self.training or mean is None
        momentum = self.momentum
        if self.training and mean is not None:
            seen = buffers["num_batches_tracked"].array  # type: ignore[union-attr]  # as mean is
            batches = int(seen) + 1
            seen[...] = batches  # NumPy is slower to add one number in place
            if momentum is None:
                momentum = 1 / batches
        return F.batch_norm(input, mean, var, weight, bias, training, momentum or 0.0, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    input (N, C) or (N, C, L), C = num_features.\n    "
    axes = (2, 3)
    layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    input (N, C, H, W), C = num_features.\n    "
    axes = (4,)
    layout = "(N, C, H, W)"


class LayerNorm(_Norm):
    """Normalise each sample over its last axes, then scale and shift: `F.layer_norm`.

    normalized_shape: the sizes of these axes. elementwise_affine: learn a weight (starts at 1)
    and, with ``bias``, a bias (starts at 0), of that shape.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shift = elementwise_affine and bias
        self._register_affine(self.normalized_shape, elementwise_affine, shift, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(_Norm):
    """Normalise each group of channels of each image, then scale and shift: `F.group_norm`.

    input (N, C, *), C = num_channels, a multiple of num_groups. affine: learn a weight (starts
    at 1) and, with ``bias``, a bias (starts at 0) per channel.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ConfigError(
                f"GroupNorm: num_groups {num_groups} must divide num_channels {num_channels}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._register_affine((num_channels,), affine, affine and bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
