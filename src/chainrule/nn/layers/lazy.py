"""Layers that learn the size of their input from the first one they get."""

from __future__ import annotations

from typing import Any, ClassVar

from chainrule.errors import ConfigError, ShapeError
from chainrule.nn.functional.arguments import Size
from chainrule.nn.layers.conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    Padding,
    _Convolution,
)
from chainrule.nn.layers.linear import Linear
from chainrule.nn.layers.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    _ChannelNorm,
)
from chainrule.nn.lazy import LazyModuleMixin
from chainrule.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from chainrule.tensor import Tensor

__all__ = [
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
    "LazyLinear",
]


class _Lazy(LazyModuleMixin):
    """Base of the lazy layers: one size comes from the input, and all shapes from it.

    A subclass is constructed as its ordinary class with that size 0, then forgets the state that
    depends on it. The first values are drawn when the size is known, by the ordinary rule.
    """

    size_name: ClassVar[str]

    def _size_of(self, input: Tensor) -> int:
        """The size, from the first input."""
        raise NotImplementedError

    def _shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a parameter or buffer, once the size is known."""
        raise NotImplementedError

    def _forget_state(self) -> None:
        """Make what the size decides uninitialized: all but the count of batches."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = UninitializedParameter(dtype=parameter.dtype)
        for name, buffer in self._buffers.items():
            if buffer is not None and name != "num_batches_tracked":
                self._buffers[name] = UninitializedBuffer(dtype=buffer.dtype)

    def reset_parameters(self) -> None:
        """Draw the initial values anew, where there are any."""
        if getattr(self, self.size_name) and not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]  # of the ordinary class

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take the size from ``input`` and draw the first values, unless they were loaded.

        Raises ShapeError where loaded values do not fit the input.
        """
        setattr(self, self.size_name, self._size_of(input))
        named = [*self._parameters.items(), *self._buffers.items()]
        state = [(name, tensor) for name, tensor in named if tensor is not None]
        lazy = [name for name, tensor in state if is_lazy(tensor)]
        for name, tensor in state:
            if name not in lazy and tensor.shape != self._shape_of(name):
                raise ShapeError(
                    f"{type(self).__name__}: {name} {tuple(tensor.shape)} was loaded; this input "
                    f"needs {self._shape_of(name)}\n  input {tuple(input.shape)}"
                )
        if lazy and len(lazy) < len(state) - ("num_batches_tracked" in self._buffers):
            raise ConfigError(
                f"{type(self).__name__}: some values were loaded, but not {', '.join(lazy)}; load "
                "all of them, or none"
            )
        for name, tensor in state:
            if name in lazy:
                tensor.materialize(self._shape_of(name))  # type: ignore[attr-defined]
        if lazy:
            self.reset_parameters()


class LazyLinear(_Lazy, Linear):
    """A `Linear` whose in_features is the length of the first input's last axis."""

    cls_to_become = Linear
    size_name = "in_features"

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, out_features, bias, device, dtype)
        self._forget_state()

    def _size_of(self, input: Tensor) -> int:
        if not input.ndim:
            raise ShapeError("LazyLinear: needs an input with at least one axis, of the features")
        return input.shape[-1]

    def _shape_of(self, name: str) -> tuple[int, ...]:
        return (self.out_features, self.in_features)[: 2 if name == "weight" else 1]


class _LazyConvolution(_Lazy, _Convolution):
    size_name = "in_channels"

    def _size_of(self, input: Tensor) -> int:
        if input.ndim - self.axes not in (1, 2):
            raise ShapeError(
                f"{type(self).__name__}: expects {self.axes + 1} axes, or {self.axes + 2} with a "
                f"batch\n  input {tuple(input.shape)}"
            )
        channels = input.shape[-self.axes - 1]
        if channels % self.groups:
            raise ConfigError(
                f"{type(self).__name__}: groups {self.groups} must divide the input's channels"
                f"\n  input {tuple(input.shape)}"
            )
        return channels

    def _shape_of(self, name: str) -> tuple[int, ...]:
        return (self.out_channels,) if name == "bias" else self._weight_shape()


class _LazyForward(_LazyConvolution):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = (kernel_size, stride, padding, dilation)
        how = (groups, bias, padding_mode, device, dtype)
        super().__init__(0, out_channels, *sizes, *how)  # type: ignore[call-arg]
        self._forget_state()


class _LazyTransposed(_LazyConvolution):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        sizes = (kernel_size, stride, padding, output_padding)
        how = (groups, bias, dilation, padding_mode, device, dtype)
        super().__init__(0, out_channels, *sizes, *how)  # type: ignore[arg-type]
        self._forget_state()


class LazyConv1d(_LazyForward, Conv1d):
    """A `Conv1d` whose in_channels is that of the first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyForward, Conv2d):
    """A `Conv2d` whose in_channels is that of the first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyForward, Conv3d):
    """A `Conv3d` whose in_channels is that of the first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyTransposed, ConvTranspose1d):
    """A `ConvTranspose1d` whose in_channels is that of the first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposed, ConvTranspose2d):
    """A `ConvTranspose2d` whose in_channels is that of the first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposed, ConvTranspose3d):
    """A `ConvTranspose3d` whose in_channels is that of the first input."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(_Lazy, _ChannelNorm):
    size_name = "num_features"

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self._forget_state()

    def _channel_axis(self, input: Tensor) -> int:
        return 1

    def _size_of(self, input: Tensor) -> int:
        if input.ndim not in self.axes:
            raise ShapeError(
                f"{type(self).__name__}: expects {self.layout}, x is {tuple(input.shape)}"
            )
        return input.shape[self._channel_axis(input)]

    def _shape_of(self, name: str) -> tuple[int, ...]:
        return () if name == "num_batches_tracked" else (self.num_features,)


class _LazyInstanceNorm(_LazyNorm):
    def _channel_axis(self, input: Tensor) -> int:
        return 0 if input.ndim == self.axes[0] else 1  # of one image


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A `BatchNorm1d` whose num_features is the number of the first input's channels."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A `BatchNorm2d` whose num_features is the number of the first input's channels."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A `BatchNorm3d` whose num_features is the number of the first input's channels."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyInstanceNorm, InstanceNorm1d):
    """A `InstanceNorm1d` whose num_features is the number of the first input's channels."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyInstanceNorm, InstanceNorm2d):
    """A `InstanceNorm2d` whose num_features is the number of the first input's channels."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyInstanceNorm, InstanceNorm3d):
    """A `InstanceNorm3d` whose num_features is the number of the first input's channels."""

    cls_to_become = InstanceNorm3d
