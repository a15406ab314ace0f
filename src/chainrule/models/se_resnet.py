"""Residual networks that weigh their channels: squeeze and excitation.

Hu, Shen, Albanie, Sun & Wu 2018, Squeeze-and-excitation networks, arXiv:1709.01507, §3 and
table 1. A block computes relu(x + s·f(x)), with one number s between 0 and 1 for each channel,
told by the means of all channels over the image:

    squeeze      C x H x W -> C       mean
    fc1          C -> C/16            linear, relu
    fc2          C/16 -> C            linear, sigmoid
    excitation   C x H x W            each channel of f(x) times its s

The two linear layers, convolutions of 1 x 1 over means, add C·C/8 + C + C/16 weights to a block:

    model          that of          blocks           weights
    se_resnet20    cifar_resnet     3, 3, 3          272,095
    se_resnet18    resnet           2, 2, 2, 2    11,778,592
    se_resnet34    resnet           3, 4, 6, 3    21,958,868
    se_resnet50    resnet           3, 4, 6, 3    28,088,024
    se_resnet101   resnet           3, 4, 23, 3   49,326,872
    se_resnet152   resnet           3, 8, 36, 3   66,821,848
"""

from __future__ import annotations

from typing import Any

from chainrule import nn
from chainrule.models.cifar_resnet import BasicBlock as CifarBlock
from chainrule.models.cifar_resnet import CifarResNet
from chainrule.models.registry import register
from chainrule.models.resnet import BasicBlock, Bottleneck, ResNet
from chainrule.tensor import Tensor

REDUCTION = 16


class SqueezeExcitation(nn.Module):
    """x times one weight for each channel.  (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // REDUCTION)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.sigmoid(self.fc2(self.relu(self.fc1(self.avgpool(x)))))


class SECifarBlock(CifarBlock):
    """relu(x + s·f(x)), f as of the networks for small images."""

    def __init__(
        self, in_planes: int, planes: int, stride: int = 1, shortcut: str | None = "A"
    ) -> None:
        super().__init__(in_planes, planes, stride, shortcut)
        self.se = SqueezeExcitation(planes)

    def _residual(self, x: Tensor) -> Tensor:
        return self.se(super()._residual(x))


class SEBasicBlock(BasicBlock):
    """relu(x + s·f(x)), f of two convolutions."""

    def __init__(self, inplanes: int, planes: int, *args: Any, **settings: Any) -> None:
        super().__init__(inplanes, planes, *args, **settings)
        self.se = SqueezeExcitation(planes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.se(self.bn2(self.conv2(y)))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class SEBottleneck(Bottleneck):
    """relu(x + s·f(x)), f of convolutions 1, 3, 1."""

    def __init__(self, inplanes: int, planes: int, *args: Any, **settings: Any) -> None:
        super().__init__(inplanes, planes, *args, **settings)
        self.se = SqueezeExcitation(planes * self.expansion)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.se(self.bn3(self.conv3(y)))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


@register(image_size=32, head="fc")
def se_resnet20(num_classes: int = 10, in_channels: int = 3, shortcut: str = "A") -> CifarResNet:
    """SE-ResNet-20 for CIFAR (Hu et al. 2018): ResNet-20 that weighs its channels."""
    return CifarResNet(3, num_classes, in_channels, shortcut, SECifarBlock)


@register(image_size=224, head="fc", options_of=ResNet)
def se_resnet18(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """SE-ResNet-18 (Hu et al. 2018): ResNet-18 that weighs its channels, 11.8 million weights."""
    return ResNet(SEBasicBlock, [2, 2, 2, 2], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet)
def se_resnet34(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """SE-ResNet-34 (Hu et al. 2018): ResNet-34 that weighs its channels, 22.0 million weights."""
    return ResNet(SEBasicBlock, [3, 4, 6, 3], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet)
def se_resnet50(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """SE-ResNet-50 (Hu et al. 2018): ResNet-50 that weighs its channels, 28.1 million weights."""
    return ResNet(SEBottleneck, [3, 4, 6, 3], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet)
def se_resnet101(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """SE-ResNet-101 (Hu et al. 2018): ResNet-101 that weighs its channels, 49.3 million weights."""
    return ResNet(SEBottleneck, [3, 4, 23, 3], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet)
def se_resnet152(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """SE-ResNet-152 (Hu et al. 2018): ResNet-152 that weighs its channels, 66.8 million weights."""
    return ResNet(SEBottleneck, [3, 8, 36, 3], num_classes, in_channels=in_channels, **options)
