"""SqueezeNet: AlexNet's accuracy with fifty times fewer weights.

Iandola, Han, Moskewicz, Ashraf, Dally & Keutzer 2016, arXiv:1602.07360, §3 and table 1, on
images of 224 x 224 pixels (without padding the first convolution gives 109; the paper's 111 is
of 227). Version 1.1 is the authors' (github.com/forresti/SqueezeNet): a smaller first filter and
earlier poolings, 2.4 times fewer products.

    squeezenet1_0   shape            weights      squeezenet1_1   shape            weights
    conv 7, s. 2    96 x 109 x 109    14,208      conv 3, s. 2    64 x 111 x 111     1,792
    max pool        96 x 54 x 54                  max pool        64 x 55 x 55
    fire 16, 64     128 x 54 x 54     11,920      fire 16, 64     128 x 55 x 55     11,408
    fire 16, 64     128 x 54 x 54     12,432      fire 16, 64     128 x 55 x 55     12,432
    fire 32, 128    256 x 54 x 54     45,344      max pool        128 x 27 x 27
    max pool        256 x 27 x 27                 fire 32, 128    256 x 27 x 27     45,344
    fire 32, 128    256 x 27 x 27     49,440      fire 32, 128    256 x 27 x 27     49,440
    fire 48, 192    384 x 27 x 27    104,880      max pool        256 x 13 x 13
    fire 48, 192    384 x 27 x 27    111,024      fire 48, 192    384 x 13 x 13    104,880
    fire 64, 256    512 x 27 x 27    188,992      fire 48, 192    384 x 13 x 13    111,024
    max pool        512 x 13 x 13                 fire 64, 256    512 x 13 x 13    188,992
    fire 64, 256    512 x 13 x 13    197,184      fire 64, 256    512 x 13 x 13    197,184
    conv 1          1000 x 13 x 13   513,000      conv 1          1000 x 13 x 13   513,000
    mean            1,000          1,248,424      mean            1,000          1,235,496

Fire s, e: a convolution 1 x 1 squeezes the image to s channels, then 1 x 1 and 3 x 3 expand it
to e channels each. Pools take 3 x 3 with stride 2, over the edge if need be. Convolutions start
as in He et al. 2015 (arXiv:1502.01852), the last with N(0, 0.01²). Names are torchvision's,
whose weights fit.
"""

from __future__ import annotations

import chainrule as cr
from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.models.blocks import check_size
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor

_Stages = tuple[tuple[tuple[int, int], ...], ...]
_F16, _F32, _F48, _F64 = (16, 64), (32, 128), (48, 192), (64, 256)
_PLANS: dict[str, tuple[int, int, int, _Stages]] = {
    "1_0": (21, 96, 7, ((_F16, _F16, _F32), (_F32, _F48, _F48, _F64), (_F64,))),
    "1_1": (17, 64, 3, ((_F16, _F16), (_F32, _F32), (_F48, _F48, _F64, _F64))),
}
"""Of each version: least side of an image, channels and filter of the first convolution, fires."""


class Fire(nn.Module):
    """Squeeze, then expand in two ways.  (N, inplanes, H, W) -> (N, both expansions, H, W)."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        one = self.expand1x1_activation(self.expand1x1(x))
        three = self.expand3x3_activation(self.expand3x3(x))
        return cr.cat([one, three], 1)


class SqueezeNet(nn.Module):
    """A convolution, eight fires, a convolution, a mean. See the table above."""

    def __init__(
        self,
        version: str = "1_0",
        num_classes: int = 1000,
        dropout: float = 0.5,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_count("squeezenet", num_classes=num_classes, in_channels=in_channels)
        if version not in _PLANS:
            raise ConfigError(f"squeezenet: version must be '1_0' or '1_1', got {version!r}")
        self.num_classes = num_classes
        self._least, channels, kernel_size, stages = _PLANS[version]
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, channels, kernel_size=kernel_size, stride=2),
            nn.ReLU(inplace=True),
        ]
        for fires in stages:
            layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
            for squeeze, expand in fires:
                layers.append(Fire(channels, squeeze, expand, expand))
                channels = 2 * expand
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Conv2d(channels, num_classes, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.classifier[1].weight, 0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W), at least 21 x 21 (1.1: 17) -> scores (N, num_classes)."""
        check_size(self, x, self._least)
        return self.classifier(self.features(x)).flatten(1)


@register(image_size=224, head="classifier.1")
def squeezenet1_0(
    num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.5
) -> SqueezeNet:
    """SqueezeNet 1.0 (Iandola et al. 2016): 26 convolutions, 1.2 million weights."""
    return SqueezeNet("1_0", num_classes, dropout, in_channels)


@register(image_size=224, head="classifier.1")
def squeezenet1_1(
    num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.5
) -> SqueezeNet:
    """SqueezeNet 1.1: as accurate as 1.0 with 2.4 times fewer products."""
    return SqueezeNet("1_1", num_classes, dropout, in_channels)
