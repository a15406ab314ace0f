"""Residual networks for small images.

He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition, arXiv:1512.03385,
§4.2: the networks of depth 6n + 2 for CIFAR-10. ResNet-20 (n = 3) on 32 x 32 images:

    layer    shape          what                                       weights
    input    3 x 32 x 32
    conv1    16 x 32 x 32   conv 3, batch norm, relu                       464
    layer1   16 x 32 x 32   3 blocks                                    14,016
    layer2   32 x 16 x 16   3 blocks, the first with stride 2           51,072
    layer3   64 x 8 x 8     3 blocks, the first with stride 2          203,520
    avgpool  64             mean over the image
    fc       10             linear                                         650   269,722 in all

A block computes relu(x + f(x)), f being conv 3, batch norm, relu, conv 3, batch norm. Where
the shape changes, x passes by option A of the paper, which has no weights: every second
pixel is taken, and the new channels are zeros. Convolutions have no bias, since the batch
norm after them would take it away; they start as in He et al. 2015 (arXiv:1502.01852).
"""

from __future__ import annotations

import chainrule.nn.functional as F
from chainrule import nn
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor


class BasicBlock(nn.Module):
    """relu(x + f(x)).  (N, in_planes, H, W) -> (N, planes, H/stride, W/stride)."""

    def __init__(self, in_planes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_planes, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.stride = stride
        self.new_planes = planes - in_planes

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        if self.new_planes:
            before = self.new_planes // 2
            x = F.pad(x, (0, 0, 0, 0, before, self.new_planes - before))
        return x


class CifarResNet(nn.Module):
    """A residual network of depth 6·blocks + 2. See the table above."""

    def __init__(self, blocks: int, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        check_count("resnet", num_classes=num_classes, in_channels=in_channels, blocks=blocks)
        self.conv1 = _conv3x3(in_channels, 16)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _stage(blocks, 16, 16, 1)
        self.layer2 = _stage(blocks, 16, 32, 2)
        self.layer3 = _stage(blocks, 32, 64, 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) of any size -> scores (N, num_classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.flatten(self.avgpool(x)))


def _conv3x3(in_planes: int, planes: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)


def _stage(blocks: int, in_planes: int, planes: int, stride: int) -> nn.Sequential:
    """Blocks of one width; the first changes the shape."""
    rest = [BasicBlock(planes, planes) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(in_planes, planes, stride), *rest)


@register(image_size=32, head="fc")
def resnet20(num_classes: int = 10, in_channels: int = 3) -> CifarResNet:
    """ResNet-20 for CIFAR (He et al. 2016): 19 convolutions, 270 thousand weights."""
    return CifarResNet(3, num_classes, in_channels)
