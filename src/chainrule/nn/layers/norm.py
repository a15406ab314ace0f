"""Normalisation layers: by the batch, and by a sample's own values."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import ConfigError, ShapeError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.tensor import Tensor
from chainrule.tensor.creation import ones, zeros

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "GroupNorm",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LayerNorm",
    "LocalResponseNorm",
    "RMSNorm",
]


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


class _ChannelNorm(_Norm):
    """Base of batch and instance norm: a scale and shift, and running statistics, per channel."""

    _newer_state = ("num_batches_tracked",)
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

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    """Normalise each channel over the batch, then scale and shift: `F.batch_norm`.

    Training uses the statistics of the batch and lets the running ones follow them by
    ``momentum`` (None: their plain average over all batches); evaluation uses the running
    ones. affine: learn a weight (starts at 1) and, with ``bias``, a bias (starts at 0) per
    channel.
    """

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


class BatchNorm1d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    input (N, C) or (N, C, L), C = num_features.\n    "
    axes = (2, 3)
    layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    input (N, C, H, W), C = num_features.\n    "
    axes = (4,)
    layout = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    __doc__ = f"{_BatchNorm.__doc__}\n    input (N, C, D, H, W), C = num_features.\n    "
    axes = (5,)
    layout = "(N, C, D, H, W)"


class _InstanceNorm(_ChannelNorm):
    """Normalise each channel of each image by itself, then scale and shift: `F.instance_norm`.

    affine: learn a weight (starts at 1) and, with ``bias``, a bias (starts at 0) per channel.
    track_running_stats: let running statistics follow, by ``momentum``, the mean over the images
    of their means and variances, and use these in evaluation; without, training and evaluation
    are the same.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            raise ShapeError(
                f"{type(self).__name__}: expects {self.layout}, x is {tuple(input.shape)}"
            )
        one_image = input.ndim == self.axes[0]
        channels = input.shape[0 if one_image else 1]
        if channels != self.num_features:
            self._complain_of_channels(channels)
        images = input.unsqueeze(0) if one_image else input
        normal = F.instance_norm(
            images,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return normal.squeeze(0) if one_image else normal

    def _complain_of_channels(self, channels: int) -> None:
        message = (
            f"{type(self).__name__}: x has {channels} channels, num_features is {self.num_features}"
        )
        if self.affine or self.track_running_stats:
            raise ShapeError(message)
        warnings.warn(f"{message}, which nothing uses as affine=False", stacklevel=3)


class InstanceNorm1d(_InstanceNorm):
    __doc__ = f"{_InstanceNorm.__doc__}\n    input (N, C, L) or (C, L), C = num_features.\n    "
    axes = (2, 3)
    layout = "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    __doc__ = f"{_InstanceNorm.__doc__}\n    input (N, C, H, W) or (C, H, W).\n    "
    axes = (3, 4)
    layout = "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    __doc__ = f"{_InstanceNorm.__doc__}\n    input (N, C, D, H, W) or (C, D, H, W).\n    "
    axes = (4, 5)
    layout = "(N, C, D, H, W) or (C, D, H, W)"


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


class RMSNorm(Module):
    """Divide each sample by the root mean square of its last axes, then scale: `F.rms_norm`.

    normalized_shape: the sizes of these axes. eps None: the machine epsilon. elementwise_affine:
    learn a weight (starts at 1) of that shape.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(normalized_shape, int):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        first = ones(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(first) if elementwise_affine else None)

    def reset_parameters(self) -> None:
        """Start anew: weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class LocalResponseNorm(Module):
    """Damp each value by its neighbours in channel: `F.local_response_norm`, as in AlexNet.

    size: channels of a window. As in PyTorch, ``alpha`` multiplies the mean of squares over the
    window; the paper's multiplies their sum.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
