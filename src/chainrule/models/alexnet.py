"""AlexNet: the network whose ImageNet victory in 2012 began deep learning in vision.

Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep convolutional neural
networks, NeurIPS; in the form for one GPU of Krizhevsky 2014, One weird trick for parallelizing
convolutional neural networks, arXiv:1404.5997, footnote 1: all channels see all channels, their
numbers are 64, 192, 384, 256, 256, and no layer normalises responses.

    layer          shape           what                             weights
    input          3 x 224 x 224
    features.0     64 x 55 x 55    conv 11, stride 4, padding 2      23,296
    features.2     64 x 27 x 27    max pool 3, stride 2
    features.3     192 x 27 x 27   conv 5                           307,392
    features.5     192 x 13 x 13   max pool 3, stride 2
    features.6     384 x 13 x 13   conv 3                           663,936
    features.8     256 x 13 x 13   conv 3                           884,992
    features.10    256 x 13 x 13   conv 3                           590,080
    features.12    256 x 6 x 6     max pool 3, stride 2
    classifier.1   4,096           dropout, linear               37,752,832
    classifier.4   4,096           dropout, linear               16,781,312
    classifier.6   1,000           linear                         4,097,000
                                                                 61,100,840 in all

Every layer but the last is followed by ReLU. Most products are made in the convolutions, most
weights lie in the linear layers. Images of another size are averaged to 6 x 6 first. Names are
torchvision's, whose weights fit.
"""

from __future__ import annotations

from chainrule import nn
from chainrule.models.blocks import check_size
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor


class AlexNet(nn.Module):
    """Five convolutions, three linear layers. See the table above."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> None:
        super().__init__()
        check_count("alexnet", num_classes=num_classes, in_channels=in_channels)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W), at least 63 x 63 -> scores (N, num_classes)."""
        check_size(self, x, 63)
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@register(image_size=224, head="classifier.6")
def alexnet(num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.5) -> AlexNet:
    """AlexNet for one GPU (Krizhevsky 2014): 5 convolutions, 61 million weights."""
    return AlexNet(num_classes, dropout, in_channels)
