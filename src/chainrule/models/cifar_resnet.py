"""Residual networks for small images, and the same networks without their shortcuts.

He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition, arXiv:1512.03385,
§4.2: the networks of depth 6n + 2 for CIFAR-10. ResNet-20 (n = 3) on 32 x 32 images:

    layer    shape          what                                       weights
    input    3 x 32 x 32
    conv1    16 x 32 x 32   conv 3, batch norm, relu                       464
    layer1   16 x 32 x 32   n blocks                                    14,016
    layer2   32 x 16 x 16   n blocks, the first with stride 2           51,072
    layer3   64 x 8 x 8     n blocks, the first with stride 2          203,520
    avgpool  64             mean over the image
    fc       10             linear                                         650   269,722 in all

    n        3          5          7          9          18
    depth    20         32         44         56         110
    weights  269,722    464,154    658,586    853,018    1,727,962

A block computes relu(x + f(x)), f being conv 3, batch norm, relu, conv 3, batch norm. Where
the shape changes, x passes by one of the paper's shortcuts (§3.3, §4.1):

    A   every second pixel is taken, and the new channels are zeros: no weights (the default)
    B   conv 1 and batch norm where the shape changes, x itself elsewhere
    C   conv 1 and batch norm in every block

The plain networks have the same layers and weights, and no shortcut: a block is relu(f(x)).
They learn less the deeper they are, in training as in test, which is what shortcuts cure
(figure 6; `python -m benchmarks.degradation`).

Convolutions have no bias, since the batch norm after them would take it away; they start as in
He et al. 2015 (arXiv:1502.01852).
"""

from __future__ import annotations

from collections.abc import Callable

import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.models.blocks import conv3x3, start_convolutions
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor

SHORTCUTS = ("A", "B", "C")
Block = Callable[[int, int, int, str | None], nn.Module]
"""(channels before, channels after, stride, shortcut) -> a block."""


