"""Residual networks that normalise and cut off before they convolve.

He, Zhang, Ren & Sun 2016, Identity mappings in deep residual networks, arXiv:1603.05027. A unit
computes x + f(x), and nothing follows the sum: what a unit passes on reaches every later one
unchanged, forwards, and its gradient backwards (§2). f is, with batch norm and relu before
each convolution (figure 1b, figure 4e):

    basic        conv 3 (w), conv 3 (w)
    bottleneck   conv 1 (w), conv 3 (w), conv 1 (4w)

On 32 x 32 images, with n units in a stage:

    layer    shape, basic      shape, bottleneck   what
    conv1    16 x 32 x 32      16 x 32 x 32        conv 3
    layer1   16 x 32 x 32      64 x 32 x 32        n units of w = 16
    layer2   32 x 16 x 16      128 x 16 x 16       n units of w = 32, the first with stride 2
    layer3   64 x 8 x 8        256 x 8 x 8         n units of w = 64, the first with stride 2
    bn       64                256                 batch norm, relu, mean over the image
    fc       10                10                  linear

                        n    weights
    preact_resnet20     3       269,722   basic, depth 6n + 2
    preact_resnet56     9       853,018
    preact_resnet110    18    1,727,962
    preact_resnet164    18    1,703,258   bottleneck, depth 9n + 2
    preact_resnet18     2    11,172,170   basic, four stages of w = 64, 128, 256, 512

The first unit and those that change the shape normalise and cut off before x parts into the
two ways (appendix); there x passes by option A of `chainrule.models.cifar_resnet`, without
weights, in basic units of the three-stage networks, else by a convolution of 1 x 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule import nn
from chainrule.models.blocks import conv3x3, start_convolutions
from chainrule.models.cifar_resnet import subsample
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class PreActUnit(nn.Module):
    """x + f(x), f of two 3 x 3 convolutions.

    (N, in_planes, H, W) -> (N, width, H/stride, W/stride). parts_late: normalise and cut off
    before x parts into the two ways. projects: change the shape of x by a 1 x 1 convolution.
    """

    expansion = 1

    def __init__(
        self, in_planes: int, width: int, stride: int, parts_late: bool, projects: bool
    ) -> None:
        super().__init__()
        planes = self.expansion * width
        self.stride, self.new_planes, self.parts_late = stride, planes - in_planes, parts_late
        self.relu = nn.ReLU()
        self._make_layers(in_planes, width, stride)
        self.downsample: nn.Module | None = None
        if projects and (stride != 1 or self.new_planes):
            self.downsample = nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False)

    def _make_layers(self, in_planes: int, width: int, stride: int) -> None:
        self.bn1 = nn.BatchNorm2d(in_planes)
        self.conv1 = conv3x3(in_planes, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(x))
        if self.parts_late:
            x = y
        return self._residual(y) + self._shortcut(x)

    def _residual(self, y: Tensor) -> Tensor:
        return self.conv2(self.relu(self.bn2(self.conv1(y))))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.downsample is not None:
            return self.downsample(x)
        return subsample(x, self.stride, self.new_planes)


class PreActBottleneck(PreActUnit):
    """x + f(x), f of convolutions of 1, 3 and 1, the last four times as wide as the others."""

    expansion = 4

    def _make_layers(self, in_planes: int, width: int, stride: int) -> None:
        self.bn1 = nn.BatchNorm2d(in_planes)
        self.conv1 = nn.Conv2d(in_planes, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, self.expansion * width, 1, bias=False)

    def _residual(self, y: Tensor) -> Tensor:
        y = self.relu(self.bn2(self.conv1(y)))
        return self.conv3(self.relu(self.bn3(self.conv2(y))))


class PreActResNet(nn.Module):
    """So many units in each stage, one stage for each of ``widths``. See the tables above."""

    def __init__(
        self,
        unit: type[PreActUnit],
        units: int,
        widths: Sequence[int] = (16, 32, 64),
        num_classes: int = 10,
        in_channels: int = 3,
        projects: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, widths[0])
        planes = widths[0]
        for number, width in enumerate(widths, start=1):
            stage = nn.Sequential()
            for i in range(units):
                stride = 2 if i == 0 and number > 1 else 1
                stage.append(unit(planes, width, stride, i == 0, projects))
                planes = unit.expansion * width
            self.add_module(f"layer{number}", stage)
        self.stages = len(widths)
        self.bn = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(planes, num_classes)
        start_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) of any size -> scores (N, num_classes)."""
        x = self.conv1(x)
        for number in range(1, self.stages + 1):
            x = getattr(self, f"layer{number}")(x)
        x = self.relu(self.bn(x))
        return self.fc(self.flatten(self.avgpool(x)))


_SMALL = (16, 32, 64)


@register(image_size=32, head="fc")
def preact_resnet18(num_classes: int = 10, in_channels: int = 3) -> PreActResNet:
    """Pre-activation ResNet-18 for CIFAR (He et al. 2016b): ImageNet's widths, 11 million."""
    return PreActResNet(PreActUnit, 2, (64, 128, 256, 512), num_classes, in_channels)


@register(image_size=32, head="fc")
def preact_resnet20(num_classes: int = 10, in_channels: int = 3) -> PreActResNet:
    """Pre-activation ResNet-20 for CIFAR (He et al. 2016b): 19 convolutions."""
    return PreActResNet(PreActUnit, 3, _SMALL, num_classes, in_channels, projects=False)


@register(image_size=32, head="fc")
def preact_resnet56(num_classes: int = 10, in_channels: int = 3) -> PreActResNet:
    """Pre-activation ResNet-56 for CIFAR (He et al. 2016b): 55 convolutions."""
    return PreActResNet(PreActUnit, 9, _SMALL, num_classes, in_channels, projects=False)


@register(image_size=32, head="fc")
def preact_resnet110(num_classes: int = 10, in_channels: int = 3) -> PreActResNet:
    """Pre-activation ResNet-110 for CIFAR (He et al. 2016b): 109 convolutions."""
    return PreActResNet(PreActUnit, 18, _SMALL, num_classes, in_channels, projects=False)


@register(image_size=32, head="fc")
def preact_resnet164(num_classes: int = 10, in_channels: int = 3) -> PreActResNet:
    """Pre-activation ResNet-164 for CIFAR (He et al. 2016b): 54 bottlenecks."""
    return PreActResNet(PreActBottleneck, 18, _SMALL, num_classes, in_channels)
