"""VGG: depth from 3 x 3 convolutions.

Simonyan & Zisserman 2015, Very deep convolutional networks for large-scale image recognition,
arXiv:1409.1556, §2 and table 1: configurations A (11 layers with weights), B (13), D (16) and
E (19). Two convolutions 3 x 3 see 5 x 5 pixels, three see 7 x 7, with fewer weights than one
such filter and with a ReLU after each. VGG-16 on images of 224 x 224 pixels:

    stage   shape             what                                       weights
    input   3 x 224 x 224
    1       64 x 112 x 112    2 conv 3 of 64 channels, max pool 2         38,720
    2       128 x 56 x 56     2 conv 3 of 128, max pool 2                221,440
    3       256 x 28 x 28     3 conv 3 of 256, max pool 2              1,475,328
    4       512 x 14 x 14     3 conv 3 of 512, max pool 2              5,899,776
    5       512 x 7 x 7       3 conv 3 of 512, max pool 2              7,079,424
    fc6     4,096             linear, dropout                        102,764,544
    fc7     4,096             linear, dropout                         16,781,312
    fc8     1,000             linear                                   4,097,000
                                                                     138,357,544 in all

    configuration   A             B             D             E
    weights         132,863,336   133,047,848   138,357,544   143,667,240

In ``vgg16_bn`` and its like, a batch norm stands between convolution and ReLU (Ioffe & Szegedy
2015, arXiv:1502.03167), which the paper did not have yet. Images of another size are averaged
to 7 x 7 before fc6. Convolutions start as in He et al. 2015 (arXiv:1502.01852). Names are
torchvision's, whose weights fit: ``features.0``, ... and ``classifier.0``, ``.3``, ``.6``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule import nn
from chainrule.models.blocks import check_size, start_convolutions, start_normal
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor

CONFIGURATIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "B": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "D": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "E": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}
"""Table 1: the channels of the convolutions, stage by stage."""


class VGG(nn.Module):
    """Features of 512 channels, three linear layers. See the table above."""

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_count("vgg", num_classes=num_classes)
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            start_convolutions(self)
            start_normal(self, 0.01, only=nn.Linear)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W), at least 32 x 32 -> scores (N, num_classes)."""
        check_size(self, x, 32)
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def stages(
    channels: Sequence[Sequence[int]], batch_norm: bool = False, in_channels: int = 3
) -> nn.Sequential:
    """Convolutions 3 x 3 with ReLU; each stage ends with a pooling that halves the image."""
    check_count("vgg", in_channels=in_channels)
    layers: list[nn.Module] = []
    for stage in channels:
        for out_channels in stage:
            layers.append(nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU(inplace=True))
            in_channels = out_channels
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _vgg(
    configuration: str, batch_norm: bool, num_classes: int, in_channels: int, **options: Any
) -> VGG:
    features = stages(CONFIGURATIONS[configuration], batch_norm, in_channels)
    return VGG(features, num_classes, **options)


@register(image_size=224, head="classifier.6", options_of=VGG)
def vgg11(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG:
    """VGG-11 (Simonyan & Zisserman 2015, A): 8 convolutions, 132.9 million weights."""
    return _vgg("A", False, num_classes, in_channels, **options)


@register(image_size=224, head="classifier.6", options_of=VGG)
def vgg13(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG:
    """VGG-13 (Simonyan & Zisserman 2015, B): 10 convolutions, 133.0 million weights."""
    return _vgg("B", False, num_classes, in_channels, **options)


@register(image_size=224, head="classifier.6", options_of=VGG)
def vgg16(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG:
    """VGG-16 (Simonyan & Zisserman 2015, D): 13 convolutions, 138.4 million weights."""
    return _vgg("D", False, num_classes, in_channels, **options)


@register(image_size=224, head="classifier.6", options_of=VGG)
def vgg19(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG:
    """VGG-19 (Simonyan & Zisserman 2015, E): 16 convolutions, 143.7 million weights."""
    return _vgg("E", False, num_classes, in_channels, **options)


@register(image_size=224, head="classifier.6", options_of=VGG)
def vgg11_bn(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG:
    """VGG-11 with batch norm: 8 convolutions, 132.9 million weights."""
    return _vgg("A", True, num_classes, in_channels, **options)


@register(image_size=224, head="classifier.6", options_of=VGG)
def vgg13_bn(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG:
    """VGG-13 with batch norm: 10 convolutions, 133.1 million weights."""
    return _vgg("B", True, num_classes, in_channels, **options)


@register(image_size=224, head="classifier.6", options_of=VGG)
def vgg16_bn(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG:
    """VGG-16 with batch norm: 13 convolutions, 138.4 million weights."""
    return _vgg("D", True, num_classes, in_channels, **options)


@register(image_size=224, head="classifier.6", options_of=VGG)
def vgg19_bn(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> VGG:
    """VGG-19 with batch norm: 16 convolutions, 143.7 million weights."""
    return _vgg("E", True, num_classes, in_channels, **options)
