"""ZFNet: AlexNet after a look inside.

Zeiler & Fergus 2013, Visualizing and understanding convolutional networks, arXiv:1311.2901,
§4.1 and figure 3. Pictures of what AlexNet's first layers had learnt showed dead filters and
aliasing; so the first filters are 7 x 7 instead of 11 x 11, and their stride 2 instead of 4.

    layer              shape             what                          weights
    input              3 x 224 x 224
    features.conv1     96 x 110 x 110    conv 7, stride 2, padding 1    14,208
    features.pool1     96 x 55 x 55      max pool 3, stride 2
    features.norm1     96 x 55 x 55      contrast across channels
    features.conv2     256 x 26 x 26     conv 5, stride 2              614,656
    features.pool2     256 x 13 x 13     max pool 3, stride 2
    features.norm2     256 x 13 x 13     contrast across channels
    features.conv3     384 x 13 x 13     conv 3                        885,120
    features.conv4     384 x 13 x 13     conv 3                      1,327,488
    features.conv5     256 x 13 x 13     conv 3                        884,992
    features.pool5     256 x 6 x 6       max pool 3, stride 2
    classifier.fc6     4,096             linear, dropout            37,752,832
    classifier.fc7     4,096             linear, dropout            16,781,312
    classifier.fc8     1,000             linear                      4,097,000
                                                                    62,357,608 in all

Every layer but the last is followed by ReLU. A window of the first two poolings may reach over
the edge, else they would give the paper's 55 and 13 less one. Contrast is normalised as in
AlexNet (Krizhevsky et al. 2012, §3.3). Weights start from N(0, 0.01²), biases at 0 (§3). Images
of another size are averaged to 6 x 6 first.
"""

from __future__ import annotations

from collections import OrderedDict

from chainrule import nn
from chainrule.models.blocks import check_size, start_normal
from chainrule.models.registry import check_count, register
from chainrule.tensor import Tensor


class ZFNet(nn.Module):
    """Five convolutions, three linear layers. See the table above."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> None:
        super().__init__()
        check_count("zfnet", num_classes=num_classes, in_channels=in_channels)
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(in_channels, 96, kernel_size=7, stride=2, padding=1),
                relu1=nn.ReLU(inplace=True),
                pool1=nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
                norm1=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
                conv2=nn.Conv2d(96, 256, kernel_size=5, stride=2),
                relu2=nn.ReLU(inplace=True),
                pool2=nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
                norm2=nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0),
                conv3=nn.Conv2d(256, 384, kernel_size=3, padding=1),
                relu3=nn.ReLU(inplace=True),
                conv4=nn.Conv2d(384, 384, kernel_size=3, padding=1),
                relu4=nn.ReLU(inplace=True),
                conv5=nn.Conv2d(384, 256, kernel_size=3, padding=1),
                relu5=nn.ReLU(inplace=True),
                pool5=nn.MaxPool2d(kernel_size=3, stride=2),
            )
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            OrderedDict(
                fc6=nn.Linear(256 * 6 * 6, 4096),
                relu6=nn.ReLU(inplace=True),
                dropout6=nn.Dropout(p=dropout),
                fc7=nn.Linear(4096, 4096),
                relu7=nn.ReLU(inplace=True),
                dropout7=nn.Dropout(p=dropout),
                fc8=nn.Linear(4096, num_classes),
            )
        )
        start_normal(self, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W), at least 63 x 63 -> scores (N, num_classes)."""
        check_size(self, x, 63)
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@register(image_size=224, head="classifier.fc8")
def zfnet(num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.5) -> ZFNet:
    """ZFNet (Zeiler & Fergus 2013): AlexNet with smaller first filters, 62 million weights."""
    return ZFNet(num_classes, dropout, in_channels)
