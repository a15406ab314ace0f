"""Residual networks for large images: ResNet, ResNeXt, Wide ResNet.

He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition, arXiv:1512.03385,
table 1. ResNet-50 on images of 224 x 224 pixels:

    layer     shape            what                                              weights
    input     3 x 224 x 224
    conv1     64 x 112 x 112   conv 7, stride 2, batch norm, relu                  9,536
    maxpool   64 x 56 x 56     max pool 3, stride 2
    layer1    256 x 56 x 56    3 blocks of 64 channels                           215,808
    layer2    512 x 28 x 28    4 blocks of 128, the first with stride 2        1,219,584
    layer3    1024 x 14 x 14   6 blocks of 256, the first with stride 2        7,098,368
    layer4    2048 x 7 x 7     3 blocks of 512, the first with stride 2       14,964,736
    avgpool   2048             mean over the image
    fc        1,000            linear                                          2,049,000
                                                                              25,557,032 in all

    model               blocks          kind         weights
    resnet18            2, 2, 2, 2      basic         11,689,512
    resnet34            3, 4, 6, 3      basic         21,797,672
    resnet50            3, 4, 6, 3      bottleneck    25,557,032
    resnet101           3, 4, 23, 3     bottleneck    44,549,160
    resnet152           3, 8, 36, 3     bottleneck    60,192,808
    resnext50_32x4d     3, 4, 6, 3      bottleneck    25,028,904
    resnext101_32x8d    3, 4, 23, 3     bottleneck    88,791,336
    resnext101_64x4d    3, 4, 23, 3     bottleneck    83,455,272
    wide_resnet50_2     3, 4, 6, 3      bottleneck    68,883,240
    wide_resnet101_2    3, 4, 23, 3     bottleneck   126,886,696

A block computes relu(x + f(x)). Basic: f is two convolutions 3 x 3. Bottleneck: 1 x 1 to fewer
channels, 3 x 3, 1 x 1 to four times as many. Each has a batch norm behind it, and all but the
last a ReLU. Where the shape changes, x passes through a convolution 1 x 1 and a batch norm
(``downsample``, option B of the paper).

- The stride of a bottleneck is at its 3 x 3, not at its first 1 x 1 as in the paper, so that no
  pixel is skipped (known as ResNet v1.5).
- ResNeXt (Xie et al. 2017, arXiv:1611.05431): the 3 x 3 is grouped. 32x4d: 32 groups, 4 channels
  each in layer1, twice as many in each stage after it.
- Wide ResNet (Zagoruyko & Komodakis 2016, arXiv:1605.07146): the 3 x 3 has twice the channels.
- ``zero_init_residual``: the last batch norm of f starts at 0, a block as the identity (Goyal et
  al. 2017, arXiv:1706.02677, §5.1).
- ``replace_stride_with_dilation``: for layer2, layer3, layer4, whether the filter grows instead
  of the image shrinking: as large a view, finer maps (Yu & Koltun 2016, arXiv:1511.07122).

Convolutions start as in He et al. 2015 (arXiv:1502.01852). Names are torchvision's, whose
weights fit. The networks for small images are in `cifar_resnet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.models.blocks import Layer, conv3x3, start_convolutions
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A linear map of each pixel's channels."""
    return nn.Conv2d(in_planes, out_planes, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """relu(x + f(x)), f of two convolutions.  (N, in, H, W) -> (N, planes, H/stride, W/stride)."""

    expansion: ClassVar[int] = 1
    """Channels of the result for each of ``planes``."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        if (groups, base_width, dilation) != (1, 64, 1):
            raise ConfigError(
                "BasicBlock: groups, base_width and dilation can only be 1, 64 and 1, got "
                f"{groups}, {base_width} and {dilation}; a Bottleneck takes others"
            )
        norm = norm_layer or nn.BatchNorm2d
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """relu(x + f(x)), f of convolutions 1, 3, 1.  (N, in, H, W) -> (N, 4·planes, H/s, W/s).

    The convolution 3 x 3 has planes · base_width/64 · groups channels.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """Four stages of residual blocks. See the tables above.

    layers: how many blocks each stage has. groups, width_per_group: of the convolutions 3 x 3
    in bottlenecks. norm_layer: makes a norm for so many channels.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Layer | None = None,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_count("resnet", num_classes=num_classes, in_channels=in_channels)
        dilate = (
            [False] * 3 if replace_stride_with_dilation is None else replace_stride_with_dilation
        )
        if len(dilate) != 3:
            raise ConfigError(
                "resnet: replace_stride_with_dilation must be None or three bools, for layer2, "
                f"layer3 and layer4, got {dilate}"
            )
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        start_convolutions(self)
        if zero_init_residual:
            _start_as_identity(self)

    def _make_layer(
        self,
        block: type[BasicBlock | Bottleneck],
        planes: int,
        blocks: int,
        stride: int = 1,
        dilate: bool = False,
    ) -> nn.Sequential:
        """A stage. Its first block may change the shape; dilated, it still looks as before."""
        dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        out_planes = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != out_planes:
            downsample = nn.Sequential(
                conv1x1(self.inplanes, out_planes, stride), self._norm_layer(out_planes)
            )
        make = partial(
            block, groups=self.groups, base_width=self.base_width, norm_layer=self._norm_layer
        )
        layers = [make(self.inplanes, planes, stride, downsample, dilation=dilation)]
        self.inplanes = out_planes
        for _ in range(1, blocks):
            layers.append(make(out_planes, planes, dilation=self.dilation))
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) of any size -> scores (N, num_classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _start_as_identity(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, (BasicBlock, Bottleneck)):
            last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
            if last.weight is not None:
                nn.init.zeros_(last.weight)


@register(image_size=224, head="fc", options_of=ResNet)
def resnet18(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """ResNet-18 (He et al. 2016): 17 convolutions, 11.7 million weights."""
    return ResNet(BasicBlock, [2, 2, 2, 2], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet)
def resnet34(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """ResNet-34 (He et al. 2016): 33 convolutions, 21.8 million weights."""
    return ResNet(BasicBlock, [3, 4, 6, 3], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet)
def resnet50(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """ResNet-50 (He et al. 2016): 49 convolutions, 25.6 million weights."""
    return ResNet(Bottleneck, [3, 4, 6, 3], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet)
def resnet101(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """ResNet-101 (He et al. 2016): 100 convolutions, 44.5 million weights."""
    return ResNet(Bottleneck, [3, 4, 23, 3], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet)
def resnet152(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """ResNet-152 (He et al. 2016): 151 convolutions, 60.2 million weights."""
    return ResNet(Bottleneck, [3, 8, 36, 3], num_classes, in_channels=in_channels, **options)


@register(image_size=224, head="fc", options_of=ResNet, fixed=("groups", "width_per_group"))
def resnext50_32x4d(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """ResNeXt-50 (Xie et al. 2017): 32 groups of 4 channels, 25.0 million weights."""
    return ResNet(
        Bottleneck,
        [3, 4, 6, 3],
        num_classes,
        in_channels=in_channels,
        groups=32,
        width_per_group=4,
        **options,
    )


@register(image_size=224, head="fc", options_of=ResNet, fixed=("groups", "width_per_group"))
def resnext101_32x8d(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """ResNeXt-101 (Xie et al. 2017): 32 groups of 8 channels, 88.8 million weights."""
    return ResNet(
        Bottleneck,
        [3, 4, 23, 3],
        num_classes,
        in_channels=in_channels,
        groups=32,
        width_per_group=8,
        **options,
    )


@register(image_size=224, head="fc", options_of=ResNet, fixed=("groups", "width_per_group"))
def resnext101_64x4d(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """ResNeXt-101 (Xie et al. 2017): 64 groups of 4 channels, 83.5 million weights."""
    return ResNet(
        Bottleneck,
        [3, 4, 23, 3],
        num_classes,
        in_channels=in_channels,
        groups=64,
        width_per_group=4,
        **options,
    )


@register(image_size=224, head="fc", options_of=ResNet, fixed=("width_per_group",))
def wide_resnet50_2(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """Wide ResNet-50 (Zagoruyko & Komodakis 2016): 68.9 million weights."""
    return ResNet(
        Bottleneck,
        [3, 4, 6, 3],
        num_classes,
        in_channels=in_channels,
        width_per_group=128,
        **options,
    )


@register(image_size=224, head="fc", options_of=ResNet, fixed=("width_per_group",))
def wide_resnet101_2(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> ResNet:
    """Wide ResNet-101 (Zagoruyko & Komodakis 2016): 126.9 million weights."""
    return ResNet(
        Bottleneck,
        [3, 4, 23, 3],
        num_classes,
        in_channels=in_channels,
        width_per_group=128,
        **options,
    )
