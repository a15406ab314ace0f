"""Layers whose receptive field adapts to the image."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ConfigError
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.container import ModuleList, Sequential
from chainrule.nn.functional.arguments import Size
from chainrule.nn.layers.activation import ReLU
from chainrule.nn.layers.conv import Conv2d
from chainrule.nn.layers.norm import BatchNorm2d
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.ops import mul, softmax, stack, sum
from chainrule.ops.conv import pair
from chainrule.tensor import Tensor
from chainrule.tensor.creation import empty

__all__ = ["DeformConv2d", "SelectiveKernel"]


class DeformConv2d(Module):
    """Convolution at learned places: `F.deform_conv2d`. As torchvision.ops.DeformConv2d.

    The offsets (and masks) come from another layer, usually a convolution of the same input
    that starts at zero: then it starts as an ordinary convolution.
    """

    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ConfigError(
                f"DeformConv2d: groups {groups} must divide in_channels {in_channels} "
                f"and out_channels {out_channels}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "DeformConv2d: kernel_size", 1)
        self.stride = pair(stride, "DeformConv2d: stride", 1)
        self.padding = pair(padding, "DeformConv2d: padding")
        self.dilation = pair(dilation, "DeformConv2d: dilation", 1)
        self.groups = groups
        self.weight = Parameter(empty((out_channels, in_channels // groups, *self.kernel_size)))
        self.register_parameter("bias", Parameter(empty((out_channels,))) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        init.fan_in_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        settings = (self.stride, self.padding, self.dilation, mask)
        return F.deform_conv2d(input, offset, self.weight, self.bias, *settings)

    def extra_repr(self) -> str:
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
        shown += f"stride={self.stride}"
        shown += f", padding={self.padding}" if self.padding != (0, 0) else ""
        shown += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        shown += f", groups={self.groups}" if self.groups != 1 else ""
        return shown + (", bias=False" if self.bias is None else "")


class SelectiveKernel(Module):
    """Branches of growing receptive field, and a softmax that chooses among them by channel.

    x (N, C, H, W) -> (N, out_channels, H', W'). Branch b is a 3x3 convolution of dilation b + 1
    with batch norm and ReLU, so it sees 3, 5, 7, ... pixels. Split: U_b. Fuse: the global mean s
    of Σ_b U_b, squeezed to z = ReLU(BN(W s)) of max(out_channels/reduction, least) channels.
    Select: a = softmax over b of A_b z, y = Σ_b a_b · U_b, with one a for each channel.
    Source: Li et al. 2019, Selective Kernel Networks, arXiv:1903.06586, section 3.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        branches: int = 2,
        groups: int = 1,
        reduction: int = 16,
        least: int = 32,
        stride: int = 1,
    ) -> None:
        super().__init__()
        if branches < 1:
            raise ConfigError(f"SelectiveKernel: needs at least one branch, got {branches}")
        out = in_channels if out_channels is None else out_channels
        self.branches = ModuleList(
            Sequential(
                Conv2d(in_channels, out, 3, stride, i, dilation=i, groups=groups, bias=False),
                BatchNorm2d(out),
                ReLU(),
            )
            for i in range(1, branches + 1)
        )
        squeezed = max(out // reduction, least)
        self.squeeze = Sequential(
            Conv2d(out, squeezed, 1, bias=False), BatchNorm2d(squeezed), ReLU()
        )
        self.select = ModuleList(Conv2d(squeezed, out, 1, bias=False) for _ in range(branches))

    def forward(self, input: Tensor) -> Tensor:
        split: Any = stack([branch(input) for branch in self.branches], 0)
        fused = F.adaptive_avg_pool2d(sum(split, 0), 1)
        z = self.squeeze(fused)
        share = softmax(stack([choose(z) for choose in self.select], 0), 0)
        y: Tensor = sum(mul(split, share), 0)
        return y
