"""MobileNetV2: thin layers between wide ones, for small machines.

Sandler, Howard, Zhu, Zhmoginov & Chen 2018, MobileNetV2: Inverted residuals and linear
bottlenecks, arXiv:1801.04381, table 2, on images of 224 x 224 pixels:

    layer             shape            what                              weights
    input             3 x 224 x 224
    features.0        32 x 112 x 112   conv 3, stride 2                      928
    features.1        16 x 112 x 112   1 block, expansion 1                  896
    features.2-3      24 x 56 x 56     2 blocks, expansion 6, stride 2    13,968
    features.4-6      32 x 28 x 28     3 blocks, 6, stride 2              39,696
    features.7-10     64 x 14 x 14     4 blocks, 6, stride 2             183,872
    features.11-13    96 x 14 x 14     3 blocks, 6                       303,168
    features.14-16    160 x 7 x 7      3 blocks, 6, stride 2             795,264
    features.17       320 x 7 x 7      1 block, 6                        473,920
    features.18       1280 x 7 x 7     conv 1                            412,160
    mean              1280             mean over the image
    classifier.1      1,000            dropout, linear                 1,281,000
                                                                       3,504,872 in all

A block widens its channels by the expansion (conv 1), looks around in each channel by itself
(conv 3, as many groups as channels), and narrows them again (conv 1). Each is followed by batch
norm and ReLU6, but the last by batch norm only: in few channels a ReLU would destroy. Where
the shape stays, the block's input is added. Only the first of several blocks has the stride.

Convolutions start as in He et al. 2015 (arXiv:1502.01852), the linear layer with N(0, 0.01²).
Names are torchvision's, whose weights fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.models.blocks import (
    Conv2dNormActivation,
    Layer,
    start_convolutions,
    start_normal,
)
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor

_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Table 2: expansion t, channels c, number n, stride s."""


class InvertedResidual(nn.Module):
    """Widen, look around, narrow.  (N, inp, H, W) -> (N, oup, H/stride, W/stride)."""

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: float,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ConfigError(f"InvertedResidual: stride must be 1 or 2, got {stride}")
        norm = norm_layer or nn.BatchNorm2d
        wide = round(inp * expand_ratio)
        settings: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, wide, kernel_size=1, **settings))
        layers += [
            Conv2dNormActivation(wide, wide, stride=stride, groups=wide, **settings),
            nn.Conv2d(wide, oup, kernel_size=1, bias=False),
            norm(oup),
        ]
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """Inverted residuals between two convolutions. See the table above.

    width_mult: how many times the table's channels. inverted_residual_setting: rows (t, c, n, s)
    instead of the table's. round_nearest: channels are a multiple of this. block: makes a block
    from (in, out, stride, expand_ratio=, norm_layer=).
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_count("mobilenet_v2", num_classes=num_classes, in_channels=in_channels)
        rows = _BLOCKS if inverted_residual_setting is None else inverted_residual_setting
        if not rows or any(len(row) != 4 for row in rows):
            raise ConfigError(
                "mobilenet_v2: inverted_residual_setting must be rows of expansion, channels, "
                f"number and stride, got {inverted_residual_setting}"
            )
        make = block or InvertedResidual
        norm = norm_layer or nn.BatchNorm2d
        settings: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        channels = _rounded(32 * width_mult, round_nearest)
        self.last_channel = _rounded(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [
            Conv2dNormActivation(in_channels, channels, stride=2, **settings)
        ]
        for expansion, out, number, stride in rows:
            out_channels = _rounded(out * width_mult, round_nearest)
            for i in range(number):
                s = stride if i == 0 else 1
                features.append(
                    make(channels, out_channels, s, expand_ratio=expansion, norm_layer=norm)
                )
                channels = out_channels
        last = Conv2dNormActivation(channels, self.last_channel, kernel_size=1, **settings)
        self.features = nn.Sequential(*features, last)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        start_convolutions(self)
        start_normal(self, 0.01, only=nn.Linear)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) of any size -> scores (N, num_classes)."""
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(x.flatten(1))


def _rounded(channels: float, divisor: int) -> int:
    """The multiple of divisor nearest to channels, but not more than a tenth below."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


@register(image_size=224, head="classifier.1", options_of=MobileNetV2)
def mobilenet_v2(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> MobileNetV2:
    """MobileNetV2 (Sandler et al. 2018): 17 inverted residuals, 3.5 million weights."""
    return MobileNetV2(num_classes, in_channels=in_channels, **options)
