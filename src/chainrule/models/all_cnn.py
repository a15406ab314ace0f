"""A network of convolutions alone: no pooling, no linear layer.

Springenberg, Dosovitskiy, Brox & Riedmiller 2015, Striving for simplicity: the all
convolutional net, arXiv:1412.6806, table 1 (model C) and §3.2.1 (All-CNN-C). What pooling did,
convolutions of stride 2 do; what linear layers did, 1 x 1 convolutions and a mean.

    layer       shape          what                   weights
    input       3 x 32 x 32    dropout 0.2
    features.1  96 x 32 x 32   conv 3                   2,688
    features.3  96 x 32 x 32   conv 3                  83,040
    features.5  96 x 16 x 16   conv 3, stride 2        83,040   then dropout 0.5
    features.8  192 x 16 x 16  conv 3                 166,080
    features.10 192 x 16 x 16  conv 3                 331,968
    features.12 192 x 8 x 8    conv 3, stride 2       331,968   then dropout 0.5
    features.15 192 x 6 x 6    conv 3, no padding     331,968
    features.17 192 x 6 x 6    conv 1                  37,056
    classifier  10 x 6 x 6     conv 1                   1,930
    avgpool     10             mean over the image              1,369,738 in all

relu follows each convolution except the last: the paper's table has one there too, which lets
no score fall below 0, and a class whose scores are all cut off would learn no more.
The others start as in He et al. 2015 (arXiv:1502.01852).
"""

from __future__ import annotations

from chainrule import nn
from chainrule.models.blocks import start_convolutions
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class AllCNN(nn.Module):
    """Nine convolutions and a mean. See the table above."""

    def __init__(self, num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Dropout(0.4 * dropout),
            *_conv(in_channels, 96, 3, padding=1),
            *_conv(96, 96, 3, padding=1),
            *_conv(96, 96, 3, padding=1, stride=2),
            nn.Dropout(dropout),
            *_conv(96, 192, 3, padding=1),
            *_conv(192, 192, 3, padding=1),
            *_conv(192, 192, 3, padding=1, stride=2),
            nn.Dropout(dropout),
            *_conv(192, 192, 3),
            *_conv(192, 192, 1),
        )
        self.classifier = nn.Conv2d(192, num_classes, 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        start_convolutions(self.features, "fan_in")

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W), at least 9 x 9 pixels -> scores (N, num_classes)."""
        return self.flatten(self.avgpool(self.classifier(self.features(x))))


def _conv(
    before: int, after: int, window: int, stride: int = 1, padding: int = 0
) -> tuple[nn.Conv2d, nn.ReLU]:
    return nn.Conv2d(before, after, window, stride, padding), nn.ReLU()


@register(image_size=32, head="classifier")
def all_cnn_c(num_classes: int = 10, in_channels: int = 3, dropout: float = 0.5) -> AllCNN:
    """All-CNN-C for CIFAR (Springenberg et al. 2015): nine convolutions, 1.4 million weights.

    dropout: part of the values that is left out after each stride, and 0.4 of that (the
    paper's 0.2) of the image.
    """
    return AllCNN(num_classes, in_channels, dropout)
