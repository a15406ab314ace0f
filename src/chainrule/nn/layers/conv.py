"""Convolution layers, their transposes, and the layers that lay windows out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from chainrule.errors import ConfigError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.functional.arguments import Size
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.conv import named_padding, per_axis
from chainrule.tensor import Tensor
from chainrule.tensor.creation import empty

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Fold",
    "Unfold",
]

Padding = Size | Literal["same", "valid"]
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What the six layers share: settings, parameters, printed form."""

    axes: ClassVar[int]
    transposed: ClassVar[bool] = False
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Padding,
        dilation: Size,
        output_padding: Size,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ConfigError(
                f"{name}: groups {groups} must divide in_channels {in_channels} "
                f"and out_channels {out_channels}"
            )
        if padding_mode not in PADDING_MODES:
            raise ConfigError(
                f"{name}: padding_mode must be one of {', '.join(PADDING_MODES)}, "
                f"got {padding_mode!r}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(kernel_size, self.axes, f"{name}: kernel_size", 1)
        self.stride = per_axis(stride, self.axes, f"{name}: stride", 1)
        self.dilation = per_axis(dilation, self.axes, f"{name}: dilation", 1)
        self.output_padding = per_axis(output_padding, self.axes, f"{name}: output_padding")
        self.groups = groups
        self.padding_mode = padding_mode
        self.padding, around = self._check_padding(padding)
        self._reversed_padding_repeated_twice = around
        self.weight = Parameter(empty(self._weight_shape(), device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(empty((out_channels,), device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel_size)

    def _check_padding(self, padding: Any) -> tuple[Any, list[int]]:
        """The padding for each axis, or its name; and the same as `F.pad` takes it."""
        name = type(self).__name__
        if not isinstance(padding, str):
            padding = per_axis(padding, self.axes, f"{name}: padding")
            return padding, [n for n in reversed(padding) for _ in range(2)]
        total = named_padding(name, padding, self.kernel_size, self.stride, self.dilation)
        return padding, [side for n in reversed(total) for side in (n // 2, n - n // 2)]

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        init.fan_in_uniform_(self.weight, self.bias)

    def _surround(self, input: Tensor) -> Tensor:
        """The input padded with its own values."""
        return F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}, stride={self.stride}",
        ]
        usual = {"padding": (0,), "dilation": (1,), "output_padding": (0,)}
        for name, (each,) in usual.items():
            if getattr(self, name) != (each,) * self.axes:
                parts.append(f"{name}={getattr(self, name)}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Forward(_Convolution):
    def __init__(
        self,
        in_channels: int,
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
        sizes = (kernel_size, stride, padding, dilation, 0)
        how = (groups, bias, padding_mode, device, dtype)
        super().__init__(in_channels, out_channels, *sizes, *how)


class Conv1d(_Forward):
    """Cross-correlate sequences with learnt filters: `F.conv1d`.

    input (N, in_channels, L) -> (N, out_channels, OL), OL as `Conv2d`'s OH; the settings as there.
    """

    axes = 1

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self._weight_and_bias()
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._surround(input), 0
        return F.conv1d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Forward):
    """Cross-correlate images with learnt filters: `F.conv2d`.

    input (N, in_channels, H, W) -> (N, out_channels, OH, OW), with
    OH = ⌊(H + 2·padding - dilation·(KH-1) - 1) / stride⌋ + 1; sizes in pixels, int or
    (vertical, horizontal). padding may be "same" (stride 1) or "valid"; padding_mode says what
    surrounds the image: "zeros", or its own values ("reflect", "replicate", "circular": `F.pad`).
    weight (out_channels, in_channels/groups, KH, KW) and bias (out_channels,) start uniform
    in ±1/√fan_in, fan_in = in_channels/groups · KH · KW.
    """

    axes = 2

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self._weight_and_bias()
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._surround(input), 0
        return F.conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(_Forward):
    """Cross-correlate volumes, or films, with learnt filters: `F.conv3d`.

    input (N, in_channels, D, H, W) -> (N, out_channels, OD, OH, OW), each length as `Conv2d`'s OH;
    sizes int or (depth, vertical, horizontal), the other settings as there.
    """

    axes = 3

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self._weight_and_bias()
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._surround(input), 0
        return F.conv3d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class _Transposed(_Convolution):
    transposed = True

    def __init__(
        self,
        in_channels: int,
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
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ConfigError(f'{name}: padding_mode must be "zeros", got {padding_mode!r}')
        if isinstance(padding, str):
            raise ConfigError(f"{name}: padding must be a number, got {padding!r}")
        sizes = (kernel_size, stride, padding, dilation, output_padding)
        how = (groups, bias, padding_mode, device, dtype)
        super().__init__(in_channels, out_channels, *sizes, *how)

    def _settings(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[Any, ...]:
        """stride, padding, output_padding, groups, dilation for a result of ``output_size``."""
        extra = self.output_padding
        if output_size is not None:
            extra = self._output_padding_for(input.shape[-self.axes :], tuple(output_size), input)
        return self.stride, self.padding, extra, self.groups, self.dilation

    def _output_padding_for(
        self, size: Sequence[int], wanted: tuple[int, ...], input: Tensor
    ) -> tuple[int, ...]:
        name, lead = type(self).__name__, input.ndim - self.axes
        if len(wanted) not in (self.axes, self.axes + lead):
            raise ConfigError(
                f"{name}: output_size needs {self.axes} or {self.axes + lead} lengths for an "
                f"input {tuple(input.shape)}, got {wanted}"
            )
        wanted = wanted[-self.axes :]
        axes = zip(size, self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in axes]
        extra = tuple(want - n for want, n in zip(wanted, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = [n + s - 1 for n, s in zip(least, self.stride, strict=True)]
            raise ConfigError(
                f"{name}: output_size {wanted} does not lie in {tuple(least)} to {tuple(most)} "
                f"for an input {tuple(input.shape)}"
            )
        return extra


class ConvTranspose1d(_Transposed):
    """Transposed convolution of sequences: `F.conv_transpose1d`; see `ConvTranspose2d`."""

    axes = 1

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        settings = self._settings(input, output_size)
        return F.conv_transpose1d(input, *self._weight_and_bias(), *settings)


class ConvTranspose2d(_Transposed):
    """Every pixel sends its value times learnt filters to a window: `F.conv_transpose2d`.

    input (N, in_channels, H, W) -> (N, out_channels, OH, OW), with
    OH = (H-1)·stride - 2·padding + dilation·(KH-1) + output_padding + 1; sizes in pixels, int or
    (vertical, horizontal). ``output_size`` of the call, (OH, OW) or a whole shape, chooses among
    the ``stride`` sizes that a convolution would take to H instead of output_padding.
    weight (in_channels, out_channels/groups, KH, KW) and bias (out_channels,) start uniform
    in ±1/√fan, fan = out_channels/groups · KH · KW.
    """

    axes = 2

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        settings = self._settings(input, output_size)
        return F.conv_transpose2d(input, *self._weight_and_bias(), *settings)


class ConvTranspose3d(_Transposed):
    """Transposed convolution of volumes: `F.conv_transpose3d`; see `ConvTranspose2d`."""

    axes = 3

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        settings = self._settings(input, output_size)
        return F.conv_transpose3d(input, *self._weight_and_bias(), *settings)


class Unfold(Module):
    """The window at each position as a column: `F.unfold`. (N, C, H, W) -> (N, C·KH·KW, L)."""

    def __init__(
        self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Module):
    """Add columns up where their windows lie: `F.fold`. (N, C·KH·KW, L) -> (N, C, H, W)."""

    def __init__(
        self,
        output_size: Size,
        kernel_size: Size,
        dilation: Size = 1,
        padding: Size = 0,
        stride: Size = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )
