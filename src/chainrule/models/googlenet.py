"""GoogLeNet (Inception-v1): filters of several sizes side by side.

Szegedy et al. 2015, Going deeper with convolutions, arXiv:1409.4842, §5 and table 1, on images
of 224 x 224 pixels:

    layer         shape            what                            weights
    input         3 x 224 x 224
    conv1         64 x 112 x 112   conv 7, stride 2                  9,536
    maxpool1      64 x 56 x 56     max pool 3, stride 2
    conv2         64 x 56 x 56     conv 1                            4,224
    conv3         192 x 56 x 56    conv 3                          110,976
    maxpool2      192 x 28 x 28    max pool 3, stride 2
    inception3a   256 x 28 x 28                                    155,872
    inception3b   480 x 28 x 28                                    340,224
    maxpool3      480 x 14 x 14    max pool 3, stride 2
    inception4a   512 x 14 x 14    aux1 looks on                   364,512
    inception4b   512 x 14 x 14                                    425,232
    inception4c   512 x 14 x 14                                    486,192
    inception4d   528 x 14 x 14    aux2 looks on                   573,312
    inception4e   832 x 14 x 14                                    803,840
    maxpool4      832 x 7 x 7      max pool 2
    inception5a   832 x 7 x 7                                      978,944
    inception5b   1024 x 7 x 7                                   1,347,040
    avgpool       1024             mean over the image
    fc            1,000            dropout, linear               1,025,000    6,624,904 in all
    aux1          1,000                                          3,188,968
    aux2          1,000                                          3,191,016   13,004,888 with them

An inception has four branches, whose channels are joined: conv 1; conv 1 and conv 3; conv 1 and
a larger conv; max pool 3 and conv 1. The convolutions 1 x 1 make the others cheap. The two
auxiliary heads, used in training only, bring the gradient to the lower layers: mean to 4 x 4,
conv 1, linear to 1,024, dropout, linear. Their losses count 0.3 (§5):

    logits, aux2, aux1 = model(images)
    loss = criterion(logits, y) + 0.3 * (criterion(aux1, y) + criterion(aux2, y))

Names are torchvision's, whose weights fit, and so are the differences from the paper: each
convolution is followed by a batch norm (Ioffe & Szegedy 2015, arXiv:1502.03167) and ReLU, has no
bias, and the larger conv of the third branch is 3 x 3, not 5 x 5; responses are not normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import nn
from chainrule.errors import ConfigError
from chainrule.models.blocks import Layer, check_size
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor


class GoogLeNetOutputs(NamedTuple):
    """What the model gives in training: its scores, and those of the auxiliary heads."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class BasicConv2d(nn.Module):
    """Convolution, batch norm, ReLU.  kwargs: of the convolution."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches, joined.  (N, in, H, W) -> (N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W).

    ch3x3red, ch5x5red: channels between the two convolutions of the second and third branch.
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: Layer | None = None,
    ) -> None:
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch1 = conv(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv(in_channels, ch3x3red, kernel_size=1),
            conv(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            conv(in_channels, ch5x5red, kernel_size=1),
            conv(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            conv(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cr.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """An auxiliary head.  (N, in_channels, H, W) -> scores (N, num_classes)."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv_block: Layer | None = None,
        dropout: float = 0.7,
    ) -> None:
        super().__init__()
        self.conv = (conv_block or BasicConv2d)(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4))).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(x), inplace=True)))


class GoogLeNet(nn.Module):
    """Nine inceptions. See the table above.

    aux_logits: build the auxiliary heads; in training, `GoogLeNetOutputs` is what comes out.
    transform_input: images come normalised by ImageNet's means and deviations, and are brought
    to [-1, 1], as which the published weights saw them. init_weights: False leaves the layers'
    own first values. blocks: used for convolution, inception and auxiliary head.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        blocks: Sequence[Layer] | None = None,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        check_count("googlenet", num_classes=num_classes, in_channels=in_channels)
        if transform_input and in_channels != 3:
            raise ConfigError(f"googlenet: transform_input needs 3 channels, got {in_channels}")
        conv, inception, head = blocks or (BasicConv2d, Inception, InceptionAux)
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv(in_channels, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = head(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = head(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights is not False:
            self._initialize_weights()

    def _initialize_weights(self) -> None:
        """Weights from N(0, 0.01²); the biases of linear layers stay as they are."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, mean=0.0, std=0.01, a=-2, b=2)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """Images (N, in_channels, H, W), at least 15 x 15 -> scores (N, num_classes).

        In training, with auxiliary heads: their scores too, as (logits, aux_logits2, aux_logits1).
        """
        check_size(self, x, 15)
        if self.transform_input:
            x = _from_imagenet(x)
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        aux1 = self._look(self.aux1, x)
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self._look(self.aux2, x)
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        x = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return GoogLeNetOutputs(x, aux2, aux1) if self.training and self.aux_logits else x

    def _look(self, head: nn.Module | None, x: Tensor) -> Tensor | None:
        return head(x) if head is not None and self.training else None


def _from_imagenet(x: Tensor) -> Tensor:
    """Images as (value - mean) / deviation, by ImageNet's, become 2·value - 1."""
    channels = zip(x.unbind(1), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    return cr.stack([c * (std / 0.5) + (mean - 0.5) / 0.5 for c, mean, std in channels], 1)


@register(image_size=224, head=("aux1.fc2", "aux2.fc2", "fc"), options_of=GoogLeNet)
def googlenet(num_classes: int = 1000, in_channels: int = 3, **options: Any) -> GoogLeNet:
    """GoogLeNet (Szegedy et al. 2015): 9 inceptions, 6.6 million weights; 2 heads for training."""
    return GoogLeNet(num_classes, in_channels=in_channels, **options)
