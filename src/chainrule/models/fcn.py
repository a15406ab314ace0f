"""A fully convolutional network: a score for every class at every pixel.

Long, Shelhamer & Darrell 2015, Fully convolutional networks for semantic segmentation,
arXiv:1411.4038, §3 and §4.2. The linear layer of a classifier, moved over its feature maps, is
a 1 x 1 convolution (§3.1); its coarse map of scores is enlarged bilinearly, and what finer maps
say is added on the way (figure 3). Here the maps are those of ResNet-20 for CIFAR, strides 1, 2
and 4, so that little images keep their details. On 32 x 32 images with 10 classes:

    layer      shape          what                                      weights
    input      3 x 32 x 32
    backbone   16 x 32 x 32   conv1, layer1 of ResNet-20                 14,480
               32 x 16 x 16   layer2                                     51,072
               64 x 8 x 8     layer3                                    203,520
    score3     10 x 8 x 8     conv 1 on layer3                              650
    score2     10 x 16 x 16   conv 1 on layer2, plus score3 enlarged        330
    score1     10 x 32 x 32   conv 1 on layer1, plus that enlarged          170   270,222 in all

Convolutions that score the finer maps start at 0, as the paper's: at first the coarse scores
pass unchanged. The names of the backbone are ResNet-20's, so its weights can be loaded there,
and its ``fc`` into score3; then the mean of score3's map is the classifier's answer.
"""

from __future__ import annotations

import chainrule.nn.functional as F
from chainrule import nn
from chainrule.models.blocks import start_convolutions
from chainrule.models.cifar_resnet import CifarTrunk
from chainrule.models.registry import register
from chainrule.tensor import Tensor


class FCN(nn.Module):
    """A trunk and a 1 x 1 convolution on each of its maps. See the table above."""

    def __init__(self, blocks: int, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.backbone = CifarTrunk(blocks, in_channels)
        start_convolutions(self.backbone)
        self.score1 = nn.Conv2d(16, num_classes, 1)
        self.score2 = nn.Conv2d(32, num_classes, 1)
        self.score3 = nn.Conv2d(64, num_classes, 1)
        for parameter in (*self.score1.parameters(), *self.score2.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, in_channels, H, W) of any size -> scores (N, num_classes, H, W)."""
        fine, middle, coarse = self.backbone.maps(x)
        scores = self.score2(middle) + _enlarged(self.score3(coarse), middle)
        return self.score1(fine) + _enlarged(scores, fine)


def _enlarged(scores: Tensor, like: Tensor) -> Tensor:
    """To the height and width of another map, bilinearly."""
    return F.interpolate(scores, size=like.shape[2:], mode="bilinear", align_corners=False)


@register(image_size=32, head=("score1", "score2", "score3"), task="segmentation")
def fcn_resnet20(num_classes: int = 10, in_channels: int = 3) -> FCN:
    """Fully convolutional ResNet-20 (Long et al. 2015): scores for every pixel."""
    return FCN(3, num_classes, in_channels)