class BasicBlock(nn.Module):
    """relu(x + f(x)), or relu(f(x)) if shortcut is None.

    (N, in_planes, H, W) -> (N, planes, H/stride, W/stride).
    """

    def __init__(
        self, in_planes: int, planes: int, stride: int = 1, shortcut: str | None = "A"
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_planes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride = stride
        self.new_planes = planes - in_planes
        self.shortcut = shortcut
        self.downsample: nn.Module | None = None
        changes = stride != 1 or planes != in_planes
        if shortcut == "C" or (shortcut == "B" and changes):
            self.downsample = nn.Sequential(
                nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self._residual(x)
        return self.relu(y if self.shortcut is None else y + self._shortcut(x))

    def _residual(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(y))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.downsample is not None:
            return self.downsample(x)
        return subsample(x, self.stride, self.new_planes)


class CifarTrunk(nn.Module):
    """The network as far as its last feature maps. See the table above."""

    def __init__(
        self,
        blocks: int,
        in_channels: int = 3,
        shortcut: str | None = "A",
        block: Block = BasicBlock,
    ) -> None:
        super().__init__()
        check_count("resnet", blocks=blocks)
        check_shortcut("resnet", shortcut)
        self.conv1 = conv3x3(in_channels, 16)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stage(block, blocks, 16, 16, 1, shortcut)
        self.layer2 = _stage(block, blocks, 16, 32, 2, shortcut)
        self.layer3 = _stage(block, blocks, 32, 64, 2, shortcut)

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images (N, in_channels, H, W) -> (N, 16, H, W), (N, 32, H/2, W/2), (N, 64, H/4, W/4).

        Halves are rounded up.
        """
        fine = self.layer1(self.relu(self.bn1(self.conv1(x))))
        middle = self.layer2(fine)
        return fine, middle, self.layer3(middle)


class CifarResNet(CifarTrunk):
    """A residual network of depth 6·blocks + 2; shortcut None: a plain one. See the table above."""

    def __init__(
        self,
        blocks: int,
        num_classes: int = 10,
        in_channels: int = 3,
        shortcut: str | None = "A",
        block: Block = BasicBlock,
    ) -> None:
        super().__init__(blocks, in_channels, shortcut, block)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64, num_classes)
        start_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) of any size -> scores (N, num_classes)."""
        _, _, coarse = self.maps(x)
        return self.fc(self.flatten(self.avgpool(coarse)))


def subsample(x: Tensor, stride: int, new_planes: int) -> Tensor:
    """Option A: every stride-th pixel, the new channels zeros, half of them before the others."""
    x = x[:, :, ::stride, ::stride]
    if new_planes:
        before = new_planes // 2
        x = F.pad(x, (0, 0, 0, 0, before, new_planes - before))
    return x


def check_shortcut(model: str, shortcut: str | None) -> None:
    """Raise ConfigError unless it is one of the paper's, or None."""
    if shortcut is not None and shortcut not in SHORTCUTS:
        raise ConfigError(f"{model}: shortcut must be one of A, B and C, got {shortcut!r}")


def _stage(
    block: Block, blocks: int, in_planes: int, planes: int, stride: int, shortcut: str | None
) -> nn.Sequential:
    """Blocks of one width; the first changes the shape."""
    rest = [block(planes, planes, 1, shortcut) for _ in range(blocks - 1)]
    return nn.Sequential(block(in_planes, planes, stride, shortcut), *rest)


@register(image_size=32, head="fc")
def resnet20(num_classes: int = 10, in_channels: int = 3, shortcut: str = "A") -> CifarResNet:
    """ResNet-20 for CIFAR (He et al. 2016): 19 convolutions, 270 thousand weights."""
    return CifarResNet(3, num_classes, in_channels, shortcut)


@register(image_size=32, head="fc")
def resnet32(num_classes: int = 10, in_channels: int = 3, shortcut: str = "A") -> CifarResNet:
    """ResNet-32 for CIFAR (He et al. 2016): 31 convolutions, 464 thousand weights."""
    return CifarResNet(5, num_classes, in_channels, shortcut)


@register(image_size=32, head="fc")
def resnet44(num_classes: int = 10, in_channels: int = 3, shortcut: str = "A") -> CifarResNet:
    """ResNet-44 for CIFAR (He et al. 2016): 43 convolutions, 659 thousand weights."""
    return CifarResNet(7, num_classes, in_channels, shortcut)


@register(image_size=32, head="fc")
def resnet56(num_classes: int = 10, in_channels: int = 3, shortcut: str = "A") -> CifarResNet:
    """ResNet-56 for CIFAR (He et al. 2016): 55 convolutions, 853 thousand weights."""
    return CifarResNet(9, num_classes, in_channels, shortcut)


@register(image_size=32, head="fc")
def resnet110(num_classes: int = 10, in_channels: int = 3, shortcut: str = "A") -> CifarResNet:
    """ResNet-110 for CIFAR (He et al. 2016): 109 convolutions, 1.7 million weights."""
    return CifarResNet(18, num_classes, in_channels, shortcut)


@register(image_size=32, head="fc")
def plain20(num_classes: int = 10, in_channels: int = 3) -> CifarResNet:
    """ResNet-20 for CIFAR without its shortcuts (He et al. 2016)."""
    return CifarResNet(3, num_classes, in_channels, None)


@register(image_size=32, head="fc")
def plain32(num_classes: int = 10, in_channels: int = 3) -> CifarResNet:
    """ResNet-32 for CIFAR without its shortcuts (He et al. 2016)."""
    return CifarResNet(5, num_classes, in_channels, None)


@register(image_size=32, head="fc")
def plain44(num_classes: int = 10, in_channels: int = 3) -> CifarResNet:
    """ResNet-44 for CIFAR without its shortcuts (He et al. 2016)."""
    return CifarResNet(7, num_classes, in_channels, None)


@register(image_size=32, head="fc")
def plain56(num_classes: int = 10, in_channels: int = 3) -> CifarResNet:
    """ResNet-56 for CIFAR without its shortcuts (He et al. 2016)."""
    return CifarResNet(9, num_classes, in_channels, None)


@register(image_size=32, head="fc")
def plain110(num_classes: int = 10, in_channels: int = 3) -> CifarResNet:
    """ResNet-110 for CIFAR without its shortcuts (He et al. 2016)."""
    return CifarResNet(18, num_classes, in_channels, None)
