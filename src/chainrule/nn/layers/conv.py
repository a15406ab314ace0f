"""Convolution layers."""

from __future__ import annotations

from typing import Any, Literal

from chainrule.creation import empty
from chainrule.errors import ConfigError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.functional.arguments import Size
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops.conv import pair
from chainrule.tensor import Tensor

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Cross-correlate images with learnt filters: `F.conv2d`.

    input (N, in_channels, H, W) -> (N, out_channels, OH, OW), with
    OH = ⌊(H + 2·padding - dilation·(KH-1) - 1) / stride⌋ + 1; sizes in pixels, int or
    (vertical, horizontal). padding may be "same" (stride 1) or "valid".
    weight (out_channels, in_channels/groups, KH, KW) and bias (out_channels,) start uniform
    in ±1/√fan_in, fan_in = in_channels/groups · KH · KW.
    """

    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | Literal["same", "valid"] = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_mode != "zeros":
            raise ConfigError(
                f'Conv2d: padding_mode {padding_mode!r} is not supported; only "zeros" is'
            )
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ConfigError(
                f"Conv2d: groups {groups} must divide in_channels {in_channels} "
                f"and out_channels {out_channels}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "Conv2d: kernel_size", 1)
        self.stride = pair(stride, "Conv2d: stride", 1)
        self.padding = self._check_padding(padding)
        self.dilation = pair(dilation, "Conv2d: dilation", 1)
        self.groups = groups
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(empty((out_channels,), device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def _check_padding(self, padding: Any) -> Any:
        if not isinstance(padding, str):
            return pair(padding, "Conv2d: padding")
        if padding not in ("same", "valid"):
            raise ConfigError(
                f'Conv2d: padding must be a number, "same" or "valid", got {padding!r}'
            )
        if padding == "same" and self.stride != (1, 1):
            raise ConfigError(f'Conv2d: padding "same" needs stride 1, got {self.stride}')
        return padding

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        init.fan_in_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self._weight_and_bias()
        return F.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}, stride={self.stride}",
        ]
        if self.padding != (0, 0):
            parts.append(f"padding={self.padding}")
        if self.dilation != (1, 1):
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)
